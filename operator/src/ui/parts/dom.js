// Elements from data. Text is only ever put in as text: nothing here parses markup.

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element. Attributes of the form `onclick` are listeners; null, undefined and false are left out. */
export function h(tag, attributes, ...children) {
  return build(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes, ...children) {
  return build(document.createElementNS(SVG, tag), attributes, children);
}

function build(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** Sets a text, and touches nothing when it is there already: selections and screen readers stay undisturbed. */
export function say(node, text) {
  const wanted = String(text ?? "");
  if (node.textContent !== wanted) node.textContent = wanted;
}

/** Sets or removes an attribute. */
export function attribute(node, name, value) {
  if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** Sets a custom property. The policy forbids style attributes, not this. */
export function property(node, name, value) {
  const wanted = String(value);
  if (node.style.getPropertyValue(name) !== wanted) node.style.setProperty(name, wanted);
}

/** Children of a node that follow a list: each keeps its element, with its focus, as long as its key is there. */
export class Keyed {
  #parent;
  #make;
  #entries = new Map();

  /** `make()` gives `{ node, fill(item) }`. */
  constructor(parent, make) {
    this.#parent = parent;
    this.#make = make;
  }

  update(items, key) {
    const entries = new Map();
    let place = this.#parent.firstChild;
    for (const item of items) {
      const name = key(item);
      const entry = this.#entries.get(name) ?? this.#make(item);
      entries.set(name, entry);
      entry.fill(item);
      if (entry.node === place) place = place.nextSibling;
      else this.#parent.insertBefore(entry.node, place);
    }
    for (const [name, entry] of this.#entries) if (entries.get(name) !== entry) entry.node.remove();
    this.#entries = entries;
  }
}

let numbered = 0;

/** An id that no other element has. */
export function unique(prefix) {
  numbered += 1;
  return `${prefix}-${numbered}`;
}

/** Tells a screen reader, once, what changed. */
export function announce(text) {
  const announcer = document.getElementById("announcer");
  announcer.textContent = "";
  // In a later turn, so that the same text twice is two announcements.
  setTimeout(() => { announcer.textContent = text; }, 50);
}
