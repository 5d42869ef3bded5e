// The address after `#`: which page, and how its list is filtered. Nothing secret is ever in it.

/** `{ page: "overview", query }` or `{ page: "pool", id }`. */
export function route() {
  const { pathname, searchParams } = new URL(location.hash.slice(1) || "/", "http://page");
  const [, section, id] = pathname.split("/");
  if (section === "pools" && id) return { page: "pool", id: decodeURIComponent(id) };
  return { page: "overview", query: searchParams };
}

/** The address of a pool's page. */
export function poolAddress(id) {
  return `#/pools/${encodeURIComponent(id)}`;
}

/** Notes the list's filter in the address, without a step in the browser's history. */
export function noteQuery(query) {
  const text = query.toString();
  history.replaceState(null, "", text ? `#/?${text}` : "#/");
}
