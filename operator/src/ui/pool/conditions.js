// The conditions that the operator reports: those that tell of trouble above, with what to do, and all of them below.

import { badge } from "../parts/badge.js";
import { attribute, h, Keyed, say } from "../parts/dom.js";
import { ago, dated } from "../parts/format.js";
import { Table } from "../parts/table.js";
import { split } from "./head.js";
import { remedy, troubling } from "./remedies.js";

/** What is wrong, and what to do. Gives `{ node, fill(pool) }`. */
export function troubles(id) {
  const [namespace, name] = split(id);
  const list = h("ul", {});
  const node = h("section", { class: "card troubles", "aria-labelledby": "troubles-title", hidden: true },
    h("h2", { id: "troubles-title" }, "Needs attention"), list);
  const rows = new Keyed(list, () => {
    const [what, why, todo] = [h("strong", {}), h("p", {}), h("p", { class: "todo" })];
    const fill = (condition) => {
      say(what, condition.reason);
      say(why, condition.message);
      say(todo, remedy(condition, namespace, name));
      todo.hidden = todo.textContent === "";
    };
    return { node: h("li", {}, what, why, todo), fill };
  });
  const fill = (pool) => {
    // What is not ready for a reason that another condition tells is told once.
    const found = pool.conditions.filter(troubling);
    const once = found.filter((one, at) => found.findIndex(({ reason, message }) => reason === one.reason && message === one.message) === at);
    rows.update(once, ({ type }) => type);
    node.hidden = once.length === 0;
    attribute(node, "data-tone", pool.phase === "failed" ? "bad" : "warn");
  };
  return { node, fill };
}

/** All of them. Gives `{ node, fill(pool) }`. */
export function conditions() {
  const table = new Table({
    caption: "Conditions", key: ({ type }) => type, empty: "The operator has not reported yet.",
    columns: [
      { id: "type", title: "Condition", value: ({ type }) => type },
      { id: "status", title: "Status", value: ({ status }) => status, cell: (td) => {
        const state = badge();
        td.append(state.node);
        return (one) => state.fill(one.status, troubling(one) ? "warn" : one.status === "True" ? "good" : "still", one.status);
      } },
      { id: "reason", title: "Reason", value: ({ reason }) => reason },
      { id: "message", title: "Message", cell: (td) => (one) => {
        say(td, one.message);
        attribute(td, "data-empty", one.message ? null : "");
      } },
      { id: "since", title: "Since", value: (one) => new Date(one.last_transition_time).getTime(), cell: (td) => {
        const moment = h("time", {});
        td.append(moment);
        return (one) => {
          attribute(moment, "datetime", one.last_transition_time);
          attribute(moment, "title", dated(one.last_transition_time));
          say(moment, ago(one.last_transition_time));
        };
      } },
    ],
  });
  const node = h("section", { class: "card flush", "aria-labelledby": "conditions-title" }, h("h2", { id: "conditions-title" }, "Conditions"), table.node);
  return { node, fill: (pool) => table.update(pool.conditions) };
}
