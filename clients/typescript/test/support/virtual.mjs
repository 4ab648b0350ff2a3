// Time that passes when a test says so, and a network that is a list of what was opened.

/** A clock of which `pass` is the only way on. */
export class VirtualClock {
  #now = 0;
  #timers = new Set();
  chance = 0.5;

  now = () => this.#now;
  random = () => this.chance;

  set = (callback, milliseconds) => {
    const timer = { at: this.#now + milliseconds, callback };
    this.#timers.add(timer);
    return timer;
  };

  clear = (timer) => void this.#timers.delete(timer);

  /** Lets time pass, and what is due in it happen, each in its turn. */
  async pass(milliseconds) {
    const end = this.#now + milliseconds;
    await settled();
    for (;;) {
      const [next] = [...this.#timers].sort((one, other) => one.at - other.at);
      if (!next || next.at > end) break;
      this.#timers.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.callback();
      await settled();
    }
    this.#now = end;
    await settled();
  }
}

/** Once all that waits for nothing but its turn has had it. */
export const settled = () => new Promise((done) => setImmediate(done));

/** A transport by hand: what it opens is there for the test to play the server on. */
export class HandMade {
  opened = [];

  constructor(name) {
    this.name = name;
  }

  fits = () => true;

  open = (way, hearing) => {
    const link = {
      way,
      hearing,
      query: way.location === undefined ? undefined : way.query(),
      sent: [],
      closed: undefined,
      pump: (up) => {
        for (let message; (message = up.nextUp()); ) link.sent.push({ seq: message.seq, ...JSON.parse(message.text) });
      },
      // As those over sockets do, it says a little later that it is closed.
      close: (end) => {
        link.closed = end;
        queueMicrotask(link.lose);
      },
      say: (method, params) => hearing.message(JSON.stringify({ jsonrpc: "2.0", method, params })),
      answer: (id, result) => hearing.message(JSON.stringify({ jsonrpc: "2.0", id, result })),
      greet: (said) => link.say("session", { id: "s1", location: "/session/s1.k", place: "0.p0", seq: 1, heartbeat: 10_000, ...said }),
      lose: () => hearing.cut({ kind: "lost", error: new Error("lost") }),
    };
    this.opened.push(link);
    return link;
  };

  get last() {
    return this.opened.at(-1);
  }
}
