// Connections are cut in the middle of everything, on each transport.

import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ALL, client, eventually, stage, take, within } from "../support/index.mjs";

const EVENTS = 200;
const CALLS = 60;
const BACK = 15;
const range = (count) => Array.from({ length: count }, (_, n) => n);

describe("each transport", { concurrency: true }, () => {
  for (const transport of ALL) each(transport);
});

function each(transport) {
  test(`over ${transport} under cuts nothing is lost, nothing comes twice, and calls are answered once`, async (t) => {
    const { server, relay } = await stage(t, { SWITCHBOARD_SESSION_LINGER: "60s" }, { seed: 7 });
    relay.most = 6_000;
    const made = client(t, relay.url, { transport, timeout: 60_000 });
    let worked = 0;
    made.method("double", ([n]) => (worked++, 2 * n));
    await made.connect();
    const id = made.session;
    const news = made.channel("news/*").subscribe({ since: "earliest" })[Symbol.asyncIterator]();
    const heard = [];
    const publishes = (async () => {
      for (const n of range(EVENTS)) {
        await server.publish(`news/${n % 3}`, String(n), { type: "application/json" });
        // A few are on their way at a time: a page of a poll has to get through whole.
        await eventually("it is heard", () => heard.length > n - 8);
      }
    })();
    const callsBack = (async () => {
      for (const n of range(BACK)) {
        const [status, answer] = await server.api("POST", `/sessions/${id}/call`, { method: "double", params: [n], timeout: 60_000 });
        assert.deepEqual([status, answer], [200, { result: 2 * n }]);
      }
    })();
    const calls = (async () => {
      for (const n of range(CALLS)) await made.channel("log").publish(n);
    })();
    while (heard.length < EVENTS) heard.push(...(await take(news, 1)));
    assert.deepEqual(heard, range(EVENTS));
    await within("all is done", Promise.all([publishes, callsBack, calls]));
    assert.ok(relay.cuts > 5, `only ${relay.cuts} cuts`);
    relay.most = 0;
    const log = made.channel("log").subscribe({ since: "earliest" })[Symbol.asyncIterator]();
    assert.deepEqual(await take(log, CALLS), range(CALLS));
    assert.equal(worked, BACK, "each call of the server's is worked on once");
    assert.equal(made.session, id);
    await made.close();
    await eventually("the session is ended", async () => (await server.api("GET", `/sessions/${id}`))[0] === 404);
  });

  test(`over ${transport} another server is told by a gap and read on from`, async (t) => {
    const { server, relay } = await stage(t);
    const { server: second } = await stage(t);
    const made = client(t, relay.url, { transport });
    const a = made.channel("a").subscribe();
    const gaps = [];
    a.on("gap", (gap) => gaps.push(gap.reason));
    const events = a[Symbol.asyncIterator]();
    await a.ready;
    await server.publish("a", "1");
    assert.deepEqual(await take(events, 1), ["1"]);
    await second.publish("a", "7");
    relay.leadTo(second.port);
    assert.deepEqual(await take(events, 1), ["7"], "what the other holds");
    assert.deepEqual(gaps, ["epoch"]);
    await second.publish("a", "8");
    assert.deepEqual(await take(events, 1), ["8"]);
    assert.equal(typeof (await made.call("ping")).time, "number");
  });
}
