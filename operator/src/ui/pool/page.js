// One pool: how it does, what to do about it, and the means to do it.

import { server as serverOf } from "../api.js";
import { Feed } from "../feed.js";
import { h } from "../parts/dom.js";
import { advice } from "./advice.js";
import { charts } from "./charts.js";
import { conditions, troubles } from "./conditions.js";
import { figures } from "./figures.js";
import { head, split } from "./head.js";
import { operations, progress } from "./operations.js";
import { replicas } from "./replicas.js";
import { sessions } from "./sessions.js";
import { settings } from "./settings.js";

/** The page of the pool with this id. */
export function pool({ id }, { fail, alive }) {
  const server = serverOf(id);
  const again = () => feeds.forEach((feed) => feed.now());
  const top = head(id);
  const parts = {
    operations: operations(server, id, again), progress: progress(), troubles: troubles(id), figures: figures(),
    charts: charts(), advice: advice(server, id, again), settings: settings(server, id, again),
    sessions: sessions(), replicas: replicas(), conditions: conditions(),
  };
  const { node: operationsNode } = parts.operations;
  const node = h("div", { class: "page pool" },
    h("div", { class: "pool-head" }, top.node, operationsNode),
    parts.progress.node, parts.troubles.node, parts.figures.node, parts.charts.node,
    h("div", { class: "pair" }, parts.settings.node, parts.advice.node),
    parts.replicas.node, parts.sessions.node, parts.conditions.node);

  function take(found) {
    top.fill(found);
    for (const name of ["operations", "progress", "troubles", "figures", "replicas", "conditions"]) parts[name].fill(found);
    parts.charts.limit(found);
    parts.settings.allow(found);
    parts.advice.allow(found);
    alive(main, found);
  }

  const feed = (every, load, part) => new Feed({ every, load, show: (value) => part.fill(value), fail: (problem) => {
    // What holds for all of the page is told once, above it.
    if (!["offline", "login", "missing"].includes(problem.kind)) part.fail(problem);
  } });
  const main = new Feed({ every: 2000, load: server.detail, show: take, fail: (problem) => fail(problem, main) });
  const feeds = [
    main,
    feed(2000, server.sessions, parts.sessions),
    feed(5000, server.history, parts.charts),
    feed(5000, server.config, parts.settings),
    feed(15_000, server.advice, parts.advice),
  ];
  return { node, heading: top.heading, feeds, title: `${split(id)[1]} · Pool Health`, stop: () => parts.charts.stop() };
}
