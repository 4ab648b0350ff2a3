// The token that a person gave, where the server asks for one. It is kept in this page's memory: in no storage, no cookie
// and no element, and in none of the page's own addresses. A reload forgets it.

import { $, setText, soon, warn } from "./parts.js";
import { NO_PLACE } from "./token.js";

/** `token` is what requests show, if anything; `isAsked`: whether the server has refused somebody for who they are. */
export const access = { token: "", isAsked: false };

let hear = { asked() {}, given() {} };

/** `asked()` is told once, when the server first asks who it is; `given()` whenever a token is given or forgotten. */
export function buildAccess(hearer) {
  hear = hearer;
  $("token-form").addEventListener("submit", (submit) => {
    submit.preventDefault();
    const token = $("token").value.trim().replace(/^Bearer\s+/i, "");
    // A header cannot hold anything else, and the request would fail as if nobody answered.
    const wrong = /^[\x21-\x7e]+$/.test(token) ? "" : "A token has no blanks, and letters of ASCII alone: look whether it was copied whole.";
    $("token").setCustomValidity(wrong);
    if (wrong) return $("token").reportValidity();
    give(token);
  });
  $("token").addEventListener("input", () => $("token").setCustomValidity(""));
  $("token-forget").addEventListener("click", () => (give(""), $("token").focus()));
}

function give(token) {
  access.token = token;
  $("token").value = "";
  $("token").placeholder = token ? "requests show the one that you gave" : "";
  $("token-forget").hidden = !token;
  setText($("token-why"), "");
  hear.given();
}

/** Says that somebody was refused for who they are, and shows where to give a token. */
export function denied(denial, why) {
  const said = denial === NO_PLACE ? why : `The server says: ${why}`;
  $("token-form").hidden = false;
  setText($("token-why"), said);
  warn(`${headline(denial)} ${said}`);
  soon();
  if (access.isAsked) return;
  access.isAsked = true;
  hear.asked();
}

/** Another channel is read: what was refused on the last says nothing of it. */
export const forgetDenial = () => setText($("token-why"), "");

const WITH_TOKEN = {
  [NO_PLACE]: "One reader cannot show an API key.",
  unauthorized: "The server does not take this token. Give another below.",
  token_expired: "The token has ended. Give a new one below.",
  token_revoked: "The token was revoked. Give another below.",
  forbidden: "The token does not allow this. Give another below, or read another channel.",
};

/** What the server asks for, and what to do. */
export function headline(denial) {
  if (access.token) return WITH_TOKEN[denial];
  // Whom a token could help is told so with 401.
  return denial === "forbidden" ? "The server answers, and does not allow this to anyone." : "The server asks for a token. Give one below.";
}
