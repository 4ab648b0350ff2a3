// Writing: publishing, making a gap, ending and deleting a channel.

import { access, denied } from "./access.js";
import { NDJSON, pathOf, withQuery } from "./address.js";
import { $, plural, setText, warn } from "./parts.js";
import { bearer, problemOf } from "./token.js";

/** Events published at once to make a gap, at first and at most: a channel holds 1,000 unless it is told otherwise. */
const [FLOOD, FLOOD_MAX] = [1100, 100_000];

function result(kind, text) {
  $("result").className = kind;
  setText($("result"), text);
}

/** A request of this page's own: what it answers, or an error that says what the server said. */
async function ask(method, path, type, body) {
  const headers = { ...(type && { "Content-Type": type }), ...bearer(access.token) };
  const response = await fetch(path, { method, headers, body, cache: "no-store" });
  if (response.ok) return response.status === 204 ? {} : response.json().catch(() => ({}));
  const { why, denial } = await problemOf(response);
  if (denial) denied(denial, why);
  throw new Error(`${response.status}: ${why}`);
}

/** What to do, and what to say of it; one after the other, however quickly the buttons are pressed. */
let last = Promise.resolve();
function doing(what) {
  last = last.then(async () => {
    const start = performance.now();
    try {
      const said = await what();
      result("good", `${said} (${Math.round(performance.now() - start)} ms)`);
    } catch (error) {
      const text = error instanceof TypeError ? "The server cannot be reached." : String(error.message);
      result("bad", text);
      warn(text);
    }
  });
  return last;
}

/** Text, or JSON if it looks and parses like it. */
function typeOf(data) {
  if (!/^\s*[{[]/.test(data)) return "text/plain";
  try {
    JSON.parse(data);
    return "application/json";
  } catch {
    return "text/plain";
  }
}

export function publishOne(channel, data) {
  return doing(async () => {
    const { position } = await ask("POST", pathOf(channel), typeOf(data), data);
    return `201: in the log at ${position}`;
  });
}

/** Many events in one request: a body of lines, each appended as it arrives. */
async function publishLines(channel, number) {
  const line = (_, i) => JSON.stringify({ data: `event ${i + 1} of ${number}` }) + "\n";
  return ask("POST", pathOf(channel), NDJSON, Array.from({ length: number }, line).join(""));
}

export function publishMany(channel, number) {
  return doing(async () => {
    const { count: appended, last: position } = await publishLines(channel, number);
    return `201: ${plural(appended, "event")} up to ${position}`;
  });
}

/** Drops a reader, publishes more than the channel holds, and resumes it. */
export function makeGap(channel, reader) {
  return doing(async () => {
    const { name } = reader.transport;
    for (let number = FLOOD; number <= FLOOD_MAX; number *= 3) {
      const { cursor } = reader;
      if (!cursor) throw new Error(`${name} has no cursor yet: let it read first.`);
      reader.drop();
      result("", `${name} is dropped at ${cursor}. Publishing ${plural(number, "event")}…`);
      let told;
      try {
        await publishLines(channel, number);
      } finally {
        told = hearsGap(reader);
        reader.resume();
      }
      if (await told) return `${name} was away for ${plural(number, "event")}. It resumed, and is told which are gone`;
    }
    return `The channel still holds all that ${name} missed, so there was no gap`;
  });
}

/** Whether a reader that resumes is told of a gap before it hears an event. */
function hearsGap(reader) {
  return new Promise((resolve, reject) => {
    const done = new AbortController();
    const on = (type, then) => reader.addEventListener(type, (heard) => then(heard.detail), { signal: done.signal });
    const settle = (how, outcome) => (done.abort(), how(outcome));
    on("gap", () => settle(resolve, true));
    on("event", () => settle(resolve, false));
    on("state", (state) => {
      if (state !== "connecting" && state !== "live") settle(reject, new Error(`${reader.transport.name}: ${reader.text}`));
    });
  });
}

export function endChannel(channel) {
  return doing(async () => {
    await ask("POST", withQuery(pathOf(channel), { end: true }));
    return "201: the channel has ended. Delete it to use its name again";
  });
}

export function deleteChannel(channel, deleted) {
  return doing(async () => {
    await ask("DELETE", pathOf(channel));
    deleted();
    return "204: deleted, and its readers are told so";
  });
}

export function refuse(text) {
  result("bad", text);
  warn(text);
}
