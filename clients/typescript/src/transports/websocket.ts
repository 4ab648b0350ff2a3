/** WebSocket: both ways on one connection. */

import { rowNamed, SwitchboardError, unreachable } from "../errors.js";
import { ROOM, UNSENT } from "../limits.js";
import type { Cut, Link, Transport, Way } from "../transport.js";

const PROTOCOL = "switchboard.v1";
const NOTHING = '{"jsonrpc":"2.0","method":"ping"}';

export const webSocket: Transport = {
  name: "websocket",
  fits: (way) => way.WebSocket !== undefined,
  open(way, hearing): Link {
    const { location, token } = way;
    const path = location ? location + way.query() : "/session";
    // A browser's WebSocket can show a token only so. Whoever has the location needs none.
    const shown = token === undefined || location ? [] : [`switchboard.token.${encodeURIComponent(token)}`];
    const socket = new way.WebSocket!((way.url + path).replace(/^http/, "ws"), [PROTOCOL, ...shown]);
    let isOpen = false;
    socket.onopen = () => {
      isOpen = true;
      hearing.alive();
    };
    socket.onmessage = ({ data }) => hearing.message(String(data));
    // `ws` makes an error that nobody hears an exception.
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }) => {
      const error = unreachable("no WebSocket gets through");
      hearing.cut(isOpen ? { kind: "closed", code, reason } : { kind: "unfit", error, why: () => why(way) });
    };
    /** The number of the next frame. */
    let frame = 0;
    let timer: unknown;
    return {
      pump(up) {
        frame ||= up.said?.seq ?? 1;
        while (socket.bufferedAmount <= UNSENT) {
          const message = up.nextUp();
          if (!message) return;
          // What came by another way since the server said its number is passed over, whatever it is.
          for (; frame < message.seq; frame++) socket.send(NOTHING);
          socket.send(message.text);
          frame++;
        }
        way.clock.clear(timer);
        timer = way.clock.set(() => hearing.ready(), ROOM);
      },
      close(end) {
        // A session outlives a connection that breaks, and not one that is closed with 1000.
        socket.close(end ? 1000 : 4000);
      },
    };
  },
};

/** A WebSocket does not say with which status it was refused. What is asked for like it, over HTTP, does. */
async function why(way: Way): Promise<Cut | undefined> {
  const { location, token, url, credentials } = way;
  // Of a session that is there, it changes nothing.
  const headers: Record<string, string> = location ? { "Session-Ack": "0" } : token === undefined ? {} : { Authorization: `Bearer ${token}` };
  const response = await way.fetch(url + (location ?? "/session"), { method: "POST", headers, credentials });
  const { status } = response;
  const answer = await response.json();
  // As it is with an API key, which a WebSocket cannot show: it need not to take a session up.
  if (status === 201) return { kind: "opened", said: answer };
  const row = rowNamed(answer.code);
  if (!row || row.again) return undefined;
  return location ? { kind: "gone" } : { kind: "refused", error: new SwitchboardError(row.name, answer.detail, { status }) };
}
