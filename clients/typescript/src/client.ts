/** The client: what applications use. */

import { Channel } from "./channel.js";
import { Emitter } from "./emitter.js";
import type { Engine, EngineEvents } from "./engine.js";
import { answerOf, SwitchboardError } from "./errors.js";
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

/** How long a call may take unless told, in milliseconds. */
const TIMEOUT = 30_000;

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
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.state === "closed") this.#engine = undefined;
      const settle = (error?: unknown) => {
        undo();
        signal?.removeEventListener("abort", abort);
        if (error === undefined) resolve();
        else reject(error);
      };
      const look = ({ state, error }: Omit<StateChange, "previous">) => {
        if (state === "connected") settle();
        if (state === "closed") settle(error ?? closed());
      };
      const abort = () => settle(signal!.reason);
      const undo = this.on("statechange", look);
      signal?.addEventListener("abort", abort, { once: true });
      this.#open();
      if (this.state === "connected") settle();
    });
  }

  /**
   * Ends the session. What was said before is sent first, if the client is connected; calls that wait for their answers
   * fail with `closed`.
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
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const { clock = CLOCK } = this.#options;
      const engine = this.#open();
      const settle = (error: unknown, result?: Result) => {
        clock.clear(timer);
        signal?.removeEventListener("abort", abort);
        if (error === undefined) resolve(result!);
        else reject(error);
      };
      const fail = (why: unknown) => {
        abandon();
        settle(why);
      };
      const abort = () => fail(signal!.reason);
      const timer = clock.set(() => fail(new SwitchboardError("timeout")), timeout);
      signal?.addEventListener("abort", abort, { once: true });
      const abandon = engine.call(method, params, repeat, settle);
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
    if (this.state === "closed" && this.#engine) throw this.#change.error ?? closed();
    if (!this.#engine) {
      this.#become({ state: "idle" });
      const start = this.#options.engine ?? startDriver;
      this.#engine = start(this.url, this.#options, {
        changed: (change) => this.#become(change),
        began: ({ id }) => {
          this.#id = id;
          this.emit("session", { id });
        },
        called: (method, params, answer) => {
          this.#work(method, params).then(
            (result = null) => answer({ result }),
            (error) => answer({ error: answerOf(error) }),
          );
        },
        notified: (method, params) => {
          this.emit("notification", { method, params });
          if (this.#handlers.has(method)) this.#work(method, params).catch(() => {});
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

const closed = () => new SwitchboardError("closed");
