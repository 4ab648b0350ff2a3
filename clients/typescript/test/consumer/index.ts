// A program that uses the package as it is published. It is compiled, strictly, and not run: lines that must not compile say so.

import {
  type ChannelEvent,
  type ErrorCode,
  type Gap,
  type Options,
  type StateChange,
  Switchboard,
  SwitchboardError,
} from "switchboard-client";
import { Switchboard as Core, several } from "switchboard-client/core";
import { longPoll } from "switchboard-client/poll";
import { sse } from "switchboard-client/sse";
import { httpStream } from "switchboard-client/stream";
import { shared } from "switchboard-client/tabs";
import { webSocket } from "switchboard-client/websocket";

type Chat = {
  said: { text: string; by: string };
  typing: { by: string };
  cursor: Uint8Array;
  message: string;
};

const options: Options = {
  getToken: async ({ reason, signal }) => {
    const why: "connect" | "expiring" | "refused" = reason;
    return (await fetch(`/token?why=${why}`, { signal })).text();
  },
  transports: ["sse", longPoll],
  engine: shared({ name: "chat" }),
  storage: localStorage,
  WebSocket,
  fetch,
};
const client = new Switchboard(new URL("https://example.net"), options);
new Core("https://example.net", { transport: webSocket });
new Core("https://example.net", { transport: several([webSocket, sse, httpStream, longPoll], { headStart: 500 }) });
// @ts-expect-error A client without a transport goes nowhere.
new Core("https://example.net", {});
// @ts-expect-error There is no such transport.
new Switchboard("https://example.net", { transports: ["carrier pigeon"] });

export const undo: () => void = client.on("statechange", ({ state, previous, transport }: StateChange) => {
  if (state === "connected" && previous !== state) console.log(transport);
  // @ts-expect-error There is no such state.
  if (state === "asleep") console.log();
});
// @ts-expect-error There is no such event.
client.on("nothing", () => {});

const room = client.channel<Chat>("chat/lobby");

export async function talk(stop: AbortSignal): Promise<void> {
  await client.connect({ signal: stop });
  const subscription = room.subscribe({ since: "earliest", signal: stop, presence: true });
  subscription.on("event:said", ({ data, time }) => console.log(data.text.length, time.toFixed()));
  subscription.on("event:message", ({ data, event }) => console.log(data.length, event satisfies undefined));
  subscription.on("gap", ({ from, to, reason }: Gap) => console.log(from, to, reason));
  subscription.on("presence", ({ event, member }) => console.log(event === "join", member.user));
  // @ts-expect-error There are no such events on this channel.
  subscription.on("event:shouted", () => {});
  const { position, recovered, gap } = await subscription.ready;
  console.log(position, recovered, gap?.reason);
  for await (const event of subscription) {
    if (event.event === "said") console.log(event.data.by);
    if (event.event === "cursor") console.log(event.data.byteLength);
    if (event.event === undefined) console.log(event.data.length);
    // @ts-expect-error It may be without a `by`.
    console.log(event.data.by);
  }
  await room.publish({ text: "hi", by: "ann" }, { event: "said", key: "k-1", signal: stop, timeout: 5_000 });
  await room.publish("plain");
  // @ts-expect-error It has to say by whom.
  await room.publish({ text: "hi" }, { event: "said" });
  // @ts-expect-error Events without a type are text here.
  await room.publish({ text: "hi" });
  const { events } = await room.history({ limit: 10 });
  console.log(events.map((event) => event.data), (await room.presence()).count);
}

export async function loosely(): Promise<string> {
  const anything = client.channel("anything/**");
  await anything.publish({ any: ["JSON"] }, { event: "whatever" });
  await anything.publish(new Uint8Array(3));
  for await (const event of anything.subscribe()) {
    const { id, channel, data, event: type }: ChannelEvent = event;
    return `${id} ${channel} ${data.anything} ${type}`;
  }
  const answer = await client.call<{ ok: boolean }>("move", { to: "e4" });
  return String(answer.ok);
}

client.method<{ a: number; b: number }, number>("add", ({ a, b }) => a + b);
client.method("refuse", () => {
  throw SwitchboardError.application(7, "not now", { until: "noon" });
});

/** All codes are known: what is not told of here does not compile. */
export function explain(error: unknown): string {
  if (!(error instanceof SwitchboardError)) throw error;
  const code: ErrorCode = error.code;
  switch (code) {
    case "forbidden":
      return "ask for more";
    case "gap":
      return error.gap?.to ?? "";
    case "application":
      return `${error.rpc} ${error.message} ${String(error.data)}`;
    // @ts-expect-error There is no such code.
    case "nonsense":
      return "";
    default:
      return error.again ? "later" : "never";
  }
}
