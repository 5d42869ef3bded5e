// A pool's numbers of now: the rack of sessions, and what waits, fails and ages.

import { h } from "../parts/dom.js";
import { brief, count, NOTHING, plural, rough } from "../parts/format.js";
import { capacity, legend, rack } from "../parts/rack.js";
import { tile } from "../parts/tile.js";

/** Builds them. Gives `{ node, fill(pool) }`. */
export function figures() {
  const slots = rack(80);
  const key = legend();
  const sum = h("p", { class: "figure" });
  const off = h("p", { class: "hint", hidden: true }, "Pooling is off: each client has a session of its own, and none is kept for the next.");
  const tiles = { waiting: tile("Waiting"), timeouts: tile("Time-outs"), errors: tile("Errors"), calls: tile("Calls"), age: tile("Session age, median") };
  const node = h("section", { class: "card now", "aria-labelledby": "now-title" },
    h("div", { class: "now-sessions" }, h("h2", { id: "now-title" }, "Sessions now"), sum, slots.node, key.node, off),
    h("dl", { class: "tiles" }, Object.values(tiles).map((tile) => tile.node)));
  const fill = (pool) => {
    slots.fill(pool);
    key.fill(pool);
    const pooled = pool.pool_enabled && pool.strategy !== "none";
    off.hidden = pooled;
    slots.node.hidden = capacity(pool) === 0;
    const each = pool.replicas > 1 ? `, ${count(pool.max_size)} in each of ${plural(pool.replicas, "proxy", "proxies")}` : "";
    sum.replaceChildren(h("strong", {}, count(pool.total_sessions)),
      ` of at most ${count(capacity(pool))}${each}; at least ${count(pool.min_size)} kept open${pool.replicas > 1 ? " in each" : ""}`);
    tiles.waiting.fill(brief(pool.waiting), pool.waiting > 0 ? "for a free session" : "nobody waits", pool.waiting > 0);
    tiles.timeouts.fill(brief(pool.total_timeouts), share(pool.total_timeouts, pool.total_acquisitions + pool.total_timeouts));
    tiles.errors.fill(brief(pool.total_errors), pool.total_errors > 0 ? "failed openings, refusals, losses" : "none");
    tiles.calls.fill(brief(pool.total_acquisitions), "since the proxies started");
    const age = pool.session_age_seconds;
    tiles.age.fill(age ? rough(age.p50) : NOTHING, age ? `p95 ${rough(age.p95)} · p99 ${rough(age.p99)}` : "no sessions");
  };
  return { node, fill };
}

function share(part, whole) {
  if (part === 0) return "none";
  const percent = (100 * part) / Math.max(1, whole);
  return percent < 0.1 ? "under 0.1 % of calls" : `${percent.toFixed(1)} % of calls`;
}
