// A table that sorts, keeps its rows over updates, and turns into cards where the screen is narrow.

import { attribute, h, Keyed, say } from "./dom.js";
import { count } from "./format.js";

/**
 * Columns: `{ id, title, hint, numeric, value(item), cell(td) }`. `cell` builds a cell's inside and gives a function
 * that fills it; without it `value` is shown. Columns with `value` can be sorted by, from the greatest where `numeric`.
 */
export class Table {
  #columns;
  #key;
  #step;
  #shown;
  #sort;
  #order;
  #items = [];
  #rows;
  #heads = new Map();
  #empty;
  #more;
  #moreText;
  #onSort;
  #select;
  #sorting;
  #table;

  /** `order(a, b)` is what rows follow before anybody sorts, and among equals; `listed` is what that is called. */
  constructor({ caption, columns, key, order = () => 0, listed = "As listed", sort = null, step = 100, empty, onSort = () => {} }) {
    this.#columns = columns;
    this.#key = key;
    this.#order = order;
    this.#sort = sort;
    this.#step = step;
    this.#shown = step;
    this.#onSort = onSort;
    // Roles are said, since cards take the table's display away and with it what browsers tell of it.
    const body = h("tbody", { role: "rowgroup" });
    this.#rows = new Keyed(body, () => this.#row());
    this.#empty = h("p", { class: "empty", hidden: true }, empty);
    this.#more = h("button", { type: "button", class: "quiet", onclick: () => this.#showMore() });
    this.#moreText = h("p", { class: "more", hidden: true }, this.#more);
    this.#table = h("table", { role: "table" },
      h("caption", { class: "unseen" }, caption),
      h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, columns.map((column) => this.#head(column)))),
      body);
    this.node = h("div", { class: "table" }, this.#sorter(listed), this.#table, this.#empty, this.#moreText);
    this.#mark();
  }

  update(items) {
    this.#items = items;
    this.#render();
  }

  /** `{ id, descending }`, or null for the order of the list itself. */
  get sort() {
    return this.#sort;
  }

  #head(column) {
    const attributes = { role: "columnheader", scope: "col", class: column.numeric ? "number" : null };
    if (!column.value) return h("th", attributes, column.title);
    const button = h("button", { type: "button", title: column.hint, onclick: () => this.#sortBy(column) }, column.title);
    const head = h("th", attributes, button);
    this.#heads.set(column.id, head);
    return head;
  }

  // Cards have no heads to press.
  #sorter(listed) {
    const options = this.#columns.filter((column) => column.value)
      .map((column) => h("option", { value: column.id }, column.title));
    this.#select = h("select", { onchange: () => this.#sortBy(this.#columns.find(({ id }) => id === this.#select.value)) },
      h("option", { value: "" }, listed), options);
    this.#sorting = h("label", { class: "sorter" }, "Sort by", this.#select);
    return this.#sorting;
  }

  #sortBy(column) {
    const first = Boolean(column?.numeric);
    if (!column) this.#sort = null;
    else if (this.#sort?.id !== column.id) this.#sort = { id: column.id, descending: first };
    else if (this.#sort.descending === first) this.#sort = { id: column.id, descending: !first };
    else this.#sort = null;
    this.#mark();
    this.#render();
    this.#onSort(this.#sort);
  }

  #mark() {
    for (const [id, head] of this.#heads) {
      const direction = this.#sort?.descending ? "descending" : "ascending";
      attribute(head, "aria-sort", this.#sort?.id === id ? direction : null);
    }
    this.#select.value = this.#sort?.id ?? "";
  }

  #row() {
    const fills = [];
    const cells = this.#columns.map((column, at) => {
      const name = at === 0 ? "th" : "td";
      const cell = h(name, {
        role: at === 0 ? "rowheader" : "cell", scope: at === 0 ? "row" : null, "data-label": column.title,
        class: [column.numeric ? "number" : "", `is-${column.id}`].join(" ").trim(),
      });
      fills.push(column.cell ? column.cell(cell) : (item) => say(cell, column.value(item)));
      return cell;
    });
    return { node: h("tr", { role: "row" }, cells), fill: (item) => fills.forEach((fill) => fill(item)) };
  }

  #render() {
    const items = this.#items.toSorted((a, b) => this.#compare(a, b) || this.#order(a, b));
    this.#rows.update(items.slice(0, this.#shown), this.#key);
    this.#empty.hidden = items.length > 0;
    // A table without rows is none to a screen reader.
    this.#table.hidden = items.length === 0;
    this.#sorting.hidden = items.length < 6;
    const left = items.length - this.#shown;
    this.#moreText.hidden = left <= 0;
    say(this.#more, `Show ${count(Math.min(left, this.#step))} more of ${count(items.length)}`);
  }

  #compare(a, b) {
    const column = this.#columns.find(({ id }) => id === this.#sort?.id);
    if (!column) return 0;
    const [one, other] = [column.value(a), column.value(b)];
    // What is not known comes last in both directions.
    const unknown = (value) => value === null || value === undefined || Number.isNaN(value);
    if (unknown(one) || unknown(other)) return unknown(one) - unknown(other);
    const order = typeof one === "string" ? one.localeCompare(other) : one - other;
    return this.#sort.descending ? -order : order;
  }

  #showMore() {
    this.#shown += this.#step;
    this.#render();
  }
}
