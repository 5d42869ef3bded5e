// A pool's proxies.

import { badge } from "../parts/badge.js";
import { h, say } from "../parts/dom.js";
import { bytes, count } from "../parts/format.js";
import { Table } from "../parts/table.js";

/** Builds the section. Gives `{ node, fill(pool) }`. */
export function replicas() {
  const number = (id, title, value, format = count) =>
    ({ id, title, numeric: true, value, cell: (td) => (one) => say(td, format(value(one))) });
  const table = new Table({
    caption: "Proxies", key: (one) => one.name, empty: "The pool has no proxy.",
    columns: [
      { id: "replica", title: "Proxy", value: (one) => one.name },
      { id: "state", title: "State", value: (one) => state(one)[0], cell: (td) => {
        const [told, why] = [badge(), h("span", { class: "why" })];
        td.append(told.node, why);
        return (one) => {
          const [text, tone] = state(one);
          told.fill(text, tone, text);
          say(why, one.answered && one.ready ? "" : one.error);
        };
      } },
      number("total", "Sessions", (one) => one.total_sessions),
      number("active", "Active", (one) => one.active_sessions),
      number("waiting", "Waiting", (one) => one.waiting),
      number("memory", "Memory", (one) => one.memory_bytes, bytes),
      { id: "config", title: "Configuration", value: (one) => (one.config_current ? "Current" : "Older") },
    ],
  });
  const node = h("section", { class: "card flush", "aria-labelledby": "replicas-title" }, h("h2", { id: "replicas-title" }, "Proxies"), table.node);
  return { node, fill: (pool) => table.update(pool.replicas_list) };
}

function state(one) {
  if (!one.answered) return ["No answer", "bad"];
  return one.ready ? ["Ready", "good"] : ["Not ready", "warn"];
}
