// Node's own `http2`: what it means to have everything on one connection.

import assert from "node:assert/strict";
import http2 from "node:http2";
import { after, describe, test } from "node:test";
import { WebSocket } from "ws";
import { BYTES, Inbox, LINES, TEXT, certificate, secureStage, stage, within } from "../support/index.mjs";

const SSE = { accept: "text/event-stream" };
const NDJSON = { accept: "application/x-ndjson" };
const { NGHTTP2_CANCEL, NGHTTP2_INTERNAL_ERROR, NGHTTP2_NO_ERROR } = http2.constants;

const own = await certificate();
after(own.remove);

for (const [how, begin] of [["in clear text", stage], ["over TLS", (test) => secureStage(test, own)]]) {
  describe(`Node's http2, ${how}`, () => shows(begin));
}

/** A connection. `goodbye` is the GOAWAY: its error code. */
class Connection {
  #session;
  goodbye;
  closed;

  static async to(test, url) {
    const connection = new Connection();
    const session = http2.connect(url, { ca: own.authority });
    connection.#session = session;
    test.after(() => session.destroy());
    session.on("error", () => {});
    connection.goodbye = new Promise((done) => session.once("goaway", done));
    connection.closed = new Promise((done) => session.once("close", done));
    const told = new Promise((done) => session.once("remoteSettings", done));
    connection.settings = await within("the server's settings", told);
    return connection;
  }

  /** A request whose head is answered: the status, the fields, and the stream. */
  async open(path, fields = {}, body) {
    const stream = this.#session.request({ ":path": path, ...fields }, { endStream: body === undefined && fields[":method"] !== "CONNECT" });
    const ended = new Promise((done) => stream.once("close", () => done(stream.rstCode)));
    if (typeof body === "string" || Buffer.isBuffer(body)) stream.end(body);
    const answer = new Promise((done, fail) => stream.once("response", done).once("error", fail));
    stream.on("error", () => {});
    return { stream, head: () => within(`an answer to ${path}`, answer), ended: () => within(`${path} to end`, ended) };
  }

  /** The whole answer. */
  async ask(path, fields, body) {
    const { stream, head } = await this.open(path, fields, body);
    const { ":status": status, ...rest } = await head();
    const pieces = [];
    for await (const piece of stream) pieces.push(piece);
    const bytes = Buffer.concat(pieces);
    return { status, fields: rest, bytes, json: () => JSON.parse(bytes.toString()) };
  }

  async publish(channel, body, query = "") {
    const answer = await this.ask(`/channels/${channel}${query}`, { ":method": "POST", "content-type": "text/plain" }, body);
    assert.equal(answer.status, 201);
    return answer.json();
  }

  /** A stream of lines, those that are not empty; or of the blocks of server-sent events. */
  async lines(path, fields = NDJSON) {
    const { stream, head, ended } = await this.open(path, fields);
    assert.equal((await head())[":status"], 200);
    const separator = fields === NDJSON || fields.accept === NDJSON.accept ? "\n" : "\n\n";
    const inbox = new Inbox();
    let rest = "";
    stream.setEncoding("utf8").on("data", (text) => {
      const whole = (rest + text).split(separator);
      rest = whole.pop();
      for (const item of whole.filter((item) => item !== "")) inbox.push(item);
    });
    return { stream, inbox, ended, json: async () => JSON.parse(await inbox.next()) };
  }

  /** `ws`, on a stream of this connection. */
  async socket(path, fields = {}) {
    const wanted = { ":method": "CONNECT", ":protocol": "websocket", "sec-websocket-version": "13", ...fields };
    const { stream, head } = await this.open(path, wanted);
    const answer = await head();
    assert.equal(answer[":status"], 200);
    const socket = new WebSocket(null, undefined, {});
    // Without an address `ws` takes itself for the server.
    socket._isServer = false;
    const inbox = new Inbox();
    socket.on("message", (data, isBinary) => inbox.push(isBinary ? data : data.toString()));
    const closed = new Promise((done) => socket.once("close", done));
    socket.setSocket(stream, Buffer.alloc(0), { allowSynchronousEvents: true, maxPayload: 1 << 20, skipUTF8Validation: false });
    return { socket, inbox, answer, closed: () => within("the socket to close", closed) };
  }
}

function shows(begin) {
  test("a hundred streams of each kind on one connection hear the same, in order, and what is published beside them", async (t) => {
    const { at } = await begin(t);
    const one = await Connection.to(t, at);
    const count = Array.from({ length: 100 }, (_, n) => n);
    const readers = await Promise.all(count.map((n) => one.lines(`/channels?channel=a&channel=own/${n}`)));
    const events = await Promise.all(count.map((n) => one.lines(`/channels?channel=a&channel=own/${n}`, SSE)));
    for (const { inbox } of [...readers, ...events]) assert.match(await inbox.next(), /\$open/);
    for (const n of count) {
      await one.publish("a", `to all: ${n}`);
      await one.publish(`own/${n}`, `to ${n}`);
    }
    for (const n of count) {
      const due = count.flatMap((m) => [`to all: ${m}`, ...(m === n ? [`to ${n}`] : [])]);
      const lines = (await readers[n].inbox.take(101)).map((line) => JSON.parse(line).data);
      const blocks = (await events[n].inbox.take(101)).map((block) => JSON.parse(/^data: (.*)$/m.exec(block)[1]).data);
      assert.deepEqual([lines, blocks], [due, due]);
    }
    const figures = (await one.ask("/metrics")).bytes.toString();
    assert.match(figures, /^switchboard_http2_total 1$/m);
  });

  test("a stream that is reset takes nothing else with it, and resumes on the same connection", async (t) => {
    const { at } = await begin(t);
    const one = await Connection.to(t, at);
    const [gone, stays] = [await one.lines("/channels/a"), await one.lines("/channels/a", SSE)];
    await gone.json();
    await stays.inbox.next();
    const { id } = await one.publish("a", LINES);
    assert.equal((await gone.json()).data, LINES);
    gone.stream.close(NGHTTP2_CANCEL);
    await gone.ended();
    await one.publish("a", TEXT);
    const again = await one.lines("/channels/a", { ...NDJSON, "last-event-id": id });
    assert.equal((await again.json()).$open.recovered, true);
    assert.equal((await again.json()).data, TEXT);
    assert.equal((await stays.inbox.take(2)).length, 2);
  });

  test("pages, long polls, raw bodies, streams of events and batches", async (t) => {
    const { at } = await begin(t);
    const one = await Connection.to(t, at);
    const { position } = await one.publish("a", LINES);
    const poll = one.ask(`/channels/a?wait=30&since=${position}`);
    const words = { ":method": "POST", "content-type": "application/x-ndjson" };
    const up = await one.open("/channels/a?end=true", words, null);
    up.stream.write(`${JSON.stringify({ data: TEXT })}\n`);
    const { events } = (await within("the long poll", poll)).json();
    assert.deepEqual(events.map(({ data }) => data), [TEXT]);
    up.stream.end(`${JSON.stringify({ base64: BYTES.toString("base64") })}\n`);
    assert.equal((await up.head())[":status"], 201);
    const page = (await one.ask("/channels/a")).json();
    assert.deepEqual([page.events.length, page.ended], [3, true]);
    const raw = await one.ask("/channels/a?form=raw&since=earliest", NDJSON);
    assert.deepEqual(raw.bytes, Buffer.concat([Buffer.from(LINES + TEXT), BYTES]));
    assert.equal((await one.ask(`/channels/a?since=${page.position}`, SSE)).status, 204);
    const batch = JSON.stringify([{ channels: ["b", "c"], data: "to both" }]);
    assert.equal((await one.ask("/api/publish", { ":method": "POST" }, batch)).status, 201);
    const names = Object.keys(raw.fields);
    assert.deepEqual(names.filter((name) => ["connection", "keep-alive", "transfer-encoding", "upgrade"].includes(name)), []);
  });

  test("a raw body that lost something has its head and what came before, and fails", async (t) => {
    const { server, at } = await begin(t);
    const one = await Connection.to(t, at);
    const { position } = await one.publish("a", LINES);
    const there = await one.open("/channels/a?form=raw&since=earliest", NDJSON);
    assert.equal((await there.head())[":status"], 200);
    const first = await within("what is there", new Promise((done) => there.stream.once("data", done)));
    assert.equal(first.toString(), LINES);
    // Each is listened to from the start: it may fail while the other is waited for.
    const error = ({ stream }) => new Promise((done) => stream.once("error", done));
    const thereFailed = error(there);
    await server.remove("a");
    const gone = await one.open(`/channels/a?form=raw&since=${position}`, NDJSON);
    for (const [{ stream, head, ended }, failed] of [[there, thereFailed], [gone, error(gone)]]) {
      stream.resume();
      assert.equal((await head())[":status"], 200);
      assert.equal((await within("an error", failed)).code, "ERR_HTTP2_STREAM_ERROR");
      assert.equal(await ended(), NGHTTP2_INTERNAL_ERROR);
    }
    assert.equal((await one.ask("/healthz")).status, 200);
  });

  test("a session converses over Server-Sent Events, an HTTP stream and long polls, and moves between them", async (t) => {
    const { at } = await begin(t);
    const one = await Connection.to(t, at);
    const { location } = (await one.ask("/session", { ":method": "POST" }, "")).json();
    const say = async (id, method, params) => {
      const body = JSON.stringify({ jsonrpc: "2.0", id, method, params });
      assert.equal((await one.ask(location, { ":method": "POST" }, body)).status, 202);
    };
    const found = async (next, is) => {
      for (;;) {
        const message = await next();
        if (is(message)) return message;
      }
    };
    const down = await one.lines(location);
    await say(1, "subscribe", { channel: "a" });
    assert.equal((await found(down.json, ({ id }) => id === 1)).result.recovered, undefined);
    await one.publish("a", "one");
    assert.equal((await found(down.json, ({ method }) => method === "event")).params.data, "one");
    down.stream.close(NGHTTP2_CANCEL);
    const sse = await one.lines(location, SSE);
    const data = async () => JSON.parse(/^data: (.*)$/m.exec(await found(sse.inbox.next.bind(sse.inbox), (block) => block.includes("data: ")))[1]);
    await one.publish("a", "two");
    assert.equal((await found(data, ({ method, params }) => method === "event" && params.data !== "one")).params.data, "two");
    sse.stream.close(NGHTTP2_CANCEL);
    const polled = async () => (await one.ask(`${location}?wait=10`)).json().messages;
    await one.publish("a", "three");
    const messages = await found(polled, (messages) => messages.some(({ params }) => params?.data === "three"));
    assert.ok(messages.length > 0);
  });

  test("WebSockets by extended CONNECT, as many as the streams beside them, with subprotocols and a session", async (t) => {
    const { at } = await begin(t);
    const one = await Connection.to(t, at);
    assert.equal(one.settings.enableConnectProtocol, true);
    const stream = await one.lines("/channels/a");
    assert.ok((await stream.json()).$open);
    const sockets = await Promise.all(Array.from({ length: 20 }, () => one.socket("/channels/a", { "sec-websocket-protocol": "switchboard.raw.v1" })));
    assert.equal(sockets[0].answer["sec-websocket-protocol"], "switchboard.raw.v1");
    for (const [n, { socket }] of sockets.entries()) {
      socket.send(n === 7 ? BYTES : `from ${n}`);
      for (const { inbox } of sockets) assert.deepEqual(await inbox.next(), n === 7 ? BYTES : `from ${n}`);
      assert.equal((await stream.json()).data, n === 7 ? undefined : `from ${n}`);
    }
    const { socket, inbox } = await one.socket("/session", { "sec-websocket-protocol": "switchboard.v1" });
    socket.send(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" }));
    for (let said = {}; said.id !== 1; ) said = JSON.parse(await inbox.next());
    // RFC 8441 has no key; a client that sends one all the same is answered as it wants.
    const key = { "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==" };
    assert.equal((await one.socket("/channels/a", key)).answer["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert.equal(sockets[1].answer["sec-websocket-accept"], undefined);
  });

  test("a drain: each stream says its last words and ends, then the client is told to go, and nothing is lost", async (t) => {
    const { server, at } = await begin(t);
    const one = await Connection.to(t, at);
    const readers = await Promise.all([NDJSON, SSE].flatMap((fields) => Array.from({ length: 10 }, () => one.lines("/channels/a", fields))));
    for (const { inbox } of readers) assert.match(await inbox.next(), /\$open/);
    const { inbox, closed } = await one.socket("/channels/a");
    const waiting = one.ask("/channels/a?wait=60&since=latest");
    const published = await Promise.all(Array.from({ length: 50 }, (_, n) => one.publish("a", `${n}`)));
    assert.equal(published.length, 50);
    assert.equal((await within("the poll", waiting)).status, 200);
    assert.equal(await server.drain(), 0);
    for (const { inbox, ended } of readers) {
      const heard = await inbox.take(51);
      assert.match(heard.at(-1), /\$closing/);
      assert.equal(await ended(), NGHTTP2_NO_ERROR);
    }
    assert.equal((await inbox.take(50)).length, 50);
    assert.equal(await closed(), 1012);
    assert.equal(await within("GOAWAY", one.goodbye), NGHTTP2_NO_ERROR);
    await within("the connection to close", one.closed);
  });
}
