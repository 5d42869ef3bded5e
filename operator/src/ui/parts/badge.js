// A state as a word on a tint, with a shape of its own, so that colour is never all that tells it.

import { attribute, h, say } from "./dom.js";
import { word } from "./format.js";

const TONES = {
  active: "good", pending: "info", resetting: "info", draining: "info", drained: "still", disabled: "still",
  degraded: "warn", failed: "bad",
  // Sessions.
  idle: "still", opening: "info", closing: "info", unhealthy: "bad",
};

/** Builds one. Gives `{ node, fill(state, tone?, text?) }`. */
export function badge() {
  const text = h("span", {});
  const node = h("span", { class: "badge" }, h("span", { class: "shape", "aria-hidden": "true" }), text);
  const fill = (state, tone = TONES[state] ?? "still", said = word(state)) => {
    attribute(node, "data-tone", tone);
    say(text, said);
  };
  return { node, fill };
}
