// curl, as in the README: every transport but WebSocket, by a person at a terminal or a script. Over HTTP/1.1, over HTTP/2 by
// prior knowledge, and over HTTP/2 as it comes to be spoken over TLS.

import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { BYTES, LINES, TEXT, certificate, secureStage, stage } from "../support/index.mjs";
import { LINKS, site } from "../support/site.mjs";
import * as process from "./process.mjs";

const { block } = process;
const SSE = ["-H", "Accept: text/event-stream"];
const NDJSON = ["-H", "Accept: application/x-ndjson"];

before(async () => console.log((await process.run(["--version"])).text.split("\n")[0]));
const own = await certificate();
after(own.remove);

// The codes that curl ends with. 18: a part of the body came; 56: the connection was reset; 16 and 92: the same of HTTP/2 and
// of one of its streams.
contract({ name: "curl", version: "1.1", flags: [], cut: [18, 56], lost: 18 });
contract({ name: "curl, HTTP/2", version: "2", flags: ["--http2-prior-knowledge"], cut: [16, 18, 56, 92], lost: 92 });
contract({
  name: "curl, HTTP/2 over TLS",
  version: "2",
  flags: ["--http2", "--cacert", own.certificate],
  cut: [16, 18, 56, 92],
  lost: 92,
  begin: (test) => secureStage(test, own),
});

function contract({ name, version, flags, cut, lost, begin = stage }) {
  const curl = (t, words, input) => process.curl(t, [...flags, ...words], input);
  const run = (words, input) => process.run([...flags, ...words], input);

  test(`${name}: is what is spoken`, async (t) => {
    const { at } = await begin(t);
    assert.equal((await run(["--output", "/dev/null", "--write-out", "%{http_version} %{http_code}", `${at}/channels/a`])).text, `${version} 200`);
  });

  test(`${name}: publishes what it is given, byte by byte, and reads it on every transport`, async (t) => {
    const { server, at } = await begin(t);
    const url = `${at}/channels/a`;
    const events = curl(t, [...SSE, url]);
    const stream = curl(t, [...NDJSON, url]);
    await block(events.inbox);
    await stream.inbox.next();
    assert.match((await run(["-d", "Hello!", url])).text, /"id":".*"channel":"a"/);
    const text = ["-H", "Content-Type: text/plain", "--data-binary", "@-", `${url}?event=said`];
    assert.equal((await run(text, LINES)).code, 0);
    assert.equal((await run(["--data-binary", "@-", url], BYTES)).code, 0);
    const blocks = [await block(events.inbox), await block(events.inbox), await block(events.inbox)];
    assert.deepEqual(blocks[0].slice(1), ["data: Hello!"]);
    assert.deepEqual(blocks[1].slice(1), ["event: said", ...LINES.split("\n").map((line) => `data: ${line}`)]);
    assert.deepEqual(blocks[2].slice(1), [`data: ${BYTES.toString("base64")}`]);
    const lines = (await stream.inbox.take(3)).map((line) => JSON.parse(line));
    assert.deepEqual(lines.map(({ data }) => data), ["Hello!", LINES, undefined]);
    assert.deepEqual(JSON.parse((await run([url])).text).events, lines);
    const ids = blocks.map(([id]) => id);
    assert.deepEqual(ids, lines.map(({ id }) => `id: ${id}`));
  });

  test(`${name}: cut in the midst of an event, it fails, and resumes by Last-Event-ID or since`, async (t) => {
    const { server, way } = await begin(t);
    const url = `${way.url}/channels/a`;
    const before = curl(t, [...SSE, url]);
    await block(before.inbox);
    const first = await server.publish("a", "first");
    assert.deepEqual(await block(before.inbox), [`id: ${first}`, "data: first"]);
    const severed = way.cutAfter(30);
    await server.publish("a", LINES);
    await severed.happened();
    const { code } = await before.ended();
    assert.ok(cut.includes(code), `curl ended with ${code}`);
    await server.publish("a", "while away");
    way.open();
    for (const words of [["-H", `Last-Event-ID: ${first}`, url], [`${url}?since=${first}`]]) {
      const { inbox } = curl(t, [...SSE, ...words]);
      assert.match((await block(inbox)).at(-1), /"recovered":true/);
      assert.deepEqual((await block(inbox)).slice(1), LINES.split("\n").map((line) => `data: ${line}`));
      assert.deepEqual((await block(inbox)).slice(1), ["data: while away"]);
    }
  });

  test(`${name}: is told of a drain, and after the restart of the gap`, async (t) => {
    const { server, at } = await begin(t);
    const cursor = await server.publish("a", "before");
    const before = curl(t, [...NDJSON, `${at}/channels/a`]);
    await before.inbox.next();
    assert.equal(await server.drain(), 0);
    assert.equal(JSON.parse(await before.inbox.next()).$closing.code, "draining");
    assert.equal((await before.ended()).code, 0);
    await server.restart();
    const after = curl(t, [...NDJSON, `${at}/channels/a?since=${cursor}`]);
    assert.equal(JSON.parse(await after.inbox.next()).$open.gap.reason, "epoch");
    assert.equal(JSON.parse(await after.inbox.next()).$gap.from, cursor);
    await server.publish("a", "after");
    assert.equal(JSON.parse(await after.inbox.next()).data, "after");
  });

  test(`${name}: ends with the channel on every transport, cleanly, and is answered 204 from then on`, async (t) => {
    const { server, at } = await begin(t);
    const url = `${at}/channels/a`;
    const events = curl(t, [...SSE, url]);
    const stream = curl(t, [...NDJSON, url]);
    await block(events.inbox);
    await stream.inbox.next();
    const polling = curl(t, [`${url}?wait=30`]);
    const last = await server.publish("a", "last", { end: true });
    assert.match((await events.ended()).text, /data: last\n\nevent: \$end\ndata: \{"channel":"a"\}\n\n$/);
    assert.match((await stream.ended()).text, /"data":"last".*\n\{"\$end":\{"channel":"a"\}\}\n$/);
    const page = JSON.parse((await polling.ended()).text);
    assert.deepEqual([page.events[0].data, page.ended], ["last", true]);
    for (const reader of [events, stream, polling]) assert.equal((await reader.ended()).code, 0);
    const { text } = await run([...SSE, "-w", "%{http_code}", "-H", `Last-Event-ID: ${last}`, url]);
    assert.equal(text, "204");
  });

  test(`${name}: a raw body is the data alone: it ends as the channel does, and fails where something is lost`, async (t) => {
    const { server, at } = await begin(t);
    const bytes = { type: "application/octet-stream" };
    for (const [channel, code] of [["a", 0], ["b", lost]]) {
      await server.publish(channel, TEXT);
      await server.publish(channel, BYTES, { ...bytes, end: channel === "a" });
      const reading = curl(t, [...NDJSON, `${at}/channels/${channel}?form=raw&since=earliest`]);
      if (channel === "b") {
        await reading.inbox.next();
        await server.remove(channel);
      }
      const ended = await reading.ended();
      assert.deepEqual(ended.bytes, Buffer.concat([Buffer.from(TEXT), BYTES]));
      assert.equal(ended.code, code);
    }
  });

  test(`${name}: a program's output is piped into a channel line by line, and heard while it runs`, async (t) => {
    const { server, at } = await begin(t);
    const url = `${at}/channels/a`;
    const { inbox } = curl(t, [...NDJSON, url]);
    await inbox.next();
    const up = curl(t, ["-X", "POST", "-T", "-", "-H", "Content-Type: application/x-ndjson", url]);
    for (const data of ["one", "two"]) {
      up.input.write(`${JSON.stringify({ data })}\n`);
      assert.equal(JSON.parse(await inbox.next()).data, data);
    }
    up.input.end();
    assert.equal(JSON.parse((await up.ended()).text).count, 2);
  });

  test(`${name}: a page is not sent again to who has it`, async (t) => {
    const { server, at } = await begin(t);
    await server.publish("a", "first");
    const url = `${at}/channels/a`;
    const { text: head } = await run(["-D", "-", "-o", "/dev/null", url]);
    const tag = /^etag: (.*)\r$/im.exec(head)[1];
    const words = ["-w", "%{http_code}", "-o", "/dev/null", "-H", `If-None-Match: ${tag}`, url];
    const ask = async () => (await run(words)).text;
    assert.equal(await ask(), "304");
    await server.publish("a", "second");
    assert.equal(await ask(), "200");
  });
}

test("curl: shows the hints that come before a page, and gets files whole and in part", async (t) => {
  const server = await site(t, "all");
  const early = await process.run(["--include", `${server.url}/`]);
  const [hints, answer] = early.text.split("\r\n\r\n");
  assert.equal(hints, ["HTTP/1.1 103 Early Hints", ...LINKS.map((link) => `Link: ${link}`)].join("\r\n"));
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
  assert.equal((await process.run(["--http1.0", "--include", `${server.url}/`])).text.slice(0, 15), "HTTP/1.1 200 OK");
  const style = `${server.url}/style.css`;
  assert.equal((await process.run(["--range", "4-8", style])).text, "color");
  assert.equal((await process.run(["--range", "-1", style])).text, "}");
  assert.equal((await process.run(["--path-as-is", "--output", "-", "--write-out", "%{http_code}", `${server.url}/../site.toml`])).text.slice(-3), "404");
});

test("curl, HTTP/2: shows the hints that come before a page, and what a push would have held", async (t) => {
  const server = await site(t, "all");
  const early = await process.run(["--http2-prior-knowledge", "--include", `${server.url}/`]);
  const [hints, answer] = early.text.split("\r\n\r\n");
  assert.equal(hints, ["HTTP/2 103 ", ...LINKS.map((link) => `link: ${link}`)].join("\r\n"));
  assert.match(answer, /^HTTP\/2 200 \r\n/);
});
