// The overview's filters: a text, a namespace, and which states.

import { attribute, h, Keyed, say } from "../parts/dom.js";
import { count } from "../parts/format.js";
import { phases } from "./attention.js";

const ALL = "all";
const URGENT = "attention";

/** Builds them from the address's query. `changed()` is called when a person changes one. */
export class Filters {
  #text;
  #namespace;
  #states;
  #state;
  #changed;

  constructor(query, changed) {
    this.#changed = changed;
    this.#state = query.get("show") ?? ALL;
    this.#text = h("input", { type: "search", value: query.get("q") ?? "", placeholder: "Name or address", oninput: changed });
    const choose = () => { this.namespace = this.#namespace.value; changed(); };
    this.#namespace = h("select", { onchange: choose }, h("option", { value: "" }, "All namespaces"));
    this.namespace = query.get("namespace") ?? "";
    const states = h("div", { class: "chips", role: "group", "aria-label": "Show" });
    this.#states = new Keyed(states, () => this.#chip());
    this.node = h("div", { class: "filters", role: "search" },
      h("label", {}, h("span", {}, "Find"), this.#text),
      h("label", {}, h("span", {}, "Namespace"), this.#namespace),
      states);
  }

  /** Follows what there is to choose from. */
  update(pools) {
    const urgent = pools.filter((pool) => pool.attention.level >= 2).length;
    const found = phases(pools).map(({ phase, title, count: many }) => ({ id: phase, title, many }));
    // A state that was chosen stays to be seen, and to be left, when no pool is in it any more.
    if (![ALL, URGENT].includes(this.#state) && !found.some(({ id }) => id === this.#state)) {
      found.push({ id: this.#state, title: this.#state, many: 0 });
    }
    const chips = [{ id: ALL, title: "All", many: pools.length }, { id: URGENT, title: "Need attention", many: urgent }, ...found];
    this.#states.update(chips, ({ id }) => id);
    this.#list([...new Set(pools.map((pool) => pool.namespace))].sort());
  }

  /** The pools that fit. */
  apply(pools) {
    const words = this.#text.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    return pools.filter((pool) => {
      const where = `${pool.namespace}/${pool.name} ${pool.server_id} ${pool.url ?? ""}`.toLowerCase();
      const state = this.#state === ALL || (this.#state === URGENT ? pool.attention.level >= 2 : pool.phase === this.#state);
      return state && (!this.namespace || pool.namespace === this.namespace) && words.every((part) => where.includes(part));
    });
  }

  /** What the address says of them. */
  query() {
    const query = new URLSearchParams();
    if (this.#text.value.trim()) query.set("q", this.#text.value.trim());
    if (this.namespace) query.set("namespace", this.namespace);
    if (this.#state !== ALL) query.set("show", this.#state);
    return query;
  }

  #list(namespaces) {
    const chosen = this.namespace;
    const listed = [...this.#namespace.options].slice(1).map((option) => option.value);
    const wanted = chosen && !namespaces.includes(chosen) ? [...namespaces, chosen].sort() : namespaces;
    if (listed.join() !== wanted.join()) {
      this.#namespace.replaceChildren(this.#namespace.options[0], ...wanted.map((name) => h("option", { value: name }, name)));
    }
    this.#namespace.value = chosen;
  }

  #chip() {
    const [title, many] = [h("span", {}), h("span", { class: "chip-count" })];
    let state = ALL;
    const choose = () => { this.#state = state; this.#changed(); };
    const node = h("button", { type: "button", class: "chip", onclick: choose }, title, " ", many);
    const fill = (chip) => {
      state = chip.id;
      say(title, chip.title);
      say(many, count(chip.many));
      attribute(node, "aria-pressed", String(this.#state === chip.id));
    };
    return { node, fill };
  }
}
