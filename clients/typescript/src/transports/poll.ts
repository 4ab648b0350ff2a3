/** Long polls down, POST up. */

import type { Transport } from "../transport.js";
import { openHttp } from "./http.js";

/** How long a page may wait for something to say, in seconds. */
const WAIT = 20;

export const longPoll: Transport = {
  name: "poll",
  fits: () => true,
  open(way, hearing) {
    // The first page shows that it works, and so is not waited for.
    let wait = 0;
    const read = async (response: Response) => {
      const { messages, place, seq } = await response.json();
      wait = WAIT;
      for (const message of messages) hearing.message(JSON.stringify(message));
      hearing.message(undefined, place, seq);
    };
    return openHttp(way, hearing, "application/json", read, () => `&wait=${wait}`);
  },
};
