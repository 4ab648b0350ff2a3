// Ports for what is to listen where it is told to: proxies, and servers that come back on the port that they had.

import net from "node:net";

/** Below the ports that systems deal out to whoever asks for any, and above those that programs are known by. */
const FIRST = 10_240;
const COUNT = 20_480;

/** Each process begins somewhere else, and gives none a second time. */
let next = (process.pid * 128) % COUNT;

/** A port that nobody listens on, and that nobody is given by chance until it is used. */
export async function freePort() {
  for (;;) {
    const port = FIRST + (next++ % COUNT);
    const listener = net.createServer();
    const isFree = await new Promise((done) => {
      listener.once("error", () => done(false));
      listener.listen(port, "127.0.0.1", () => done(true));
    });
    if (!isFree) continue;
    await new Promise((done) => listener.close(done));
    return port;
  }
}
