// When the client connects, waits and gives up, with virtual time.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Switchboard as Core, several, SwitchboardError } from "../dist/core.js";
import { Driver } from "../dist/driver.js";
import { HandMade, settled, VirtualClock } from "./support/virtual.mjs";

function stage(options = {}, names = ["websocket"]) {
  const clock = new VirtualClock();
  const transports = names.map((name) => new HandMade(name));
  const remembered = new Map();
  const storage = { getItem: (key) => remembered.get(key) ?? null, setItem: (key, value) => remembered.set(key, value) };
  const transport = names.length > 1 ? several(transports, { storage, ...options }) : transports[0];
  const client = new Core("http://server.example", { transport, clock, ...options });
  const states = [];
  client.on("statechange", ({ state, wait }) => states.push(wait === undefined ? state : `${state} ${wait}`));
  return { client, clock, transports, states, remembered, transport: transports[0] };
}

/** A driver alone, for what the platform tells it. */
function bare(options = {}) {
  const clock = new VirtualClock();
  const transport = new HandMade("websocket");
  const changes = [];
  const driver = new Driver("http://server.example", { transport, clock, ...options }, {
    changed: (change) => changes.push(change),
    began: () => {},
    called: () => {},
    notified: () => {},
  });
  driver.connect();
  return { driver, clock, transport, changes };
}

test("waits double from half a second up to twenty, without end, and are short again after success", async () => {
  const { client, clock, transport, states } = stage();
  client.connect();
  for (const wait of [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]) {
    await settled();
    transport.last.lose();
    assert.equal(states.at(-1), `waiting ${wait}`);
    await clock.pass(wait - 1);
    assert.equal(states.at(-1), `waiting ${wait}`);
    await clock.pass(1);
    assert.equal(states.at(-1), "connecting");
  }
  transport.last.greet();
  assert.equal(client.state, "connected");
  await clock.pass(5_000);
  transport.last.lose();
  assert.equal(states.at(-1), "waiting 250");
});

test("a connection that is greeted and closed again and again is come back to more and more slowly", async () => {
  const { client, clock, transport, states } = stage();
  client.connect();
  for (const wait of [250, 500, 1000]) {
    await settled();
    transport.last.greet();
    transport.last.say("closing", { code: "overloaded", reason: "Try later.", reconnect: true });
    transport.last.hearing.cut({ kind: "closed", code: 1013, reason: "" });
    assert.equal(states.at(-1), `waiting ${wait}`);
    await clock.pass(wait);
  }
});

test("what the server asks for is waited for as well, up to a minute", async () => {
  for (const [asked, waited] of [[7_000, 7_250], [3_600_000, 60_250]]) {
    const { client, transport, states } = stage();
    client.connect();
    await settled();
    transport.last.hearing.cut({ kind: "lost", error: new SwitchboardError("overloaded"), wait: asked });
    assert.equal(states.at(-1), `waiting ${waited}`);
  }
});

test("close codes say whether there is a point in coming back", async () => {
  for (const [code, state] of [[1006, "waiting"], [1012, "waiting"], [1011, "waiting"], [4429, "waiting"], [4403, "closed"], [1000, "closed"]]) {
    const { client, transport } = stage();
    const connected = client.connect().catch((error) => error);
    await settled();
    transport.last.greet();
    transport.last.hearing.cut({ kind: "closed", code, reason: "" });
    assert.equal(client.state, state, String(code));
    assert.equal(await connected, undefined);
  }
});

test("a close code that refuses the token has another asked for, until there is no point", async () => {
  const reasons = [];
  const { client, clock, transport } = stage({ getToken: ({ reason }) => (reasons.push(reason), `t${reasons.length}`) });
  client.connect();
  for (let n = 1; n <= 4; n++) {
    await clock.pass(5_000);
    assert.equal(transport.last.way.token, `t${n}`);
    assert.equal(transport.last.way.location, undefined, "its session is gone");
    transport.last.greet({ id: `s${n}` });
    transport.last.hearing.cut({ kind: "closed", code: 4401, reason: "" });
    assert.equal(client.state, n < 4 ? "waiting" : "closed");
  }
  assert.deepEqual(reasons, ["connect", "refused", "refused", "refused"]);
  await assert.rejects(client.call("more"), { code: "unauthorized", message: "unauthorized" });
});

test("one whose token is refused after it has worked has as many tries as one that is new", async () => {
  const { client, clock, transport } = stage({ getToken: () => "t" });
  client.connect();
  for (let n = 1; n <= 6; n++) {
    await clock.pass(5_000);
    transport.last.greet({ id: `s${n}` });
    await clock.pass(2_000);
    transport.last.say("closing", { code: "token_revoked", reason: "", reconnect: false });
    transport.last.hearing.cut({ kind: "closed", code: 4401, reason: "" });
    assert.equal(client.state, "waiting");
  }
  await client.close();
});

test("a session that is gone, however that is said, is followed by another", async () => {
  for (const isGreeted of [false, true]) {
    for (const says of [true, false]) {
      const { client, clock, transport } = stage();
      client.connect();
      await settled();
      if (isGreeted) transport.last.greet();
      if (says) transport.last.say("closing", { code: "not_found", reason: "There is nothing at this address.", reconnect: false });
      transport.last.hearing.cut({ kind: "closed", code: 4404, reason: "" });
      assert.equal(client.state, "waiting");
      await clock.pass(500);
      if (isGreeted) transport.last.hearing.cut({ kind: "gone" });
      await clock.pass(1_000);
      assert.equal(transport.last.way.location, undefined);
      transport.last.greet({ id: "s2" });
      assert.equal(client.session, "s2");
    }
  }
});

test("what the server says as it closes counts more than the code", async () => {
  const { client, transport } = stage();
  const seen = [];
  client.on("statechange", ({ state, error }) => seen.push([state, error?.code]));
  client.connect();
  await settled();
  transport.last.greet();
  const call = client.call("slow").catch((error) => error);
  transport.last.say("closing", { code: "session_ended", reason: "The session was ended.", reconnect: false });
  transport.last.hearing.cut({ kind: "closed", code: 1000, reason: "" });
  assert.deepEqual(seen.at(-1), ["closed", "session_ended"]);
  assert.equal((await call).code, "session_ended");
  await assert.rejects(client.call("more"), { code: "session_ended" });
});

test("a refusal ends the client, and connect fails with it", async () => {
  const { client, transport } = stage();
  const connected = client.connect();
  await settled();
  transport.last.hearing.cut({ kind: "refused", error: new SwitchboardError("forbidden_origin", "no", { status: 403 }) });
  await assert.rejects(connected, { code: "forbidden_origin", status: 403 });
});

test("a session is taken up where it is, with a higher attempt each time", async () => {
  const { client, clock, transport } = stage();
  client.connect();
  await settled();
  transport.last.greet({ place: "3.p7" });
  transport.last.say("news", []);
  transport.last.lose();
  await clock.pass(500);
  assert.equal(transport.last.query, "?since=4.p7&attempt=2");
  transport.last.lose();
  await clock.pass(1000);
  assert.equal(transport.last.query, "?since=4.p7&attempt=3");
});

test("silence is asked about, and then the connection is given up", async () => {
  const { driver, clock, transport, changes } = bare();
  await settled();
  transport.last.greet();
  await clock.pass(14_999);
  assert.equal(transport.last.sent.length, 0);
  await clock.pass(1);
  assert.deepEqual(transport.last.sent.map(({ method }) => method), ["ping"]);
  transport.last.answer(transport.last.sent[0].id, { time: 1 });
  await clock.pass(15_000);
  assert.equal(transport.last.sent.length, 2, "it answered, so it is asked again when it is silent again");
  await clock.pass(9_999);
  assert.equal(changes.at(-1).state, "connected");
  await clock.pass(1);
  assert.equal(changes.at(-1).state, "waiting");
  assert.equal(transport.last.closed, false, "the session goes on");
  driver.leave();
});

test("a heartbeat is a sign of life, and a late timer is no reason to give up", async () => {
  const { clock, transport, changes } = bare();
  await settled();
  transport.last.greet();
  for (let n = 0; n < 20; n++) {
    await clock.pass(10_000);
    transport.last.hearing.alive();
  }
  assert.equal(transport.last.sent.length, 0);
  assert.deepEqual(changes.map(({ state }) => state), ["connecting", "connected"]);
});

test("back from the background or the network, it does not wait", async () => {
  const { driver, clock, transport, changes } = bare();
  await settled();
  for (let n = 0; n < 6; n++) {
    transport.last.lose();
    await clock.pass(20_000);
  }
  transport.last.lose();
  assert.equal(changes.at(-1).state, "waiting");
  driver.wake();
  await clock.pass(0);
  assert.equal(changes.at(-1).state, "connecting");
  transport.last.greet();
  driver.wake();
  assert.deepEqual(transport.last.sent.map(({ method }) => method), ["ping"], "a connection is doubted");
  await clock.pass(4_000);
  assert.equal(changes.at(-1).state, "waiting");
});

test("back from the background or the network, an attempt that may have begun before it is begun anew", async () => {
  for (const event of ["wake", "rethink"]) {
    const { driver, clock, transport, changes } = bare();
    await clock.pass(1_000);
    driver[event]();
    await clock.pass(0);
    assert.equal(transport.opened.length, 1, "it is too young");
    await clock.pass(1);
    driver[event]();
    await clock.pass(0);
    assert.deepEqual([transport.opened.length, transport.opened[0].closed, changes.at(-1).state], [2, true, "connecting"]);
    transport.opened[0].greet({ id: "late" });
    transport.last.greet();
    await clock.pass(15_000);
    assert.equal(changes.at(-1).state, "connected");
    driver.leave();
  }
});

test("back from the background, a token that may never come is asked for anew", async () => {
  const signals = [];
  const getToken = ({ signal }) => (signals.push(signal), signals.length > 1 ? "good" : new Promise(() => {}));
  const { driver, clock, transport } = bare({ getToken });
  await clock.pass(1_001);
  driver.wake();
  await clock.pass(0);
  assert.deepEqual([signals[0].aborted, transport.last.way.token], [true, "good"]);
  transport.last.greet();
  driver.leave();
});

test("what cuts idle connections is kept from it", async () => {
  const { clock, transport } = bare();
  await settled();
  for (let n = 0; n < 2; n++) {
    transport.last.greet();
    await clock.pass(5_000);
    transport.last.hearing.cut({ kind: "closed", code: 1006, reason: "" });
    await clock.pass(500);
  }
  transport.last.greet();
  await clock.pass(2_500);
  assert.deepEqual(transport.last.sent.map(({ method }) => method), ["ping"]);
});

test("tokens are asked for with the reason, and renewed without a new connection", async () => {
  const reasons = [];
  const getToken = ({ reason }) => (reasons.push(reason), `t${reasons.length}`);
  const { client, clock, transport } = stage({ getToken });
  client.connect();
  await settled();
  assert.equal(transport.last.way.token, "t1");
  transport.last.hearing.cut({ kind: "refused", error: new SwitchboardError("token_expired", "no", { status: 401 }) });
  await clock.pass(500);
  assert.equal(transport.last.way.token, "t2");
  transport.last.greet();
  transport.last.say("expiring", { expires: Date.now() + 30_000 });
  await clock.pass(0);
  assert.deepEqual(reasons, ["connect", "refused", "expiring"]);
  const { method, params } = transport.last.sent[0];
  assert.deepEqual([method, params], ["refresh", { token: "t3" }]);
  assert.equal(transport.opened.length, 2);
});

test("where the client's clock is ahead, tokens are renewed without haste", async () => {
  let asked = 0;
  const { client, clock, transport } = stage({ getToken: () => `t${++asked}` });
  client.connect();
  await settled();
  const { last } = transport;
  last.greet();
  const expires = Date.now() - 60_000;
  let answered = 0;
  for (let second = 0; second < 9; second++) {
    last.say("expiring", { expires: expires + second });
    await clock.pass(0);
    for (const { method, id } of last.sent.slice(answered)) if (method === "refresh") last.answer(id, { expires: expires + second });
    answered = last.sent.length;
    await clock.pass(500);
  }
  assert.ok(asked <= 3, `${asked} times`);
  client.close();
});

test("a client that is closed after a cut says first what the server may not have heard", async () => {
  const { client, clock, transport } = stage();
  client.connect();
  await settled();
  transport.last.greet();
  client.notify("heard", {});
  transport.last.lose();
  const closed = client.close();
  await clock.pass(500);
  transport.last.greet();
  await closed;
  assert.equal(transport.opened.length, 2);
  assert.deepEqual(transport.last.sent.map(({ method, seq }) => [method, seq]), [["heard", 1]]);
});

test("a client that is closed before it was used is as closed as another, until it connects", async () => {
  const { client, transport, states } = stage();
  await client.close();
  assert.throws(() => client.channel("a").subscribe(), { code: "closed" });
  await assert.rejects(client.call("more"), { code: "closed" });
  assert.equal(transport.opened.length, 0);
  const connected = client.connect();
  await settled();
  transport.last.greet();
  await connected;
  assert.deepEqual(states, ["closed", "idle", "connecting", "connected"]);
});

test("the server's call is answered where what the handler gives is nothing that JSON has", async () => {
  const { client, transport } = stage();
  client.method("count", () => 1n);
  client.connect();
  await settled();
  transport.last.greet();
  transport.last.hearing.message(JSON.stringify({ jsonrpc: "2.0", id: 7, method: "count" }));
  await settled();
  assert.deepEqual(transport.last.sent.map(({ id, error }) => [id, error.code]), [[7, -32603]]);
});

test("a token that is refused again and again ends the client, and one that is not to be had is asked for again", async () => {
  const { client, clock, transport } = stage({ getToken: () => "bad" });
  const connected = client.connect();
  for (let n = 0; n < 4; n++) {
    await clock.pass(5_000);
    transport.last.hearing.cut({ kind: "refused", error: new SwitchboardError("unauthorized", "no", { status: 401 }) });
  }
  await assert.rejects(connected, { code: "unauthorized" });
  let isThere = false;
  const other = stage({ getToken: () => (isThere ? "good" : Promise.reject(new Error("the backend is away"))) });
  const connects = other.client.connect();
  await settled();
  assert.equal(other.client.state, "waiting");
  isThere = true;
  await other.clock.pass(500);
  other.transport.last.greet();
  await connects;
});

test("a token that does not come is given up after as long as a connection may take, and asked for again", async () => {
  const signals = [];
  const getToken = ({ signal }) => {
    signals.push(signal);
    return signals.length === 2 ? "good" : new Promise(() => {});
  };
  const { client, clock, transport } = stage({ getToken });
  const seen = [];
  client.on("statechange", ({ state, error }) => seen.push([state, error?.code, error?.cause?.code]));
  client.connect();
  await clock.pass(14_999);
  assert.deepEqual([client.state, signals[0].aborted], ["connecting", false]);
  await clock.pass(1);
  assert.deepEqual([seen.at(-1), signals[0].aborted], [["waiting", "no_token", "timeout"], true]);
  await clock.pass(250);
  assert.equal(transport.last.way.token, "good");
  transport.last.greet();
  transport.last.say("expiring", { expires: Date.now() + 60_000 });
  await clock.pass(0);
  assert.equal(signals.length, 3);
  for (const _ of [1, 2]) {
    await clock.pass(10_000);
    transport.last.hearing.alive();
  }
  assert.deepEqual([client.state, signals.length, signals[2].aborted], ["connected", 4, true], "so it is where one ends");
  await client.close();
  assert.equal(signals[3].aborted, true);
});

test("an errant getToken is an error like any other", async () => {
  const cause = new Error("no backend");
  const getToken = () => {
    throw cause;
  };
  const { client, clock, states } = stage({ getToken });
  const seen = [];
  client.on("statechange", ({ error }) => error && seen.push(error.cause));
  client.connect().catch(() => {});
  await clock.pass(250);
  assert.deepEqual([seen[0], states], [cause, ["connecting", "waiting 250", "connecting", "waiting 500"]]);
});

test("a lost session fails what may have been done, and repeats what may be", async () => {
  const { client, clock, transport } = stage();
  client.connect();
  await settled();
  transport.last.greet();
  const once = client.call("transfer").catch((error) => error.code);
  const history = client.channel("a").history();
  const keyed = client.channel("a").publish(1, { key: "k" });
  transport.last.hearing.cut({ kind: "gone" });
  assert.equal(await once, "session_lost");
  await clock.pass(500);
  transport.last.greet({ id: "s2", location: "/session/s2.k" });
  assert.deepEqual(transport.last.sent.map(({ method, seq }) => [method, seq]), [["history", 1], ["publish", 2]]);
  const [first, second] = transport.last.sent;
  transport.last.answer(first.id, { events: [], position: "p1" });
  transport.last.answer(second.id, { channel: "a", position: "p2" });
  assert.deepEqual([await history, await keyed], [{ events: [], position: "p1" }, { channel: "a", position: "p2" }]);
});

test("a server that says what cannot be is not listened to any longer, and another session begins", async () => {
  for (const foul of ["no JSON", '"closing"}', "7", '{"jsonrpc":"2.0","method":"event","params":{"id":1}}', '{"jsonrpc":"2.0","method":"session","params":{}}']) {
    const { client, clock, transport } = stage();
    const errors = [];
    client.on("statechange", ({ error }) => error && errors.push(error.code));
    client.connect();
    await settled();
    transport.last.greet();
    transport.last.hearing.message(foul);
    assert.deepEqual([client.state, errors, transport.last.closed], ["waiting", ["broken"], false], foul);
    await clock.pass(500);
    transport.last.greet({ id: "s2" });
    assert.equal(client.session, "s2");
  }
});

test("calls end by their time, by their signal, and when the client is closed", async () => {
  const { client, clock, transport } = stage();
  client.connect();
  await settled();
  transport.last.greet();
  const slow = client.call("slow", {}, { timeout: 100 });
  const stop = new AbortController();
  const stopped = client.call("stopped", {}, { signal: stop.signal });
  const open = client.call("open");
  stop.abort();
  await assert.rejects(stopped, { name: "AbortError" });
  await assert.rejects(client.call("never", {}, { signal: AbortSignal.abort() }), { name: "AbortError" });
  const failed = assert.rejects(slow, { code: "timeout" });
  await clock.pass(100);
  await failed;
  const closed = assert.rejects(open, { code: "closed" });
  await client.close();
  await closed;
  assert.equal(transport.last.closed, true, "the session is ended");
  assert.equal(transport.last.sent.some(({ method }) => method === "never"), false);
});

test("one that was closed connects again when it is asked to", async () => {
  const { client, transport } = stage();
  client.connect();
  await settled();
  transport.last.greet();
  await client.close();
  await assert.rejects(client.call("x"), { code: "closed" });
  const connected = client.connect();
  await settled();
  transport.last.greet({ id: "s2" });
  await connected;
  assert.equal(client.session, "s2");
});

test("one that is closed before it is connected says first what it had to say", async () => {
  const { client, clock, transport } = stage();
  const published = client.channel("a").publish(1).catch((error) => error);
  client.notify("seen", { n: 1 });
  const closed = client.close();
  await clock.pass(1_999);
  assert.equal(client.state, "connecting");
  transport.last.greet();
  assert.deepEqual(transport.last.sent.map(({ method }) => method), ["publish", "seen"]);
  await closed;
  assert.deepEqual([client.state, transport.last.closed, (await published).code], ["closed", true, "closed"]);
});

test("one that is closed and is not connected in time gives up, and says so of what waits for an answer", async () => {
  const { client, clock, transport } = stage();
  const connected = client.connect().catch(({ code }) => code);
  const called = client.call("work").catch(({ code }) => code);
  let isClosed = false;
  client.close().then(() => (isClosed = true));
  await clock.pass(1_999);
  transport.last.lose();
  assert.deepEqual([isClosed, client.state], [false, "waiting"]);
  await clock.pass(1);
  assert.deepEqual([isClosed, client.state, await connected, await called], [true, "closed", "closed", "closed"]);
});

test("one that is closed with nothing to say is closed at once", async () => {
  const { client } = stage();
  client.connect().catch(() => {});
  client.channel("a").subscribe();
  await client.close();
  assert.equal(client.state, "closed");
});
