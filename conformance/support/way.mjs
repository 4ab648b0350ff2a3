// A way to the server that can be cut. It carries TCP, keeps the heads of the requests that pass, and severs
// connections when told, in the midst of an event if need be. The server is not asked, as with any real network. Of HTTP/2
// and TLS it sees bytes alone.

import net from "node:net";
import { within } from "./wait.mjs";

/** A request's head: tests send nothing but GET and OPTIONS this way, without bodies. */
function head(text) {
  const [line, ...fields] = text.split("\r\n");
  const [method, target] = line.split(" ");
  const split = fields.map((field) => /^([^:]+):\s*(.*)$/.exec(field));
  const pairs = split.map(([, name, value]) => [name.toLowerCase(), value]);
  return { method, target, headers: Object.fromEntries(pairs) };
}

/** What HTTP/2 in clear text begins with. */
const PREFACE = "PRI * HTTP/2.0\r\n";

/** As much of what comes down is kept as holds the head of an answer. */
const HEAD = 4096;

export class Way {
  #upstream;
  #listener;
  #connections = [];
  /** The requests that came this way, oldest first. */
  requests = [];
  #isShut = false;
  #allowance = Infinity;
  #onCut = () => {};
  #isSecure = false;
  port = 0;

  /** `isSecure`: to where it speaks TLS. */
  static async to(server, { isSecure = false } = {}) {
    const way = new Way();
    way.#upstream = server;
    way.#isSecure = isSecure;
    way.#listener = net.createServer((near) => way.#carry(near));
    await new Promise((done) => way.#listener.listen(0, "127.0.0.1", done));
    way.port = way.#listener.address().port;
    return way;
  }

  #carry(near) {
    if (this.#isShut) return near.resetAndDestroy();
    const far = net.connect(this.#isSecure ? this.#upstream.securePort : this.#upstream.port, "127.0.0.1");
    const connection = { near, far, isOpaque: this.#isSecure, sent: "", received: "" };
    this.#connections.push(connection);
    for (const [socket, other] of [[near, far], [far, near]]) {
      socket.on("error", () => other.destroy());
      socket.on("close", () => other.destroy());
    }
    near.on("data", (bytes) => {
      this.#look(connection, bytes);
      far.write(bytes);
    });
    far.on("data", (bytes) => {
      if (connection.received.length < HEAD) connection.received += bytes.toString("latin1");
      const passes = bytes.subarray(0, Math.min(bytes.length, this.#allowance));
      this.#allowance -= passes.length;
      if (passes.length === bytes.length) return near.write(passes);
      // What was allowed arrives, and then nothing: the rest is lost with the connection.
      this.#isShut = true;
      near.write(passes, () => {
        this.shut();
        this.#onCut();
      });
    });
  }

  #look(connection, bytes) {
    if (connection.isOpaque) return;
    const isFirst = connection.sent === "" && connection.received === "";
    if (isFirst && bytes.toString("latin1").startsWith(PREFACE)) return (connection.isOpaque = true);
    const heads = (connection.sent + bytes.toString("latin1")).split("\r\n\r\n");
    connection.sent = heads.pop();
    for (const text of heads) this.requests.push(head(text));
    // After a handshake come the frames of a WebSocket.
    connection.isOpaque = heads.length > 0 && "upgrade" in this.requests.at(-1).headers;
  }

  get url() {
    return `${this.#isSecure ? "https" : "http"}://127.0.0.1:${this.port}`;
  }

  /** The requests for this channel. */
  requestsFor(channel) {
    return this.requests.filter(({ target }) => target.includes(channel));
  }

  /** Whether an answer that came down was compressed. */
  get isCompressed() {
    return this.#connections.some(({ received }) => /^content-encoding: gzip\r$/im.test(received));
  }

  /** Severs every connection. Those that come next are carried. */
  cut() {
    for (const { near, far } of this.#connections) {
      near.destroy();
      far.destroy();
    }
  }

  /** Severs every connection, and those that come next too, until `open`. */
  shut() {
    this.#isShut = true;
    this.cut();
  }

  open() {
    this.#isShut = false;
    this.#allowance = Infinity;
  }

  /** Lets this many bytes more come down, then shuts. The promise resolves at the cut. */
  cutAfter(bytes) {
    this.#allowance = bytes;
    const cut = new Promise((done) => (this.#onCut = done));
    return { happened: () => within("the way to be cut", cut) };
  }

  async close() {
    this.shut();
    await new Promise((done) => this.#listener.close(done));
  }
}
