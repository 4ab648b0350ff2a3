// curl, as in the README: every transport but WebSocket, by a person at a terminal or a script.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import test, { before } from "node:test";
import { BYTES, Inbox, LINES, TEXT, stage, within } from "../support/index.mjs";
import { LINKS, site } from "../support/site.mjs";

const SSE = ["-H", "Accept: text/event-stream"];
const NDJSON = ["-H", "Accept: application/x-ndjson"];

before(async () => console.log((await run(["--version"])).text.split("\n")[0]));

/** A running curl: its output as text by lines in an inbox, and `ended` for all of it with the exit code. */
function curl(t, words, input) {
  const child = spawn("curl", ["--silent", "--show-error", "--no-buffer", ...words]);
  t?.after(() => child.kill());
  const inbox = new Inbox();
  const bytes = [];
  let rest = "";
  child.stdout.on("data", (data) => {
    bytes.push(data);
    const lines = (rest + data.toString("latin1")).split("\n");
    rest = lines.pop();
    for (const line of lines) inbox.push(Buffer.from(line, "latin1").toString());
  });
  const exit = new Promise((done, fail) => child.once("error", fail).once("close", done));
  const ended = async () => {
    const code = await within("curl to end", exit);
    return { code, bytes: Buffer.concat(bytes), text: Buffer.concat(bytes).toString() };
  };
  child.stdin.on("error", () => {});
  if (input !== undefined) child.stdin.end(input);
  return { inbox, ended, input: child.stdin };
}

/** Runs curl to its end. */
async function run(words, input = "") {
  return curl(undefined, words, input).ended();
}

/** The lines of a block of an event stream, without the blank line that ends it. */
async function block(inbox) {
  const lines = [];
  for (;;) {
    const line = await inbox.next();
    if (line === "") return lines;
    // A heartbeat is a comment line within whatever comes next.
    if (!line.startsWith(":")) lines.push(line);
  }
}

test("curl: publishes what it is given, byte by byte, and reads it on every transport", async (t) => {
  const { server } = await stage(t);
  const url = `${server.url}/channels/a`;
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

test("curl: cut in the midst of an event, it fails, and resumes by Last-Event-ID or since", async (t) => {
  const { server, way } = await stage(t);
  const url = `${way.url}/channels/a`;
  const before = curl(t, [...SSE, url]);
  await block(before.inbox);
  const first = await server.publish("a", "first");
  assert.deepEqual(await block(before.inbox), [`id: ${first}`, "data: first"]);
  const cut = way.cutAfter(30);
  await server.publish("a", LINES);
  await cut.happened();
  const { code } = await before.ended();
  // 18: a part of the body came; 56: the connection was reset.
  assert.ok([18, 56].includes(code), `curl ended with ${code}`);
  await server.publish("a", "while away");
  way.open();
  for (const words of [["-H", `Last-Event-ID: ${first}`, url], [`${url}?since=${first}`]]) {
    const { inbox } = curl(t, [...SSE, ...words]);
    assert.match((await block(inbox)).at(-1), /"recovered":true/);
    assert.deepEqual((await block(inbox)).slice(1), LINES.split("\n").map((line) => `data: ${line}`));
    assert.deepEqual((await block(inbox)).slice(1), ["data: while away"]);
  }
});

test("curl: is told of a drain, and after the restart of the gap", async (t) => {
  const { server } = await stage(t);
  const cursor = await server.publish("a", "before");
  const before = curl(t, [...NDJSON, `${server.url}/channels/a`]);
  await before.inbox.next();
  assert.equal(await server.drain(), 0);
  assert.equal(JSON.parse(await before.inbox.next()).$closing.code, "draining");
  assert.equal((await before.ended()).code, 0);
  await server.restart();
  const after = curl(t, [...NDJSON, `${server.url}/channels/a?since=${cursor}`]);
  assert.equal(JSON.parse(await after.inbox.next()).$open.gap.reason, "epoch");
  assert.equal(JSON.parse(await after.inbox.next()).$gap.from, cursor);
  await server.publish("a", "after");
  assert.equal(JSON.parse(await after.inbox.next()).data, "after");
});

test("curl: ends with the channel on every transport, cleanly, and is answered 204 from then on", async (t) => {
  const { server } = await stage(t);
  const url = `${server.url}/channels/a`;
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
  for (const process of [events, stream, polling]) assert.equal((await process.ended()).code, 0);
  const { text } = await run([...SSE, "-w", "%{http_code}", "-H", `Last-Event-ID: ${last}`, url]);
  assert.equal(text, "204");
});

test("curl: a raw body is the data alone: it ends as the channel does, and fails where something is lost", async (t) => {
  const { server } = await stage(t);
  const bytes = { type: "application/octet-stream" };
  for (const [channel, code] of [["a", 0], ["b", 18]]) {
    await server.publish(channel, TEXT);
    await server.publish(channel, BYTES, { ...bytes, end: channel === "a" });
    const reading = curl(t, [...NDJSON, `${server.url}/channels/${channel}?form=raw&since=earliest`]);
    if (channel === "b") {
      await reading.inbox.next();
      await server.remove(channel);
    }
    const ended = await reading.ended();
    assert.deepEqual(ended.bytes, Buffer.concat([Buffer.from(TEXT), BYTES]));
    assert.equal(ended.code, code);
  }
});

test("curl: a program's output is piped into a channel line by line, and heard while it runs", async (t) => {
  const { server } = await stage(t);
  const url = `${server.url}/channels/a`;
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

test("curl: a page is not sent again to who has it", async (t) => {
  const { server } = await stage(t);
  await server.publish("a", "first");
  const url = `${server.url}/channels/a`;
  const { text: head } = await run(["-D", "-", "-o", "/dev/null", url]);
  const tag = /^etag: (.*)\r$/im.exec(head)[1];
  const words = ["-w", "%{http_code}", "-o", "/dev/null", "-H", `If-None-Match: ${tag}`, url];
  const ask = async () => (await run(words)).text;
  assert.equal(await ask(), "304");
  await server.publish("a", "second");
  assert.equal(await ask(), "200");
});

test("curl: shows the hints that come before a page, and gets files whole and in part", async (t) => {
  const server = await site(t, "all");
  const early = await run(["--include", `${server.url}/`]);
  const [hints, answer] = early.text.split("\r\n\r\n");
  assert.equal(hints, ["HTTP/1.1 103 Early Hints", ...LINKS.map((link) => `Link: ${link}`)].join("\r\n"));
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n/);
  assert.equal((await run(["--http1.0", "--include", `${server.url}/`])).text.slice(0, 15), "HTTP/1.1 200 OK");
  const style = `${server.url}/style.css`;
  assert.equal((await run(["--range", "4-8", style])).text, "color");
  assert.equal((await run(["--range", "-1", style])).text, "}");
  assert.equal((await run(["--path-as-is", "--output", "-", "--write-out", "%{http_code}", `${server.url}/../site.toml`])).text.slice(-3), "404");
});
