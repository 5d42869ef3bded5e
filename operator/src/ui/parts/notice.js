// What stands in the way, above the page: no connection, no login, old numbers.

import { announce, attribute, h, Keyed, say } from "./dom.js";

const shown = new Map();
let list;

/** Shows, changes or, without `notice`, removes the notice of this name. `{ tone, title, text, actions: [[label, act]] }`. */
export function notice(name, notice) {
  // The title is announced when it comes; the text changes by the second and is not.
  if (notice && shown.get(name)?.title !== notice.title) announce(notice.title);
  if (notice) shown.set(name, { name, ...notice });
  else if (!shown.delete(name)) return;
  list ??= new Keyed(document.getElementById("notices"), make);
  list.update([...shown.values()], ({ name, actions = [] }) => [name, ...actions.map(([label]) => label)].join());
}

/** Removes all. */
export function clearNotices() {
  for (const name of [...shown.keys()]) notice(name);
}

function make(first) {
  const title = h("strong", {});
  const text = h("span", {});
  let actions = first.actions ?? [];
  const buttons = actions.map(([label], at) =>
    h("button", { type: "button", class: "quiet", onclick: () => actions[at][1]() }, label));
  const node = h("div", { class: "notice" }, h("p", {}, title, " ", text), buttons.length > 0 ? h("p", { class: "buttons" }, buttons) : null);
  const fill = (entry) => {
    attribute(node, "data-tone", entry.tone);
    actions = entry.actions ?? [];
    say(title, entry.title);
    say(text, entry.text);
  };
  return { node, fill };
}
