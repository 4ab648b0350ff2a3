// The client in workers, where there is no document: subscribed, publishing, called, and cut.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Relay } from "../test/support/relay.mjs";
import { launch, quit, range, stage, until } from "./support.mjs";

before(launch);
after(quit);

const WORLDS = { dedicated: "DedicatedWorkerGlobalScope", shared: "SharedWorkerGlobalScope", service: "ServiceWorkerGlobalScope" };

for (const [kind, world] of Object.entries(WORLDS)) {
  describe(`in a ${kind} worker`, () => {
    for (const transport of ["websocket", "sse"]) {
      test(`over ${transport}`, async (t) => {
        const { server, tab } = await stage(t);
        const relay = await Relay.to(server.port);
        t.after(() => relay.close());
        assert.deepEqual(await tab.page.evaluate((kind) => hire(kind), kind), [world, false]);
        const inWorker = (...words) => tab.page.evaluate((words) => inWorker(...words), words);
        const hears = async (count) => {
          await until(`${count} events are heard`, async () => (await inWorker("look")).heard.length >= count);
          return (await inWorker("look")).heard;
        };
        await inWorker("begin", relay.url, { transports: [transport] });
        await inWorker("serve");
        await inWorker("listen", "calls", { since: "earliest" });
        await inWorker("callOften", 20);
        assert.deepEqual(await hears(20), range(20));
        const { session, answers, failures, ...first } = await inWorker("look");
        assert.deepEqual([answers, failures], [Array(20).fill("calls"), []]);
        assert.deepEqual([first.state, first.transport], ["connected", transport]);
        assert.deepEqual(await server.api("POST", `/sessions/${session}/call`, { method: "double", params: [21] }), [200, { result: 42 }]);
        relay.cut();
        await server.publish("calls", 20, { type: "application/json" });
        assert.deepEqual(await hears(21), range(21));
        const last = await inWorker("look");
        assert.deepEqual([last.session, last.gaps, last.transport], [session, [], transport]);
      });
    }
  });
}
