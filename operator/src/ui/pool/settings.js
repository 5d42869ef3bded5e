// The form for the seven parameters. Only what was changed is sent, and only on top of what was seen.

import { ask } from "../parts/dialog.js";
import { announce, attribute, h, say, unique } from "../parts/dom.js";
import { check, PARAMETERS, parameterOf, said, titleOf } from "./parameters.js";
import { lacking } from "./permission.js";

/** Builds it. Gives `{ node, fill({ value, etag }), allow(pool), fail(problem) }`. */
export function settings(server, id, changed) {
  const fields = Object.fromEntries(PARAMETERS.map((parameter) => [parameter.name, field(parameter, () => review())]));
  const conflict = h("div", { class: "conflict", role: "alert", hidden: true });
  const trouble = h("p", { class: "trouble", role: "alert", hidden: true });
  const pending = h("p", { class: "pending" });
  const save = h("button", { type: "submit", class: "primary" }, "Save changes");
  const undo = h("button", { type: "button", onclick: () => revert() }, "Undo");
  const set = h("fieldset", {}, h("legend", { class: "unseen" }, "Parameters"), Object.values(fields).map(({ node }) => node));
  const denied = h("p", { class: "denied", id: unique("denied"), hidden: true });
  const form = h("form", { novalidate: true, onsubmit: submit }, set, conflict, trouble, denied,
    h("div", { class: "save" }, pending, h("p", { class: "buttons" }, undo, save)));
  const node = h("section", { class: "card settings", "aria-labelledby": "settings-title" },
    h("h2", { id: "settings-title" }, "Parameters"), form);
  // `seen` is what the person's changes are made on top of; `newest` is what the operator said last.
  let [seen, newest, permissions] = [null, null, { update: false, operate: false }];

  function fill(config) {
    if (trouble.dataset.about === "load") trouble.hidden = true;
    newest = config;
    const touched = seen ? changes() : {};
    if (seen === null || Object.keys(touched).length === 0) rebase();
    else if (differences(seen.value, newest.value).length === 0) seen = newest;
    else review();
  }

  // Puts the newest values under those that the person changed.
  function rebase(keep = {}) {
    seen = newest;
    for (const { name } of PARAMETERS) fields[name].set(keep[name] ?? seen.value[name]);
    review();
  }

  function changes() {
    return Object.fromEntries(PARAMETERS.map(({ name }) => [name, fields[name].get()]).filter(([name, value]) => value !== seen.value[name]));
  }

  function review() {
    if (seen === null) return;
    const mine = changes();
    const names = Object.keys(mine);
    const wrong = check({ ...seen.value, ...mine });
    for (const { name } of PARAMETERS) fields[name].mark(Object.hasOwn(mine, name) ? said(name, seen.value[name]) : null, wrong[name]);
    say(pending, names.length === 0 ? "" : names.map((name) => `${titleOf(name)}: ${said(name, seen.value[name])} → ${Number.isNaN(mine[name]) ? "?" : said(name, mine[name])}`).join("; "));
    undo.hidden = names.length === 0;
    save.disabled = names.length === 0;
    const others = differences(seen.value, newest.value);
    conflict.hidden = others.length === 0 || names.length === 0;
    if (!conflict.hidden && conflict.dataset.shown !== JSON.stringify(newest.value)) showConflict(others);
    return wrong;
  }

  function showConflict(others) {
    conflict.dataset.shown = JSON.stringify(newest.value);
    const list = others.map((name) => `${titleOf(name)}: ${said(name, seen.value[name])} → ${said(name, newest.value[name])}`).join("; ");
    conflict.replaceChildren(
      h("p", {}, h("strong", {}, "Changed meanwhile"), ` by somebody else: ${list}.`),
      h("p", { class: "buttons" },
        h("button", { type: "button", onclick: () => revert() }, "Take theirs"),
        h("button", { type: "button", onclick: () => rebase(changes()) }, "Keep mine on top")));
  }

  function revert() {
    trouble.hidden = true;
    rebase();
  }

  async function submit(event) {
    event.preventDefault();
    const wrong = review();
    const first = PARAMETERS.find(({ name }) => wrong[name]);
    if (first) {
      fields[first.name].focus();
      return;
    }
    if (!conflict.hidden) {
      conflict.querySelector("button").focus();
      return;
    }
    const mine = changes();
    if (Object.keys(mine).length === 0) return;
    if (mine.pool_enabled === false) await turnOff(mine);
    else await send(mine).catch(explain);
  }

  async function turnOff(mine) {
    if (!permissions.operate) {
      explain({ message: lacking(id, { update: true, operate: false }, "Turning pooling off") });
      return;
    }
    await ask({
      title: "Turn pooling off?", danger: true, confirm: "Turn it off",
      text: ["Open sessions finish what they carry and are closed. From then on each client gets a session of its own, and waits for its handshake.", "No call is cut off."],
      act: () => send(mine),
    });
  }

  async function send(mine) {
    save.disabled = true;
    try {
      newest = await server.change(mine, seen.etag);
    } catch (problem) {
      if (problem.kind === "conflict") {
        newest = await server.config();
        // Only something else than the parameters was changed: then there is nothing to decide.
        if (differences(seen.value, newest.value).length === 0) seen = newest;
      }
      review();
      throw problem;
    }
    trouble.hidden = true;
    rebase();
    announce("Saved");
    changed();
  }

  function explain(problem) {
    for (const { field: name, message } of problem.errors ?? []) fields[parameterOf(name)]?.mark(undefined, message);
    trouble.dataset.about = "save";
    say(trouble, `Not saved. ${problem.message}`);
    trouble.hidden = false;
  }

  return {
    node, fill,
    allow(pool) {
      permissions = pool.permissions;
      set.disabled = !permissions.update;
      const text = permissions.update ? "" : lacking(id, permissions, "Changing them");
      say(denied, text);
      denied.hidden = text === "";
      attribute(set, "aria-describedby", text ? denied.id : null);
    },
    fail(problem) {
      trouble.dataset.about = "load";
      say(trouble, `The parameters can't be shown: ${problem.message}`);
      trouble.hidden = false;
    },
  };
}

function differences(one, other) {
  return PARAMETERS.map(({ name }) => name).filter((name) => one[name] !== other[name]);
}

function field({ name, title, kind, hint, choices, least, most, unit }, changed) {
  const [id, hintId, wrongId] = [`set-${name}`, unique("hint"), unique("wrong")];
  const control = kind === "choice"
    ? h("select", { id, onchange: changed }, choices.map((choice) => h("option", { value: choice }, said(name, choice))))
    : kind === "switch"
      ? h("input", { id, type: "checkbox", role: "switch", onchange: changed })
      : h("input", { id, type: "number", inputmode: "numeric", min: least, max: most, step: 1, required: true, oninput: changed });
  attribute(control, "name", name);
  attribute(control, "aria-describedby", `${hintId} ${wrongId}`);
  const wrong = h("p", { id: wrongId, class: "wrong", hidden: true });
  const before = h("span", { class: "before" });
  const node = h("div", { class: `field field-${kind}` },
    h("label", { for: id }, title), h("span", { class: "control" }, control, unit ? h("span", { class: "unit" }, unit) : null, before),
    h("p", { id: hintId, class: "hint" }, hint), wrong);
  return {
    node,
    focus: () => control.focus(),
    get: () => (kind === "switch" ? control.checked : kind === "number" ? (control.value === "" ? Number.NaN : Number(control.value)) : control.value),
    set(value) {
      if (kind === "switch") control.checked = value;
      else if (control.value !== String(value)) control.value = String(value);
    },
    // `was` is the value before the person's change, null without one, and undefined where that is not at issue.
    mark(was, complaint) {
      if (was !== undefined) {
        attribute(node, "data-changed", was === null ? null : "");
        say(before, was === null ? "" : `was ${was}`);
      }
      attribute(control, "aria-invalid", complaint ? "true" : null);
      say(wrong, complaint);
      wrong.hidden = !complaint;
    },
  };
}
