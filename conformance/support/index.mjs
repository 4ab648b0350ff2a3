// What the tests of curl, Node's clients and Chromium share. It needs Node alone.

import { Server, program } from "./server.mjs";
import { Way } from "./way.mjs";

export { Server, Way, program };
export { certificate } from "./certificate.mjs";
export { Inbox, until, within } from "./wait.mjs";
export { BYTES, LINES, TEXT } from "./samples.mjs";

/** Streams are compressed for clients that take gzip, as most do without being asked: only small events are not. */
export const GZIP = { SWITCHBOARD_GZIP: "true" };

/** A server and a way to it, gone when the test ends. */
export async function stage(test, settings) {
  const server = await Server.start(settings);
  test.after(() => server.stop());
  const way = await Way.to(server);
  test.after(() => way.close());
  return { server, way, at: server.url };
}

/** The same over TLS: `at` is where the server speaks it, and the way leads there. */
export async function secureStage(test, { key, certificate }, settings = {}) {
  const names = { SWITCHBOARD_TLS_CERTIFICATE: certificate, SWITCHBOARD_TLS_KEY: key };
  const server = await Server.start({ ...settings, ...names });
  test.after(() => server.stop());
  const way = await Way.to(server, { isSecure: true });
  test.after(() => way.close());
  return { server, way, at: server.secureUrl };
}
