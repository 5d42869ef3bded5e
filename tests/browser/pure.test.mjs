// The page's modules that touch no document, on their own: node --test tests/browser/

import assert from "node:assert/strict";
import { test } from "node:test";

const ui = (path) => import(new URL(`../../operator/src/ui/${path}`, import.meta.url));
const { attention, byUrgency, Growth, phases } = await ui("overview/attention.js");
const { minutes, points } = await ui("pool/history.js");
const { check, parameterOf, said } = await ui("pool/parameters.js");
const { remedy, troubling } = await ui("pool/remedies.js");
const { bytes, duration, latency, plural, rough, word } = await ui("parts/format.js");

const NONE = { timeouts: 0, errors: 0 };
const WELL = {
  server_id: "a.web", phase: "active", phase_message: null, replicas: 2, ready_replicas: 2, waiting: 0, available_sessions: 1,
  unhealthy_sessions: 0, stale: false, total_timeouts: 5, total_errors: 1,
};

test("what fails its clients goes before what may", () => {
  const level = (change, growth = NONE) => attention({ ...WELL, ...change }, growth).level;
  assert.equal(level({}), 0);
  assert.equal(level({ phase: "failed" }), 3);
  assert.equal(level({ phase: "degraded" }), 3);
  assert.equal(level({ ready_replicas: 0 }), 3);
  assert.equal(level({ ready_replicas: 1 }), 2);
  assert.equal(level({ stale: true }), 2);
  assert.equal(level({ unhealthy_sessions: 1 }), 2);
  assert.equal(level({ waiting: 3, available_sessions: 0 }), 2);
  assert.equal(level({ waiting: 3 }), 0, "they are about to be served");
  assert.equal(level({}, { timeouts: 1, errors: 0 }), 2);
  assert.equal(level({ phase: "drained" }), 1);
  assert.equal(attention({ ...WELL, phase: "degraded", phase_message: "why" }, NONE).why, "why");
});

test("problems come first, then who waits, then names", () => {
  const pools = [["b", 0, 0], ["a", 0, 0], ["c", 0, 9], ["d", 3, 0]]
    .map(([server_id, level, waiting]) => ({ server_id, waiting, attention: { level } }));
  assert.deepEqual(pools.sort(byUrgency).map((pool) => pool.server_id), ["d", "c", "a", "b"]);
});

test("growth forgets after five minutes, and a proxy that started again is no growth", () => {
  const growth = new Growth();
  const at = (seconds, timeouts) => growth.note([{ ...WELL, total_timeouts: timeouts }], seconds * 1000);
  at(0, 5);
  assert.deepEqual(growth.of("a.web"), NONE, "what was there before is no growth");
  at(100, 9);
  assert.equal(growth.of("a.web").timeouts, 4);
  at(350, 9);
  assert.equal(growth.of("a.web").timeouts, 0);
  at(360, 2);
  at(370, 3);
  assert.equal(growth.of("a.web").timeouts, 1);
  assert.deepEqual(growth.of("a.other"), NONE);
});

test("phases are listed by urgency", () => {
  const found = phases([{ phase: "active" }, { phase: "failed" }, { phase: "active" }]);
  assert.deepEqual(found.map(({ phase, count }) => [phase, count]), [["failed", 1], ["active", 2]]);
});

test("samples are added up by the minute, and call times weighted", () => {
  const sample = (time, acquisitions, call_seconds, waiting) =>
    ({ time, total_sessions: 3, active_sessions: 1, waiting, acquisitions, timeouts: 1, errors: 0, call_seconds });
  const samples = [
    sample("2026-01-01T10:00:10Z", 10, 0.1, 4), sample("2026-01-01T10:00:40Z", 30, 0.3, 2), sample("2026-01-01T10:01:10Z", 0, 0, 0),
  ];
  const found = points({ samples, interval_seconds: 30 });
  assert.equal(found[1].rate, 1);
  assert.equal(found[2].latency, null, "no call has no time");
  const [first, second] = minutes(found);
  assert.deepEqual([first.calls, first.timeouts, first.waiting, first.total], [40, 2, 4, 3]);
  assert.ok(Math.abs(first.latency - 0.25) < 1e-9);
  assert.equal(second.latency, null);
});

test("parameters are checked before they are sent", () => {
  const good = { pool_min_size: 1, pool_max_size: 10, pool_timeout: 30, pool_recycle_seconds: 0 };
  assert.deepEqual(check(good), {});
  assert.deepEqual(Object.keys(check({ ...good, pool_min_size: 11 })), ["pool_min_size"]);
  assert.deepEqual(Object.keys(check({ ...good, pool_max_size: 0, pool_timeout: 1.5 })), ["pool_max_size", "pool_timeout"]);
  assert.deepEqual(Object.keys(check({ ...good, pool_timeout: Number.NaN })), ["pool_timeout"]);
  assert.equal(parameterOf("spec.poolMaxSize"), "pool_max_size");
  assert.equal(parameterOf("pool_max_size"), "pool_max_size");
  assert.equal(said("pool_recycle_seconds", 0), "never");
  assert.equal(said("pool_strategy", "least_connections"), "Least connections");
});

test("conditions that tell of trouble say what to do", () => {
  const condition = (type, status, reason) => ({ type, status, reason });
  assert.ok(troubling(condition("Ready", "False", "ProxiesNotReady")));
  assert.ok(troubling(condition("Degraded", "True", "PoolExhausted")));
  assert.ok(!troubling(condition("Progressing", "True", "RollingOut")) && !troubling(condition("Drained", "True", "DrainCompleted")));
  assert.ok(remedy(condition("Ready", "False", "ScaledToZero"), "team", "web").includes("sessionpool web --replicas=1 -n team"));
  assert.equal(remedy(condition("Degraded", "False", "AsExpected"), "team", "web"), null);
});

test("numbers are said in units that fit", () => {
  assert.deepEqual([0, 59, 60, 245, 3600, 3660, 90_000].map(duration), ["0 s", "59 s", "1 min", "4 min 5 s", "1 h", "1 h 1 min", "1 d 1 h"]);
  assert.deepEqual([0, 59.9, 61, 7300].map(rough), ["0 s", "59 s", "1 min", "2 h"]);
  assert.deepEqual([0.0004, 0.0042, 0.35, 2.25].map(latency), ["< 1 ms", "4.2 ms", "350 ms", "2.3 s"]);
  assert.deepEqual([bytes(31 * 1024 * 1024), plural(1, "pool"), plural(2, "proxy", "proxies"), word("backing_off")], ["31 MiB", "1 pool", "2 proxies", "Backing off"]);
});
