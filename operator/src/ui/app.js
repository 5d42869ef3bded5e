// Which page is shown, how fresh it is, and who is signed in.

import { claims, signOut, token } from "./credential.js";
import { overview } from "./overview/page.js";
import { announce, attribute, h, say } from "./parts/dom.js";
import { ago, hour, time } from "./parts/format.js";
import { clearNotices, notice } from "./parts/notice.js";
import { signInForm } from "./parts/signin.js";
import { pool } from "./pool/page.js";
import { route } from "./router.js";

const main = document.getElementById("main");
const freshness = document.getElementById("freshness");
const freshnessText = document.getElementById("freshness-text");
const account = document.getElementById("account");

let page = null;
/** What the page's numbers hang on: its first feed, and whether the operator calls them old. */
let newest = null;
let lost = false;

function show(moveFocus = true) {
  page?.feeds.forEach((feed) => feed.stop());
  page?.stop?.();
  clearNotices();
  newest = null;
  lost = false;
  const where = route();
  page = (where.page === "pool" ? pool : overview)(where, { fail, alive });
  document.title = page.title;
  main.replaceChildren(h("p", { class: "loading" }, "Loading…"));
  attribute(main, "aria-busy", "true");
  page.feeds.forEach((feed) => feed.start());
  page.wantsFocus = moveFocus;
  tick();
}

/** An answer has come: shows the page, and takes back what was said of its absence. */
function alive(feed, pool) {
  const first = newest === null;
  newest = { feed, stale: pool?.stale && pool.replicas > 0 ? silence(pool) : null };
  if (lost) announce("The connection is back");
  lost = false;
  notice("problem");
  if (!page.node.isConnected) {
    main.replaceChildren(page.node);
    attribute(main, "aria-busy", null);
    if (page.wantsFocus) page.heading.focus({ preventScroll: !first });
  }
  tick();
}

function fail(problem, feed) {
  newest ??= { feed, stale: null };
  newest.feed = feed;
  if (problem.kind === "login" && feed.answered === null) showSignIn(problem);
  else if (problem.kind === "missing") showMissing();
  else if (feed.answered === null && problem.kind === "forbidden") showForbidden(problem);
  else lost = problem.kind !== "forbidden";
  tick();
}

function blank(...content) {
  main.replaceChildren(h("section", { class: "card blank" }, content));
  attribute(main, "aria-busy", null);
  main.querySelector("h1")?.focus();
}

function showSignIn(problem) {
  // A person who types is not disturbed by the next refusal.
  if (main.querySelector(".signin")) return;
  main.replaceChildren(h("section", { class: "card blank" }, signInForm(signedIn, refusal(problem))));
  attribute(main, "aria-busy", null);
  main.querySelector(token() ? "h1" : "input").focus();
}

function refusal(problem) {
  const { expires } = claims();
  if (token() && expires && expires < new Date()) return `The token that you gave expired at ${time(expires)}. Give a new one.`;
  if (token()) return "The operator does not accept the token that you gave: it may have expired, or belong to another cluster.";
  return problem.detail.includes("reload") ? problem.message : "";
}

function showMissing() {
  page.feeds.forEach((feed) => feed.stop());
  const { id } = route();
  blank(h("h1", { tabindex: "-1" }, "No such pool"),
    h("p", {}, `There is no pool ${id ?? ""}, or this account may not see it.`), h("p", {}, h("a", { href: "#/" }, "All pools")));
}

function showForbidden(problem) {
  blank(h("h1", { tabindex: "-1" }, "This account may not see that"), h("p", {}, problem.message),
    h("p", { class: "buttons" }, h("button", { type: "button", onclick: askSignIn }, "Sign in with another account")));
}

function signedIn() {
  showAccount();
  document.querySelector("dialog[open]")?.close();
  if (newest?.feed.answered) page.feeds.forEach((feed) => feed.now());
  else show();
}

function askSignIn() {
  const form = signInForm(signedIn, newest?.feed.problem?.kind === "login" ? refusal(newest.feed.problem) : "");
  const cancel = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  form.lastElementChild.prepend(cancel);
  const dialog = h("dialog", { "aria-label": "Sign in" }, form);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  form.querySelector("input").focus();
}

function showAccount() {
  const { subject, expires } = claims();
  const leave = () => {
    signOut();
    showAccount();
    show();
  };
  const who = subject?.replace(/^system:serviceaccount:/, "") ?? "Signed in";
  account.replaceChildren(...(token()
    ? [
      h("span", { class: "who", title: expires ? `${subject ?? ""} until ${time(expires)}` : subject }, who, expires ? h("span", {}, ` until ${hour(expires)}`) : null),
      h("button", { type: "button", class: "quiet", onclick: leave }, "Sign out"),
    ]
    : [h("button", { type: "button", class: "quiet", onclick: askSignIn }, "Sign in")]));
}

/** Tells how fresh the numbers are; once a second. */
function tick() {
  const feed = newest?.feed;
  freshness.hidden = !feed?.answered;
  if (!feed) return;
  const { problem, answered } = feed;
  const old = answered !== null && (problem !== null || feed.late);
  attribute(freshness, "data-state", old || newest.stale ? "old" : "live");
  say(freshnessText, old ? `Last answer ${ago(answered)}` : newest.stale ? "Old numbers" : "Live");
  attribute(document.body, "data-old", old || newest.stale ? "" : null);
  notice("problem", told(feed, old));
  notice("stale", !old && newest.stale ? { tone: "warn", ...newest.stale } : null);
}

/** What is said of proxies that the operator gets no numbers from. */
function silence({ replicas_list: proxies, observed_time: since }) {
  const silent = proxies.filter((proxy) => !proxy.answered).length;
  const who = silent < proxies.length ? `${silent} of ${proxies.length} proxies do` : "The proxies do";
  return {
    title: `${who} not answer the operator.`,
    text: since ? `These numbers are from ${time(since)}, ${ago(since)}.` : "There are no numbers of them yet.",
  };
}

function told({ problem, answered, next }, old) {
  const waiting = problem && next ? Math.max(0, Math.ceil((next - Date.now()) / 1000)) : null;
  const from = answered === null ? "" : ` What you see is from ${time(answered)}, ${ago(answered)}.`;
  const again = waiting === null ? "" : ` Next try in ${waiting} s.`;
  const retry = ["Try now", () => page.feeds.forEach((feed) => feed.now())];
  const login = ["Sign in", askSignIn];
  if (problem === null) {
    return old ? { tone: "warn", title: "The operator is slow to answer.", text: from.trim(), actions: [retry] } : null;
  }
  if (problem.kind === "login") {
    if (answered === null) return null;
    const { expires } = claims();
    const title = token() && expires && expires < new Date() ? `Your login expired at ${time(expires)}.` : "Your login is no longer accepted.";
    return { tone: "bad", title, text: from.trim(), actions: [login] };
  }
  if (problem.kind === "forbidden") {
    return answered === null ? null : { tone: "bad", title: "You may no longer see this.", text: `${problem.message}.${from}`, actions: [login] };
  }
  if (problem.kind === "missing") return null;
  const title = problem.kind === "away" ? "The operator can't reach the Kubernetes API." : `${problem.title}.`;
  const why = problem.detail ? ` (${problem.detail})` : "";
  return { tone: "bad", title, text: `${from}${again}${why}`.trim(), actions: [retry] };
}

window.addEventListener("hashchange", () => show());
// The address after `#` is the page's: the link must not change it.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
showAccount();
setInterval(tick, 1000);
show(false);
