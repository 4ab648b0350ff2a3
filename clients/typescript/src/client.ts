/** The client: what applications use. */

import { Channel } from "./channel.js";
import { Emitter } from "./emitter.js";
import type { Engine, EngineEvents } from "./engine.js";
import { answerOf, closed, SwitchboardError } from "./errors.js";
import { TIMEOUT } from "./limits.js";
import { CLOCK, startDriver } from "./local.js";
import type { TransportName } from "./transport.js";
import type {
  CallOptions,
  ClientEvents,
  ConnectOptions,
  CoreOptions,
  EventMap,
  Handler,
  State,
  StateChange,
  Transport,
  Undo,
} from "./types.js";

/** Makes what stands behind a client. */
export type StartEngine = (url: string, options: ClientOptions, events: EngineEvents) => Engine;

export interface ClientOptions extends CoreOptions {
  /** How the session travels; `several` makes one transport of several. */
  transport: Transport;
  /** What stands behind the client: `shared()` of `switchboard-client/tabs`, or by itself a connection of its own. */
  engine?: StartEngine;
}

/** What channels need of a client. */
export interface Caller {
  engine(): Engine;
  call<Result>(method: string, params: object, options: CallOptions): Promise<Result>;
}

/**
 * One conversation with a server that goes on across cuts, other transports and restarts. It connects when something is
 * wanted of it, or by {@link Switchboard.connect}.
 */
export class Switchboard extends Emitter<ClientEvents> {
  readonly url: string;
  readonly #options: ClientOptions;
  readonly #handlers = new Map<string, Handler>();
  #engine: Engine | undefined;
  #change: Omit<StateChange, "previous"> = { state: "idle" };
  #id: string | undefined;

  /** `url` is the server's: `https://example.net`, or with the path under which a proxy has it. */
  constructor(url: string | URL, options: ClientOptions) {
    super();
    const { href } = new URL(url, globalThis.location?.href);
    this.url = href.replace(/^ws/, "http").replace(/[?#].*/, "").replace(/\/$/, "");
    this.#options = options;
  }

  get state(): State {
    return this.#change.state;
  }

  /** What the connection is over, while there is one. */
  get transport(): TransportName | undefined {
    return this.#change.transport;
  }

  /** The public name of the session, by which backends call the client. */
  get session(): string | undefined {
    return this.#id;
  }

  /** Connects. Fails only where the server does not let the client in; else it goes on trying. */
  connect({ signal }: ConnectOptions = {}): Promise<void> {
    return until(signal, (done) => {
      if (this.state === "closed") {
        this.#engine = undefined;
        this.#become({ state: "idle" });
      }
      const undo = this.on("statechange", ({ state, error }) => {
        if (state === "connected") done();
        if (state === "closed") done(error ?? closed());
      });
      this.#open();
      if (this.state === "connected") done();
      return undo;
    });
  }

  /**
   * Ends the session. What was said before is sent first, for which a connection is waited for as well, but no longer than
   * two seconds. Calls that were not answered by then fail with `closed`; a notification may be lost.
   */
  async close(): Promise<void> {
    if (this.#engine) await this.#engine.close();
    else this.#become({ state: "closed" });
  }

  /** A channel, or a pattern. */
  channel<Events extends EventMap = EventMap>(name: string): Channel<Events> {
    const engine = () => this.#open();
    return new Channel<Events>({ engine, call: (...call) => this.call(...call) }, name);
  }

  /** Calls a method of the server or, if it has none of that name, of the application behind it. Params are an object or an array. */
  call<Result = any>(method: string, params?: object, options: CallOptions = {}): Promise<Result> {
    const { signal, timeout = this.#options.timeout ?? TIMEOUT, repeat = false } = options;
    return until(signal, (done) => {
      const { clock = CLOCK } = this.#options;
      const abandon = this.#open().call(method, params, repeat, done);
      const timer = clock.set(() => done(new SwitchboardError("timeout")), timeout);
      return () => {
        clock.clear(timer);
        abandon();
      };
    });
  }

  /** Says something to the application that is not answered. */
  notify(method: string, params?: object): void {
    this.#open().notify(method, params);
  }

  /** Answers what the server calls by this name, and hears what it says by it. */
  method<Params = any, Result = any>(name: string, handler: Handler<Params, Result>): Undo {
    this.#handlers.set(name, handler);
    return () => {
      if (this.#handlers.get(name) === handler) this.#handlers.delete(name);
    };
  }

  #open(): Engine {
    if (this.state === "closed") throw this.#change.error ?? closed();
    if (!this.#engine) {
      const start = this.#options.engine ?? startDriver;
      this.#engine = start(this.url, this.#options, {
        changed: (change) => this.#become(change),
        began: ({ id }) => {
          this.#id = id;
          this.emit("session", { id });
        },
        called: (method, params, answer) => {
          // A result may be none that JSON has.
          this.#work(method, params)
            .then((result = null) => answer({ result }))
            .catch((error) => answer({ error: answerOf(error) }));
        },
        notified: (method, params) => {
          this.emit("notification", { method, params });
          this.#work(method, params).catch(() => {});
        },
      });
    }
    this.#engine.connect();
    return this.#engine;
  }

  async #work(method: string, params: unknown): Promise<any> {
    const handler = this.#handlers.get(method);
    if (!handler) throw new SwitchboardError("method_not_found");
    return handler(params);
  }

  #become(change: Omit<StateChange, "previous">): void {
    const previous = this.state;
    this.#change = change;
    if (change.state !== "idle" || previous !== "idle") this.emit("statechange", { ...change, previous });
  }
}

/** What `start` begins, until it is done or the signal gives it up. What `start` gives is called then. */
async function until(signal: AbortSignal | undefined, start: (done: (error?: unknown, result?: any) => void) => Undo): Promise<any> {
  signal?.throwIfAborted();
  let undo: Undo | undefined;
  let abort!: () => void;
  return new Promise((resolve, reject) => {
    abort = () => reject(signal!.reason);
    signal?.addEventListener("abort", abort);
    undo = start((error, result) => (error ? reject(error) : resolve(result)));
  }).finally(() => {
    signal?.removeEventListener("abort", abort);
    undo?.();
  });
}
