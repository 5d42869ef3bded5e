// All pools at a glance.

import { servers } from "../api.js";
import { Feed } from "../feed.js";
import { badge } from "../parts/badge.js";
import { announce, attribute, h, say } from "../parts/dom.js";
import { brief, count, NOTHING, plural, rough } from "../parts/format.js";
import { capacity, rack } from "../parts/rack.js";
import { Table } from "../parts/table.js";
import { noteQuery, poolAddress } from "../router.js";
import { attention, byUrgency, Growth } from "./attention.js";
import { Filters } from "./filters.js";
import { totals } from "./totals.js";

const EVERY = 5000;

/** The page. `title` is its heading; `feed` goes on until it is stopped. */
export function overview({ query }, { fail, alive }) {
  const growth = new Growth();
  const sums = totals();
  const filters = new Filters(query, () => show());
  const result = h("p", { class: "result", role: "status" });
  const table = new Table({
    caption: "Session pools", columns: columns(), key: (pool) => pool.server_id, order: byUrgency, listed: "Problems first", step: 200,
    sort: sortOf(query), empty: "No pool fits the filter.", onSort: () => note(),
  });
  const heading = h("h1", { tabindex: "-1" }, "Session pools");
  const list = h("section", { "aria-label": "Pools", class: "card flush" }, filters.node, result, table.node);
  const nothing = h("section", { class: "card blank", hidden: true }, h("h2", {}, "No pools to see"),
    h("p", {}, "Either there is no SessionPool yet, or this account may get none. Make one:"),
    h("pre", {}, "kubectl apply -f examples/service.yaml"),
    h("p", {}, "and see what the account may do:"),
    h("pre", {}, "kubectl auth can-i list sessionpools.mcpgateway.io --all-namespaces"));
  const node = h("div", { class: "page overview" }, heading, sums.node, list, nothing);
  let pools = [];
  let urgent = null;

  function note() {
    const noted = filters.query();
    if (table.sort) noted.set("sort", `${table.sort.descending ? "-" : ""}${table.sort.id}`);
    noteQuery(noted);
  }

  function show() {
    filters.update(pools);
    const fitting = filters.apply(pools);
    table.update(fitting);
    say(result, fitting.length === pools.length ? "" : `${plural(fitting.length, "pool")} of ${count(pools.length)}`);
    note();
  }

  function take(found) {
    growth.note(found);
    pools = found.map((pool) => {
      const grown = growth.of(pool.server_id);
      return { ...pool, growth: grown, attention: attention(pool, grown) };
    });
    list.hidden = pools.length === 0;
    sums.node.hidden = pools.length === 0;
    nothing.hidden = pools.length > 0;
    sums.fill(pools);
    show();
    const now = pools.filter((pool) => pool.attention.level >= 2).length;
    if (urgent !== null && now !== urgent) announce(now === 0 ? "All pools are well" : `${plural(now, "pool")} need attention`);
    urgent = now;
    document.title = now > 0 ? `(${now}) Pool Health` : "Pool Health";
    alive(feed);
  }

  const feed = new Feed({ every: EVERY, load: servers, show: take, fail: (problem) => fail(problem, feed) });
  return { node, heading, feeds: [feed], title: "Pool Health" };
}

function sortOf(query) {
  const text = query.get("sort");
  return text ? { id: text.replace(/^-/, ""), descending: text.startsWith("-") } : null;
}

function columns() {
  const number = (id, title, value, text = brief) =>
    ({ id, title, numeric: true, value, cell: (td) => (pool) => {
      say(td, text(value(pool)));
      attribute(td, "data-zero", value(pool) === 0 ? "" : null);
    } });
  const counter = (id, title, total, grown) => ({ id, title, numeric: true, value: total, cell: (td) => {
    const [value, rise] = [h("span", {}), h("span", { class: "rise" })];
    td.append(value, " ", rise);
    return (pool) => {
      say(value, brief(total(pool)));
      say(rise, grown(pool) > 0 ? `+${brief(grown(pool))}` : "");
      attribute(td, "data-zero", total(pool) === 0 ? "" : null);
    };
  } });
  return [
    { id: "name", title: "Pool", value: (pool) => pool.server_id, cell: nameCell },
    { id: "phase", title: "State", value: (pool) => pool.phase, cell: (td) => {
      const state = badge();
      td.append(state.node);
      return (pool) => state.fill(pool.phase, pool.phase === "active" && pool.attention.level >= 2 ? "warn" : undefined);
    } },
    { id: "sessions", title: "Sessions", hint: "How full", numeric: true, value: fullness, cell: sessionsCell },
    number("active", "Active", (pool) => pool.active_sessions),
    number("waiting", "Waiting", (pool) => pool.waiting),
    counter("timeouts", "Time-outs", (pool) => pool.total_timeouts, (pool) => pool.growth.timeouts),
    counter("errors", "Errors", (pool) => pool.total_errors, (pool) => pool.growth.errors),
    { id: "age", title: "Age p50 · p95 · p99", hint: "Age of the sessions: median, 95th and 99th percentile", numeric: true,
      value: (pool) => pool.session_age_seconds?.p50 ?? null, cell: ageCell },
    { id: "replicas", title: "Proxies", numeric: true, value: (pool) => pool.ready_replicas, cell: (td) => (pool) =>
      say(td, `${pool.ready_replicas}/${pool.replicas}`) },
  ];
}

const fullness = (pool) => (capacity(pool) > 0 ? pool.total_sessions / capacity(pool) : 0);

function nameCell(th) {
  const link = h("a", {});
  const where = h("span", { class: "namespace" });
  const advice = h("span", { class: "advised", hidden: true }, "advice");
  const why = h("span", { class: "why" });
  th.append(h("span", { class: "name-line" }, link, where, advice), why);
  return (pool) => {
    attribute(link, "href", poolAddress(pool.server_id));
    say(link, pool.name);
    say(where, pool.namespace);
    advice.hidden = !pool.has_recommendation;
    say(why, pool.attention.why);
    attribute(why, "title", pool.attention.why || null);
    attribute(th, "data-level", pool.attention.level);
  };
}

function sessionsCell(td) {
  const slots = rack();
  const text = h("span", { class: "rack-text", "aria-hidden": "true" });
  td.append(h("span", { class: "rack-cell" }, slots.node, text));
  return (pool) => {
    const off = !pool.pool_enabled || pool.strategy === "none";
    slots.node.hidden = off || capacity(pool) === 0;
    slots.fill(pool);
    say(text, off ? "pooling off" : capacity(pool) === 0 ? "no proxies" : `${brief(pool.total_sessions)} / ${brief(capacity(pool))}`);
    attribute(text, "aria-hidden", slots.node.hidden ? null : "true");
  };
}

function ageCell(td) {
  return (pool) => {
    const age = pool.session_age_seconds;
    say(td, age ? [age.p50, age.p95, age.p99].map(rough).join(" · ") : NOTHING);
  };
}
