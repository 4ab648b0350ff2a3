// The client behind nginx and HAProxy as `docs/proxies.md` sets them up, over each transport.

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { guarded } from "../../../conformance/proxies/guarded.mjs";
import { haproxy, nginx } from "../../../conformance/proxies/process.mjs";
import { launch, quit, range, site, Tab } from "./support.mjs";

before(launch);
after(quit);

for (const [name, start] of Object.entries({ nginx, HAProxy: haproxy })) {
  describe(name, () => {
    for (const transport of ["websocket", "sse", "stream", "poll"]) {
      test(transport, async (t) => {
        let make;
        const at = await site(t, { "/token": () => make() });
        const { server, sign } = await guarded(t, { origin: at });
        make = () => sign("--for", "10m");
        const proxy = await start(t, server);
        const tab = await Tab.open(t, at, { ignoreHTTPSErrors: true });
        await tab.begin(`https://localhost:${proxy.port}`, { tokens: "/token", transports: [transport] });
        await tab.page.evaluate(async () => {
          for (let n = 0; n < 20; n++) await client.channel("a").publish(n);
        });
        assert.deepEqual(await tab.heard(20), range(20));
        assert.equal(await tab.transport(), transport);
      });
    }
  });
}
