/** The client with every transport. */

import { type ClientOptions, Switchboard as Client } from "./client.js";
import { several, type SeveralOptions } from "./several.js";
import type { Transport, TransportName } from "./types.js";
import { longPoll } from "./transports/poll.js";
import { sse } from "./transports/sse.js";
import { httpStream } from "./transports/stream.js";
import { webSocket } from "./transports/websocket.js";

const ALL: readonly Transport[] = [webSocket, sse, httpStream, longPoll];

export interface Options extends Omit<ClientOptions, "transport">, SeveralOptions {
  /** The transports to try, the best first: `websocket`, `sse`, `stream`, `poll` unless told. */
  transports?: readonly (TransportName | Transport)[];
}

/**
 * One conversation with a server that goes on across cuts, other transports and restarts.
 *
 * ```ts
 * const client = new Switchboard("https://example.net");
 * for await (const event of client.channel("news").subscribe()) console.log(event.data);
 * ```
 */
export class Switchboard extends Client {
  constructor(url: string | URL, { transports, ...options }: Options = {}) {
    const named = (transport: TransportName | Transport) =>
      typeof transport === "string" ? ALL.find(({ name }) => name === transport)! : transport;
    super(url, { ...options, transport: several(transports?.map(named) ?? ALL, options) });
  }
}

export { Channel } from "./channel.js";
export { type ClientCode, type ErrorCode, type ErrorDetails, type ServerCode, SwitchboardError } from "./errors.js";
export { type ListenOptions } from "./emitter.js";
export { Subscription } from "./subscription.js";
export { EventStream, type Block } from "./sse.js";
export { longPoll, sse, httpStream, several, webSocket, type SeveralOptions };
export type * from "./types.js";
