/** A line of JSON for each message down, POST up. */

import type { Transport } from "../transport.js";
import { openHttp, readText } from "./http.js";

export const httpStream: Transport = {
  name: "stream",
  fits: () => true,
  open: (way, hearing) =>
    openHttp(way, hearing, "application/x-ndjson", (response) => {
      let rest = "";
      return readText(response, hearing, (text) => {
        const lines = (rest + text).split("\n");
        rest = lines.pop()!;
        // An empty line is a heartbeat.
        for (const line of lines) if (line) hearing.message(line);
      });
    }),
};
