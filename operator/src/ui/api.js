// Requests to the operator's REST API, and what can go wrong with them.

import { token } from "./credential.js";

const ROOT = new URL("../api/servers", document.baseURI);
const PATIENCE = 10_000;

/** Why a request failed. `kind`: login, forbidden, missing, conflict, invalid, away, offline or server. */
export class Problem extends Error {
  constructor(kind, title, detail, { status = 0, errors = [] } = {}) {
    super(detail ? `${title}: ${detail}` : title);
    this.kind = kind;
    this.title = title;
    this.detail = detail ?? "";
    this.status = status;
    this.errors = errors;
  }
}

const KINDS = { 400: "invalid", 401: "login", 403: "forbidden", 404: "missing", 409: "conflict", 412: "conflict", 422: "invalid" };

/** Sends a request below /api/servers and gives `{ value, etag }`. */
export async function request(path, { method = "GET", body, headers = {}, signal } = {}) {
  const sent = new Headers({ Accept: "application/json", ...headers });
  if (token()) sent.set("Authorization", `Bearer ${token()}`);
  if (body !== undefined) sent.set("Content-Type", "application/json");
  const timeout = AbortSignal.timeout(PATIENCE);
  const options = {
    method, headers: sent, body: body === undefined ? undefined : JSON.stringify(body), cache: "no-store",
    signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    // A proxy that sends browsers to its login page is told apart from an answer.
    redirect: "manual",
  };
  let response;
  try {
    response = await fetch(path ? `${ROOT}/${path}` : ROOT, options);
  } catch (error) {
    if (signal?.aborted) throw error;
    const slow = error.name === "TimeoutError";
    throw new Problem("offline", "The operator does not answer", slow ? "it took longer than 10 s" : "no connection");
  }
  return read(response);
}

async function read(response) {
  if (response.type === "opaqueredirect") {
    throw new Problem("login", "A proxy in front of the operator asks for a login", "reload the page to log in there");
  }
  const text = await response.text().catch(() => "");
  const value = parse(response.headers.get("Content-Type") ?? "", text);
  if (response.ok) {
    if (value === undefined) throw new Problem("server", "Something else than the operator answered", "what came is no JSON");
    return { value, etag: response.headers.get("ETag") };
  }
  const kind = KINDS[response.status] ?? (response.status === 503 ? "away" : "server");
  const title = value?.title ?? `HTTP status ${response.status}`;
  throw new Problem(kind, title, value?.detail, { status: response.status, errors: value?.errors });
}

function parse(type, text) {
  if (!/^application\/([\w.-]+\+)?json\b/.test(type)) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The requests about one pool, by its id. */
export function server(id) {
  const path = encodeURIComponent(id);
  const get = (rest) => async (signal) => (await request(`${path}${rest}`, { signal })).value;
  const post = (rest, body) => request(`${path}/pool/${rest}`, { method: "POST", body });
  return {
    detail: get(""),
    sessions: get("/pool/sessions"),
    history: get("/pool/history"),
    advice: get("/pool/optimize"),
    config: (signal) => request(`${path}/pool/config`, { signal }),
    change: (config, etag) =>
      request(`${path}/pool/config`, { method: "PUT", body: config, headers: etag ? { "If-Match": etag } : {} }),
    drain: (timeout) => post("drain", { timeout }),
    resume: () => post("resume"),
    reset: () => post("reset"),
    applyAdvice: () => post("optimize/apply"),
  };
}

/** Every pool that the caller may see. */
export async function servers(signal) {
  return (await request("", { signal })).value.servers;
}
