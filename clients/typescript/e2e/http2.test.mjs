// A session over HTTP/2, as a browser speaks it: over TLS.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { certificate, secureStage } from "../../../conformance/support/index.mjs";
import { launch, quit, range, site, Tab, transports, until } from "./support.mjs";

before(launch);
after(quit);
const own = await certificate();
after(own.remove);

for (const transport of ["websocket", "sse", "stream", "poll"]) {
  test(`a session over ${transport} hears and calls, and goes on after a cut`, async (t) => {
    const { server, way } = await secureStage(t, own);
    const tab = await Tab.open(t, await site(t), { ignoreHTTPSErrors: true });
    // A browser opens its WebSockets on a connection of HTTP/2 that is there.
    await tab.page.evaluate(async (url) => (await fetch(url, { mode: "no-cors" })).arrayBuffer(), `${way.url}/healthz`);
    await tab.begin(way.url, { transports: [transport] });
    await server.publish("a", "0");
    await tab.heard(1);
    // Between two polls nobody is connected.
    await until("the server has that one session", async () => (await transports(server)).join() === transport);
    const figures = await (await fetch(`${server.url}/metrics`)).text();
    assert.match(figures, /^switchboard_http2_total 1$/m);
    await tab.page.evaluate("callOften(5)");
    way.shut();
    for (const n of range(10, 1)) await server.publish("a", `${n}`);
    way.open();
    assert.deepEqual(await tab.heard(11), range(11).map(String));
    const { answers, failures } = await tab.notes();
    assert.deepEqual([answers.length, failures], [5, []]);
  });
}
