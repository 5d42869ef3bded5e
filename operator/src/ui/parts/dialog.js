// A question before something is done. The browser's own dialog keeps the focus inside and closes on Escape.

import { h, say, unique } from "./dom.js";

/**
 * Asks, does, and closes when it is done. `fields` are elements between text and buttons; `act()` may fail with a
 * problem, which is then shown and the dialog stays. Resolves to whether it was done.
 */
export function ask({ title, text, fields = [], confirm, danger = false, act }) {
  const { promise, resolve } = Promise.withResolvers();
  const heading = unique("dialog-title");
  const body = unique("dialog-text");
  const trouble = h("p", { class: "trouble", role: "alert", hidden: true });
  const yes = h("button", { type: "submit", class: danger ? "danger" : "primary" }, confirm);
  const no = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
  const form = h("form", { onsubmit: submit, novalidate: fields.length === 0 },
    h("h2", { id: heading }, title),
    h("div", { id: body, class: "dialog-text" }, text.map((line) => (typeof line === "string" ? h("p", {}, line) : line))),
    fields, trouble,
    h("p", { class: "buttons" }, no, yes));
  const dialog = h("dialog", { "aria-labelledby": heading, "aria-describedby": body }, form);
  const back = document.activeElement;
  let done = false;

  async function submit(event) {
    event.preventDefault();
    yes.disabled = true;
    trouble.hidden = true;
    try {
      await act();
      done = true;
      dialog.close();
    } catch (problem) {
      say(trouble, problem.message);
      trouble.hidden = false;
    } finally {
      yes.disabled = false;
    }
  }

  dialog.addEventListener("close", () => {
    dialog.remove();
    back?.focus();
    resolve(done);
  });
  // A press on the backdrop is a press on the dialog itself.
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  document.body.append(dialog);
  dialog.showModal();
  (form.querySelector("input, select, textarea") ?? no).focus();
  return promise;
}
