// A number with its name and a remark.

import { attribute, h, say } from "./dom.js";

/** Builds one, to stand in a `dl`. Gives `{ node, fill(text, remark, alarming?) }`. */
export function tile(title) {
  const value = h("dd", { class: "tile-value" });
  const note = h("dd", { class: "tile-note" });
  const node = h("div", { class: "tile" }, h("dt", {}, title), value, note);
  const fill = (text, remark, alarming = false) => {
    say(value, text);
    say(note, remark);
    attribute(node, "data-alarming", alarming ? "" : null);
  };
  return { node, fill };
}
