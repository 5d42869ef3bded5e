// The form for a bearer token.

import { signIn } from "../credential.js";
import { h, say, unique } from "./dom.js";

/** Builds the form; `done()` is called once a token was given. */
export function signInForm(done, why = "") {
  const field = unique("token");
  const hint = unique("token-hint");
  const trouble = h("p", { class: "trouble", role: "alert", hidden: true });
  const input = h("input", {
    id: field, type: "password", autocomplete: "off", autocapitalize: "off", spellcheck: "false", required: true,
    "aria-describedby": hint, placeholder: "eyJhbGciOi…",
  });
  const submit = (event) => {
    event.preventDefault();
    if (signIn(input.value)) {
      input.value = "";
      done();
      return;
    }
    say(trouble, "That is no bearer token: it is one word of letters, digits, dots and dashes.");
    trouble.hidden = false;
    input.focus();
  };
  return h("form", { class: "signin", onsubmit: submit, novalidate: true },
    h("h1", { tabindex: "-1" }, "Sign in"),
    why ? h("p", { class: "why" }, why) : null,
    h("p", {}, "The operator shows you the pools that your Kubernetes account may see. Make a token for an account, and paste it here:"),
    h("pre", {}, "kubectl create token ACCOUNT --namespace NAMESPACE --duration 1h"),
    h("label", { for: field }, "Bearer token"), input, trouble,
    h("p", { id: hint, class: "hint" }, "It stays in this tab until you close it or sign out, and is sent to this operator only."),
    h("p", { class: "buttons" }, h("button", { type: "submit", class: "primary" }, "Sign in")));
}
