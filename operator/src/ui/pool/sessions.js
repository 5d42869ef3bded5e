// A pool's sessions with its MCP server.

import { badge } from "../parts/badge.js";
import { attribute, h, say } from "../parts/dom.js";
import { count, duration, NOTHING, plural, word } from "../parts/format.js";
import { Table } from "../parts/table.js";

/** Builds the section. Gives `{ node, fill(answer), fail(problem) }`. */
export function sessions() {
  const trouble = h("p", { class: "trouble", hidden: true });
  const sum = h("span", { class: "hint" });
  const text = (id, title, value) => ({ id, title, value, cell: (td) => (one) => {
    say(td, value(one) || NOTHING);
    attribute(td, "data-empty", value(one) ? null : "");
  } });
  const number = (id, title, value, format = count) =>
    ({ id, title, numeric: true, value, cell: (td) => (one) => say(td, format(value(one))) });
  const table = new Table({
    caption: "Sessions", key: (one) => `${one.replica}/${one.id}`, step: matchMedia("(max-width: 52rem)").matches ? 6 : 20, empty: "No session is open.",
    columns: [
      number("id", "Session", (one) => one.id),
      { id: "state", title: "State", value: (one) => one.state, cell: (td) => {
        const state = badge();
        td.append(state.node);
        return (one) => state.fill(one.state);
      } },
      { id: "key", title: "Serves", value: (one) => `${one.scope} ${one.key}`, cell: (td) => {
        const [scope, key] = [h("span", {}), h("code", {})];
        td.append(scope, " ", key);
        return (one) => {
          say(scope, word(one.scope));
          say(key, one.key);
        };
      } },
      number("age", "Age", (one) => one.age_seconds, duration),
      number("idle", "Idle", (one) => one.idle_seconds, (value) => (value > 0 ? duration(value) : NOTHING)),
      number("requests", "Requests", (one) => one.requests),
      text("pinned", "Pinned", (one) => (one.pinned ? word(one.pinned) : one.bound_keys > 0 ? `${plural(one.bound_keys, "client")} bound` : "")),
      text("endpoint", "Server", (one) => one.endpoint),
      text("replica", "Proxy", (one) => one.replica),
    ],
  });
  const node = h("section", { class: "card flush", "aria-labelledby": "sessions-title" },
    h("h2", { id: "sessions-title" }, "Sessions ", sum), trouble, table.node);
  return {
    node,
    fill({ sessions: found, unanswered = [] }) {
      say(trouble, `No answer from ${unanswered.join(", ")}: the sessions there are missing here.`);
      trouble.hidden = unanswered.length === 0;
      const keys = new Set(found.map((one) => one.key)).size;
      say(sum, found.length > 0 ? `${plural(found.length, "session")} for ${plural(keys, "key")}` : "");
      table.update(found);
    },
    fail(problem) {
      say(trouble, `The sessions can't be shown: ${problem.message}`);
      trouble.hidden = false;
    },
  };
}
