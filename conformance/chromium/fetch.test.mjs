// The browser's own `fetch`, with readers of its body.

import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { BYTES, TEXT, stage, within } from "../support/index.mjs";
import { launch, open, quit } from "./browser.mjs";

before(launch);
after(quit);

/** Reads an HTTP stream in the page. Each line is heard, then `"end"`, or the name of the error. */
async function read(page, url, lastEventId) {
  return page.evaluate(
    async ([url, lastEventId]) => {
      const headers = { accept: "application/x-ndjson", ...(lastEventId && { "last-event-id": lastEventId }) };
      const response = await fetch(url, { headers });
      const lines = async () => {
        let rest = "";
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        for (;;) {
          const { value, done } = await reader.read();
          if (done) return window.heard("end");
          const whole = (rest + value).split("\n");
          rest = whole.pop();
          for (const line of whole.filter((line) => line !== "")) await window.heard(JSON.parse(line));
        }
      };
      if (response.body) lines().catch((error) => window.heard(error.name));
      return response.status;
    },
    [url, lastEventId],
  );
}

async function begin(t) {
  const { server, way } = await stage(t);
  return { server, way, ...(await open(t, way.url)) };
}

test("fetch: an HTTP stream carries text and bytes as published", async (t) => {
  const { server, way, page, inbox } = await begin(t);
  assert.equal(await read(page, `${way.url}/channels/a`), 200);
  assert.ok((await inbox.next()).$open);
  await server.publish("a", TEXT, { event: "said" });
  await server.publish("a", BYTES, { type: "application/octet-stream" });
  const said = await inbox.next();
  assert.deepEqual([said.event, said.data], ["said", TEXT]);
  assert.deepEqual(Buffer.from((await inbox.next()).base64, "base64"), BYTES);
});

test("fetch: cut in the midst of an event, an HTTP stream fails, resumes and misses nothing, across origins too", async (t) => {
  const { server, way } = await stage(t);
  // The page is of another port, so Last-Event-ID takes a preflight.
  const { page, inbox } = await open(t, server.url);
  await read(page, `${way.url}/channels/a`);
  await inbox.next();
  await server.publish("a", "first");
  const { id } = await inbox.next();
  const cut = way.cutAfter(30);
  await server.publish("a", TEXT);
  await cut.happened();
  assert.equal(await inbox.next(), "TypeError");
  await server.publish("a", "while away");
  way.open();
  assert.equal(await read(page, `${way.url}/channels/a`, id), 200);
  assert.equal((await inbox.next()).$open.recovered, true);
  assert.deepEqual((await inbox.take(2)).map(({ data }) => data), [TEXT, "while away"]);
  assert.deepEqual(way.requestsFor("channels/a").map(({ method }) => method), ["GET", "OPTIONS", "GET"]);
});

test("fetch: an HTTP stream ends with the channel, and is answered 204 from then on", async (t) => {
  const { server, way, page, inbox } = await begin(t);
  await read(page, `${way.url}/channels/a`);
  await inbox.next();
  const last = await server.publish("a", "last", { end: true });
  assert.equal((await inbox.next()).data, "last");
  assert.deepEqual(await inbox.take(2), [{ $end: { channel: "a" } }, "end"]);
  assert.equal(await read(page, `${way.url}/channels/a?since=${last}`), 204);
});

/** Reads a whole raw body in the page: its bytes, or the name of the error. */
async function raw(page, url) {
  const body = page.evaluate(async (url) => {
    const response = await fetch(url, { headers: { accept: "application/x-ndjson" } });
    await window.heard(response.headers.get("content-type"));
    return response.arrayBuffer().then((body) => [...new Uint8Array(body)], (error) => error.name);
  }, url);
  return within("the raw body", body);
}

test("fetch: a raw body is the data alone: it ends as the channel does, and fails where something is lost", async (t) => {
  const { server, way, page, inbox } = await begin(t);
  const bytes = { type: "application/octet-stream" };
  for (const [channel, outcome] of [["a", [...BYTES, ...BYTES.subarray(3)]], ["b", "TypeError"]]) {
    await server.publish(channel, BYTES, bytes);
    const body = raw(page, `${way.url}/channels/${channel}?form=raw&since=earliest`);
    assert.equal(await inbox.next(), "application/octet-stream");
    if (channel === "a") await server.publish(channel, BYTES.subarray(3), { ...bytes, end: true });
    else await server.remove(channel);
    assert.deepEqual(await body, outcome);
  }
});

test("fetch: long polls hand a cursor on, from the first event to the end", async (t) => {
  const { server, way, page, inbox } = await begin(t);
  await server.publish("a", TEXT);
  const reading = page.evaluate(async (url) => {
    for (let since = "earliest", ended = false; !ended; ) {
      const page = await (await fetch(`${url}?wait=30&since=${since}`)).json();
      ({ position: since, ended = false } = page);
      await window.heard([page.events.map(({ data, base64 }) => data ?? base64), ended]);
    }
  }, `${way.url}/channels/a`);
  assert.deepEqual(await inbox.next(), [[TEXT], false]);
  await server.publish("a", BYTES, { type: "application/octet-stream" });
  assert.deepEqual(await inbox.next(), [[BYTES.toString("base64")], false]);
  await server.publish("a", "last", { end: true });
  assert.deepEqual(await inbox.next(), [["last"], true]);
  await within("the loop to finish", reading);
});
