/** A channel, or a pattern of channels. */

import type { Caller } from "./client.js";
import { base64Of } from "./session/base64.js";
import { eventOf } from "./session/session.js";
import { Subscription } from "./subscription.js";
import type {
  CallOptions,
  EventMap,
  EventName,
  HistoryOptions,
  Page,
  Present,
  Published,
  PublishOptions,
  SubscribeOptions,
} from "./types.js";

/** A channel of a client, or a pattern: `*` stands for one segment, `**` for any number. */
export class Channel<Events extends EventMap = EventMap> {
  readonly name: string;
  readonly #caller: Caller;

  /** @internal */
  constructor(caller: Caller, name: string) {
    this.#caller = caller;
    this.name = name;
  }

  /**
   * Subscribes. What comes before anybody takes it waits, and what is lost is told. Where the client is closed, it throws, as
   * all else fails.
   */
  subscribe(options: SubscribeOptions = {}): Subscription<Events> {
    return new Subscription<Events>(this.#caller.engine(), this.name, options);
  }

  /** Publishes an event of a type: JSON, text, or bytes. */
  publish<Name extends EventName<Events>>(
    data: Events[Name],
    options: PublishOptions<Name> & { event: Name },
  ): Promise<Published>;
  /** Publishes an event without a type. */
  publish(data: Events["message"], options?: PublishOptions<never>): Promise<Published>;
  publish(data: unknown, { event, type, key, echo, ...options }: PublishOptions = {}): Promise<Published> {
    const bytes = bytesIn(data);
    const what = bytes ? { base64: base64Of(bytes) } : { data };
    const params = { channel: this.name, ...what, event, type, key, echo };
    return this.#caller.call("publish", params, { ...options, repeat: key !== undefined });
  }

  /** A page of what the channel holds. */
  async history({ since, limit, ...options }: HistoryOptions = {}): Promise<Page<Events>> {
    const params = { channel: this.name, since, limit };
    const page = await this.#caller.call<any>("history", params, { ...options, repeat: true });
    return { ...page, events: page.events.map(eventOf) };
  }

  /** Who is there now, where the server keeps track of that. */
  presence(options: CallOptions = {}): Promise<Present> {
    return this.#caller.call("presence", { channel: this.name }, { ...options, repeat: true });
  }
}

function bytesIn(data: unknown): Uint8Array | undefined {
  if (data instanceof ArrayBuffer) return new Uint8Array(data);
  return ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : undefined;
}
