/** Server-Sent Events down, POST up. Read by `fetch`, so that every platform has it. */

import { EventStream } from "../sse.js";
import type { Transport } from "../transport.js";
import { openHttp, readText } from "./http.js";

export const sse: Transport = {
  name: "sse",
  fits: () => true,
  open: (way, hearing) =>
    openHttp(way, hearing, "text/event-stream", (response) => {
      const events = new EventStream(({ data, id }) => hearing.message(data, id));
      return readText(response, hearing, (text) => events.feed(text));
    }),
};
