// Which pools need somebody, how urgently, and why.

import { plural, word } from "../parts/format.js";

/** Time over which growing counters count as trouble of now, in ms. */
const WINDOW = 5 * 60_000;

/** What counters of pools have grown by lately, as far as this page has watched. */
export class Growth {
  #seen = new Map();

  /** Takes note of the pools as they are now. */
  note(pools, now = Date.now()) {
    const seen = new Map();
    for (const { server_id: id, total_timeouts: timeouts, total_errors: errors } of pools) {
      const samples = (this.#seen.get(id) ?? []).filter((sample) => now - sample.at <= WINDOW);
      const last = samples.at(-1);
      // A proxy that started again counts from 0.
      if (last && (timeouts < last.timeouts || errors < last.errors)) samples.length = 0;
      samples.push({ at: now, timeouts, errors });
      seen.set(id, samples);
    }
    this.#seen = seen;
  }

  /** `{ timeouts, errors }` of one pool. */
  of(id) {
    const samples = this.#seen.get(id) ?? [];
    const [first, last] = [samples[0], samples.at(-1)];
    if (!first) return { timeouts: 0, errors: 0 };
    return { timeouts: last.timeouts - first.timeouts, errors: last.errors - first.errors };
  }
}

/** `{ level, why }`: 3 fails its clients, 2 may soon, 1 is not serving as usual, 0 is well. */
export function attention(pool, growth) {
  const because = (level, text) => ({ level, why: text });
  const said = pool.phase_message || "";
  if (pool.phase === "failed") return because(3, said || "Its configuration is not understood");
  if (pool.phase === "degraded") return because(3, said || "It serves badly");
  if (pool.replicas > 0 && pool.ready_replicas === 0) return because(3, said || "No proxy is ready");
  if (growth.timeouts > 0) return because(2, `${plural(growth.timeouts, "request")} found no session in time, just now`);
  if (growth.errors > 0) return because(2, `${plural(growth.errors, "error")}, just now`);
  if (pool.unhealthy_sessions > 0) return because(2, `${plural(pool.unhealthy_sessions, "session")} failed a check`);
  if (pool.waiting > 0 && pool.available_sessions === 0) return because(2, `${plural(pool.waiting, "request")} waiting for a session`);
  if (pool.stale && pool.replicas > 0) return because(2, "Its proxies do not answer the operator");
  if (pool.ready_replicas < pool.replicas) return because(2, `${pool.ready_replicas} of ${pool.replicas} proxies ready`);
  if (pool.phase === "active") return because(0, "");
  return because(1, said);
}

/** Problems first, then by what waits, then by name. */
export function byUrgency(a, b) {
  return b.attention.level - a.attention.level || b.waiting - a.waiting || a.server_id.localeCompare(b.server_id);
}

/** Phases in the order of their urgency, with how many pools are in each. */
export function phases(pools) {
  const order = ["failed", "degraded", "pending", "resetting", "draining", "drained", "disabled", "active"];
  const counts = Map.groupBy(pools, (pool) => pool.phase);
  return order.filter((phase) => counts.has(phase)).map((phase) => ({ phase, title: word(phase), count: counts.get(phase).length }));
}
