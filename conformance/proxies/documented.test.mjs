// `docs/proxies.md` shows the files that the tests use, and what it says of open mode holds.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Server } from "../support/index.mjs";
import { Client } from "./guarded.mjs";
import { document, nginx } from "./process.mjs";

const FILES = ["nginx.conf", "haproxy.cfg", "event-stream.http", "haproxy-tcp.cfg"];

/** The contents of a page's fenced blocks, without what lists indent them by. */
function blocks(page) {
  return [...page.matchAll(/^( *)```\w*\n(.*?)^\1```$/gms)].map(([, indent, text]) => text.replaceAll(new RegExp(`^${indent}`, "gm"), ""));
}

test("the page shows the files as they are", async () => {
  const shown = blocks(await document("proxies.md"));
  for (const file of FILES) {
    const text = await document(`proxies/${file}`);
    assert.ok(shown.includes(text), `docs/proxies.md does not show docs/proxies/${file} as it is`);
  }
});

test("nginx in front of open mode lets in the pages that it names, and no others", async (t) => {
  const [map, fields] = blocks(await document("proxies.md")).filter((block) => block.includes("switchboard_origin"));
  const server = await Server.start();
  t.after(() => server.stop());
  const proxy = await nginx(t, server, [
    [/^server \{/gm, `${map}\nserver {`],
    ["        proxy_set_header Host $http_host;\n", fields.replaceAll("127.0.0.1:8000", `127.0.0.1:${server.port}`)],
  ]);
  const client = new Client(t, proxy, "none is needed");
  const post = (headers) => client.fetch("/channels/a", { method: "POST", body: "x", headers });
  assert.equal((await post({})).status, 201);
  assert.equal((await post({ origin: "https://live.example.com" })).status, 201);
  assert.equal((await post({ origin: "https://evil.example" })).status, 403);
});
