// What the client makes of answers over HTTP, and of how connections end: by its own transports and its own driver.

import assert from "node:assert/strict";
import { Driver } from "../../dist/driver.js";
import { ROWS } from "../../dist/errors.js";
import { longPoll } from "../../dist/transports/poll.js";
import { sse } from "../../dist/transports/sse.js";
import { HandMade, settled, VirtualClock } from "../support/virtual.mjs";

/** How long the server asks to stay away, where it does: the vectors leave it open. In seconds. */
const STAY_AWAY = 7;

/** The answer of a step, as `fetch` gives it. The status of an error is the one of the table. */
export function responseOf({ status, fields = {}, body, problem, with: more }) {
  const headers = { ...fields };
  if (headers["retry-after"]) headers["retry-after"] = String(STAY_AWAY);
  if (!problem) return new Response(body === undefined ? null : JSON.stringify(body), { status, headers: { ...headers, "content-type": "application/json" } });
  const row = ROWS.find(({ name }) => name === problem) ?? assert.fail(`the table has no ${problem}`);
  if (row.rpc > 0) assert.equal(Math.floor(row.rpc / 100), status, `the status of ${problem}`);
  return new Response(JSON.stringify({ code: problem, title: "no", ...more }), { status, headers });
}

/** A link of a transport's, whose requests are answered by `fetch`; what it says goes to `hearing`. */
export function linkOf(transport, location, fetch, hearing) {
  const way = {
    location, fetch, token: undefined, url: "http://server.example", credentials: "omit", WebSocket: undefined,
    clock: new VirtualClock(), query: () => "?since=0.p&attempt=2",
  };
  return transport.open(way, { alive() {}, opened() {}, over() {}, ready() {}, message() {}, cut() {}, ...hearing });
}

const waits = ({ wait }) => wait === STAY_AWAY * 1000;
/** How a refusal of the way down, or of a session, is to be read. */
const DOWN = {
  not_found: ({ kind }, isKnown) => kind === (isKnown ? "gone" : "refused"),
  // Another connection has the session: the client looks again whether it is there.
  stale_attempt: (cut) => cut.kind === "lost" && cut.wait === undefined,
  overloaded: (cut) => cut.kind === "lost" && waits(cut),
  // So would a proxy answer that does not know what it was asked.
  bad_request: ({ kind }) => kind === "unfit",
  invalid_parameter: ({ kind, error }) => kind === "refused" && error.code === "invalid_parameter",
  method_not_allowed: ({ kind, error }) => kind === "refused" && error.code === "method_not_allowed",
  token_expired: ({ kind, error }) => kind === "refused" && error.code === "token_expired" && error.status === 401,
};

/** The way down, or the opening of a session where there is no location, is refused so. Whether the session is gone. */
export async function refusedDown(answer, location) {
  const cuts = [];
  linkOf(sse, location, async () => responseOf(answer), { cut: (cut) => cuts.push(cut) });
  await settled();
  const check = DOWN[answer.problem] ?? assert.fail(`what is to be made of ${answer.problem}?`);
  assert.ok(cuts.length === 1 && check(cuts[0], location !== undefined), `${answer.problem} is taken for ${JSON.stringify(cuts)}`);
  return cuts[0].kind === "gone";
}

/** How a refusal of a message is to be read: by what the session is told. */
const UP = {
  not_found: (_, told) => assert.deepEqual(told, [["gone"]]),
  out_of_order: (answer, told) => assert.deepEqual(told, [["expected", answer.with.expected]]),
  too_large: (_, told) => assert.deepEqual(told, [["refused", 1, "too_large"]]),
  invalid_parameter: (_, told) => assert.deepEqual(told, [["refused", 1, "invalid_parameter"]]),
};

/** A message is refused so on its way up. Whether the session is gone. */
export async function refusedUp(answer, location) {
  const told = [];
  const up = {
    said: { location },
    control: 0,
    nextUp: () => (told.length === 0 ? { seq: 1, text: "{}" } : undefined),
    acknowledgement: () => undefined,
    acknowledged: () => told.push(["acknowledged"]),
    applied: (seq) => told.push(["applied", seq]),
    expected: (seq) => told.push(["expected", seq]),
    refused: (seq, { code }) => told.push(["refused", seq, code]),
    rewind: () => told.push(["rewind"]),
  };
  const fetch = (_, { method }) => (method === "POST" ? Promise.resolve(responseOf(answer)) : new Promise(() => {}));
  linkOf(sse, location, fetch, { cut: ({ kind }) => told.push([kind]) }).pump(up);
  await settled();
  const check = UP[answer.problem] ?? assert.fail(`what is to be made of ${answer.problem}?`);
  check(answer, told);
  return told[0][0] === "gone";
}

/** A page, as the transport of long polls gives it to a session. */
export async function readPage(page, location, session) {
  const cuts = [];
  const fetch = async () => responseOf({ status: 200, body: page });
  linkOf(longPoll, location, fetch, { message: (...message) => session.received(...message), cut: (cut) => cuts.push(cut) });
  await settled();
  assert.deepEqual(cuts, []);
}

/** Whether the client is to come back after this, and whether a client is that can renew its token. */
const BACK = {
  stale_attempt: [true, true],
  session_full: [true, true],
  session_ended: [false, false],
  token_expired: [false, true],
  token_revoked: [false, true],
};

/** The server closed a connection after it said so: a WebSocket with this code, another by its end. */
export async function closedAfter(closing, code) {
  const expected = BACK[closing.code] ?? assert.fail(`what is to be done after ${closing.code}?`);
  if (code !== undefined) assert.equal(ROWS.find(({ name }) => name === closing.code).close, code, `the close code of ${closing.code}`);
  for (const [at, options] of [{}, { getToken: async () => "token" }].entries()) {
    const { driver, link, states } = await connected(options);
    link.say("closing", closing);
    link.hearing.cut(code === undefined ? { kind: "lost", error: new Error("lost") } : { kind: "closed", code, reason: "" });
    assert.equal(states.at(-1), expected[at] ? "waiting" : "closed", `after ${closing.code}`);
    driver.leave();
  }
}

/** The server closed a WebSocket because of a message: it is not sent again, and its caller is told. */
export async function closedForMessage(code) {
  const { driver, clock, transport, link } = await connected();
  const ended = [];
  driver.call("publish", { data: "too long" }, true, (error) => ended.push(error.code));
  driver.call("ping", undefined, false, (error, result) => ended.push(error ?? result));
  link.hearing.cut({ kind: "closed", code, reason: "" });
  await clock.pass(1_000);
  transport.last.greet({ seq: 1 });
  assert.deepEqual(ended, ["too_large"]);
  const [{ seq, id, method }] = transport.last.sent;
  assert.deepEqual([transport.last.sent.length, seq, method], [1, 1, "ping"]);
  transport.last.answer(id, { time: 1 });
  assert.deepEqual(ended, ["too_large", { time: 1 }]);
  driver.leave();
}

async function connected(options = {}) {
  const clock = new VirtualClock();
  const transport = new HandMade("websocket");
  const states = [];
  const events = { changed: ({ state }) => states.push(state), began() {}, called() {}, notified() {} };
  const driver = new Driver("http://server.example", { transport, clock, ...options }, events);
  driver.connect();
  await settled();
  const link = transport.last;
  link.greet();
  return { driver, clock, transport, link, states };
}
