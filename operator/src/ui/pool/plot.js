// One chart over time, in SVG: a stack of areas, a line, or bars.

import { attribute, h, say, svg } from "../parts/dom.js";
import { hour } from "../parts/format.js";

const HEIGHT = 148;
const MARGIN = { top: 10, right: 10, bottom: 22, left: 54 };
const MINUTE = 60_000;

/**
 * Builds a chart. `series`: `[{ id, title, value(point) }]`, drawn from the bottom up; `kind`: `stack`, `line` or `bars`;
 * `text(value)` formats; `least` is the smallest top of the scale; `summary(points)` is what a screen reader is told.
 * Gives `{ node, fill, point }`.
 */
export function plot({ title, note, series, kind, text, least, summary, limit, moved, wide = false }) {
  const picture = svg("svg", { role: "img", class: `plot plot-${kind}`, height: HEIGHT, preserveAspectRatio: "none" });
  const values = series.map((one) => [one, h("strong", {})]);
  const legend = h("ul", { class: "legend" }, values.map(([one, value]) =>
    h("li", {}, h("span", { class: `key series-${one.id}`, "aria-hidden": "true" }), `${one.title} `, value)));
  const remark = h("span", { class: "chart-note" }, note);
  const node = h("figure", { class: wide ? "chart wide" : "chart" }, h("figcaption", {}, h("h3", {}, title), remark, legend), picture);
  let [points, span, interval, most, pointed] = [[], [0, 1], 0, null, null];
  let width = 0;

  const observer = new ResizeObserver(([entry]) => {
    width = Math.round(entry.contentRect.width);
    draw();
  });
  observer.observe(picture);
  picture.addEventListener("pointermove", (event) => moved(time(event.offsetX)));
  picture.addEventListener("pointerleave", () => moved(null));

  const x = (at) => MARGIN.left + ((at - span[0]) / (span[1] - span[0])) * (width - MARGIN.left - MARGIN.right);
  const time = (px) => span[0] + ((px - MARGIN.left) / (width - MARGIN.left - MARGIN.right)) * (span[1] - span[0]);
  const top = () => nice(Math.max(least, most ?? 0, ...points.map(total)));
  const y = (value, scale) => HEIGHT - MARGIN.bottom - (value / scale) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  function total(point) {
    const numbers = series.map((one) => one.value(point)).filter(Number.isFinite);
    return kind === "line" ? Math.max(0, ...numbers) : numbers.reduce((sum, value) => sum + value, 0);
  }

  function draw() {
    if (width === 0) return;
    const scale = top();
    attribute(picture, "viewBox", `0 0 ${width} ${HEIGHT}`);
    const lines = [0, scale / 2, scale].flatMap((value) => [
      svg("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value, scale), y2: y(value, scale) }),
      svg("text", { class: "tick", x: MARGIN.left - 6, y: y(value, scale) + 4, "text-anchor": "end" }, text(value)),
    ]);
    picture.replaceChildren(...lines, ...ticks(), ...unwatched(), ...(kind === "bars" ? bars(scale) : paths(scale)), ...ceiling(scale), ...marker(scale));
  }

  function ticks() {
    const step = MINUTE * [2, 5, 10, 15].find((minutes) => (span[1] - span[0]) / (minutes * MINUTE) < 6);
    const found = [];
    for (let at = Math.ceil(span[0] / step) * step; at <= span[1]; at += step) {
      const end = x(at) > width - MARGIN.right - 16;
      found.push(svg("text", { class: "tick", x: x(at), y: HEIGHT - 6, "text-anchor": end ? "end" : "middle" }, hour(at)));
    }
    return found;
  }

  // Before the operator started nothing was measured, which is not the same as nothing.
  function unwatched() {
    const until = points.length > 0 ? points[0].at : span[1];
    const end = x(until);
    if (end - MARGIN.left < 12) return [];
    const label = end - MARGIN.left > 110
      ? [svg("text", { class: "tick", x: (MARGIN.left + end) / 2, y: HEIGHT / 2, "text-anchor": "middle" }, "not measured")] : [];
    return [svg("rect", { class: "unwatched", x: MARGIN.left, y: MARGIN.top, width: end - MARGIN.left, height: HEIGHT - MARGIN.top - MARGIN.bottom }), ...label];
  }

  function paths(scale) {
    let floor = points.map(() => 0);
    const drawn = [];
    for (const one of series) {
      const base = floor;
      const roof = points.map((point, at) => (kind === "stack" ? base[at] : 0) + (one.value(point) ?? Number.NaN));
      for (const [from, to] of pieces(roof)) {
        const line = range(from, to).map((at) => `${x(points[at].at).toFixed(1)} ${y(roof[at], scale).toFixed(1)}`);
        if (kind === "stack") {
          const back = range(from, to).reverse().map((at) => `${x(points[at].at).toFixed(1)} ${y(base[at], scale).toFixed(1)}`);
          drawn.push(svg("path", { class: `area series-${one.id}`, d: `M${line.join("L")}L${back.join("L")}Z` }));
        }
        drawn.push(svg("path", { class: `line series-${one.id}`, d: from === to ? `M${line[0]}h1` : `M${line.join("L")}` }));
      }
      floor = roof;
    }
    return drawn;
  }

  // Stretches without a gap: what was not measured is not joined.
  function pieces(roof) {
    const found = [];
    let from = null;
    for (let at = 0; at < points.length; at += 1) {
      const known = Number.isFinite(roof[at]);
      const gap = at > 0 && points[at].at - points[at - 1].at > 2.5 * interval;
      if (from !== null && (!known || gap)) {
        found.push([from, at - 1]);
        from = null;
      }
      if (known && from === null) from = at;
    }
    if (from !== null) found.push([from, points.length - 1]);
    return found;
  }

  function bars(scale) {
    const thick = Math.max(1.5, x(span[0] + interval) - x(span[0]) - 1);
    return points.flatMap((point) => {
      let floor = 0;
      return series.flatMap((one) => {
        const value = one.value(point);
        if (!(value > 0)) return [];
        const [low, high] = [y(floor, scale), y(floor + value, scale)];
        floor += value;
        return [svg("rect", { class: `bar series-${one.id}`, x: x(point.at), y: high, width: thick, height: Math.max(1, low - high) })];
      });
    });
  }

  function ceiling(scale) {
    if (most === null) return [];
    const at = y(most, scale);
    return [
      svg("line", { class: "limit", x1: MARGIN.left, x2: width - MARGIN.right, y1: at, y2: at }),
      svg("text", { class: "tick limit-text", x: MARGIN.left + 6, y: at + 13 }, `${limit} ${text(most)}`),
    ];
  }

  function marker(scale) {
    if (pointed === null || points.length === 0) return [];
    const shift = kind === "bars" ? (x(span[0] + interval) - x(span[0])) / 2 : 0;
    const at = x(pointed.at) + shift;
    const value = total(pointed);
    return [
      svg("line", { class: "cursor", x1: at, x2: at, y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom }),
      svg("circle", { class: "cursor-dot", cx: at, cy: y(value, scale), r: 3.5 }),
    ];
  }

  function speak() {
    const at = pointed ?? points.at(-1);
    for (const [one, value] of values) say(value, at ? text(one.value(at)) : "–");
  }

  return {
    node,
    /** Takes points `[{ at, … }]`, the time that is shown, the time between points, and the limit. */
    fill(newPoints, newSpan, newInterval, newMost = null) {
      [points, span, interval, most] = [newPoints, newSpan, newInterval, newMost];
      attribute(picture, "aria-label", points.length > 0 ? summary(points) : `${title}: nothing measured yet`);
      speak();
      draw();
    },
    /** Marks the point at a time; null marks none. */
    point(at) {
      const last = (found, point) => (point.at <= at ? point : found);
      pointed = at === null ? null : points.reduce(last, points[0] ?? null);
      speak();
      draw();
    },
    stop: () => observer.disconnect(),
  };
}

function range(from, to) {
  return Array.from({ length: to - from + 1 }, (_, at) => from + at);
}

/** The next number up that is easy to halve. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].map((step) => step * power).find((step) => step >= value * 0.999) ?? value;
}
