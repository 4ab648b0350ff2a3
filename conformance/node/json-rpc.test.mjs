// `json-rpc-2.0` over `ws`: sessions. The library frames calls, notifications and batches, matches answers to calls and
// answers the server's; what is here is how it is given a socket.

import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";
import { JSONRPCClient, JSONRPCErrorException, JSONRPCServer, JSONRPCServerAndClient } from "json-rpc-2.0";
import { WebSocket } from "ws";
import { Inbox, TEXT, stage, within } from "../support/index.mjs";

/** A peer of the library's and the socket that it has at present. What the server notifies it of is in `heard`. */
class Peer {
  #socket;
  heard = new Inbox();
  /** The number of the last control message, and the last position: where the peer has come to. */
  #control;
  #position;

  constructor() {
    const send = (message) => this.#socket.send(JSON.stringify(message));
    this.rpc = new JSONRPCServerAndClient(new JSONRPCServer({ errorListener: () => {} }), new JSONRPCClient(send));
    for (const method of ["session", "event", "gap", "end", "caught_up", "subscribed", "news"]) {
      this.rpc.addMethod(method, (params) => this.heard.push([method, params]));
    }
  }

  /** Connects, and gives what the server says of the session. */
  async connect(t, url) {
    const socket = new WebSocket(url.replace(/^http/, "ws"), "switchboard.v1");
    t.after(() => socket.terminate());
    socket.on("message", (text) => {
      const message = JSON.parse(text);
      this.#count(message);
      this.rpc.receiveAndSend(message);
    });
    this.closed = new Promise((done) => socket.once("close", done));
    this.#socket = socket;
    await within("the handshake", once(socket, "open"));
    assert.equal(socket.protocol, "switchboard.v1");
    const [method, session] = await this.heard.next();
    assert.equal(method, "session");
    [this.#control, this.#position] = [Number(session.place.split(".")[0]), session.place.split(".")[1]];
    return session;
  }

  #count({ method, params, result }) {
    if (method === "event") this.#position = params.position ?? params.id;
    else if (method === "gap") this.#position = params.to;
    else if (method === "position" || method === "caught_up") this.#position = params.position;
    else if (!["session", "end", "closing"].includes(method)) {
      this.#control += 1;
      if (result?.position && !result.channel && !result.events) this.#position = result.position;
    }
  }

  get place() {
    return `${this.#control}.${this.#position}`;
  }

  /** The params of the next notification, which is to be this one. */
  async told(name) {
    const [method, params] = await this.heard.next();
    assert.equal(method, name);
    return params;
  }

  /** The next event's data. */
  async event() {
    return (await this.told("event")).data;
  }

  /** Subscribes, and waits until that has caught up with nothing. */
  async subscribe(channel) {
    const answer = await this.call("subscribe", { channel });
    assert.equal((await this.told("caught_up")).channel, channel);
    return answer;
  }

  call(method, params) {
    return within(`the answer to ${method}`, Promise.resolve(this.rpc.request(method, params)));
  }
}

/** A peer in a session of its own. */
async function converse(t, settings) {
  const { server, way } = await stage(t, settings);
  const peer = new Peer();
  const session = await peer.connect(t, `${way.url}/session`);
  return { server, way, peer, session };
}

const NAME = "json-rpc-2.0";

test(`${NAME}: it subscribes, hears events as notifications, and unsubscribes`, async (t) => {
  const { server, peer } = await converse(t);
  const { position } = await peer.subscribe("a");
  const id = await server.publish("a", TEXT);
  const event = await peer.told("event");
  assert.deepEqual([event.id, event.channel, event.data], [id, "a", TEXT]);
  assert.equal(typeof position, "string");
  await peer.call("unsubscribe", ["a"]);
  await server.publish("a", "not heard");
  await peer.call("ping");
  assert.equal(peer.heard.left, 0);
});

test(`${NAME}: it hears what was missed, and then that it has caught up`, async (t) => {
  const { server, peer } = await converse(t, { SWITCHBOARD_HISTORY_EVENTS: "2" });
  const ids = [];
  for (const data of ["first", "second", "third"]) ids.push(await server.publish("a", data));
  const answer = await peer.call("subscribe", { channel: "a", since: ids[0] });
  assert.equal(answer.recovered, true);
  assert.deepEqual([await peer.event(), await peer.event()], ["second", "third"]);
  assert.equal((await peer.told("caught_up")).channel, "a");
  await server.publish("a", "fourth");
  assert.equal(await peer.event(), "fourth");
  const late = await peer.call("subscribe", { channel: "a", since: ids[0] });
  assert.deepEqual(late.gap, { channel: "a", from: ids[0], to: ids[1], reason: "trimmed" });
});

test(`${NAME}: it publishes, hears itself unless it asks not to, and reads history`, async (t) => {
  const { server, peer } = await converse(t);
  await peer.subscribe("a");
  const published = await peer.call("publish", { channel: "a", data: { text: TEXT }, event: "said" });
  const { id, event, data } = await peer.told("event");
  assert.deepEqual([id, event, data], [published.id, "said", { text: TEXT }]);
  await peer.call("publish", { channel: "a", data: "unheard", echo: false });
  // By position, and without an answer.
  peer.rpc.notify("publish", ["a", "a notification"]);
  assert.equal(await peer.event(), "a notification");
  const page = await peer.call("history", { channel: "a", limit: 2 });
  assert.deepEqual(page.events.map(({ data }) => data), [{ text: TEXT }, "unheard"]);
  const rest = await peer.call("history", { channel: "a", since: page.position });
  assert.deepEqual(rest.events.map(({ data }) => data), ["a notification"]);
  await server.publish("a", "last", { end: true });
  assert.equal(await peer.event(), "last");
  assert.deepEqual(await peer.told("end"), { channel: "a" });
});

test(`${NAME}: a batch is answered as one, its failures each by themselves`, async (t) => {
  const { peer } = await converse(t);
  const call = (id, method, params) => ({ jsonrpc: "2.0", id, method, params });
  const batch = [
    call("one", "ping"),
    call("two", "subscribe", { channel: "a" }),
    { jsonrpc: "2.0", method: "publish", params: { channel: "a", data: "from a batch" } },
    call("three", "no such method"),
    call("four", "history", { channel: "" }),
  ];
  const answers = await within("the batch", peer.rpc.requestAdvanced(batch));
  assert.deepEqual(answers.map(({ id }) => id), ["one", "two", "three", "four"]);
  assert.equal(typeof answers[0].result.time, "number");
  assert.equal(typeof answers[1].result.position, "string");
  assert.deepEqual([answers[2].error.code, answers[3].error.code], [-32601, 40001]);
  // What the batch publishes after it has subscribed is news to it.
  const heard = [await peer.heard.next(), await peer.heard.next()];
  assert.deepEqual(heard.map(([method]) => method).sort(), ["caught_up", "event"]);
});

test(`${NAME}: what fails is an error with the code of the table`, async (t) => {
  const { server, peer } = await converse(t);
  const fails = async (code, method, params) => {
    await assert.rejects(peer.call(method, params), (error) => {
      assert.ok(error instanceof JSONRPCErrorException);
      assert.equal(error.code, code, error.message);
      return true;
    });
  };
  await fails(-32601, "add", [1, 2]);
  await fails(-32602, "subscribe", {});
  await fails(-32602, "ping", { no: "params" });
  await fails(40001, "subscribe", { channel: "a//b" });
  await fails(40002, "publish", { channel: "a", data: 1, event: "$mine" });
  await server.publish("a", "last", { end: true });
  await fails(40900, "publish", { channel: "a", data: "after the end" });
  await peer.call("publish", { channel: "b", data: 1, key: "k" });
  await fails(42200, "publish", { channel: "b", data: 2, key: "k" });
});

test(`${NAME}: it answers the server's calls, and hears what a backend says`, async (t) => {
  const { server, peer, session } = await converse(t);
  peer.rpc.addMethod("add", ([a, b]) => a + b);
  peer.rpc.addMethod("refuse", () => { throw new JSONRPCErrorException("no", 7, { why: "not now" }); });
  const call = (body) => server.api("POST", `/sessions/${session.id}/call`, body);
  assert.deepEqual(await call({ method: "add", params: [1, 2] }), [200, { result: 3 }]);
  assert.deepEqual((await call({ method: "unknown" }))[1].error.code, -32601);
  const mapped = (error) => ({ code: error.code ?? 0, message: error.message, data: error.data });
  peer.rpc.server.mapErrorToJSONRPCErrorResponse = (id, error) => ({ jsonrpc: "2.0", id, error: mapped(error) });
  const refused = { error: { code: 7, message: "no", data: { why: "not now" } } };
  assert.deepEqual(await call({ method: "refuse" }), [200, refused]);
  const calls = Array.from({ length: 20 }, (_, n) => call({ method: "add", params: [n, n] }));
  assert.deepEqual(await Promise.all(calls), Array.from({ length: 20 }, (_, n) => [200, { result: 2 * n }]));
  const [status] = await server.api("POST", `/sessions/${session.id}/notify`, { method: "news", params: { n: 1 } });
  assert.equal(status, 202);
  assert.deepEqual(await peer.told("news"), { n: 1 });
  await server.api("POST", `/sessions/${session.id}/subscribe`, { channel: "a" });
  assert.equal((await peer.told("subscribed")).channel, "a");
  assert.equal((await peer.told("caught_up")).channel, "a");
  await server.publish("a", "for the asked");
  assert.equal(await peer.event(), "for the asked");
});

test(`${NAME}: cut in the midst of an event, it takes the session up and misses nothing`, async (t) => {
  const { server, way, peer, session } = await converse(t);
  await peer.subscribe("a");
  await server.publish("a", "first");
  assert.equal(await peer.event(), "first");
  const cut = way.cutAfter(30);
  await server.publish("a", TEXT);
  await cut.happened();
  await within("the socket to close", peer.closed);
  await server.api("POST", `/sessions/${session.id}/notify`, { method: "news", params: ["meanwhile"] });
  const asked = server.api("POST", `/sessions/${session.id}/call`, { method: "back", params: [] });
  peer.rpc.addMethod("back", () => "yes");
  way.open();
  const again = await peer.connect(t, `${way.url}${session.location}?attempt=1&since=${peer.place}`);
  assert.equal(again.id, session.id);
  const heard = [await peer.heard.next(), await peer.heard.next()];
  assert.deepEqual(heard.find(([method]) => method === "event")[1].data, TEXT);
  assert.deepEqual(heard.find(([method]) => method === "news")[1], ["meanwhile"]);
  assert.deepEqual(await asked, [200, { result: "yes" }]);
  await server.publish("a", "live again");
  assert.equal(await peer.event(), "live again");
  assert.equal(peer.heard.left, 0);
});

test(`${NAME}: a session that is ended closes with 1000, and its location is gone`, async (t) => {
  const { server, peer, session } = await converse(t);
  const closing = new Promise((done) => peer.rpc.addMethod("closing", done));
  assert.deepEqual(await server.api("DELETE", `/sessions/${session.id}`), [204, undefined]);
  const { code, reconnect } = await within("the notification", closing);
  assert.deepEqual([code, reconnect], ["session_ended", false]);
  assert.equal(await within("the socket to close", peer.closed), 1000);
  assert.equal((await fetch(`${server.url}${session.location}`)).status, 404);
});
