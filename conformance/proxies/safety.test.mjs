// What must not go wrong behind a proxy: who is who, what the proxy's log tells, requests that two servers could read
// differently, and a server that is away for a moment.

import assert from "node:assert/strict";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import tls from "node:tls";
import { until, within } from "../support/index.mjs";
import { Client, from, guarded, lookup } from "./guarded.mjs";
import { NAME, document, haproxy, nginx } from "./process.mjs";

const PROXIES = { nginx, HAProxy: haproxy };
const STREAM = { accept: "application/x-ndjson" };

for (const [name, start] of Object.entries(PROXIES)) describe(name, () => safety(start));

function safety(start) {
  test("clients are told apart by their addresses, and cannot make them up", async (t) => {
    const { server } = await guarded(t, { settings: { SWITCHBOARD_LIMITS_ADDRESS: "1" } });
    const proxy = await start(t, server);
    const read = (address, headers) => from(t, address, proxy, "/channels/state/x", { ...STREAM, ...headers });
    assert.equal((await read("127.0.0.2")).statusCode, 200);
    assert.equal((await read("127.0.0.3")).statusCode, 200);
    assert.equal((await read("127.0.0.2")).statusCode, 429);
    const invented = { "x-forwarded-for": "192.0.2.1", forwarded: "for=192.0.2.2" };
    assert.equal((await read("127.0.0.3", invented)).statusCode, 429);
  });

  test("pages of the server's own name may use it, whatever the client says of the name, and others may not", async (t) => {
    const { server, token } = await guarded(t);
    const proxy = await start(t, server);
    const client = new Client(t, proxy, token);
    const origin = (origin, headers = {}) => client.fetch("/channels/a", { method: "POST", body: "x", headers: { origin, ...headers } });
    const authorization = `Bearer ${token}`;
    const own = await origin(proxy.url, { authorization });
    assert.equal(own.status, 201);
    const forged = { authorization, "x-forwarded-host": "evil.example" };
    assert.equal((await origin("https://evil.example", forged)).status, 403);
  });

  test("the log tells requests, and neither tokens nor the keys of sessions", async (t) => {
    // HAProxy notices at the next heartbeat that a reader has left.
    const { server, token } = await guarded(t, { settings: { SWITCHBOARD_HEARTBEAT: "1s" } });
    const proxy = await start(t, server);
    const client = new Client(t, proxy, token);
    const { source, inbox } = client.source("/channels/a");
    assert.equal((await inbox.next())[0], "$open");
    source.close();
    const { id, location } = await (await client.fetch("/session", { method: "POST" })).json();
    await (await client.fetch(`${location}?since=0.`)).text();
    await (await client.fetch(location, { method: "DELETE" })).text();
    await client.publish("last", "x");
    // Written when a request is over, in order.
    const written = (log) => /POST \/channels\/last/.test(log) && /GET \/channels\/a/.test(log);
    const log = await until("the log", async () => [await proxy.log()].find(written));
    assert.match(log, new RegExp(`GET /session/${id}`));
    assert.match(log, new RegExp(`DELETE /session/${id}`));
    const key = location.slice(location.indexOf(id) + id.length + 1);
    assert.ok(key.length > 10);
    for (const secret of [key, token]) assert.ok(!log.includes(secret), log);
  });

  test("by a socket in the file system everything is as by a port", async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "switchboard-socket-"));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await chmod(folder, 0o755);
    const path = join(folder, "http.sock");
    const settings = { SWITCHBOARD_SOCKET_MODE: "666", SWITCHBOARD_LIMITS_ADDRESS: "1" };
    const { server, token } = await guarded(t, { settings, flags: ["--listen", `unix:${path}`] });
    const change = await documented(start.name, server, path);
    const proxy = await start(t, server, start === nginx ? change : { changes: change });
    const client = new Client(t, proxy, token);
    const { socket, inbox } = await client.socket("/channels/a", ["switchboard.raw.v1"]);
    socket.send("by a socket");
    assert.equal(await inbox.next(), "by a socket");
    const read = (address) => from(t, address, proxy, "/channels/state/x", STREAM);
    assert.equal((await read("127.0.0.2")).statusCode, 200);
    assert.equal((await read("127.0.0.2")).statusCode, 429);
  });

  test("no request gets past the proxy's rules by hiding in another", async (t) => {
    const { server, token } = await guarded(t);
    const proxy = await start(t, server, REFUSING[start.name]);
    const client = new Client(t, proxy, token);
    assert.equal((await client.fetch("/channels/hidden", { method: "POST", body: "x" })).status, 403, "the proxy refuses");
    for (const [what, attack] of Object.entries(attacks(token, `${NAME}:${proxy.port}`))) {
      const answer = await exchange(proxy, attack);
      assert.doesNotMatch(answer, /HTTP\/1\.1 101/, what);
      const authorization = `Bearer ${token}`;
      const { events } = await (await fetch(`${server.url}/channels/hidden`, { headers: { authorization } })).json();
      assert.deepEqual(events, [], `${what}: ${answer}`);
    }
  });

  test("an EventSource outlives a restart of the server, and the time in which nobody answers", async (t) => {
    const { server, token } = await guarded(t);
    const proxy = await start(t, server);
    const client = new Client(t, proxy, token);
    const { source, inbox, errors } = client.source("/channels/a");
    assert.equal((await inbox.next())[0], "$open");
    assert.equal(await server.drain(), 0);
    const away = await client.fetch("/channels/a", { headers: { accept: "text/event-stream" } });
    assert.equal(away.status, 200);
    assert.equal(await away.text(), "retry: 2000\n\n");
    const page = await client.fetch("/channels/a");
    assert.ok(page.status >= 502, `all others are told the truth: ${page.status}`);
    await server.restart();
    const reopened = await inbox.next();
    assert.equal(reopened[0], "$open");
    assert.equal(JSON.parse(reopened[1]).gap.reason, "epoch");
    assert.ok(errors.length > 0 && source.readyState === 1);
  });
}

/** What the page says to write for a socket, at this path, in place of a line of the configuration. */
async function documented(proxy, server, path) {
  const page = await document("proxies.md");
  const [line, pattern] = {
    nginx: [`proxy_pass ${server.url};`, /^proxy_pass http:\/\/unix:.*$/m],
    haproxy: [`server one 127.0.0.1:${server.port}`, /^server one unix@.*$/m],
  }[proxy];
  return [[line, pattern.exec(page)[0].replace("/run/switchboard/http.sock", path)]];
}

/** A rule of the proxy's own, by which it can be told whether it saw a request. */
const REFUSING = {
  nginx: [["    location / {", "    location /channels/hidden { return 403; }\n    location / {"]],
  haproxy: { changes: [["    default_backend", "    http-request deny if { path /channels/hidden }\n    default_backend"]] },
};

/** Bytes that a careless pair of servers would read differently. The hidden request publishes to `hidden`. */
function attacks(token, host) {
  const fields = (line, rest) => `${line} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${token}\r\n${rest}\r\n`;
  const hidden = `${fields("POST /channels/hidden", "Content-Length: 1\r\n")}x`;
  const publish = (rest, body) => `${fields("POST /channels/open", rest)}${body}${hidden}`;
  const upgrade = (rest) => fields("GET /channels/open", rest) + hidden;
  const chunked = "1\r\ny\r\n0\r\n\r\n";
  const all = `Content-Length: ${chunked.length + hidden.length}\r\n`;
  const webSocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  return {
    "a length beside chunks": publish(`${all}Transfer-Encoding: chunked\r\n`, chunked),
    "chunks beside a shorter length": publish("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", chunked),
    "two lengths": publish(`Content-Length: 1\r\nContent-Length: ${1 + hidden.length}\r\n`, "y"),
    "a length with a sign": publish(`Content-Length: +${1 + hidden.length}\r\n`, "y"),
    "a tab before the coding": publish(`${all}Transfer-Encoding:\tchunked\r\n`, chunked),
    "a blank before the colon": publish(`${all}Transfer-Encoding : chunked\r\n`, chunked),
    "a folded coding": publish(`${all}Transfer-Encoding:\r\n chunked\r\n`, chunked),
    "a coding that nobody knows": publish(`${all}Transfer-Encoding: xchunked\r\n`, chunked),
    "two codings": publish(`${all}Transfer-Encoding: identity, chunked\r\n`, chunked),
    "lines that end with LF alone": publish(`${all}X: y\nTransfer-Encoding: chunked\r\n`, chunked),
    "two hosts": publish("Host: other\r\nContent-Length: 1\r\n", "y"),
    "a switch to HTTP/2": upgrade("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"),
    "a WebSocket of a version that is not": upgrade(`${webSocket}Sec-WebSocket-Version: 12\r\n`),
    "a WebSocket with a body": upgrade(`${webSocket}Sec-WebSocket-Version: 13\r\nContent-Length: ${hidden.length}\r\n`),
  };
}

/** Sends bytes and gives what came back until the other side closed, or answered all that it will. */
async function exchange(proxy, bytes) {
  const socket = tls.connect({ port: proxy.port, host: "127.0.0.1", ca: proxy.authority, servername: NAME, lookup });
  let answer = "";
  const over = new Promise((done) => {
    socket.on("data", (text) => (answer += text));
    socket.on("close", done);
    socket.on("error", done);
  });
  // Half a close: who goes on reading sees the end, and answers what came before it.
  socket.end(bytes);
  await within("the connection to be closed", over);
  return answer;
}

test("HAProxy: connections that are passed on say whose they are, with the PROXY protocol", async (t) => {
  const configuration = '[proxies]\nprotocol = ["127.0.0.1"]\n\n[[channel]]\npattern = "**"\nsubscribe = "anyone"\n\n[[auth.key]]\nalgorithm = "HS256"\nsecret = "a secret of the tests that is long enough"\n\n[limits]\naddress = 1\n';
  const { server } = await guarded(t, { configuration });
  const proxy = await haproxy(t, server, { file: "haproxy-tcp.cfg" });
  const read = (address) => from(t, address, proxy, "/channels/a", STREAM);
  assert.equal((await read("127.0.0.2")).statusCode, 200);
  assert.equal((await read("127.0.0.3")).statusCode, 200);
  assert.equal((await read("127.0.0.3")).statusCode, 429);
});
