// A session under everything at once, in an order that comes from a seed: cuts in the midst of both ways, messages that
// come twice, other forms of the way down, sessions that are lost. The other side is the rules of docs/sessions.md.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Session } from "../dist/session/session.js";

const SEEDS = 300;
const STEPS = 250;
const CHANNELS = ["a", "b", "c/1", "c/2"];
const NAMES = ["a", "b", "c/*", "**"];

function chance(seed) {
  let state = seed * 2654435761 || 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  return { below: (count) => Math.floor(next() * count), is: (share) => next() < share, pick: (list) => list[Math.floor(next() * list.length)] };
}

const selects = (name, channel) => name === "**" || name === channel || (name === "c/*" && channel.startsWith("c/"));
const position = (n) => `p${n}`;

/** The server: a log of all events, and one session of which everything that was said is kept, with the place after it. */
class Server {
  log = [];
  sessions = 0;
  /** What was called by the client, and how often it was applied. */
  applied = new Map();

  open() {
    this.sessions++;
    this.control = 0;
    this.at = this.log.length;
    this.seq = 1;
    this.subscribed = new Set();
    this.said = [{ text: undefined, place: this.place }];
    this.toAnswer = new Map();
    return this.greeting(this.place);
  }

  get place() {
    return `${this.control}.${position(this.at)}`;
  }

  greeting(place) {
    return { id: `s${this.sessions}`, location: `/session/s${this.sessions}.k`, place, seq: this.seq };
  }

  #say(message, isControl) {
    if (isControl) this.control++;
    this.said.push({ text: JSON.stringify({ jsonrpc: "2.0", ...message }), place: this.place, isControl });
  }

  #event(n) {
    const { channel } = this.log[n];
    this.at = n + 1;
    this.#say({ method: "event", params: { id: position(n + 1), channel, data: n, time: 1 } }, false);
  }

  publish(channel) {
    this.log.push({ channel });
    if ([...this.subscribed].some((name) => selects(name, channel))) this.#event(this.log.length - 1);
  }

  /** A message up, with its number: applied once and in order. */
  up(seq, text) {
    if (seq !== this.seq) return;
    this.seq++;
    const { id, method, params, result } = JSON.parse(text);
    if (method === undefined) return void this.toAnswer.delete(id) ?? assert.equal(result, `answer ${id}`);
    if (id === undefined) return this.#apply(params);
    if (method === "subscribe") return this.#subscribe(id, params);
    if (method === "unsubscribe") this.subscribed.delete(params.channel);
    if (method === "work") this.#apply(params);
    this.#say({ id, result: { position: position(this.at), of: params } }, true);
  }

  #apply({ n }) {
    this.applied.set(n, (this.applied.get(n) ?? 0) + 1);
  }

  #subscribe(id, { channel, since }) {
    const names = [channel].flat();
    const live = this.at;
    const from = since === undefined ? this.at : since === "earliest" ? 0 : Number(since.slice(1));
    this.at = from;
    this.#say({ id, result: { position: position(from) } }, true);
    for (const [n, event] of this.log.entries()) {
      if (n >= from && names.some((name) => selects(name, event.channel))) this.#event(n);
    }
    this.at = Math.max(live, this.log.length);
    this.#say({ method: "caught_up", params: { channel, position: position(this.at) } }, false);
    for (const name of names) this.subscribed.add(name);
  }

  call() {
    const id = `c${this.sessions}-${this.toAnswer.size}-${this.control}`;
    this.toAnswer.set(id, true);
    this.#say({ id, method: "ask", params: { id } }, true);
  }

  /** What comes after a place. Where several have it, as `caught_up` may, they come again. */
  after(place) {
    const at = this.said.findIndex((entry) => entry.place === place);
    assert.ok(at >= 0, `${place} is a place`);
    return at + 1;
  }
}

/** Plays one conversation. */
function play(seed) {
  const random = chance(seed);
  const server = new Server();
  const asked = new Map();
  const session = new Session(() => 0, {
    called: (method, { id }, answer) => {
      asked.set(id, (asked.get(id) ?? 0) + 1);
      answer({ result: `answer ${id}` });
    },
    notified: () => assert.fail("nothing is notified"),
    began: () => {},
    expiring: () => {},
    closing: () => {},
  });
  /** Who listens: from where, and what was heard. */
  const listeners = [];
  const calls = new Map();
  let sent = 0;
  let link;

  const connect = (isNew) => {
    const form = random.pick(["frames", "places", "pages"]);
    if (isNew || !session.said) {
      session.opened(server.open());
      link = { form, next: server.said.length };
    } else {
      session.attempt();
      link = { form, next: server.after(session.place) };
    }
    session.reads();
    if (form !== "pages") session.received(JSON.stringify({ jsonrpc: "2.0", method: "session", params: server.greeting(session.place) }));
    else session.applied(server.seq - 1);
  };

  const up = (isLost) => {
    for (let message; (message = session.nextUp()); ) {
      if (isLost && random.is(0.5)) return;
      server.up(message.seq, message.text);
      // Sent by POST, it may come twice, and its answer says that it was applied.
      if (link.form !== "frames" && random.is(0.3)) server.up(message.seq, message.text);
      if (link.form !== "frames" && random.is(0.5)) session.applied(message.seq);
    }
  };

  const down = (most) => {
    const until = Math.min(server.said.length, link.next + most);
    for (; link.next < until; link.next++) {
      const { text, place } = server.said[link.next];
      session.received(text, link.form === "places" ? place : undefined);
    }
    if (link.form === "pages") session.received(undefined, server.said[until - 1].place, server.seq);
  };

  const listen = () => {
    const since = random.pick([undefined, "earliest", position(random.below(server.log.length + 1))]);
    const listener = { name: random.pick(NAMES), heard: [], begins: undefined };
    const begin = (said) => (listener.begins ??= Number(said.position.slice(1)));
    const sink = { granted: begin, item: (item) => listener.heard.push(item.event.data), over: () => assert.fail("it goes on") };
    listener.of = session.listen(listener.name, since, false, sink);
    listeners.push(listener);
  };

  const work = () => {
    const n = ++sent;
    const repeats = random.is(0.3);
    calls.set(n, { outcomes: [], repeats });
    session.call("work", { n }, repeats, (error, result) => calls.get(n).outcomes.push(error?.code ?? result.of.n));
  };

  const actions = [
    [6, () => server.publish(random.pick(CHANNELS))],
    [4, () => down(1 + random.below(6))],
    [4, () => up(false)],
    [2, work],
    [1, listen],
    [1, () => server.call()],
    [1, () => (up(true), down(random.below(3)), connect(false))],
    [0.4, () => (session.lost(), connect(true))],
    [0.4, () => {
      const [left] = listeners.splice(random.below(listeners.length), 1);
      if (left) session.leave(left.of);
    }],
  ];
  const whole = actions.reduce((sum, [share]) => sum + share, 0);
  connect(true);
  for (let step = 0; step < STEPS; step++) {
    let left = (random.below(1e6) / 1e6) * whole;
    actions.find(([share]) => (left -= share) < 0)[1]();
  }
  // In the end everything gets through.
  for (let round = 0; round < 60; round++) {
    up(false);
    down(1000);
  }
  for (const { name, heard, begins } of listeners) {
    const due = server.log.flatMap(({ channel }, n) => (n >= begins && selects(name, channel) ? [n] : []));
    assert.deepEqual(heard, due, `what was heard of ${name} from ${begins}`);
  }
  for (const [n, { outcomes, repeats }] of calls) {
    assert.equal(outcomes.length, 1, `call ${n} comes to something once`);
    const times = server.applied.get(n) ?? 0;
    if (outcomes[0] === n) assert.ok(repeats ? times >= 1 : times === 1, `call ${n} was applied ${times} times`);
    else assert.ok(outcomes[0] === "session_lost" && !repeats && times <= 1, `call ${n}: ${outcomes[0]}, ${times} times`);
  }
  for (const [id, times] of asked) assert.equal(times, 1, `the server's call ${id} is worked on once`);
  assert.equal(server.toAnswer.size, 0, "all calls of this session are answered");
}

test(`${SEEDS} conversations lose nothing and double nothing`, () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      play(seed);
    } catch (error) {
      error.message = `seed ${seed}: ${error.message}`;
      throw error;
    }
  }
});
