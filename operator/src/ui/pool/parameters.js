// The seven parameters: what they are called, what they may be, and how they are said.

import { count, duration, word } from "../parts/format.js";

const THIRTY_DAYS = 2_592_000;

export const PARAMETERS = [
  { name: "pool_enabled", title: "Pooling", kind: "switch", hint: "Off: each client gets a session of its own." },
  {
    name: "pool_strategy", title: "Strategy", kind: "choice", hint: "Which of several free sessions a request gets.",
    choices: ["round_robin", "least_connections", "sticky", "weighted", "none"],
  },
  { name: "pool_min_size", title: "Minimum", kind: "number", least: 0, most: 10_000, unit: "sessions", hint: "Kept open by each proxy." },
  { name: "pool_max_size", title: "Maximum", kind: "number", least: 1, most: 10_000, unit: "sessions", hint: "Opened by each proxy at most." },
  { name: "pool_timeout", title: "Time-out", kind: "number", least: 1, most: 3600, unit: "seconds", hint: "How long a request waits for a session." },
  {
    name: "pool_recycle_seconds", title: "Recycling", kind: "number", least: 0, most: THIRTY_DAYS, unit: "seconds",
    hint: "Age at which a session is replaced; 0: never.",
  },
  { name: "pool_pre_ping", title: "Pre-ping", kind: "switch", hint: "Ping a session that was idle before it is used." },
];

const EXTRA = { pool_max_requests: "Requests of a session", isolation: "Isolation" };

/** A parameter's name for people. */
export function titleOf(name) {
  return PARAMETERS.find((parameter) => parameter.name === name)?.title ?? EXTRA[name] ?? word(name);
}

/** A parameter's value for people. */
export function said(name, value) {
  if (typeof value === "boolean") return value ? "on" : "off";
  if (name === "pool_recycle_seconds" && value === 0) return "never";
  if (name === "pool_recycle_seconds" || name === "pool_timeout") return value < 60 ? `${value} s` : `${value} s (${duration(value)})`;
  return typeof value === "number" ? count(value) : word(value);
}

/** What is wrong with values, by parameter; nothing if all are right. */
export function check(values) {
  const wrong = {};
  for (const { name, kind, least, most } of PARAMETERS) {
    const value = values[name];
    if (kind === "number" && (!Number.isInteger(value) || value < least || value > most)) {
      wrong[name] = `must be a whole number from ${count(least)} to ${count(most)}`;
    }
  }
  if (!wrong.pool_min_size && !wrong.pool_max_size && values.pool_min_size > values.pool_max_size) {
    wrong.pool_min_size = `must not be greater than the maximum, ${count(values.pool_max_size)}`;
  }
  return wrong;
}

/** The parameter that a field of the API's answers is about: `spec.poolMaxSize` is `pool_max_size`. */
export function parameterOf(field) {
  const last = String(field).split(".").at(-1);
  return last.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
