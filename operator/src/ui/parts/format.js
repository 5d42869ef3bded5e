// Numbers, times and words for people.

const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const minute = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const date = new Intl.DateTimeFormat(undefined, {
  year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});

/** What stands where nothing is known. */
export const NOTHING = "–";

/** A count in full. */
export function count(value) {
  return Number.isFinite(value) ? whole.format(value) : NOTHING;
}

/** A count that takes little room. */
export function brief(value) {
  if (!Number.isFinite(value)) return NOTHING;
  return value < 10_000 ? whole.format(value) : compact.format(value);
}

/** A count with its noun. */
export function plural(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** A rate or another small number. */
export function decimal(value) {
  if (!Number.isFinite(value)) return NOTHING;
  if (value === 0) return "0";
  const digits = value < 1 ? 2 : value < 100 ? 1 : 0;
  return new Intl.NumberFormat(undefined, { maximumFractionDigits: digits }).format(value);
}

/** A length of time in its two largest units. */
export function duration(seconds) {
  if (!Number.isFinite(seconds)) return NOTHING;
  const all = Math.max(0, Math.round(seconds));
  if (all < 60) return `${all} s`;
  if (all < 3600) return pair(all, 60, "min", 1, "s");
  if (all < 86_400) return pair(all, 3600, "h", 60, "min");
  return pair(all, 86_400, "d", 3600, "h");
}

/** A length of time in its largest unit, where there is little room. */
export function rough(seconds) {
  if (!Number.isFinite(seconds)) return NOTHING;
  const units = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const [length, unit] = units.find(([length]) => seconds >= length) ?? [1, "s"];
  return `${Math.floor(Math.max(0, seconds) / length)} ${unit}`;
}

function pair(all, large, largeUnit, small, smallUnit) {
  const rest = Math.floor((all % large) / small);
  const head = `${Math.floor(all / large)} ${largeUnit}`;
  return rest === 0 ? head : `${head} ${rest} ${smallUnit}`;
}

/** How long a call takes. */
export function latency(seconds) {
  if (!Number.isFinite(seconds)) return NOTHING;
  if (seconds === 0) return "0 ms";
  if (seconds < 0.001) return "< 1 ms";
  if (seconds < 0.01) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  return `${decimal(seconds)} s`;
}

/** Memory. */
export function bytes(value) {
  if (!Number.isFinite(value) || value === 0) return NOTHING;
  const units = ["B", "KiB", "MiB", "GiB"];
  const unit = Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  return `${decimal(value / 1024 ** unit)} ${units[unit]}`;
}

/** The time of day, to the second. */
export function time(value) {
  const moment = new Date(value);
  return Number.isNaN(moment.getTime()) ? NOTHING : clock.format(moment);
}

/** The time of day, to the minute. */
export function hour(value) {
  return minute.format(new Date(value));
}

/** Date and time. */
export function dated(value) {
  const moment = new Date(value);
  return Number.isNaN(moment.getTime()) ? NOTHING : date.format(moment);
}

/** How long ago something was. */
export function ago(value, now = Date.now()) {
  const moment = new Date(value).getTime();
  return Number.isNaN(moment) ? NOTHING : `${duration((now - moment) / 1000)} ago`;
}

const WORDS = {
  round_robin: "Round robin", least_connections: "Least connections", sticky: "Sticky", weighted: "Weighted", none: "None",
};

/** A word of the API for people: `least_connections` becomes "Least connections". */
export function word(name) {
  if (typeof name !== "string" || name === "") return NOTHING;
  if (Object.hasOwn(WORDS, name)) return WORDS[name];
  const text = name.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
