// The conversations of vectors/sessions, played against the client's side of a session: the test is the server.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Session } from "../dist/session/session.js";
import { ALL, vectors } from "./support/index.mjs";

const cases = readdirSync(vectors("sessions/"))
  .filter((name) => name.endsWith(".json"))
  .flatMap((name) => JSON.parse(readFileSync(vectors(`sessions/${name}`), "utf8")).cases);

/** Notifications that take no number. */
const EVENTS = ["event", "presence", "gap", "end", "position", "caught_up"];

/** What a text of the vectors stands for: names are given something of their kind, the same each time. */
class Names {
  #given = new Map([["session", "s1"], ["location", "/session/s1.k"], ["start", "0.p0"]]);
  #last = 0;

  fill(value) {
    if (Array.isArray(value)) return value.map((each) => this.fill(each));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, this.fill(each)]));
    }
    if (typeof value !== "string") return value;
    const whole = /^<(\w+):(number|any)>$/.exec(value);
    if (whole) return whole[1] === "_" ? ++this.#last : this.#of(whole[1], () => ++this.#last);
    const alone = /^<(\w+)>$/.exec(value);
    if (alone && this.#given.has(alone[1])) return this.#given.get(alone[1]);
    return value.replace(/<(\w+)>/g, (_, name) => (name === "_" ? this.#fresh() : this.#of(name, () => this.#fresh())));
  }

  /** Whether this is what the text means. A name that was not met before is given this. */
  isMeant(text, came) {
    const names = [...text.matchAll(/<(\w+)>/g)].map(([, name]) => name);
    const pattern = text.split(/<\w+>/).map((part) => part.replaceAll(".", "\\.")).join("(.*)");
    const values = new RegExp(`^${pattern}$`).exec(came)?.slice(1) ?? assert.fail(`${came} is not ${text}`);
    return names.every((name, at) => name === "_" || this.#of(name, () => values[at]) === values[at]);
  }

  #fresh() {
    return `p${++this.#last}`;
  }

  #of(name, make) {
    if (!this.#given.has(name)) this.#given.set(name, make());
    return this.#given.get(name);
  }
}

/** Plays one conversation as it goes over one transport, and counts what there was to see. */
class Player {
  names = new Names();
  heard = [];
  expected = [];
  /** Calls of the client: theirs by ours, and how they ended. */
  ids = new Map();
  answers = [];
  /** Calls of the server: their ids as they come, and what answers them. */
  asked = [];
  toAnswer = [];
  ended = new Set();
  listeners = new Map();
  seen = 0;
  /** What the client has to be at by now, by the rules of the specification. */
  control = 0;
  /** How many control messages come again. */
  behind = 0;
  position = "p0";

  constructor(conversation, over) {
    this.conversation = conversation;
    this.over = over;
    this.session = new Session(() => 0, {
      called: (method, params, answer) => this.toAnswer.push({ id: this.asked.shift(), method, params, answer }),
      notified: (method, params) => this.heard.push({ method, params }),
      began: () => {},
      expiring: (expires) => this.heard.push({ method: "expiring", params: { expires } }),
      closing: (params) => this.heard.push({ method: "closing", params }),
    });
  }

  play() {
    for (const step of this.conversation.steps) {
      const [[kind, what]] = Object.entries(step);
      this[kind]?.(what);
      assert.deepEqual(this.heard, this.expected, JSON.stringify(step));
    }
    return this.seen;
  }

  open({ session = {} }) {
    const said = this.names.fill({ id: "<session>", location: "<location>", place: "<start>", seq: 1, ...session });
    if (!said.place.includes(".")) said.place = `0.${said.place}`;
    [this.control, this.position] = [this.session.control, said.place.slice(2)];
    if (this.over === "websocket") this.session.received(JSON.stringify({ jsonrpc: "2.0", method: "session", params: said }));
    else this.session.opened(said);
  }

  up(message) {
    this.seen++;
    const { id, method, params, ...rest } = this.names.fill(message);
    if (Array.isArray(message)) return message.filter(({ method }) => !method).forEach((each) => this.up(each));
    if (typeof method !== "string") return this.answered(id, rest);
    if (id === undefined) this.session.notify(method, params);
    else if (isListening(message)) {
      const sink = {
        granted: (said) => this.answers.push([id, undefined, said]),
        // Several may hear one.
        item: (item) => item === this.item || this.heard.push(told((this.item = item))),
        over: (error) => error && this.answers.push([id, error]),
      };
      this.listeners.set(params.channel, this.session.listen(params.channel, params.since, params.presence ?? false, sink));
    } else if (method === "unsubscribe" && this.listeners.has(params.channel)) {
      // Nobody waits for the answer. Where the channel has ended, the client has left already.
      const listener = this.listeners.get(params.channel);
      if (listener.state !== "gone") this.session.leave(listener);
      this.answers.push([id, undefined, undefined]);
    } else this.session.call(method, params, false, (error, result) => this.answers.push([id, error, result]));
    const sent = JSON.parse(this.session.nextUp().text);
    assert.deepEqual({ method: sent.method, params: sent.params }, { method, params });
    if (id !== undefined) this.ids.set(id, sent.id);
  }

  /** The client answers a call of the server's. */
  answered(id, { result, error }) {
    const asked = this.toAnswer.find((each) => each.id === id);
    asked?.answer(error ? { error } : { result });
    const next = this.session.nextUp();
    // A second answer is not given.
    if (!asked || asked.isAnswered) return assert.equal(next, undefined);
    asked.isAnswered = true;
    const { text } = next;
    assert.deepEqual(JSON.parse(text), { jsonrpc: "2.0", id, ...(error ? { error } : { result }) });
  }

  down(message) {
    this.seen++;
    const came = this.names.fill(message);
    const members = Array.isArray(came) ? came : [came];
    for (const { method, id } of members) if (method && id !== undefined) this.asked.push(id);
    const isControl = Array.isArray(came) || !EVENTS.concat("closing").includes(came.method) || "id" in came;
    for (const member of members) this.#expect(member);
    this.#move(members, isControl);
    // Over Server-Sent Events a block says the place after it.
    const place = this.over === "sse" ? `${this.control}.${this.position}` : undefined;
    this.session.received(JSON.stringify(this.#ours(came)), place);
    assert.equal(this.session.place, `${this.control}.${this.position}`, JSON.stringify(message));
    for (const member of members) if (!member.method && this.ids.has(member.id)) this.#settled(member);
  }

  down_in_any_order(messages) {
    for (const message of messages) this.down(message);
  }

  /** The rules of "Going on after a cut". */
  #move(members, isControl) {
    if (isControl && this.behind > 0) this.behind--;
    else if (isControl) this.control++;
    for (const { method, params, result, id } of members) {
      if (method === "gap") this.position = params.to;
      else if (method === "event") this.position = params.position ?? params.id;
      else if (["position", "caught_up", "subscribed"].includes(method)) this.position = params.position;
      else if (result?.position !== undefined && this.#isSubscribe(id)) this.position = result.position;
    }
  }

  #isSubscribe(id) {
    return this.conversation.steps.some(({ up }) => up?.id === id && isListening(up));
  }

  #ours(message) {
    if (Array.isArray(message)) return message.map((each) => this.#ours(each));
    return !message.method && this.ids.has(message.id) ? { ...message, id: this.ids.get(message.id) } : message;
  }

  /** What listeners are to hear of it. */
  #expect({ id, method, params }) {
    if (id !== undefined || method === undefined || ["position", "caught_up", "session"].includes(method)) return;
    const subscribed = this.conversation.steps.some(({ up }) => isListening(up));
    const isOfEvents = EVENTS.includes(method);
    if (isOfEvents && !subscribed) return;
    // Who was told by the answer has heard everything.
    if (method === "end" && this.ended.has(params.channel)) return;
    this.expected.push({ method, params: isOfEvents ? said(method, params) : params });
  }

  #settled({ id, result, error }) {
    const found = this.answers.find(([each]) => each === id);
    assert.ok(found, `the call ${id} is settled`);
    this.answers.splice(this.answers.indexOf(found), 1);
    this.ids.delete(id);
    const [, failure, outcome] = found;
    if (error) return assert.equal(failure.rpc, error.code);
    const gap = result?.gap;
    if (gap && this.#isSubscribe(id)) this.expected.push({ method: "gap", params: gap });
    const { ended, ...rest } = result ?? {};
    if (outcome) assert.deepEqual(outcome, this.#isSubscribe(id) ? rest : result);
    if (!ended || !this.#isSubscribe(id)) return;
    this.expected.push({ method: "end", params: { channel: this.#channelOf(id) } });
    this.ended.add(this.#channelOf(id));
  }

  #channelOf(id) {
    return this.conversation.steps.find(({ up }) => up?.id === id).up.params.channel;
  }

  place(place) {
    assert.ok(this.names.isMeant(place, this.session.place), `${this.session.place} is ${place}`);
  }

  take_up({ since, session }) {
    this.seen++;
    assert.ok(this.session.attempt() > 1);
    this.session.reads();
    const place = since ? this.names.fill(since) : this.session.place;
    if (since && !since.includes("<start>")) assert.equal(place, this.session.place);
    const said = this.names.fill({ id: "<session>", location: "<location>", seq: 1, ...session, place });
    if (this.over !== "poll") this.session.received(JSON.stringify({ jsonrpc: "2.0", method: "session", params: said }));
    // What the client has got of control is not told again to those who hear.
    this.behind = this.session.control - Number(place.split(".")[0]);
  }
}

/** Whether the client subscribes so: to one channel, by names that it knows. */
const isListening = (message) =>
  message?.method === "subscribe" &&
  typeof message.params?.channel === "string" &&
  Object.keys(message.params).every((name) => ["channel", "since", "presence"].includes(name));

/** What a listener was told, as the message says it. */
function told(item) {
  if (item.kind === "event") return { method: "event", params: item.event };
  if (item.kind === "gap") return { method: "gap", params: item.gap };
  if (item.kind === "presence") return { method: "presence", params: item.change };
  return { method: "end", params: { channel: item.channel } };
}

function said(method, params) {
  if (method !== "event") return params;
  const { base64, ...event } = params;
  const data = base64 === undefined ? {} : { data: new Uint8Array(Buffer.from(base64, "base64")) };
  return { ...event, ...data, position: event.position ?? event.id };
}

for (const conversation of cases) {
  for (const over of conversation.over ?? ALL) {
    test(`${conversation.name}, over ${over}`, () => void new Player(conversation, over).play());
  }
}

test("every conversation was read", () => {
  const steps = cases.flatMap((conversation) => conversation.steps);
  assert.ok(cases.length > 60 && steps.filter(({ down }) => down).length > 150, `${cases.length} conversations`);
});
