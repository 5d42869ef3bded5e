// Drain, resume and reset: buttons that ask first, and how far a running one is.

import { ask } from "../parts/dialog.js";
import { announce, attribute, h, say, unique } from "../parts/dom.js";
import { ago, count, dated, plural } from "../parts/format.js";
import { split } from "./head.js";
import { lacking } from "./permission.js";

/** Longest time that a drain may be given, in seconds. */
const LONGEST = 86_400;

/** Builds the buttons. Gives `{ node, fill(pool) }`; `done()` is called after each. */
export function operations(server, id, done) {
  const [, name] = split(id);
  const noteId = unique("note");
  const note = h("p", { class: "denied", id: noteId, hidden: true });
  let pool = null;
  const button = (text, act, kind = "") => h("button", { type: "button", class: kind, onclick: () => {
    // Such a button can be reached, so that its description is heard, and does nothing.
    if (pool === null || node.dataset.denied !== undefined) announce(note.textContent);
    else act();
  } }, text);
  const drain = button("Drain…", () => askDrain(server, name, pool).then(after("Draining has begun")));
  const resume = button("Resume…", () => askResume(server, name).then(after("The pool takes requests again")), "primary");
  const reset = button("Reset…", () => askReset(server, name, pool).then(after("Resetting has begun")));
  const node = h("div", { class: "operations" }, h("p", { class: "buttons", role: "group", "aria-label": "Operations" }, resume, drain, reset), note);

  function after(text) {
    return (did) => {
      if (!did) return;
      announce(text);
      done();
    };
  }

  const fill = (newest) => {
    pool = newest;
    const drained = pool.desired_state === "drained";
    // The focus stays on what is left.
    const focused = [drain, resume].includes(document.activeElement);
    drain.hidden = drained;
    resume.hidden = !drained;
    if (focused) (drained ? resume : drain).focus();
    const text = lacking(id, pool.permissions, "Draining, resuming and resetting");
    say(note, text);
    note.hidden = text === "";
    attribute(node, "data-denied", text ? "" : null);
    for (const one of [drain, resume, reset]) {
      attribute(one, "aria-disabled", text ? "true" : null);
      attribute(one, "aria-describedby", text ? noteId : null);
    }
  };
  return { node, fill };
}

function askDrain(server, name, pool) {
  const field = unique("seconds");
  const seconds = h("input", { id: field, type: "number", inputmode: "numeric", min: 0, max: LONGEST, step: 1, value: 60, required: true });
  const running = pool.active_sessions > 0 ? `${plural(pool.active_sessions, "session")} carry calls now` : "No call is running now";
  const waiting = pool.waiting > 0 ? `, and ${plural(pool.waiting, "request")} wait` : "";
  return ask({
    title: `Drain ${name}?`, danger: true, confirm: "Drain the pool",
    text: [
      "Running calls may finish; what still runs after the time below is ended. Then every session is closed.",
      "New requests are answered with 503 and Retry-After until you resume. Clients keep their session ids.",
      h("p", { class: "situation" }, `${running}${waiting}.`),
    ],
    fields: [h("p", { class: "field" }, h("label", { for: field }, "Seconds for running calls"), seconds)],
    act: () => {
      const value = seconds.valueAsNumber;
      if (!Number.isInteger(value) || value < 0 || value > LONGEST) {
        seconds.focus();
        throw new Error(`The time must be a whole number of seconds from 0 to ${count(LONGEST)}.`);
      }
      return server.drain(value);
    },
  });
}

function askResume(server, name) {
  return ask({
    title: `Resume ${name}?`, confirm: "Resume the pool",
    text: ["Its proxies open sessions again and take requests. Clients go on with the session ids that they have."],
    act: () => server.resume(),
  });
}

function askReset(server, name, pool) {
  return ask({
    title: `Reset ${name}?`, danger: true, confirm: "Reset the pool",
    text: [
      `Every session is replaced once, ${count(pool.total_sessions)} now: idle ones at once, busy ones after their call. No call is cut off.`,
      pool.isolation === "shared" ? "Clients notice nothing but new handshakes." : "A client whose own state was in a session is told once that it is gone, and goes on with a fresh one.",
    ],
    act: () => server.reset(),
  });
}

/** How far a drain or reset is. Gives `{ node, fill(pool) }`. */
export function progress() {
  const [title, text] = [h("strong", {}), h("span", {})];
  const node = h("section", { class: "card running", "aria-label": "Operation", hidden: true }, h("p", {}, title, " ", text));
  const fill = (pool) => {
    const told = tell(pool);
    node.hidden = told === null;
    if (told) [say(title, told[0]), say(text, told[1])];
  };
  return { node, fill };
}

function tell({ phase, desired_state: desired, drain, reset }) {
  if (desired === "drained" && drain?.completion_time) {
    return ["Drained.", `No session is open since ${dated(drain.completion_time)}; new requests are answered with 503.`];
  }
  if (desired === "drained") {
    const since = drain?.start_time ? ` Begun ${ago(drain.start_time)}.` : "";
    const left = drain ? `${plural(drain.remaining_sessions, "session")} still open, ${count(drain.closed_sessions)} closed.` : "The operator has not begun yet.";
    return ["Draining.", `${left}${since}`];
  }
  if (phase === "resetting" && reset) {
    return ["Resetting.", `${plural(reset.remaining_sessions, "session")} from before still open, ${count(reset.closed_sessions)} replaced.`];
  }
  return null;
}
