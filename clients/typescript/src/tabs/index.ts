/**
 * One connection for all tabs of an origin. The tab that holds a lock leads: it has the connection, and does for the others
 * what they want. When it is closed or put aside, the lock is another's; when it is frozen, another takes it. Everyone
 * knows how far it has got, so nothing is lost by that and nothing comes twice.
 */

import type { StartEngine } from "../client.js";
import type { Engine, EngineEvents } from "../engine.js";
import { closed, full, SwitchboardError } from "../errors.js";
import { type Driver } from "../driver.js";
import { ASKED, QUIET, WAITING } from "../limits.js";
import { startDriver } from "../local.js";
import type { Done } from "../session/session.js";
import type { Item, Sink } from "../session/subscriptions.js";
import type { Said } from "../session/words.js";
import type { StateChange } from "../types.js";
import { Hub } from "./hub.js";
import { errorFrom, type FromFollower, type FromLeader, type Letter } from "./letters.js";

export interface SharedOptions {
  /** Tabs of one name share a connection, and so who they are: the server's address unless told. */
  name?: string;
  /** In place of the platform's, for tests. */
  locks?: LockManager;
  BroadcastChannel?: typeof BroadcastChannel;
}

/**
 * What `engine` takes: all tabs share one connection. Where the page has no locks, each has its own. A tab that is
 * closed waits for what it has said to be sent only where it has the connection.
 */
export function shared(options: SharedOptions = {}): StartEngine {
  const locks = options.locks ?? globalThis.navigator?.locks;
  const Channel = options.BroadcastChannel ?? globalThis.BroadcastChannel;
  return (url, own, events) => {
    const start = (events: EngineEvents) => startDriver(url, own, events);
    if (!locks || !Channel) return start(events);
    return new Tab(`switchboard ${options.name ?? url}`, locks, Channel, start, events);
  };
}

interface Call {
  method: string;
  params: unknown;
  repeats: boolean;
  /** None of a notification, which is a call only while it waits. */
  done: Done | undefined;
  /** Somebody may have worked on it. */
  isTried: boolean;
  abandon: (() => void) | undefined;
}

interface Listener {
  channel: string;
  since: string | undefined;
  presence: boolean;
  sink: Sink;
  leave: (() => void) | undefined;
}

class Tab implements Engine {
  readonly #id = Math.random().toString(36).slice(2);
  readonly #name: string;
  readonly #locks: LockManager;
  readonly #post: BroadcastChannel;
  readonly #start: (events: EngineEvents) => Driver;
  readonly #events: EngineEvents;
  readonly #calls = new Map<number, Call>();
  readonly #listeners = new Map<number, Listener>();
  /** Who waits for what the leader says, by the numbers that it was told. */
  #sinks = new Map<number, Sink>();
  #dones = new Map<number, Done>();
  #last = 0;
  /** What stands behind this tab, and whose it is: none until there is a leader. */
  #engine: Pick<Engine, "call" | "notify" | "listen"> | undefined;
  #leader: string | undefined;
  #driver: Driver | undefined;
  #hub: Hub | undefined;
  /** Gives the lock to another. */
  #release = () => {};
  #queued: AbortController | undefined;
  readonly #isOver = new AbortController();
  #session: string | undefined;
  /** How often the leader was asked in vain. */
  #asked = 0;
  #timer: unknown;

  constructor(
    name: string,
    locks: LockManager,
    Channel: typeof BroadcastChannel,
    start: (events: EngineEvents) => Driver,
    events: EngineEvents,
  ) {
    this.#name = name;
    this.#locks = locks;
    this.#start = start;
    this.#events = events;
    this.#post = new Channel(name);
    this.#post.onmessage = ({ data }: MessageEvent<Letter>) => this.#read(data);
    const on = (target: EventTarget | undefined, type: string, listener: (event: any) => void) =>
      target?.addEventListener?.(type, listener, { signal: this.#isOver.signal });
    // A tab that is put aside cannot lead.
    on(globalThis.document, "freeze", () => this.#yield());
    on(globalThis as any, "pagehide", ({ persisted }) => (persisted ? this.#yield() : this.#end()));
    on(globalThis as any, "pageshow", () => this.#queue());
    on(globalThis.document, "resume", () => this.#queue());
  }

  connect(): void {
    if (this.#timer !== undefined || this.#isOver.signal.aborted) return;
    this.#events.changed({ state: "connecting" });
    // Who leads drops what a tab wanted when its own lock is free.
    this.#locks.request(`${this.#name} ${this.#id}`, { signal: this.#isOver.signal }, () => this.#untilOver()).catch(() => {});
    this.#timer = setInterval(() => this.#look(), QUIET);
    this.#queue();
    this.#say({ kind: "hello" });
  }

  async close(): Promise<void> {
    const driver = this.#driver;
    // The others go on with who leads next.
    this.#driver = this.#hub = undefined;
    await driver?.close();
    this.#release();
    this.#end();
  }

  call(method: string, params: unknown, repeats: boolean, done: Done): () => void {
    const id = ++this.#last;
    const call: Call = { method, params, repeats, done, isTried: false, abandon: undefined };
    if (this.#isFull) done(full());
    else {
      this.#calls.set(id, call);
      this.#make(id, call);
    }
    return () => {
      if (this.#calls.delete(id)) call.abandon?.();
    };
  }

  notify(method: string, params: unknown): void {
    if (this.#engine) return this.#engine.notify(method, params);
    if (this.#isFull) throw full();
    this.#calls.set(++this.#last, { method, params, repeats: false, done: undefined, isTried: false, abandon: undefined });
  }

  get #isFull(): boolean {
    return !this.#engine && this.#calls.size >= WAITING;
  }

  listen(channel: string, since: string | undefined, presence: boolean, sink: Sink): () => void {
    const id = ++this.#last;
    const listener: Listener = { channel, since, presence, sink, leave: undefined };
    this.#listeners.set(id, listener);
    this.#hear(id, listener);
    return () => {
      this.#listeners.delete(id);
      listener.leave?.();
    };
  }

  #make(id: number, call: Call): void {
    const engine = this.#engine;
    if (!engine) return;
    const { method, params, repeats, done } = call;
    call.isTried = true;
    if (done) {
      call.abandon = engine.call(method, params, repeats, (error, result) => {
        // What becomes of it after another leads is not decided here.
        if (engine === this.#engine && this.#calls.delete(id)) done(error, result);
      });
    } else {
      this.#calls.delete(id);
      engine.notify(method, params);
    }
  }

  #hear(id: number, listener: Listener): void {
    const { sink } = listener;
    const engine = this.#engine;
    const isHeard = () => engine === this.#engine && this.#listeners.has(id);
    listener.leave = engine?.listen(listener.channel, listener.since, listener.presence, {
      granted: (said) => {
        if (!isHeard()) return;
        listener.since = said.position;
        sink.granted(said);
      },
      item: (item) => {
        if (!isHeard()) return;
        listener.since = positionOf(item) ?? listener.since;
        sink.item(item);
      },
      over: (error) => {
        if (!isHeard()) return;
        this.#listeners.delete(id);
        sink.over(error);
      },
    });
  }

  // Who leads.

  /** Waits for its turn to lead. */
  #queue(steal = false): void {
    if (this.#driver || (this.#queued && !steal) || this.#isOver.signal.aborted) return;
    this.#queued?.abort();
    const queued = (this.#queued = new AbortController());
    const options: LockOptions = steal ? { steal } : { signal: queued.signal };
    // It is refused where another takes the lock, as from a tab that is frozen, and where the page may have none.
    this.#locks.request(this.#name, options, () => this.#lead()).catch(({ name }) => {
      if (queued !== this.#queued) return;
      if (name !== "AbortError") return void this.#lead();
      this.#yield();
      this.#queue();
    });
  }

  #lead(): Promise<void> {
    const events: EngineEvents = {
      changed: (change) => this.#became(change),
      began: (said) => {
        this.#began(said);
        this.#hub?.began(said);
      },
      called: (method, params, answer) => {
        this.#events.called(method, params, (own) => {
          if (own.error?.code === -32601 && this.#hub) this.#hub.called(method, params, answer);
          else answer(own);
        });
      },
      notified: (method, params) => {
        this.#events.notified(method, params);
        this.#hub?.say("*", { kind: "notified", method, params });
      },
    };
    const driver = (this.#driver = this.#start({
      ...events,
      changed: (change) => driver === this.#driver && events.changed(change),
    }));
    const say = (to: string, down: FromLeader) => driver === this.#driver && this.#send({ from: this.#id, to, down });
    const gone = (tab: string, then: () => void) =>
      void this.#locks.request(`${this.#name} ${tab}`, { signal: this.#isOver.signal }, then).catch(() => {});
    this.#hub = new Hub(driver, say, gone);
    this.#follow(this.#id, driver);
    driver.connect();
    this.#hub.say("*", { kind: "leads" });
    return new Promise((release) => (this.#release = release));
  }

  #began({ id }: Pick<Said, "id">): void {
    this.#session = id;
    this.#events.began({ id });
  }

  #became(change: Omit<StateChange, "previous">): void {
    this.#hub?.became(change);
    if (change.state === "closed") this.#end(change.error);
    else this.#events.changed(change);
  }

  /** Leads no more, if it did. */
  #yield(): void {
    const driver = this.#driver;
    this.#queued = undefined;
    if (!driver) return;
    this.#driver = this.#hub = undefined;
    this.#lost();
    driver.leave();
    this.#release();
  }

  /** There is no leader. */
  #lost(): void {
    this.#engine = this.#leader = undefined;
    this.#asked = 0;
    if (!this.#isOver.signal.aborted) this.#events.changed({ state: "connecting" });
  }

  /** Another leads, or this one: what is wanted is said again. */
  #follow(leader: string, engine: Pick<Engine, "call" | "notify" | "listen">): void {
    this.#leader = leader;
    this.#engine = engine;
    this.#asked = 0;
    for (const [id, call] of this.#calls) {
      if (!call.isTried || call.repeats) this.#make(id, call);
      else {
        this.#calls.delete(id);
        call.done?.(new SwitchboardError("session_lost"));
      }
    }
    for (const [id, listener] of this.#listeners) this.#hear(id, listener);
  }

  /** Whether the leader lives. Timers of a tab that is not seen may be late, so what counts is answers, not time. */
  #look(): void {
    if (this.#driver) return;
    if (this.#asked >= ASKED) {
      this.#asked = 0;
      return this.#queue(true);
    }
    this.#asked++;
    this.#say({ kind: this.#leader === undefined ? "hello" : "ping" });
  }

  // Letters.

  #say(letter: FromFollower): void {
    this.#send({ from: this.#id, up: letter });
  }

  #send(letter: Letter): void {
    if (!this.#isOver.signal.aborted) this.#post.postMessage(letter);
  }

  #read(letter: Letter): void {
    if (this.#isOver.signal.aborted) return;
    if ("up" in letter) return this.#hub?.read(letter.from, letter.up);
    const { from, to, down } = letter;
    if (to !== "*" && to !== this.#id) return;
    // One whose lock was taken does not know it yet.
    if (down.kind === "leads") this.#yield();
    if (this.#driver) return;
    if (from !== this.#leader) {
      if (down.kind !== "leads" && down.kind !== "became") return;
      this.#queue();
      this.#follow(from, this.#toLeader());
    }
    this.#asked = 0;
    this.#told(down);
  }

  #told(letter: FromLeader): void {
    switch (letter.kind) {
      case "became": {
        const { error, ...change } = letter.change;
        if (letter.session && letter.session.id !== this.#session) this.#began(letter.session);
        const why = error && errorFrom(error);
        if (change.state === "closed") return this.#end(why);
        return this.#events.changed({ ...change, error: why });
      }
      case "notified":
        return this.#events.notified(letter.method, letter.params);
      case "called":
        return this.#events.called(letter.method, letter.params, (answer) => this.#say({ kind: "answer", id: letter.id, answer }));
      case "granted":
        return this.#sinks.get(letter.id)?.granted(letter.said);
      case "item":
        return this.#sinks.get(letter.id)?.item(letter.item);
      case "over":
        return this.#sinks.get(letter.id)?.over(letter.error && errorFrom(letter.error));
      case "done":
        this.#dones.get(letter.id)?.(letter.error && errorFrom(letter.error), letter.result);
        return void this.#dones.delete(letter.id);
    }
  }

  /** The leader, as what stands behind this tab. */
  #toLeader(): Pick<Engine, "call" | "notify" | "listen"> {
    const sinks = (this.#sinks = new Map());
    const dones = (this.#dones = new Map());
    return {
      call: (method, params, repeats, done) => {
        const id = ++this.#last;
        dones.set(id, done);
        this.#say({ kind: "call", id, method, params, repeats });
        return () => {
          dones.delete(id);
          this.#say({ kind: "drop", id });
        };
      },
      notify: (method, params) => this.#say({ kind: "notify", method, params }),
      listen: (channel, since, presence, sink) => {
        const id = ++this.#last;
        sinks.set(id, sink);
        this.#say({ kind: "listen", id, channel, since, presence });
        return () => {
          sinks.delete(id);
          this.#say({ kind: "drop", id });
        };
      },
    };
  }

  // The end.

  #untilOver(): Promise<void> {
    const { signal } = this.#isOver;
    return new Promise((done) => signal.addEventListener("abort", () => done(), { once: true }));
  }

  #end(why?: SwitchboardError): void {
    if (this.#isOver.signal.aborted) return;
    this.#isOver.abort();
    this.#queued?.abort();
    clearInterval(this.#timer as number);
    this.#yield();
    this.#events.changed({ state: "closed", error: why });
    const error = why ?? closed();
    for (const { done } of this.#calls.values()) done?.(error);
    for (const { sink } of this.#listeners.values()) sink.over(error);
    this.#calls.clear();
    this.#listeners.clear();
    this.#post.close();
  }
}

const positionOf = (item: Item): string | undefined =>
  item.kind === "event" ? item.event.position : item.kind === "gap" ? item.gap.to : undefined;

