/** WebSocket: both ways on one connection. */

import { SwitchboardError } from "../errors.js";
import type { Link, Transport } from "../transport.js";

const PROTOCOL = "switchboard.v1";
/** Bytes that may wait to be written before more messages are put behind them. */
const UNSENT = 64 << 10;

export const webSocket: Transport = {
  name: "websocket",
  fits: (way) => way.WebSocket !== undefined,
  open(way, hearing): Link {
    const { location, token } = way;
    const url = way.url(location === undefined ? "/session" : location + way.query()).replace(/^http/, "ws");
    // A browser's WebSocket can show a token only so. Whoever has the location needs none.
    const protocols = token === undefined || location !== undefined ? [PROTOCOL] : [PROTOCOL, `switchboard.token.${token}`];
    const socket = new way.WebSocket!(url, protocols);
    let isOpen = false;
    socket.onopen = () => {
      isOpen = true;
      hearing.alive();
    };
    socket.onmessage = ({ data }) => hearing.message(String(data));
    // `ws` makes an error that nobody hears an exception.
    socket.onerror = () => {};
    socket.onclose = ({ code, reason }) => {
      const error = new SwitchboardError("unreachable", "no WebSocket gets through");
      hearing.cut(isOpen ? { kind: "closed", code, reason } : { kind: "unfit", error });
    };
    return {
      get isFull() {
        return socket.bufferedAmount > UNSENT;
      },
      send(text) {
        socket.send(text);
      },
      close(end) {
        // A session outlives a connection that breaks, and not one that is closed with 1000.
        socket.close(end ? 1000 : 4000);
      },
    };
  },
};
