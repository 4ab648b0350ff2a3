// What every `fetch` must show: the HTTP stream in both forms, and long polls. The browser's own is in ../chromium.

import assert from "node:assert/strict";
import test from "node:test";
import { BYTES, TEXT, stage, within } from "../support/index.mjs";

/** The lines of an NDJSON stream that are not heartbeats. */
async function* lines(response) {
  let rest = "";
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    const whole = (rest + text).split("\n");
    rest = whole.pop();
    for (const line of whole.filter((line) => line !== "")) yield JSON.parse(line);
  }
}

/** A reader of the stream: `next` gives a line, or undefined at the end. */
async function read(t, fetch, url, headers = {}) {
  const control = new AbortController();
  t.after(() => control.abort());
  const response = await fetch(url, { signal: control.signal, headers: { accept: "application/x-ndjson", ...headers } });
  const items = lines(response);
  const next = async () => (await within("a line of the stream", items.next())).value;
  return { response, next };
}

/** The stream has no next line. A `fetch` that does not say so of the body is told by the absence of `$end`. */
async function cutShort({ next }, saysCut) {
  if (saysCut) return assert.rejects(next(), TypeError);
  const line = await next().catch((error) => assert.ok(error instanceof TypeError, error));
  assert.equal(line, undefined);
}

/**
 * `saysCut`: whether it is known to tell a body in chunks that was cut from one that has ended. The `fetch` of Node 20
 * does not where the answer has `Connection: close`. `begin` brings the server and a way there; the rest is settings of the
 * server.
 */
export function fetchContract(name, fetch, { saysCut, begin = stage, ...settings }) {
  test(`${name}: an HTTP stream carries text and bytes as published`, async (t) => {
    const { server, at } = await begin(t, settings);
    const { next } = await read(t, fetch, `${at}/channels?channel=a&channel=b`);
    assert.ok((await next()).$open);
    const id = await server.publish("a", TEXT, { event: "said" });
    await server.publish("b", BYTES, { type: "application/octet-stream" });
    const said = await next();
    assert.deepEqual([said.id, said.channel, said.event, said.data], [id, "a", "said", TEXT]);
    assert.deepEqual(Buffer.from((await next()).base64, "base64"), BYTES);
  });

  test(`${name}: cut in the midst of an event, an HTTP stream resumes and misses nothing`, async (t) => {
    const { server, way } = await begin(t, settings);
    const before = await read(t, fetch, `${way.url}/channels/a`);
    await before.next();
    await server.publish("a", "first");
    const { id } = await before.next();
    const cut = way.cutAfter(30);
    await server.publish("a", TEXT);
    await cut.happened();
    await cutShort(before, saysCut);
    await server.publish("a", "while away");
    way.open();
    const after = await read(t, fetch, `${way.url}/channels/a`, { "last-event-id": id });
    assert.equal((await after.next()).$open.recovered, true);
    assert.deepEqual([(await after.next()).data, (await after.next()).data], [TEXT, "while away"]);
    assert.equal(way.isCompressed, Boolean(settings.SWITCHBOARD_GZIP));
  });

  test(`${name}: an HTTP stream ends with the channel, and is answered 204 from then on`, async (t) => {
    const { server, at } = await begin(t, settings);
    const { next } = await read(t, fetch, `${at}/channels/a`);
    await next();
    const last = await server.publish("a", "last", { end: true });
    assert.equal((await next()).data, "last");
    assert.deepEqual(await next(), { $end: { channel: "a" } });
    assert.equal(await next(), undefined);
    const { response } = await read(t, fetch, `${at}/channels/a?since=${last}`);
    assert.equal(response.status, 204);
  });

  test(`${name}: a raw body is the data alone, and ends as the channel does`, async (t) => {
    const { server, at } = await begin(t, settings);
    await server.publish("a", BYTES, { type: "application/octet-stream" });
    const url = `${at}/channels/a?form=raw&since=earliest`;
    const { response } = await read(t, fetch, url);
    assert.equal(response.headers.get("content-type"), "application/octet-stream");
    await server.publish("a", BYTES.subarray(3), { type: "application/octet-stream", end: true });
    const body = Buffer.from(await within("the whole body", response.arrayBuffer()));
    assert.deepEqual(body, Buffer.concat([BYTES, BYTES.subarray(3)]));
  });

  test(`${name}: a raw body that lost something fails, or ends before what comes later`, async (t) => {
    const { server, at } = await begin(t, settings);
    await server.publish("a", BYTES, { type: "application/octet-stream" });
    const { response } = await read(t, fetch, `${at}/channels/a?form=raw&since=earliest`);
    await server.remove("a");
    const body = await within("the body to end", response.arrayBuffer()).catch((error) => error);
    if (saysCut) assert.ok(body instanceof TypeError);
    else assert.ok(body instanceof TypeError || BYTES.equals(Buffer.from(body)));
  });

  test(`${name}: long polls hand a cursor on, through a cut and to the end`, async (t) => {
    const { server, way } = await begin(t, settings);
    const poll = async (since) => {
      const answer = await fetch(`${way.url}/channels/a?wait=30&since=${since}`);
      return answer.json();
    };
    await server.publish("a", TEXT);
    const page = await poll("earliest");
    assert.equal(page.events[0].data, TEXT);
    const waiting = poll(page.position);
    await within("the poll to be under way", arrived(way, 2));
    way.shut();
    await assert.rejects(within("the poll to fail", waiting), TypeError);
    await server.publish("a", BYTES, { type: "application/octet-stream" });
    way.open();
    const missed = await poll(page.position);
    assert.deepEqual(missed.events.map(({ base64 }) => Buffer.from(base64, "base64")), [BYTES]);
    const last = poll(missed.position);
    await server.publish("a", "last", { end: true });
    const { events, ended } = await within("the last poll", last);
    assert.deepEqual([events.map(({ data }) => data), ended], [["last"], true]);
  });
}

/** Resolves when so many requests have come this way. */
async function arrived(way, count) {
  while (way.requests.length < count) await new Promise((turn) => setImmediate(turn));
}
