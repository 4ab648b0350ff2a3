// nghttp, a client of HTTP/2 that lets itself be pushed to: a site's page, on the first visit and on the second.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import test, { before } from "node:test";
import { promisify } from "node:util";
import { LINKS, site } from "../support/site.mjs";

const run = promisify(execFile);

before(async () => console.log((await run("nghttp", ["--version"])).stdout.trim()));

/** Opens a page, and tells what was promised, what was answered and what is kept. */
async function open(url, ...words) {
  const { stdout } = await run("nghttp", ["--null-out", "--verbose", "--no-dep", ...words, url], { timeout: 20_000 });
  const received = [...stdout.matchAll(/ recv \(stream_id=(\d+)\) ([:a-z0-9-]+): (.*)$/gm)];
  const all = (name) => received.filter(([, , field]) => field === name).map(([, , , value]) => value);
  return {
    promised: stdout.match(/ recv PUSH_PROMISE frame /g)?.length ?? 0,
    paths: all(":path"),
    statuses: all(":status"),
    links: all("link"),
    cookie: all("set-cookie")[0]?.split(";")[0],
  };
}

test("nghttp: is pushed what a page needs on the first visit, and nothing on the second", async (t) => {
  const server = await site(t);
  const first = await open(`${server.url}/`);
  assert.deepEqual([first.promised, first.paths], [2, ["/style.css", "/app.js"]]);
  assert.deepEqual(first.statuses, ["200", "200", "200"]);
  const second = await open(`${server.url}/`, "--header", `cookie: ${first.cookie}`);
  assert.deepEqual([second.promised, second.statuses, second.links, second.cookie], [0, ["200"], [], undefined]);
});

test("nghttp: with push off is told ahead by 103, and not on the second visit", async (t) => {
  const server = await site(t);
  const first = await open(`${server.url}/`, "--no-push");
  assert.deepEqual([first.promised, first.statuses], [0, ["103", "200"]]);
  assert.deepEqual(first.links.slice(0, 2), LINKS);
  const second = await open(`${server.url}/`, "--no-push", "--header", `cookie: ${first.cookie}`);
  assert.deepEqual(second.statuses, ["200"]);
});
