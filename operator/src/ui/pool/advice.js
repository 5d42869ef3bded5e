// What is recommended for a pool, from what was measured, and why.

import { ask } from "../parts/dialog.js";
import { announce, attribute, h, Keyed, say, unique } from "../parts/dom.js";
import { said, titleOf } from "./parameters.js";
import { lacking } from "./permission.js";
import { split } from "./head.js";

/** Who may share a session is for people to decide. */
const isApplied = ({ name }) => name !== "isolation";

/** Builds it. Gives `{ node, fill(advice), allow(pool), fail(problem) }`; `done()` is called once it was applied. */
export function advice(server, id, done) {
  const noteId = unique("note");
  const note = h("p", { class: "denied", id: noteId, hidden: true });
  const apply = h("button", { type: "button", class: "primary", onclick: () => press() }, "Apply…");
  const trouble = h("p", { class: "trouble", hidden: true });
  const changes = h("dl", { class: "changes" });
  const reasons = h("ul", { class: "reasons" });
  const verdict = h("p", { class: "verdict" });
  const buttons = h("p", { class: "buttons" }, apply);
  const node = h("section", { class: "card advice", "aria-labelledby": "advice-title" },
    h("h2", { id: "advice-title" }, "Recommendation"), trouble, verdict, changes, reasons, buttons, note);
  const reasonRows = new Keyed(reasons, () => {
    const text = h("li", {});
    return { node: text, fill: (reason) => say(text, reason.message) };
  });
  const changeRows = new Keyed(changes, () => {
    const [name, from, to] = [h("dt", {}), h("span", { class: "from" }), h("strong", {})];
    const arrow = [h("span", { "aria-hidden": "true" }, " → "), h("span", { class: "unseen" }, " becomes ")];
    const fill = (change) => {
      say(name, titleOf(change.name));
      say(from, said(change.name, change.from));
      say(to, said(change.name, change.to));
    };
    return { node: h("div", {}, name, h("dd", {}, from, arrow, to)), fill };
  });
  let found = [];
  let denied = "";

  function press() {
    if (denied) announce(denied);
    else askApply();
  }

  async function askApply() {
    const [written, left] = [found.filter(isApplied), found.filter((change) => !isApplied(change))];
    const line = ({ name, from, to }) => h("li", {}, `${titleOf(name)}: ${said(name, from)} → ${said(name, to)}`);
    const text = [h("p", {}, "This is written to the SessionPool, and reaches its proxies within seconds without losing a session:"), h("ul", {}, written.map(line))];
    if (left.length > 0) text.push(h("p", {}, "This is left to you, in the object itself:"), h("ul", {}, left.map(line)));
    const did = await ask({ title: `Apply the recommendation to ${split(id)[1]}?`, text, confirm: "Apply it", act: () => server.applyAdvice() });
    if (!did) return;
    announce("The recommendation was applied");
    done();
  }

  return {
    node,
    fill(newest) {
      trouble.hidden = true;
      const names = Object.keys(newest.recommended).filter((name) => newest.recommended[name] !== newest.current[name]);
      found = names.map((name) => ({ name, from: newest.current[name], to: newest.recommended[name] }));
      say(verdict, found.length === 0 ? "Nothing to change." : "These fit better what was measured:");
      changes.hidden = found.length === 0;
      changeRows.update(found, ({ name }) => name);
      reasonRows.update(newest.reasons, ({ code, parameter }) => `${code} ${parameter}`);
      buttons.hidden = !found.some(isApplied);
      note.hidden = denied === "" || buttons.hidden;
    },
    allow(pool) {
      denied = lacking(id, { update: pool.permissions.update }, "Applying it");
      say(note, denied);
      note.hidden = denied === "" || buttons.hidden;
      attribute(apply, "aria-disabled", denied ? "true" : null);
      attribute(apply, "aria-describedby", denied ? noteId : null);
    },
    fail(problem) {
      say(trouble, `The recommendation can't be shown: ${problem.message}`);
      trouble.hidden = false;
    },
  };
}
