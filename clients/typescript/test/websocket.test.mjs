// A WebSocket that does not come about, and how the client finds out why.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Switchboard as Core, several } from "../dist/core.js";
import { webSocket } from "../dist/transports/websocket.js";
import { HandMade, settled, VirtualClock } from "./support/virtual.mjs";

const problem = (status, code) => () => Response.json({ code, title: "No.", status }, { status });
const SAID = { id: "s1", location: "/session/s1.k", place: "0.p0", seq: 1 };

/** A client of WebSocket whose sockets and requests are played by the test. */
function stage({ transport = webSocket, ...options } = {}) {
  const clock = new VirtualClock();
  const sockets = [];
  const requests = [];
  const answers = [];
  class WebSocket {
    bufferedAmount = 0;
    sent = [];
    constructor(url, protocols) {
      sockets.push(Object.assign(this, { url, protocols }));
    }
    send(text) {
      this.sent.push(text);
    }
    close() {
      queueMicrotask(() => this.fail());
    }
    greet() {
      this.onopen();
      this.onmessage({ data: JSON.stringify({ jsonrpc: "2.0", method: "session", params: SAID }) });
    }
    /** As a browser has it, whatever the reason. */
    fail() {
      this.onclose({ code: 1006, reason: "" });
    }
  }
  const fetch = async (url, { method, headers }) => {
    requests.push([method, url.replace("http://server.example", ""), headers?.Authorization ?? headers?.["Session-Ack"]]);
    return answers.shift()();
  };
  const client = new Core("http://server.example", { transport, WebSocket, fetch, clock, ...options });
  return { client, clock, sockets, requests, answers };
}

test("a WebSocket that is refused is asked about over HTTP with the same token, and the answer is final", async () => {
  const { client, sockets, requests, answers } = stage({ token: "bad" });
  const connected = client.connect();
  await settled();
  answers.push(problem(401, "unauthorized"));
  sockets[0].fail();
  await assert.rejects(connected, { code: "unauthorized", status: 401 });
  assert.deepEqual(requests, [["POST", "/session", "Bearer bad"]]);
});

test("where another token is to be had, it is asked for", async () => {
  const reasons = [];
  const getToken = ({ reason }) => (reasons.push(reason), `t${reasons.length}`);
  const { client, clock, sockets, answers } = stage({ getToken });
  const connected = client.connect();
  await settled();
  answers.push(problem(401, "token_expired"));
  sockets[0].fail();
  await clock.pass(250);
  assert.deepEqual(sockets[1].protocols, ["switchboard.v1", "switchboard.token.t2"]);
  sockets[1].greet();
  await connected;
  assert.deepEqual(reasons, ["connect", "refused"]);
});

test("where the server lets it in over HTTP, a WebSocket takes that session up, and shows no token", async () => {
  const { client, clock, sockets, requests, answers } = stage({ token: "not/for WebSockets" });
  client.connect();
  await settled();
  assert.deepEqual(sockets[0].protocols, ["switchboard.v1", "switchboard.token.not%2Ffor%20WebSockets"]);
  answers.push(() => Response.json(SAID, { status: 201 }));
  sockets[0].fail();
  await clock.pass(250);
  assert.deepEqual(requests, [["POST", "/session", "Bearer not/for WebSockets"]]);
  assert.deepEqual(sockets[1].protocols, ["switchboard.v1"]);
  assert.match(sockets[1].url, /\/session\/s1\.k\?since=0\.p0&attempt=2$/);
  sockets[1].greet();
  assert.deepEqual([client.state, client.session], ["connected", "s1"]);
});

test("where HTTP does not get through either, or does not answer, it is tried again", async () => {
  for (const [answer, after] of [[() => Promise.reject(new TypeError("no network")), 0], [() => new Promise(() => {}), 15_000]]) {
    const { client, clock, sockets, answers } = stage();
    client.connect();
    await settled();
    answers.push(answer);
    sockets[0].fail();
    await clock.pass(after);
    assert.equal(client.state, "waiting");
    await clock.pass(250);
    assert.equal(sockets.length, 2);
  }
});

test("what passes is waited out", async () => {
  const { client, clock, sockets, answers } = stage();
  client.connect();
  await settled();
  answers.push(problem(503, "overloaded"));
  sockets[0].fail();
  await clock.pass(250);
  assert.deepEqual([client.state, sockets.length], ["connecting", 2]);
});

test("a session that is no longer there is asked about without a change to it, and followed by another", async () => {
  const { client, clock, sockets, requests, answers } = stage();
  client.connect();
  await settled();
  sockets[0].greet();
  sockets[0].fail();
  await clock.pass(250);
  assert.match(sockets[1].url, /\/session\/s1\.k\?since=0\.p0&attempt=2$/);
  answers.push(problem(404, "not_found"));
  sockets[1].fail();
  await clock.pass(500);
  assert.deepEqual(requests, [["POST", "/session/s1.k", "0"]]);
  assert.match(sockets[2].url, /\/session$/);
});

test("where another transport finds out, nothing is asked", async () => {
  const other = new HandMade("sse");
  const { client, sockets, requests } = stage({ transport: several([webSocket, other], { storage: null }) });
  client.connect();
  await settled();
  sockets[0].fail();
  await settled();
  other.last.greet();
  assert.deepEqual([client.transport, requests], ["sse", []]);
});

test("while there is no room, it is looked for now and then, however much is said", async () => {
  const { client, clock, sockets } = stage();
  client.connect();
  await settled();
  sockets[0].greet();
  sockets[0].bufferedAmount = 1 << 20;
  let timers = 0;
  const { set, clear } = clock;
  clock.set = (...timer) => (timers++, set(...timer));
  clock.clear = (timer) => void (timer && timers--, clear(timer));
  for (let n = 0; n < 100; n++) client.notify("n", { n });
  assert.ok(timers <= 2, `${timers} timers`);
  sockets[0].bufferedAmount = 0;
  await clock.pass(50);
  assert.ok(sockets[0].sent.some((text) => text.includes('"n":99')));
});

test("one that the client itself gives up is not asked about", async () => {
  const { client, sockets, requests } = stage();
  const connected = client.connect();
  await settled();
  await Promise.all([client.close(), assert.rejects(connected, { code: "closed" })]);
  await settled();
  assert.deepEqual([sockets.length, requests], [1, []]);
});
