/** What a channel brings, for callbacks and for loops. */

import { Emitter, report } from "./emitter.js";
import { closed, SwitchboardError } from "./errors.js";
import type { Engine } from "./engine.js";
import { QUEUE } from "./limits.js";
import { PRESENCE } from "./session/session.js";
import type { Item, Sink } from "./session/subscriptions.js";
import type { AnyEvent, EventMap, Gap, Subscribed, SubscribeOptions, SubscriptionEvents } from "./types.js";

/** Whether it has its place in the log. Who comes and goes, and the end, are told at once where no loop takes them. */
const isLogged = ({ kind }: Item) => kind === "event" || kind === "gap";


/**
 * A subscription. It is used with callbacks,
 *
 * ```ts
 * subscription.on("event", (event) => show(event.data));
 * subscription.on("gap", () => reload());
 * ```
 *
 * or with a loop, which throws a gap that no listener takes, and ends the subscription when it is left:
 *
 * ```ts
 * for await (const event of subscription) show(event.data);
 * ```
 */
export class Subscription<Events extends EventMap = EventMap>
  extends Emitter<SubscriptionEvents<Events>>
  implements AsyncIterable<AnyEvent<Events>>
{
  readonly channel: string;
  readonly #engine: Engine;
  readonly #options: SubscribeOptions;
  #said: Subscribed | undefined;
  #position: string | undefined;
  #gap: Gap | undefined;
  /** What was not taken yet, and up to where it goes. */
  readonly #queue: Item[] = [];
  #queuedTo: string | undefined;
  /** There was no room: it is subscribed to again once there is. */
  #isBehind = false;
  /** Listeners take events as they come. */
  #flows = false;
  #loops = 0;
  /** Wakes the loops that wait. */
  #wake: (() => void)[] = [];
  #leave: (() => void) | undefined;
  /** It brings no more, for this reason if there is one. */
  #over: { error: SwitchboardError | undefined } | undefined;
  /** It is over, and everything was taken. */
  #isDone = false;
  #isAwaited = false;
  #resolve!: (said: Subscribed) => void;
  #reject!: (why: unknown) => void;
  readonly #ready = new Promise<Subscribed>((resolve, reject) => {
    this.#resolve = resolve;
    this.#reject = reject;
  });

  /** @internal */
  constructor(engine: Engine, channel: string, options: SubscribeOptions) {
    super();
    this.#engine = engine;
    this.channel = channel;
    this.#options = options;
    // Only who asked for it has to handle that it fails.
    this.#ready.catch(() => {});
    this.#listen(options.since);
    const { signal } = options;
    if (signal?.aborted) this.unsubscribe();
    signal?.addEventListener("abort", this.#stop);
  }

  /** After what was taken last: what `since` takes. Absent until the subscription is served. */
  get position(): string | undefined {
    return this.#position;
  }

  /** Whether nothing was lost since the position that was asked for last; absent where none was. */
  get recovered(): boolean | undefined {
    return this.#said?.recovered;
  }

  /** The gap that was taken last. */
  get gap(): Gap | undefined {
    return this.#gap;
  }

  /** Whether it has ended. */
  get ended(): boolean {
    return this.#isDone;
  }

  /** Where it begins, once it is served. */
  get ready(): Promise<Subscribed> {
    this.#isAwaited = true;
    return this.#ready.then();
  }

  /** @internal */
  protected override added(type: keyof SubscriptionEvents<Events>): void {
    // What waits is taken once all listeners that are added now are there.
    queueMicrotask(() => {
      this.#flows ||= this.#loops === 0 && /^event/.test(String(type));
      this.#flow();
    });
  }

  readonly #stop = () => this.unsubscribe();

  /** Ends it. What was not taken yet is dropped. */
  unsubscribe(): void {
    this.#queue.length = 0;
    this.#end(undefined);
  }

  // Not a generator, which takes no notice of being left before it has begun.
  [Symbol.asyncIterator](): AsyncIterableIterator<AnyEvent<Events>> {
    this.#loops++;
    this.#flows = false;
    let isLeft = false;
    const leave = () => {
      if (isLeft) return;
      isLeft = true;
      this.#loops--;
      this.unsubscribe();
    };
    const loop: AsyncIterableIterator<AnyEvent<Events>> = {
      next: async () => {
        let value: AnyEvent<Events> | undefined;
        try {
          if (!isLeft) value = await this.#next();
        } finally {
          if (!value) leave();
        }
        return value ? { value } : { done: true, value };
      },
      return: async () => {
        leave();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]: () => loop,
    };
    return loop;
  }

  /** The next event of a loop: none if there is none any more. */
  async #next(): Promise<AnyEvent<Events> | undefined> {
    for (;;) {
      const item = this.#queue.shift();
      if (item) {
        this.#drained();
        this.#deliver(item);
        if (item.kind === "event" && !this.#isDone) return item.event as AnyEvent<Events>;
      } else if (this.#over) {
        this.#finish();
        if (this.#over.error) throw this.#over.error;
        return undefined;
      } else await new Promise<void>((wake) => this.#wake.push(wake));
    }
  }

  /** Whether somebody is to be told at once. */
  get #isHeard(): boolean {
    return this.#loops === 0 && (this.hears("presence") || this.hears("end"));
  }

  /** Gives what waits to the listeners. Events are kept for a loop until somebody listens for them. */
  #flow(): void {
    for (let at = 0, item; this.#loops === 0 && (item = this.#queue[at]); ) {
      if (this.#flows || (!isLogged(item) && this.hears(item.kind))) {
        this.#queue.splice(at, 1);
        this.#deliver(item);
      } else at++;
    }
    this.#drained();
    if (this.#over && this.#queue.length === 0) this.#finish();
  }

  #deliver(item: Item): void {
    switch (item.kind) {
      case "event": {
        const { event } = item;
        this.#position = event.position;
        this.emit("event", event as any);
        return this.emit(`event:${event.event ?? "message"}` as any, event as any);
      }
      case "gap": {
        const { gap } = item;
        this.#gap = gap;
        this.#position = gap.to;
        if (this.hears("gap")) return this.emit("gap", gap as any);
        this.#queue.length = 0;
        return this.#end(new SwitchboardError("gap", `events were lost: ${gap.reason}`, { gap }));
      }
      case "presence":
        return this.emit("presence", item.change as any);
      case "end":
        return this.emit("end", { channel: item.channel } as any);
    }
  }

  #listen(since: string | undefined): void {
    const sink: Sink = {
      granted: (said) => this.#granted(said),
      item: (item) => this.#item(item),
      over: (error) => {
        // The end comes again, after what there was no room for.
        if (error || !this.#isBehind) this.#end(error?.code === "closed" ? undefined : error);
      },
    };
    this.#leave = this.#engine.listen(this.channel, since, this.#options.presence ?? false, sink);
  }

  #granted(said: Subscribed): void {
    const from = this.#queuedTo;
    const isAgain = this.#said !== undefined;
    this.#said = said;
    if (!this.#isBehind) this.#queuedTo = said.position;
    if (this.#queue.length === 0) this.#position = said.position;
    this.#resolve(said);
    this.emit("subscribed", said as any);
    // Who came and went meanwhile is in no log.
    if (isAgain && this.#options.presence) {
      const gap = { channel: PRESENCE + this.channel, from: from!, to: said.position, reason: "skipped" };
      this.#item({ kind: "gap", gap });
    }
  }

  #item(item: Item): void {
    if (this.#isBehind || (this.#queue.length >= (this.#options.queue ?? QUEUE) && !this.#flows)) {
      // It comes again, from the log.
      this.#isBehind = true;
      if (!this.#isHeard) this.#leave?.();
      else if (!isLogged(item)) this.#deliver(item);
      return;
    }
    if (item.kind === "event") this.#queuedTo = item.event.position;
    if (item.kind === "gap") this.#queuedTo = item.gap.to;
    this.#queue.push(item);
    this.#wakeUp();
  }

  /** There may be room again. */
  #drained(): void {
    if (!this.#isBehind || this.#queue.length > 0 || this.#over) return;
    this.#isBehind = false;
    this.#leave?.();
    this.#listen(this.#queuedTo);
  }

  #wakeUp(): void {
    this.#flow();
    for (const wake of this.#wake.splice(0)) wake();
  }

  /** It brings no more. */
  #end(error: SwitchboardError | undefined): void {
    if (this.#over) return;
    this.#over = { error };
    this.#leave?.();
    this.#options.signal?.removeEventListener("abort", this.#stop);
    this.#reject(error ?? closed());
    if (error && this.#isHeard) this.#queue.length = 0;
    this.#wakeUp();
  }

  #finish(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    const { error } = this.#over!;
    if (!error) return;
    const isTold = this.#loops > 0 || this.hears("error") || (this.#isAwaited && !this.#said);
    this.emit("error", error as any);
    if (!isTold) report(error);
  }
}
