// Listeners: added, heard once or always, and removed in each of three ways.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Switchboard as Core } from "../dist/core.js";
import { HandMade, settled, VirtualClock } from "./support/virtual.mjs";

function stage() {
  const transport = new HandMade("websocket");
  const client = new Core("http://server.example", { transport, clock: new VirtualClock() });
  return { client, transport };
}

test("a listener hears each change, and one for once the next alone", async () => {
  const { client, transport } = stage();
  const heard = [];
  client.on("statechange", ({ state }) => heard.push(state));
  client.once("statechange", ({ state }) => heard.push(`once ${state}`));
  client.connect().catch(() => {});
  await settled();
  transport.last.greet();
  assert.deepEqual(heard, ["connecting", "once connecting", "connected"]);
});

test("a listener that is added again is heard once each time, and stays what it was", async () => {
  const { client, transport } = stage();
  const [always, once] = [[], []];
  const hearAlways = ({ state }) => always.push(state);
  const hearOnce = ({ state }) => once.push(state);
  client.on("statechange", hearAlways);
  for (const add of ["on", "once"]) client[add]("statechange", hearAlways);
  client.once("statechange", hearOnce);
  client.on("statechange", hearOnce);
  client.connect().catch(() => {});
  await settled();
  transport.last.greet();
  assert.deepEqual([always, once], [["connecting", "connected"], ["connecting"]]);
});

test("a listener is removed by its undo, by `off` and by its signal, however it was added", async () => {
  const removals = {
    undo: (client, listener, add) => client[add]("statechange", listener)(),
    off: (client, listener, add) => {
      client[add]("statechange", listener);
      client.off("statechange", listener);
    },
    signal: (client, listener, add) => {
      const stop = new AbortController();
      client[add]("statechange", listener, { signal: stop.signal });
      stop.abort();
    },
  };
  for (const [name, remove] of Object.entries(removals)) {
    for (const add of ["on", "once"]) {
      const { client } = stage();
      remove(client, () => assert.fail(`${add} ${name}`), add);
      const changed = new Promise((heard) => client.on("statechange", heard));
      client.connect().catch(() => {});
      await changed;
    }
  }
});
