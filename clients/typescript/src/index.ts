/** The client with every transport. */

import { type ClientOptions, Switchboard as Client } from "./client.js";
import { SwitchboardError } from "./errors.js";
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
    super(url, { ...options, transport: several(transports ? chosen(transports) : ALL, options) });
  }
}

function chosen(transports: readonly (TransportName | Transport)[]): readonly Transport[] {
  const refuse = (what: string): never => {
    throw new SwitchboardError("unsupported", `${what} in transports: there are ${ALL.map(({ name }) => name).join(", ")}`);
  };
  const named = (transport: TransportName | Transport) =>
    typeof transport === "string" ? ALL.find(({ name }) => name === transport) : transport;
  return transports.length > 0 ? transports.map((one) => named(one) ?? refuse(JSON.stringify(one))) : refuse("nothing");
}

export { Channel } from "./channel.js";
export { type ClientCode, type ErrorCode, type ErrorDetails, type ServerCode, SwitchboardError } from "./errors.js";
export { type ListenOptions } from "./emitter.js";
export { Subscription } from "./subscription.js";
export { EventStream, type Block } from "./sse.js";
export { longPoll, sse, httpStream, several, webSocket, type SeveralOptions };
export type * from "./types.js";
