// What the transports over HTTP send, to a server that the test plays.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Switchboard as Core } from "../dist/core.js";
import { sse } from "../dist/transports/sse.js";
import { settled, VirtualClock } from "./support/virtual.mjs";

const SAID = { id: "s1", location: "/session/s1.k", place: "0.p0" };

/** A client that is connected over Server-Sent Events. */
async function stage() {
  const posts = [];
  let stream;
  const answers = {
    "POST /session": () => Response.json(SAID, { status: 201 }),
    "GET /session/s1.k": () => {
      const body = new ReadableStream({ start: (controller) => (stream = controller) });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    },
    "POST /session/s1.k": ({ headers, body }) => {
      posts.push([headers["Session-Ack"], headers["Session-Seq"], body && JSON.parse(body).method]);
      return new Response(null, { status: 202 });
    },
    "DELETE /session/s1.k": () => new Response(null, { status: 204 }),
  };
  const fetch = async (url, { method = "GET", ...init }) => answers[`${method} ${new URL(url).pathname}`](init);
  const clock = new VirtualClock();
  const client = new Core("http://server.example", { transport: sse, fetch, clock });
  client.connect();
  await settled();
  let control = 0;
  const say = async (method, params) => {
    const isControl = method !== "session";
    control += Number(isControl);
    const block = `id: ${control}.p0\ndata: ${JSON.stringify({ jsonrpc: "2.0", method, params })}\n\n`;
    stream.enqueue(new TextEncoder().encode(block));
    await settled();
  };
  await say("session", { ...SAID, seq: 1 });
  assert.equal(client.state, "connected");
  return { client, clock, answers, posts, say };
}

test("who has nothing to say says now and then how much it has heard", async () => {
  const { client, posts, say } = await stage();
  for (let n = 1; n < 32; n++) await say("news", { n });
  assert.deepEqual(posts, []);
  await say("news", { n: 32 });
  assert.deepEqual(posts, [["32", undefined, ""]]);
  await say("news", { text: "x".repeat(16_384) });
  assert.deepEqual(posts.slice(1), [["33", undefined, ""]], "so it is with much");
  client.notify("seen");
  await settled();
  assert.deepEqual(posts.slice(2), [["33", "1", "seen"]], "who says something says that as well");
  await client.close();
});

test("what is not answered is given up after fifteen seconds, and sent again with its number", async () => {
  const { client, clock, answers, posts, say } = await stage();
  const applied = answers["POST /session/s1.k"];
  let given;
  answers["POST /session/s1.k"] = ({ signal }) =>
    new Promise((_, fail) => {
      given = signal;
      signal.addEventListener("abort", () => fail(signal.reason));
    });
  client.notify("heard", {});
  await clock.pass(10_000);
  await say("news", {});
  // A character more may take a millisecond more.
  const { length } = JSON.stringify({ jsonrpc: "2.0", method: "heard", params: {} });
  await clock.pass(4_999 + length);
  assert.equal(given.aborted, false);
  answers["POST /session/s1.k"] = applied;
  await clock.pass(1);
  assert.equal(given.aborted, true);
  await clock.pass(500);
  assert.deepEqual(posts, [["1", "1", "heard"]]);
  await client.close();
});
