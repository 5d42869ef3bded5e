// The last hour of a pool: samples become points, per sample and per minute.

const MINUTE = 60_000;

/** Samples as points; `rate` is calls in a second. */
export function points({ samples, interval_seconds: interval }) {
  return samples.map((sample) => ({
    at: new Date(sample.time).getTime(),
    total: sample.total_sessions, active: sample.active_sessions, idle: Math.max(0, sample.total_sessions - sample.active_sessions),
    waiting: sample.waiting, calls: sample.acquisitions, rate: sample.acquisitions / interval,
    timeouts: sample.timeouts, errors: sample.errors,
    // No call, no time.
    latency: sample.acquisitions > 0 ? sample.call_seconds : null,
  }));
}

/** Points by the minute: counts are added up, of waiting and active the most is taken. */
export function minutes(points) {
  const groups = Map.groupBy(points, (point) => Math.floor(point.at / MINUTE) * MINUTE);
  const sum = (group, value) => group.reduce((total, point) => total + (value(point) ?? 0), 0);
  return [...groups].map(([at, group]) => {
    const timed = group.filter((point) => point.latency !== null);
    const calls = sum(timed, (point) => point.calls);
    return {
      at, total: group.at(-1).total, active: Math.max(...group.map((point) => point.active)),
      waiting: Math.max(...group.map((point) => point.waiting)), calls: sum(group, (point) => point.calls),
      timeouts: sum(group, (point) => point.timeouts), errors: sum(group, (point) => point.errors),
      latency: calls > 0 ? sum(timed, (point) => point.latency * point.calls) / calls : null,
    };
  });
}
