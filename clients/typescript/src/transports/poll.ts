/** Long polls down, POST up. */

import { PAGE } from "../limits.js";
import type { Transport } from "../transport.js";
import { openHttp } from "./http.js";

export const longPoll: Transport = {
  name: "poll",
  fits: () => true,
  open(way, hearing) {
    // The first page shows that it works, and so is not waited for.
    let wait = 0;
    const read = async (response: Response) => {
      const { messages, place, seq } = await response.json();
      wait = PAGE;
      for (const message of messages) hearing.message(JSON.stringify(message));
      hearing.message(undefined, place, seq);
    };
    return openHttp(way, hearing, "application/json", read, () => `&wait=${wait}`);
  },
};
