import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";
import { WebSocket } from "ws";
import { stage, within } from "../support/index.mjs";
import { webSocketContract } from "./web-socket.mjs";

webSocketContract("ws", WebSocket);

test("ws: a ping is answered with its own bytes", async (t) => {
  const { server } = await stage(t);
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}/channels/a`);
  t.after(() => socket.terminate());
  await within("the handshake", once(socket, "open"));
  const pong = once(socket, "pong");
  socket.ping("are you there?");
  assert.equal(String((await within("a pong", pong))[0]), "are you there?");
});

test("ws: the subprotocol is answered where the server speaks it, and passed over where not", async (t) => {
  const { server } = await stage(t);
  for (const [offered, selected] of [["switchboard.raw.v1", "switchboard.raw.v1"], ["mqtt", undefined]]) {
    const socket = new WebSocket(`ws://127.0.0.1:${server.port}/channels/a`, [offered]);
    t.after(() => socket.terminate());
    const upgraded = once(socket, "upgrade");
    // A client of its own accord refuses a handshake that selects nothing of what it offered.
    socket.on("error", () => {});
    const [response] = await within("the handshake", upgraded);
    assert.equal(response.headers["sec-websocket-protocol"], selected);
  }
});
