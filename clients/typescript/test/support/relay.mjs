// A way to the server that can be cut, held up and filtered, as networks are.

import net from "node:net";

/** The same seed gives the same cuts. */
function chance(seed) {
  let state = seed || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}

export class Relay {
  #listener;
  #open = new Set();
  #random;
  #port;
  /** Each direction of a connection is cut after at most so many bytes; 0 is never. */
  most = 0;
  /** How often that has happened. */
  cuts = 0;
  /** What refuses a connection by the head of its first request: the status to answer with. */
  refuses = () => undefined;
  /** What holds an answer back to its end, by the head of its first request. */
  buffers = () => false;
  /** What becomes of a piece on its way from the server. */
  passes = (bytes) => bytes;
  /** Connections on which nothing passes for so long are cut, in milliseconds. */
  idle = 0;
  /** How many pieces have passed, either way. */
  passed = 0;
  /** Nothing passes any more, and nothing is closed. */
  isFrozen = false;

  static async to(port, seed = 1) {
    const relay = new Relay();
    relay.#port = port;
    relay.#random = chance(seed);
    relay.#listener = net.createServer((near) => relay.#accept(near));
    await new Promise((done) => relay.#listener.listen(0, "127.0.0.1", done));
    return relay;
  }

  get url() {
    return `http://127.0.0.1:${this.#listener.address().port}`;
  }

  /** Leads to another server from now on, and cuts what is open. */
  leadTo(port) {
    this.#port = port;
    this.cut();
  }

  cut() {
    for (const socket of this.#open) socket.destroy();
  }

  close() {
    this.#listener.close();
    this.cut();
  }

  /** Cuts a connection on which nothing passes. Time in which this process did not run does not count: nor did the client. */
  #watch(from, to) {
    const step = this.idle / 10;
    from.quiet = 0;
    const timer = setInterval(() => {
      if (++from.quiet < 10) return;
      for (const socket of [from, to]) socket.destroy();
    }, step);
    from.on("close", () => clearInterval(timer));
  }

  #accept(near) {
    this.#keep(near);
    /** Whether a request begins here that is refused. */
    const isRefused = (bytes) => {
      const head = bytes.toString("latin1");
      const status = /^[A-Z]+ \S+ HTTP\/1\.1\r\n/.test(head) && this.refuses(head);
      if (status) near.end(`HTTP/1.1 ${status} Refused\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      return Boolean(status);
    };
    near.once("data", (first) => {
      if (isRefused(first)) return;
      const head = first.toString("latin1");
      const far = this.#keep(net.connect(this.#port, "127.0.0.1"));
      this.#carry(near, far, this.most && 1 + Math.floor(this.#random() * this.most), false, isRefused);
      this.#carry(far, near, this.most && 1 + Math.floor(this.#random() * this.most), this.buffers(head));
      near.emit("data", first);
    });
  }

  #keep(socket) {
    this.#open.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => this.#open.delete(socket));
    return socket;
  }

  #carry(from, to, left, isHeld, isRefused) {
    const held = [];
    const isDown = !isRefused;
    if (this.idle) this.#watch(from, to);
    from.on("data", (piece) => {
      if (this.isFrozen || isRefused?.(piece)) return;
      const bytes = isDown ? this.passes(piece) : piece;
      if (isHeld) return held.push(bytes);
      this.passed++;
      // Whatever passes one way is a sign of life for both.
      from.quiet = to.quiet = 0;
      if (this.most === 0 || left === 0 || bytes.length <= left) {
        left -= this.most && left && bytes.length;
        if (this.most && left === 0) left = 1;
        return to.write(bytes);
      }
      // A part of it may arrive, as when a connection breaks.
      this.cuts++;
      to.write(bytes.subarray(0, left), () => [from, to].forEach((socket) => socket.destroy()));
    });
    from.on("close", () => {
      for (const bytes of held) to.write(bytes);
      to.end();
    });
  }
}
