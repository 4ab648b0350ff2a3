// A tap on the wire between a browser and the server: it carries bytes, and counts those of each request to read,
// both ways. It knows nothing of the server's counts or of the page's.

import net from "node:net";

const HEAD = /^(GET|POST|DELETE|OPTIONS) (\S+) HTTP\/1\.1\r\n/;

/** How a request reads, or null if it does not. */
function wayOf(head) {
  const [, method, target] = HEAD.exec(head);
  if (method !== "GET" || !target.startsWith("/channels/")) return null;
  if (/\r\nUpgrade: websocket\r\n/i.test(head)) return "websocket";
  const accept = /\r\nAccept: (.*)\r\n/i.exec(head)?.[1] ?? "";
  if (accept.startsWith("text/event-stream")) return "sse";
  if (accept.startsWith("application/x-ndjson")) return "stream";
  return target.includes("wait=") ? "long_poll" : "poll";
}

export class Tap {
  #exchanges = [];
  /** What was asked for, and how: `GET /channels/hello`. */
  targets = [];

  static async on(server, test) {
    const tap = new Tap();
    const listener = net.createServer((near) => tap.#carry(near, server.port));
    await new Promise((done) => listener.listen(0, "127.0.0.1", done));
    test.after(() => listener.close());
    tap.url = `http://127.0.0.1:${listener.address().port}`;
    return tap;
  }

  #carry(near, port) {
    const far = net.connect(port, "127.0.0.1");
    let exchange = null;
    for (const [socket, other] of [[near, far], [far, near]]) {
      socket.on("error", () => other.destroy());
      socket.on("close", () => other.destroy());
    }
    near.on("data", (bytes) => {
      const text = bytes.toString("latin1");
      // A browser does not pipeline: what begins with a head is the next request, and all else goes on with the last.
      const asked = HEAD.exec(text);
      if (asked) {
        this.targets.push(`${asked[1]} ${asked[2]}`);
        this.#exchanges.push((exchange = { way: wayOf(text), up: 0, down: 0, pieces: [] }));
      }
      exchange.up += bytes.length;
      far.write(bytes);
    });
    far.on("data", (bytes) => {
      exchange.down += bytes.length;
      if (exchange.way) exchange.pieces.push({ at: Date.now(), text: bytes.toString("utf8") });
      near.write(bytes);
    });
  }

  /** What was read over each transport: requests that were answered, and bytes both ways. */
  reads() {
    const sums = {};
    for (const { way, up, down } of this.#exchanges) {
      if (!way) continue;
      const sum = (sums[way] ??= { reads: 0, up: 0, down: 0 });
      sum.reads += down > 0 ? 1 : 0;
      sum.up += up;
      sum.down += down;
    }
    return sums;
  }

  /** When words first passed on their way to a reader, in milliseconds since the Unix epoch. */
  passed(way, words) {
    const pieces = this.#exchanges.filter((exchange) => exchange.way === way).flatMap(({ pieces }) => pieces);
    return pieces.find(({ text }) => text.includes(words))?.at;
  }
}
