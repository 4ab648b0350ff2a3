/** What tabs say to one another. */

import { type ErrorCode, SwitchboardError } from "../errors.js";
import type { Item } from "../session/subscriptions.js";
import type { Message, Said } from "../session/words.js";
import type { StateChange, Subscribed } from "../types.js";

/** An error on its way: errors of one's own do not travel as they are. */
export type Written = Pick<SwitchboardError, "code" | "message" | "rpc" | "data" | "status" | "gap">;

export const errorTo = ({ code, message, rpc, data, status, gap }: SwitchboardError): Written => ({
  code, message, rpc, data, status, gap,
});
export const errorFrom = ({ code, message, ...details }: Written): SwitchboardError =>
  new SwitchboardError(code as ErrorCode, message, details);

type Answer = Pick<Message, "result" | "error">;

/** To who leads. `id` names calls and listeners of the tab. */
export type FromFollower =
  | { kind: "hello" | "ping" }
  | { kind: "call"; id: number; method: string; params: unknown; repeats: boolean }
  | { kind: "notify"; method: string; params: unknown }
  | { kind: "listen"; id: number; channel: string; since: string | undefined; presence: boolean }
  | { kind: "drop"; id: number }
  | { kind: "answer"; id: number; answer: Answer };

/** From who leads. */
export type FromLeader =
  | { kind: "leads" | "pong" }
  | { kind: "became"; change: Omit<StateChange, "previous" | "error"> & { error: Written | undefined }; session: Pick<Said, "id"> | undefined }
  | { kind: "granted"; id: number; said: Subscribed }
  | { kind: "item"; id: number; item: Item }
  | { kind: "over"; id: number; error: Written | undefined }
  | { kind: "done"; id: number; error: Written | undefined; result: unknown }
  | { kind: "called"; id: number; method: string; params: unknown }
  | { kind: "notified"; method: string; params: unknown };

/** Up to who leads, or down to one tab or all (`*`). */
export type Letter = { from: string } & ({ up: FromFollower } | { to: string; down: FromLeader });
