// Who the client is, for longer than one token lasts.

import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ALL, client, eventually, stage, take } from "../support/index.mjs";

const SECRET = "thirty-two random bytes or more!";
const KEY = "swk_backend";
/** How long a short token lasts, in seconds: renewed at the half of it, on a machine that does much else. */
const SHORT = 6;

function token(seconds, sub = "ann", whole = (time) => time) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Date.now() / 1000;
  const channels = { subscribe: ["a/**"], publish: ["a/**"] };
  const signed = `${part({ alg: "HS256" })}.${part({ sub, iat: Math.floor(now), exp: whole(now + seconds), channels })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

async function guarded(t) {
  const folder = await mkdtemp(join(tmpdir(), "switchboard-"));
  t.after(() => rm(folder, { recursive: true }));
  const hash = createHash("sha256").update(KEY).digest("hex");
  const config = `
    [auth]
    skew = "0s"
    [[auth.key]]
    algorithm = "HS256"
    secret = "${SECRET}"
    [[auth.api_key]]
    name = "backend"
    hash = "sha256:${hash}"
    publish = ["**"]
    manage = ["**"]
  `;
  await writeFile(join(folder, "server.toml"), config);
  const staged = await stage(t, {}, { flags: ["--config", join(folder, "server.toml")] });
  const headers = { authorization: `Bearer ${KEY}` };
  const api = (method, path, body) => fetch(`${staged.server.url}${path}`, { method, headers, body });
  return { ...staged, api };
}

describe("each transport", { concurrency: true }, () => {
  for (const transport of ALL) {
    test(`over ${transport} a token is renewed before it ends, in the midst of a subscription`, async (t) => {
      const { relay, api } = await guarded(t);
      const reasons = [];
      const getToken = async ({ reason }) => {
        reasons.push(reason);
        return token(SHORT);
      };
      const made = client(t, relay.url, { transport, getToken });
      const a = made.channel("a/x").subscribe();
      await a.ready;
      const id = made.session;
      await eventually("the token was renewed some times", () => reasons.length >= 4);
      assert.equal((await api("POST", "/channels/a/x", "1")).status, 201);
      assert.deepEqual(await take(a[Symbol.asyncIterator](), 1), ["1"]);
      assert.equal(made.session, id);
      assert.deepEqual(new Set(reasons), new Set(["connect", "expiring"]));
    });

    test(`over ${transport} a token that ends while it cannot be renewed costs a session, and no event`, async (t) => {
      const { relay, api } = await guarded(t);
      const reasons = [];
      const getToken = async ({ reason }) => {
        reasons.push(reason);
        if (reason === "expiring") throw new Error("the backend is away");
        return token(reasons.length > 3 ? 3600 : SHORT);
      };
      const made = client(t, relay.url, { transport, getToken });
      const a = made.channel("a/x").subscribe();
      await a.ready;
      const first = made.session;
      const loop = a[Symbol.asyncIterator]();
      for (let n = 0; made.session === first || n < 5; n++) {
        assert.equal((await api("POST", "/channels/a/x", String(n))).status, 201);
        assert.deepEqual(await take(loop, 1), [String(n)]);
      }
      assert.ok(reasons.includes("expiring"));
    });

    test(`over ${transport} alone a token that is no good is told, and replaced where another is to be had`, async (t) => {
      const { relay } = await guarded(t);
      const bad = client(t, relay.url, { transport, token: token(-1) });
      await assert.rejects(bad.connect(), { code: "token_expired", status: 401 });
      assert.equal(bad.state, "closed");
      const reasons = [];
      const getToken = ({ reason }) => token(reasons.push(reason) < 3 ? -1 : 3600);
      const made = client(t, relay.url, { transport, getToken });
      await made.connect();
      assert.deepEqual([made.transport, reasons], [transport, ["connect", "refused", "refused"]]);
    });

    test(`over ${transport} a token that is taken back is replaced by another`, async (t) => {
      const { relay, api } = await guarded(t);
      let sub = "ann";
      const made = client(t, relay.url, { transport, getToken: () => token(3600, sub) });
      await made.connect();
      const first = made.session;
      sub = "bob";
      assert.equal((await api("POST", "/api/revoke", JSON.stringify({ user: "ann" }))).status, 200);
      await eventually("there is another session", () => made.state === "connected" && made.session !== first);
    });
  }
});

test("a WebSocket takes up a session for an API key, which it cannot show by itself", async (t) => {
  const { relay } = await guarded(t);
  const made = client(t, relay.url, { transport: "websocket", token: KEY });
  await made.connect();
  assert.equal(made.transport, "websocket");
  assert.ok((await made.channel("a/x").publish(1)).position);
});

test("a WebSocket that is closed without a notice for its token comes back with another", async (t) => {
  const { relay, api } = await guarded(t);
  let sub = "ann";
  const reasons = [];
  const getToken = ({ reason }) => (reasons.push(reason), token(3600, sub));
  const made = client(t, relay.url, { transport: "websocket", getToken });
  await made.connect();
  const first = made.session;
  let isLost = false;
  relay.passes = (bytes) => {
    // A frame of text with a short length, from the server: what it holds is to be read as it is.
    const at = bytes.indexOf('{"jsonrpc":"2.0","method":"closing"');
    if (at < 0) return bytes;
    isLost = true;
    const [begin, length] = bytes[at - 2] === 0x81 ? [at - 2, bytes[at - 1]] : [at - 4, bytes.readUInt16BE(at - 2)];
    return Buffer.concat([bytes.subarray(0, begin), bytes.subarray(at + length)]);
  };
  sub = "bob";
  assert.equal((await api("POST", "/api/revoke", JSON.stringify({ user: "ann" }))).status, 200);
  await eventually("there is another session", () => made.state === "connected" && made.session !== first);
  assert.deepEqual([isLost, reasons], [true, ["connect", "refused"]]);
});

test("a token that ends in the same second as the one before it is followed by another all the same", async (t) => {
  const { relay } = await guarded(t);
  const made = client(t, relay.url, { getToken: () => token(SHORT, "ann", Math.floor) });
  await made.connect();
  const id = made.session;
  const expires = Date.now() + 2_000 * SHORT;
  await eventually("two lives of a token are over", () => Date.now() > expires || made.session !== id);
  assert.equal(made.session, id);
});

test("without a token, and with one that is no good, the client is told", async (t) => {
  const { relay } = await guarded(t);
  const nobody = client(t, relay.url);
  await nobody.connect();
  await assert.rejects(nobody.channel("a/x").subscribe().ready, { code: "unauthorized" });
  await assert.rejects(client(t, relay.url, { token: "no token" }).connect(), { code: "unauthorized", status: 401 });
  const bad = client(t, relay.url, { token: token(-1) });
  await assert.rejects(bad.connect(), { code: "token_expired", status: 401 });
  assert.equal(bad.state, "closed");
  await assert.rejects(bad.call("ping"), { code: "token_expired" });
});
