/** The client alone, for the transports of one's choice. */

export { Channel } from "./channel.js";
export { type ClientOptions, Switchboard } from "./client.js";
export { type ClientCode, type ErrorCode, type ErrorDetails, type ServerCode, SwitchboardError } from "./errors.js";
export { type ListenOptions } from "./emitter.js";
export { Subscription } from "./subscription.js";
export type * from "./types.js";
export { several, type SeveralOptions } from "./several.js";
