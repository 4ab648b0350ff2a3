// Plays one conversation against the client's side of a session: the player is the server, and whoever asks it. Each step is
// checked: what it makes the client hear and send, and where the client is after it.

import assert from "node:assert/strict";
import { errorOf } from "../../dist/errors.js";
import { Session } from "../../dist/session/session.js";
import { sse } from "../../dist/transports/sse.js";
import { settled } from "../support/virtual.mjs";
import { closedAfter, closedForMessage, linkOf, readPage, refusedDown, refusedUp, responseOf } from "./answers.mjs";
import { Listening } from "./listening.mjs";
import { Names } from "./names.mjs";

/** Notifications of which listeners hear, and those that take no number. */
const EVENTS = ["event", "presence", "gap", "end", "position", "caught_up"];
const NOT_NUMBERED = ["session", "closing", ...EVENTS];

/** Under such ids answers come that are none of this client's calls. */
const FOREIGN = 1_000_000;

const notification = (method, params) => JSON.stringify({ jsonrpc: "2.0", method, params });

export class Player {
  #case;
  #over;
  #isReversed;
  #names;
  #session;
  #isConnected = false;
  /** The client's place, by the rules of "Going on after a cut"; and how many control messages come again. */
  #control = 0;
  #position = "";
  #behind = 0;
  #attempts = 1;
  /** The number of the last message up, and those that the server may not have. */
  #sent = 0;
  #unconfirmed = [];
  /** What the client has said by itself, ahead of the conversation. */
  #ahead = [];
  /** The client's calls by the ids of the conversation: `{number, wait, message}`. */
  #calls = new Map();
  #listening = new Listening();
  #leaves = new Map();
  #channels = new Set();
  /** Requests without an answer, calls of backends, and what backends told that is yet to come. */
  #asked = [];
  #called = [];
  #told = [];
  #published = new Map();
  #closing;
  #happened = [];
  #expected = [];
  #at = "";

  constructor(conversation, over, isReversed = false) {
    this.#case = conversation;
    this.#over = over;
    this.#isReversed = isReversed;
    const tokens = Object.keys(conversation.tokens ?? {}).map((name) => [name, `token.of.${name}`]);
    this.#names = new Names({ session: "s1", location: "/session/s1.key", start: "0.p0", ...Object.fromEntries(tokens) });
    const happened = (what) => this.#happened.push(what);
    this.#session = new Session(() => 0, {
      called: (method, params, answer) => {
        happened({ called: method, params });
        this.#called.find((each) => each.isWaiting && each.method === method).answer = answer;
      },
      notified: (method, params) => happened({ notified: method, params }),
      began: ({ id }) => happened({ began: id }),
      expiring: (expires) => happened({ expiring: expires }),
      closing: (closing) => happened({ closing: (this.#closing = closing) }),
    });
  }

  async play() {
    for (const [at, step] of this.#case.steps.entries()) {
      this.#at = `step ${at + 1} over ${this.#over}, ${JSON.stringify(step)}`;
      const [[kind, what], ...more] = Object.entries(step);
      assert.ok(more.length === 0 && Object.hasOwn(STEPS, kind), `no step is called ${Object.keys(step)}`);
      await STEPS[kind](this, what);
      this.#settle();
    }
    assert.deepEqual(this.#ahead, [], "the client said what it was not to say");
    assert.deepEqual(this.#asked, [], "a request is left without an answer");
  }

  /** After each step: just what was to happen has happened, nothing else is said, and the client is where it should be. */
  #settle() {
    assert.deepEqual(this.#happened.splice(0), this.#expected.splice(0), `${this.#at}: what has happened`);
    if (this.#isConnected) for (let said; (said = this.#nextUp()); ) this.#ahead.push(said);
    if (this.#session.said) assert.equal(this.#session.place, this.#place, `${this.#at}: where the client is`);
  }

  get #place() {
    return `${this.#control}.${this.#position}`;
  }

  // The session and its connections.

  open({ session = { id: "<session>", location: "<location>", place: "<start>", seq: 1 } }) {
    const said = this.#placed(this.#names.make(session));
    if (this.#over === "websocket") this.#greet(said);
    else {
      this.#session.opened(said);
      if (this.#over !== "poll") {
        this.#attempt();
        this.#greet(said);
      }
    }
    this.#begins(said);
  }

  #greet(said) {
    this.#session.received(notification("session", said));
  }

  #begins(said) {
    this.#expected.push({ began: said.id });
    assert.deepEqual(this.#session.said, said, this.#at);
    this.#names.set("session", said.id);
    this.#names.set("location", said.location);
    this.#control = Number(said.place.split(".")[0]);
    this.#position = said.place.slice(said.place.indexOf(".") + 1);
    this.#isConnected = true;
  }

  /** With a place, where the conversation leaves it open. */
  #placed(said) {
    return said.place.includes(".") ? said : { ...said, place: `${this.#control}.${said.place}` };
  }

  #attempt() {
    assert.equal(this.#session.attempt(), ++this.#attempts, `${this.#at}: the client numbers its connections`);
    this.#session.reads();
  }

  /** The connection is lost: the session is there all the same, and what the server may not have is ready to be sent again. */
  cut() {
    this.#session.rewind();
    assert.ok(this.#session.said, `${this.#at}: the session outlives its connection`);
    const again = [];
    for (let up; (up = this.#session.nextUp()); ) again.push({ seq: up.seq, ...JSON.parse(up.text) });
    assert.deepEqual(again, this.#unconfirmed, `${this.#at}: what is sent again`);
    this.#session.rewind();
    this.#isConnected = false;
  }

  takeUp({ over, since, session, ...more }) {
    assert.deepEqual(more, {}, `${this.#at}: the client numbers its connections itself`);
    this.#over = over ?? this.#over;
    assert.equal(this.#session.place, this.#place, `${this.#at}: what the client goes on with`);
    this.#attempt();
    // Where the conversation says another place, what came after that was lost on its way.
    const place = since ? this.#names.make(since) : this.#place;
    const said = this.#names.make(session ?? { id: "<session>", location: "<location>", place, seq: this.#sent + 1 });
    assert.deepEqual([said.place, said.seq], [place, this.#sent + 1], this.#at);
    this.#behind = this.#control - Number(place.split(".")[0]);
    if (this.#over !== "poll") {
      this.#greet(said);
      this.#unconfirmed = [];
    }
    this.#isConnected = true;
  }

  async closed(code) {
    this.#isConnected = false;
    const ofSocket = this.#over === "websocket" && code !== null ? code : undefined;
    if (this.#closing) return closedAfter(this.#closing, ofSocket);
    // The one close that nothing is said before.
    assert.equal(ofSocket, 1009, `${this.#at}: closed without a word`);
    await closedForMessage(ofSocket);
  }

  /** The client comes back, and is told that there is no such session. */
  async gone() {
    assert.ok(await refusedDown({ status: 404, problem: "not_found" }, this.#session.said.location));
    this.#lost();
  }

  /** The server has no such session any more: all that was open in it is told. */
  #lost() {
    this.#session.lost();
    this.#isConnected = false;
    assert.deepEqual([this.#session.said, this.#session.nextUp()], [undefined, undefined], this.#at);
    for (const call of this.#calls.values()) {
      if (call.wait === "application") this.#expected.push({ answered: call.number, error: "session_lost" });
      call.wait = "nobody";
    }
    this.#unconfirmed = [];
  }

  place(place) {
    this.#names.compare(place, this.#session.place, this.#at);
  }

  // The way up.

  up(message) {
    assert.ok(this.#isConnected, `${this.#at}: the client is not connected`);
    this.#say(message);
    if (this.#over !== "websocket") this.#confirm(this.#sent);
  }

  #say(message) {
    // This client says one after the other.
    if (Array.isArray(message) && message.length > 0) return message.forEach((each) => this.#say(each));
    const said = this.#names.make(message);
    if (!isMessage(said)) return this.text(JSON.stringify(said));
    if (said.method === undefined) this.#sayAnswer(said);
    else this.#sayCall(said);
  }

  /** This is no message, and each that the client sends is one. What is no JSON it does not read, either. */
  text(text) {
    let value;
    try {
      value = JSON.parse(text);
    } catch {
      const other = new Session(() => 0, { began() {} });
      other.opened({ id: "s", location: "/session/s.k", place: "0.p" });
      return assert.throws(() => other.received(text), this.#at);
    }
    assert.ok(!isMessage(value), `${this.#at}: a client might say so`);
  }

  #sayAnswer({ id, result, error }) {
    const called = this.#called.find((each) => each.isWaiting && each.id === id);
    called?.answer(error ? { error } : { result });
    // A second answer is not given, nor one to nothing.
    if (!called || called.outcome) return assert.equal(this.#nextUp(), undefined, this.#at);
    called.outcome = error ? { error } : { result };
    const { seq, ...answer } = this.#nextUp();
    assert.deepEqual(answer, { jsonrpc: "2.0", id, ...called.outcome }, this.#at);
  }

  #sayCall(message) {
    const { id, method } = message;
    const before = id === undefined ? undefined : this.#calls.get(id);
    // It came by another way already: to the server it is what is passed over.
    if (before) return assert.deepEqual(message, before.message, `${this.#at}: an id is used again`);
    const params = byName(message);
    const at = this.#ahead.findIndex((said) => said.method === method && JSON.stringify(said.params) === JSON.stringify(params));
    const wait = at < 0 ? this.#want(method, params, id) : "nobody";
    const said = at < 0 ? this.#nextUp() : this.#ahead.splice(at, 1)[0];
    assert.deepEqual([said?.method, said?.params], [method, params], this.#at);
    assert.equal(said.id === undefined, id === undefined, this.#at);
    if (id !== undefined) this.#calls.set(id, { number: said.id, wait, message });
  }

  /** The application wants what comes to this call. Gives who waits for the answer. */
  #want(method, params, id) {
    const session = this.#session;
    if (id === undefined) {
      session.notify(method, params);
      return "nobody";
    }
    const number = () => this.#calls.get(id).number;
    const done = (error, result) => this.#happened.push({ answered: number(), ...(error ? { error: error.code } : { result }) });
    if (method === "subscribe") {
      for (const channel of [params.channel ?? []].flat()) this.#channels.add(channel);
      if (this.#listen(params)) return "listener";
    } else if (method === "unsubscribe") {
      this.#channels.delete(params.channel);
      const listener = this.#listening.take(params.channel);
      if (listener !== undefined) {
        session.leave(this.#leaves.get(listener));
        return "nobody";
      }
    } else if (method === "refresh" && params) {
      session.refresh(params.token, done);
      return "application";
    }
    session.call(method, params, false, done);
    return "application";
  }

  /** Listeners, if that is how this client comes to ask for it: several in one call only from the same position on. */
  #listen({ channel, since, presence = false, ...more }) {
    const channels = [channel ?? []].flat();
    if (Object.keys(more).length > 0 || channels.length === 0 || (channels.length > 1 && since === undefined)) return false;
    for (const name of channels) {
      const id = this.#leaves.size;
      const sink = {
        granted: (where) => this.#happened.push({ granted: id, where }),
        item: (item) => this.#happened.push({ heard: id, item }),
        over: (error) => this.#happened.push({ over: id, ...(error ? { error: error.code } : {}) }),
      };
      this.#leaves.set(id, this.#session.listen(name, since, presence, sink));
      this.#listening.add(id, name);
    }
    return true;
  }

  /** The next message up, under the number that comes next. */
  #nextUp() {
    const up = this.#session.nextUp();
    if (!up) return undefined;
    assert.equal(up.seq, ++this.#sent, `${this.#at}: the number of ${up.text}`);
    const said = { seq: up.seq, ...JSON.parse(up.text) };
    assert.ok(isMessage(said), `${this.#at}: ${up.text} is no message`);
    this.#unconfirmed.push(said);
    return said;
  }

  /** The server has applied everything up to this number. */
  #confirm(seq) {
    this.#session.applied(seq);
    this.#arrived(seq);
  }

  #arrived(seq) {
    this.#unconfirmed = this.#unconfirmed.filter((said) => said.seq > seq);
  }

  // The way down.

  down(message) {
    assert.ok(this.#isConnected, `${this.#at}: the client is not connected`);
    const came = this.#asTold(message);
    const members = [came].flat();
    const isControl = Array.isArray(came) || "id" in came || !NOT_NUMBERED.includes(came.method);
    if (isControl && this.#behind > 0) this.#behind--;
    else {
      if (isControl) this.#control++;
      for (const member of members) this.#expected.push(...this.#toHappen(member));
    }
    const ours = members.map((member) => this.#underOurId(member));
    this.#deliver(JSON.stringify(Array.isArray(came) ? ours : ours[0]));
    for (const { method, id } of members) {
      const call = method === undefined && this.#calls.get(id);
      if (call) this.#arrived(this.#unconfirmed.find((said) => said.id === call.number)?.seq ?? 0);
    }
  }

  downInAnyOrder(messages) {
    for (const message of this.#isReversed ? messages.toReversed() : messages) this.down(message);
  }

  /** The message as the conversation has it; of what a backend told, word by word what it told. */
  #asTold(message) {
    const isNotice = message.method !== undefined && !("id" in message);
    if (!isNotice || this.#told[0]?.method !== message.method) return this.#names.make(message);
    const told = { jsonrpc: "2.0", ...this.#told.shift() };
    this.#names.compare(message, told, this.#at);
    return told;
  }

  #deliver(text) {
    const place = `${this.#control - this.#behind}.${this.#position}`;
    if (this.#over === "sse") this.#session.received(text, place);
    else if (this.#over === "poll") {
      this.#attempt();
      this.#session.received(text);
      this.#session.received(undefined, place, this.#sent + 1);
      this.#arrived(this.#sent);
    } else this.#session.received(text);
  }

  #underOurId(member) {
    if (member.method !== undefined) return member;
    const call = this.#calls.get(member.id);
    if (call) return { ...member, id: call.number };
    return typeof member.id === "number" ? { ...member, id: member.id + FOREIGN } : member;
  }

  /** What the client is to hear of it, by the protocol. Moves its place. */
  #toHappen({ jsonrpc, id, method, params, ...outcome }) {
    if (method === undefined) return this.#answered(id, outcome);
    if (id !== undefined) {
      const called = this.#called.find((each) => each.method === method && !each.isWaiting && !each.isOver);
      assert.ok(called, `${this.#at}: nobody calls ${method}`);
      Object.assign(called, { id, isWaiting: true });
      return [{ called: method, params }];
    }
    switch (method) {
      case "event":
        return this.#event(params);
      case "gap":
        this.#position = params.to;
        return this.#listening.heard(params.channel, { kind: "gap", gap: params });
      case "end":
        return this.#listening.ended(params.channel);
      case "closing":
        return [{ closing: params }];
      case "expiring":
        return [{ expiring: params.expires }];
      case "caught_up":
        this.#listening.caughtUp();
        this.#position = params.position;
        return [];
      case "subscribed":
        this.#position = params.position;
        break;
      default:
        assert.ok(!NOT_NUMBERED.includes(method), `${this.#at}: what is to come of ${method}?`);
    }
    return [{ notified: method, params }];
  }

  #event({ base64, ...params }) {
    this.#position = params.position ?? params.id;
    const bytes = base64 === undefined ? {} : { data: new Uint8Array(Buffer.from(base64, "base64")) };
    const event = { ...params, ...bytes, position: this.#position };
    const published = this.#published.get(params.id);
    if (published) assert.deepEqual([event.channel, event.event, event.data], published, `${this.#at}: what was published`);
    return this.#listening.heard(event.channel, { kind: "event", event });
  }

  #answered(id, outcome) {
    const call = this.#calls.get(id);
    const { wait, number } = call ?? {};
    if (!call || wait === "nobody") return [];
    call.wait = "nobody";
    const error = outcome.error && errorOf(outcome.error).code;
    if (wait === "application") return [{ answered: number, ...(error ? { error } : outcome) }];
    if (outcome.result) this.#position = outcome.result.position;
    return this.#listening.answered({ ...outcome, ...(error ? { error } : {}) });
  }

  // Requests.

  publish({ channel, data, event, id }) {
    if (id) this.#published.set(this.#names.make(id), [channel, event, data]);
  }

  async ask({ method, path: written, fields = {}, body, text }) {
    const path = this.#names.make(written);
    const isOwn = path.startsWith("/session");
    const asked = { method, path, isOwn };
    this.#asked.push(asked);
    if (isOwn && method === "POST" && text === undefined) await this.#post(asked, Number(fields["Session-Seq"]), body);
    if (isOwn) return;
    const kind = path.split("/").at(-1);
    if (kind === "call") this.#called.push((asked.call = { method: body.method }));
    if (kind === "notify") this.#told.push(body);
    if (kind === "subscribe") this.#channels.add(body.channel);
    if (kind === "unsubscribe") this.#channels.delete(body.channel);
  }

  /** The client sends a message by `POST`, under the number that comes next. Another number, or none, it does not give. */
  async #post(asked, seq, message) {
    if (seq > 0 && seq <= this.#sent) {
      // What is known to have arrived is not sent again, whatever becomes of the connection.
      this.#session.rewind();
      return assert.equal(this.#session.nextUp(), undefined, `${this.#at}: it is sent again`);
    }
    if (seq !== this.#sent + 1) return;
    this.#say(message);
    const [said] = this.#unconfirmed;
    this.#session.rewind();
    asked.seq = seq;
    const answered = new Promise((done) => (asked.answer = done));
    let posted;
    const fetch = (_, init) => (init.method === "POST" ? ((posted = init), answered) : new Promise(() => {}));
    linkOf(sse, this.#session.said.location, fetch).pump(this.#session);
    assert.equal(posted.headers["Session-Seq"], String(seq), this.#at);
    assert.deepEqual({ seq, ...JSON.parse(posted.body) }, said, `${this.#at}: what is posted`);
  }

  async answer(answer, isLast = false) {
    const asked = (isLast ? this.#asked.pop() : this.#asked.shift()) ?? assert.fail(`${this.#at}: nothing was asked`);
    if (asked.isOwn) await (answer.problem ? this.#refused(asked, answer) : this.#read(asked, answer));
    else this.#backend(asked, answer);
  }

  async #refused({ method, path, seq, answer: post }, answer) {
    const isKnown = path !== "/session";
    const location = isKnown ? path.split("?")[0] : undefined;
    const isGone = method === "POST" && isKnown ? await refusedUp(answer, location) : await refusedDown(answer, location);
    if (isGone && location === this.#session.said?.location) return this.#lost();
    if (answer.with?.expected) {
      this.#session.expected(answer.with.expected);
      this.#arrived(answer.with.expected - 1);
    }
    if (seq === undefined) return;
    // What was said with that number takes none, and is settled.
    const call = [...this.#calls.values()].at(-1);
    call.wait = "nobody";
    this.#expected.push({ answered: call.number, error: answer.problem });
    this.#unconfirmed = this.#unconfirmed.filter((said) => said.seq < seq);
    this.#sent--;
    post(responseOf(answer));
    await settled();
  }

  /** An answer to the client that is a success. */
  async #read({ method, path, seq, answer: post }, answer) {
    const { status, fields, body } = answer;
    if (method === "POST" && status === 201) {
      const said = this.#names.make(body);
      assert.deepEqual(this.#names.make(fields), { location: said.location });
      this.#session.opened(said);
      this.#begins(said);
    } else if (method === "POST" && status === 202) {
      post?.(responseOf(answer));
      await settled();
      if (seq !== undefined) this.#arrived(seq);
    } else if (method === "GET" && status === 200) await this.#page(path.split("?")[0], this.#placed(this.#names.make(body)));
    // The client ends its session itself.
    else assert.deepEqual([method, status], ["DELETE", 204], this.#at);
  }

  /** A page that was asked for from a place of its own: a client that is there reads it. */
  async #page(location, page) {
    const isControl = ({ method }) => !NOT_NUMBERED.includes(method);
    const [control, position] = page.place.split(".");
    const heard = [];
    const client = new Session(() => 0, { began() {}, notified: (method, params) => heard.push({ method, params }) });
    const place = `${control - page.messages.filter(isControl).length}.${position}`;
    client.opened({ id: "s", location, place, seq: page.seq });
    client.reads();
    await readPage(page, location, client);
    assert.equal(client.place, page.place, this.#at);
    const notices = page.messages.filter((message) => isControl(message) && message.method !== undefined);
    assert.deepEqual(heard, notices.map(({ method, params }) => ({ method, params })), this.#at);
  }

  /** What a backend reads is what the client did. */
  #backend({ method, path, call }, { status, problem, body }) {
    responseOf({ status, problem });
    if (problem) {
      // Nothing of it came to the client; or it did, and the client has not answered.
      if (call) {
        assert.equal(call.outcome, undefined, `${this.#at}: the client has answered ${call.method}`);
        call.isOver = true;
      } else if (path.endsWith("/notify")) this.#told.pop();
      return;
    }
    assert.ok(status >= 200 && status < 300, this.#at);
    if (call && body.answers) {
      const outcomes = body.answers.map(({ session, ...outcome }) => outcome);
      call.isOver = true;
      assert.deepEqual(outcomes, call.outcome ? [call.outcome] : [], `${this.#at}: what the client answered`);
    } else if (call) assert.deepEqual(body, call.outcome, `${this.#at}: what the client answered`);
    else if (body?.sessions === 0) this.#told.pop();
    else if (Array.isArray(body?.sessions)) {
      assert.equal(body.sessions.length, Number(this.#isConnected), this.#at);
      for (const session of body.sessions) this.#seen(session);
    } else if (method === "GET") this.#seen(body);
  }

  /** How a backend sees the session: what the client asked for. */
  #seen({ id, channels }) {
    assert.deepEqual(new Set(channels), this.#channels, this.#at);
    this.#names.compare(id, this.#session.said.id, this.#at);
  }
}

/** Each kind of step. */
const STEPS = {
  open: (player, what) => player.open(what),
  up: (player, message) => player.up(message),
  text: (player, text) => player.text(text),
  down: (player, message) => player.down(message),
  down_in_any_order: (player, messages) => player.downInAnyOrder(messages),
  place: (player, place) => player.place(place),
  cut: (player) => player.cut(),
  take_up: (player, what) => player.takeUp(what),
  closed: (player, code) => player.closed(code),
  publish: (player, what) => player.publish(what),
  ask: (player, what) => player.ask(what),
  answer: (player, what) => player.answer(what),
  answer_to_last: (player, what) => player.answer(what, true),
  gone: (player) => player.gone(),
};

/** The kinds that there are, for the test that all of them are met. */
export const KINDS = Object.keys(STEPS);

/** Whether this is a request, a notification or a response of JSON-RPC 2.0. */
function isMessage(value) {
  const { jsonrpc, id, method, params } = value ?? {};
  if (jsonrpc !== "2.0" || Array.isArray(value)) return false;
  if (method === undefined) return id !== undefined && "result" in value !== "error" in value;
  return typeof method === "string" && (params === undefined || (typeof params === "object" && params !== null));
}

/** Params as this client gives them: by name, where it knows the method. */
function byName({ method, params }) {
  const names = { subscribe: ["channel", "since", "presence"], unsubscribe: ["channel"], refresh: ["token"] }[method];
  if (!names || !Array.isArray(params)) return params;
  return Object.fromEntries(params.map((value, at) => [names[at], value]));
}
