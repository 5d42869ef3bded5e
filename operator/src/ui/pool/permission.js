// What somebody lacks to do something, in words.

import { split } from "./head.js";

/** Why it can't be done; empty if it can. `operate` is asked for where it is given. */
export function lacking(id, permissions, what) {
  const [namespace] = split(id);
  const missing = [];
  if (!permissions.update) missing.push("sessionpools");
  if (permissions.operate === false) missing.push("sessionpools/operate");
  if (missing.length === 0) return "";
  const role = missing.includes("sessionpools/operate") ? "admin" : "edit or admin";
  return `${what} needs the verb update on ${missing.join(" and ")} in namespace ${namespace}, which the role ${role} has. ` +
    "Ask whoever gives you rights, or sign in with another account.";
}
