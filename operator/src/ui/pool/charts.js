// The last hour in charts that share one point in time, which a pointer or a slider moves.

import { attribute, h, say } from "../parts/dom.js";
import { brief, count, decimal, hour, latency, NOTHING, plural, time } from "../parts/format.js";
import { Table } from "../parts/table.js";
import { capacity } from "../parts/rack.js";
import { minutes, points as pointsOf } from "./history.js";
import { plot } from "./plot.js";

const HOUR = 3_600_000;
const MINUTE = 60_000;
/** The least time that is shown, so that a first sample is no wall. */
const LEAST = 10 * MINUTE;

/** Builds them. Gives `{ node, fill(history), limit(pool), fail(problem), stop() }`. */
export function charts() {
  const plots = define((at) => hover(at));
  const slider = h("input", { type: "range", id: "moment", min: "0", max: "0", value: "0", step: "1", oninput: () => slide() });
  const moment = h("output", { for: "moment" }, "now");
  const back = h("button", { type: "button", class: "quiet small", hidden: true, onclick: () => live() }, "Back to now");
  const numbers = table();
  const details = h("details", { ontoggle: () => fillTable() }, h("summary", {}, "The same as a table, by the minute"), numbers.node);
  const trouble = h("p", { class: "trouble", hidden: true });
  const since = h("span", { class: "hint" });
  const node = h("section", { class: "card", "aria-labelledby": "charts-title" },
    h("h2", { id: "charts-title" }, "Last hour ", since), trouble,
    h("div", { class: "charts" }, Object.values(plots).map((one) => one.node)),
    h("div", { class: "moment" }, h("label", { for: "moment" }, "Point in time"), slider, moment, back), details);
  let [points, chosen, most, interval] = [[], null, null, 10_000];

  function fill(history) {
    trouble.hidden = true;
    points = pointsOf(history);
    interval = history.interval_seconds * 1000;
    slider.max = String(Math.max(0, points.length - 1));
    slider.disabled = points.length === 0;
    if (chosen !== null && points[0]?.at > chosen) chosen = null;
    slider.value = chosen === null ? slider.max : String(points.findLastIndex((point) => point.at <= chosen));
    draw();
    mark(chosen);
    fillTable();
  }

  function draw() {
    const end = points.at(-1)?.at ?? Date.now();
    const first = points[0]?.at ?? end;
    const length = Math.min(HOUR, Math.max(LEAST, end - first));
    const span = [end - length, end];
    say(since, points.length > 0 && length < HOUR - MINUTE ? `measured since ${hour(first)}` : "");
    plots.sessions.fill(points, span, interval, most);
    plots.waiting.fill(points, span, interval);
    plots.calls.fill(points, span, interval);
    plots.latency.fill(points, span, interval);
    const ends = Math.floor(end / MINUTE) * MINUTE + MINUTE;
    const begins = ends - Math.ceil(length / MINUTE) * MINUTE;
    plots.failures.fill(minutes(points).filter((point) => point.at >= begins), [begins, ends], MINUTE);
  }

  function fillTable() {
    if (details.open) numbers.update(minutes(points).reverse());
  }

  function slide() {
    const at = Number(slider.value);
    chosen = at >= points.length - 1 ? null : points[at].at;
    mark(chosen);
  }

  function hover(at) {
    mark(at === null ? chosen : Math.max(at, points[0]?.at ?? at));
  }

  function live() {
    chosen = null;
    slider.value = slider.max;
    mark(null);
    slider.focus();
  }

  function mark(at) {
    for (const one of Object.values(plots)) one.point(at);
    const point = at === null ? points.at(-1) : points.findLast((candidate) => candidate.at <= at);
    say(moment, at === null || !point ? "now" : time(point.at));
    back.hidden = chosen === null;
    attribute(slider, "aria-valuetext", point ? spoken(point, at === null) : null);
  }

  return {
    node, fill,
    limit(pool) {
      const next = pool.pool_enabled && pool.strategy !== "none" ? capacity(pool) : null;
      if (next === most) return;
      most = next;
      draw();
    },
    fail(problem) {
      say(trouble, `The history can't be shown: ${problem.message}`);
      trouble.hidden = false;
    },
    stop: () => Object.values(plots).forEach((one) => one.stop()),
  };
}

function spoken(point, now) {
  const slow = point.latency === null ? "" : `, ${latency(point.latency)} each`;
  return `${now ? "now" : time(point.at)}: ${plural(point.total, "session")}, ${count(point.active)} active, ` +
    `${count(point.waiting)} waiting, ${decimal(point.rate)} calls a second${slow}`;
}

function define(moved) {
  const extent = (points, value) => {
    const known = points.map(value).filter(Number.isFinite);
    return known.length > 0 ? [Math.min(...known), Math.max(...known)] : [0, 0];
  };
  const summary = (what, value, text) => (points) => {
    const [least, greatest] = extent(points, value);
    const last = points.at(-1);
    return `${what} since ${hour(points[0].at)}: from ${text(least)} to ${text(greatest)}, last ${text(value(last) ?? Number.NaN)}`;
  };
  const all = (points, value) => points.reduce((sum, point) => sum + value(point), 0);
  return {
    sessions: plot({
      title: "Sessions", kind: "stack", text: brief, least: 2, limit: "at most", moved, wide: true,
      series: [{ id: "active", title: "Active", value: (point) => point.active }, { id: "idle", title: "Idle", value: (point) => point.idle }],
      summary: summary("Sessions", (point) => point.total, count),
    }),
    waiting: plot({
      title: "Waiting requests", kind: "stack", text: brief, least: 2, moved,
      series: [{ id: "waiting", title: "Waiting", value: (point) => point.waiting }],
      summary: summary("Waiting requests", (point) => point.waiting, count),
    }),
    failures: plot({
      title: "Time-outs and errors", note: "in a minute", kind: "bars", text: brief, least: 2, moved,
      series: [
        { id: "timeouts", title: "Time-outs", value: (point) => point.timeouts },
        { id: "errors", title: "Errors", value: (point) => point.errors },
      ],
      summary: (points) => `Since ${hour(points[0].at)}: ${plural(all(points, (point) => point.timeouts), "time-out")} and ` +
        plural(all(points, (point) => point.errors), "error"),
    }),
    calls: plot({
      title: "Calls", note: "in a second", kind: "line", text: decimal, least: 1, moved,
      series: [{ id: "calls", title: "Calls", value: (point) => point.rate }],
      summary: summary("Calls in a second", (point) => point.rate, decimal),
    }),
    latency: plot({
      title: "Call time", note: "mean", kind: "line", text: (value) => latency(value ?? Number.NaN), least: 0.01, moved,
      series: [{ id: "latency", title: "Call", value: (point) => point.latency }],
      summary: summary("Mean call time", (point) => point.latency, latency),
    }),
  };
}

function table() {
  const number = (id, title, value, text = count) =>
    ({ id, title, numeric: true, value, cell: (td) => (point) => say(td, text(value(point))) });
  return new Table({
    caption: "The last hour by the minute", key: (point) => String(point.at), empty: "Nothing measured yet.",
    columns: [
      { id: "time", title: "Minute", value: (point) => point.at, cell: (th) => (point) => say(th, hour(point.at)) },
      number("total", "Sessions", (point) => point.total),
      number("active", "Active, most", (point) => point.active),
      number("waiting", "Waiting, most", (point) => point.waiting),
      number("calls", "Calls", (point) => point.calls),
      number("timeouts", "Time-outs", (point) => point.timeouts),
      number("errors", "Errors", (point) => point.errors),
      number("latency", "Call time", (point) => point.latency, (value) => (value === null ? NOTHING : latency(value))),
    ],
  });
}
