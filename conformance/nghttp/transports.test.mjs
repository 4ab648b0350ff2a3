// nghttp and h2load, of nghttp2: what HTTP/2 carries besides a site's files, in clear text and over TLS.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { Inbox, LINES, TEXT, certificate, secureStage, stage, within } from "../support/index.mjs";

const run = promisify(execFile);
const SSE = ["-H", "accept: text/event-stream"];
const NDJSON = ["-H", "accept: application/x-ndjson"];

const own = await certificate();
after(own.remove);
let folder;
before(async () => {
  console.log((await run("h2load", ["--version"])).stdout.trim());
  folder = await mkdtemp(join(tmpdir(), "switchboard-nghttp-"));
});
after(() => rm(folder, { recursive: true, force: true }));

for (const [how, begin] of [["in clear text", stage], ["over TLS", (test) => secureStage(test, own)]]) {
  describe(`nghttp, ${how}`, () => transports(begin));
  describe(`h2load, ${how}`, () => loads(begin));
}

/** A running nghttp: its output by lines in an inbox, and `ended` for its exit code. */
function nghttp(t, words) {
  // Into a pipe it would write by the page.
  const child = spawn("stdbuf", ["-o0", "nghttp", ...words], { stdio: ["ignore", "pipe", "ignore"] });
  t.after(() => child.kill());
  const inbox = new Inbox();
  let rest = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const line of lines) inbox.push(line);
  });
  const exit = new Promise((done, fail) => child.once("error", fail).once("close", done));
  return { inbox, ended: () => within("nghttp to end", exit) };
}

/** A file with this in it: what nghttp and h2load send. */
async function file(name, text) {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

function transports(begin) {
  test("hears events as they are published, resumes, and ends with the channel", async (t) => {
    const { server, at } = await begin(t);
    const url = `${at}/channels/a`;
    const streams = [nghttp(t, [...SSE, url]), nghttp(t, [...NDJSON, url])];
    assert.match(await streams[0].inbox.next(), /^retry: /);
    assert.match(await streams[1].inbox.next(), /^\{"\$open"/);
    const { stdout } = await run("nghttp", ["-H", "content-type: text/plain", "-d", await file("lines", LINES), url]);
    const { id } = JSON.parse(stdout);
    const event = JSON.parse(await streams[1].inbox.next());
    assert.deepEqual([event.id, event.data], [id, LINES]);
    await server.publish("a", TEXT, { end: true });
    const lines = [];
    while (lines.at(-2) !== "event: $end") lines.push(await streams[0].inbox.next());
    assert.ok(lines.includes(`id: ${id}`));
    for (const { ended } of streams) assert.equal(await ended(), 0);
    const later = nghttp(t, [...NDJSON, "-H", `last-event-id: ${id}`, url]);
    assert.equal(JSON.parse(await later.inbox.next()).$open.recovered, true);
    assert.equal(JSON.parse(await later.inbox.next()).data, TEXT);
    assert.deepEqual(JSON.parse(await later.inbox.next()), { $end: { channel: "a" } });
    assert.equal(await later.ended(), 0);
  });

  test("long polls, and converses in a session", async (t) => {
    const { server, at } = await begin(t);
    const poll = run("nghttp", [`${at}/channels/a?wait=30&since=earliest`], { timeout: 20_000 });
    const { location } = JSON.parse((await run("nghttp", ["-d", await file("empty", ""), `${at}/session`])).stdout);
    const down = nghttp(t, [...NDJSON, `${at}${location}`]);
    const message = { jsonrpc: "2.0", id: 1, method: "subscribe", params: { channel: "a" } };
    await run("nghttp", ["-d", await file("subscribe", JSON.stringify(message)), `${at}${location}`]);
    const heard = async (is) => {
      for (;;) {
        const line = await down.inbox.next();
        if (line !== "" && is(JSON.parse(line))) return JSON.parse(line);
      }
    };
    assert.equal((await heard(({ id }) => id === 1)).error, undefined);
    await server.publish("a", TEXT);
    assert.equal((await heard(({ method }) => method === "event")).params.data, TEXT);
    assert.equal(JSON.parse((await poll).stdout).events[0].data, TEXT);
  });
}

function loads(begin) {
  /** Has h2load ask so often on four connections, twenty requests at a time on each. */
  async function load(requests, ...words) {
    const flags = ["--requests", `${requests}`, "--clients", "4", "--max-concurrent-streams", "20"];
    const { stdout } = await run("h2load", [...flags, ...words], { timeout: 60_000 });
    const counts = /requests: (\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout/;
    assert.deepEqual(counts.exec(stdout).slice(1).map(Number), [requests, requests, requests, requests, 0, 0, 0], stdout);
    assert.match(stdout, new RegExp(`status codes: ${requests} 2xx, 0 3xx, 0 4xx, 0 5xx`));
  }

  test("publishes two thousand events and reads as many pages, and none fails", async (t) => {
    const { at } = await begin(t);
    await load(2000, "--data", await file("event", "an event"), "--header", "content-type: text/plain", `${at}/channels/a`);
    const figures = (await run("nghttp", [`${at}/metrics`], { maxBuffer: 1 << 24 })).stdout;
    assert.match(figures, /^switchboard_appended_total 2000$/m);
    await load(2000, `${at}/channels/a?limit=10`);
  });
}
