// The bearer token of this tab. It is kept in sessionStorage, and is sent in a header only.

const KEY = "sessionpool.token";

/** The token, or null: then a proxy in front may add one of its own. */
export function token() {
  return sessionStorage.getItem(KEY);
}

/** Takes what a person pasted. False when no header could carry it. */
export function signIn(pasted) {
  const text = pasted.trim().replace(/^bearer\s+/i, "");
  if (!/^[\x21-\x7e]+$/.test(text)) return false;
  sessionStorage.setItem(KEY, text);
  return true;
}

export function signOut() {
  sessionStorage.removeItem(KEY);
}

/** Who the token is for and when it ends, as far as it says so itself. Only the API server judges it. */
export function claims() {
  try {
    const [, part] = token().split(".");
    const bytes = Uint8Array.from(atob(part.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
    const { sub, exp } = JSON.parse(new TextDecoder().decode(bytes));
    return {
      subject: typeof sub === "string" ? sub : null,
      expires: Number.isFinite(exp) ? new Date(exp * 1000) : null,
    };
  } catch {
    return { subject: null, expires: null };
  }
}
