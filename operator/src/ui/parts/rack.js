// A pool's sessions as a rack of slots: what is busy, what is free, what is unhealthy, and where there is still room.

import { attribute, h, property, say } from "./dom.js";
import { count, plural } from "./format.js";

/** Sessions that all proxies of a pool may open together. */
export function capacity(pool) {
  return Math.max(pool.max_size * pool.replicas, pool.total_sessions);
}

/** Builds one; slots are drawn singly up to `single` of them. Gives `{ node, fill(pool) }`. */
export function rack(single = 24) {
  const parts = ["active", "available", "unhealthy", "room"].map((name) => [name, h("span", { class: `slot-${name}` })]);
  const node = h("div", { class: "rack", role: "img" }, parts.map(([, part]) => part));
  const fill = (pool) => {
    const room = capacity(pool);
    const counts = {
      active: pool.active_sessions, available: pool.available_sessions, unhealthy: pool.unhealthy_sessions,
      room: Math.max(0, room - pool.total_sessions),
    };
    for (const [name, part] of parts) property(part, "--count", counts[name]);
    property(node, "--slots", Math.max(1, room));
    attribute(node, "data-single", room > 0 && room <= single ? "" : null);
    attribute(node, "aria-label", describe(pool, room));
  };
  return { node, fill };
}

function describe(pool, room) {
  const unhealthy = pool.unhealthy_sessions > 0 ? `, ${count(pool.unhealthy_sessions)} unhealthy` : "";
  return `${plural(pool.total_sessions, "session")} of at most ${count(room)}: ${count(pool.active_sessions)} active, ` +
    `${count(pool.available_sessions)} available${unhealthy}`;
}

/** The rack's legend with its counts. Gives `{ node, fill(pool) }`. */
export function legend() {
  const entry = (name, title) => {
    const value = h("strong", {});
    return { node: h("li", {}, h("span", { class: `key slot-${name}`, "aria-hidden": "true" }), `${title} `, value), value };
  };
  const entries = {
    active: entry("active", "Active"), available: entry("available", "Available"),
    unhealthy: entry("unhealthy", "Unhealthy"), room: entry("room", "Room for"),
  };
  const fill = (pool) => {
    say(entries.active.value, count(pool.active_sessions));
    say(entries.available.value, count(pool.available_sessions));
    say(entries.unhealthy.value, count(pool.unhealthy_sessions));
    say(entries.room.value, count(Math.max(0, capacity(pool) - pool.total_sessions)));
  };
  return { node: h("ul", { class: "legend" }, Object.values(entries).map(({ node }) => node)), fill };
}
