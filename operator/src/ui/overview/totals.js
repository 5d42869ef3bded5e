// The sums over all pools, in the overview's head.

import { h } from "../parts/dom.js";
import { brief, count } from "../parts/format.js";
import { capacity, rack } from "../parts/rack.js";
import { tile } from "../parts/tile.js";

/** Builds them. Gives `{ node, fill(pools) }`; each pool carries its `attention` and `growth`. */
export function totals() {
  const tiles = {
    pools: tile("Pools"), sessions: tile("Sessions"), waiting: tile("Waiting now"),
    timeouts: tile("Time-outs"), errors: tile("Errors"),
  };
  const all = rack(0);
  tiles.sessions.node.append(h("dd", { class: "tile-rack" }, all.node));
  const node = h("dl", { class: "tiles" }, Object.values(tiles).map((tile) => tile.node));
  const fill = (pools) => {
    const sum = (value) => pools.reduce((total, pool) => total + value(pool), 0);
    const urgent = pools.filter((pool) => pool.attention.level >= 2).length;
    const [active, room] = [sum((pool) => pool.active_sessions), sum(capacity)];
    tiles.pools.fill(count(pools.length), urgent > 0 ? `${count(urgent)} need attention` : "all well", urgent > 0);
    tiles.sessions.fill(brief(sum((pool) => pool.total_sessions)), `${brief(active)} active, at most ${brief(room)}`);
    const waiting = sum((pool) => pool.waiting);
    tiles.waiting.fill(brief(waiting), waiting > 0 ? "for a free session" : "nobody", waiting > 0);
    const counter = (tile, total, grown) => tile.fill(brief(total), grown > 0 ? `+${brief(grown)} just now` : "none just now", grown > 0);
    counter(tiles.timeouts, sum((pool) => pool.total_timeouts), sum((pool) => pool.growth.timeouts));
    counter(tiles.errors, sum((pool) => pool.total_errors), sum((pool) => pool.growth.errors));
    all.fill({
      total_sessions: sum((pool) => pool.total_sessions), active_sessions: active, replicas: 1, max_size: room,
      available_sessions: sum((pool) => pool.available_sessions), unhealthy_sessions: sum((pool) => pool.unhealthy_sessions),
    });
  };
  return { node, fill };
}
