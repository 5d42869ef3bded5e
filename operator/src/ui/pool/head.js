// A pool's name, state and whereabouts.

import { badge } from "../parts/badge.js";
import { announce, h, say } from "../parts/dom.js";
import { plural, word } from "../parts/format.js";
import { troubling } from "./remedies.js";

/** Builds it. Gives `{ node, heading, fill(pool) }`. */
export function head(id) {
  const [namespace, name] = split(id);
  const heading = h("h1", { tabindex: "-1" }, name);
  const state = badge();
  const message = h("p", { class: "phase-message", hidden: true });
  const facts = h("ul", { class: "facts" });
  const fact = () => {
    const node = h("li", {});
    facts.append(node);
    return node;
  };
  const [strategy, isolation, proxies, pending] = [fact(), fact(), fact(), fact()];
  const url = h("code", {});
  const copy = h("button", { type: "button", class: "quiet small", onclick: () => copyUrl(url.textContent) }, "Copy address");
  const address = h("p", { class: "address", hidden: true }, h("span", { class: "unseen" }, "Address for clients: "), url, " ", copy);
  const node = h("div", { class: "pool-title" },
    h("nav", { "aria-label": "Where you are", class: "crumbs" }, h("a", { href: "#/" }, "All pools"), h("span", {}, namespace)),
    h("div", { class: "title-line" }, heading, state.node), message, facts, address);
  let phase = null;
  const fill = (pool) => {
    state.fill(pool.phase);
    if (phase !== null && phase !== pool.phase) announce(`${name} is now ${word(pool.phase)}`);
    phase = pool.phase;
    // A condition that says the same stands below, with what to do.
    const repeated = pool.conditions.some((one) => troubling(one) && one.message === pool.phase_message);
    say(message, repeated ? "" : pool.phase_message);
    message.hidden = message.textContent === "";
    say(strategy, pool.pool_enabled ? word(pool.strategy) : "Pooling off");
    say(isolation, `Isolation ${pool.isolation}`);
    say(proxies, `${pool.ready_replicas} of ${plural(pool.replicas, "proxy", "proxies")} ready`);
    say(pending, pool.generation === pool.observed_generation ? "" : "The last change is not in force yet");
    pending.hidden = pending.textContent === "";
    say(url, pool.url);
    address.hidden = !pool.url;
  };
  return { node, heading, fill };
}

/** Namespace and name of an id; namespaces hold no dot. */
export function split(id) {
  const at = id.indexOf(".");
  return [id.slice(0, at), id.slice(at + 1)];
}

async function copyUrl(text) {
  try {
    await navigator.clipboard.writeText(text);
    announce("Address copied");
  } catch {
    // Without a secure connection browsers give no clipboard: the address can be selected.
    announce("The browser does not allow copying here: select the address instead");
  }
}
