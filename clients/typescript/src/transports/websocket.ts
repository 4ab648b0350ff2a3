/** WebSocket: both ways on one connection. */

import { SwitchboardError } from "../errors.js";
import type { Link, Transport } from "../transport.js";

const PROTOCOL = "switchboard.v1";
/** Bytes that may wait to be written before more messages are put behind them. */
const UNSENT = 64 << 10;
/** When to look again whether there is room, in milliseconds. */
const ROOM = 50;
const NOTHING = '{"jsonrpc":"2.0","method":"ping"}';

export const webSocket: Transport = {
  name: "websocket",
  fits: (way) => way.WebSocket !== undefined,
  open(way, hearing): Link {
    const { location, token } = way;
    const path = location === undefined ? "/session" : location + way.query();
    // A browser's WebSocket can show a token only so. Whoever has the location needs none.
    const protocols = token === undefined || location !== undefined ? [PROTOCOL] : [PROTOCOL, `switchboard.token.${token}`];
    const socket = new way.WebSocket!((way.url + path).replace(/^http/, "ws"), protocols);
    let isOpen = false;
    socket.onopen = () => {
      isOpen = true;
      hearing.alive();
    };
    socket.onmessage = ({ data }) => hearing.message(String(data));
    // `ws` makes an error that nobody hears an exception.
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }) => {
      if (isOpen) return hearing.cut({ kind: "closed", code, reason });
      const error = new SwitchboardError("unreachable");
      // A WebSocket does not say with which status it was refused: a request that changes nothing does.
      const asked = { method: "POST", headers: { "Session-Ack": "0" } };
      const status = location === undefined ? 0 : way.fetch(way.url + location, asked).then((answer) => answer.status);
      Promise.resolve(status).then(
        (status) => hearing.cut({ kind: status === 404 ? "gone" : "unfit", error }),
        () => hearing.cut({ kind: "unfit", error }),
      );
    };
    /** The number of the next frame. */
    let frame = 0;
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
        way.clock.set(() => hearing.ready(), ROOM);
      },
      close(end) {
        // A session outlives a connection that breaks, and not one that is closed with 1000.
        socket.close(end ? 1000 : 4000);
      },
    };
  },
};
