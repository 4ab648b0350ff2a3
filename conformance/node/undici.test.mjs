import { EventSource, WebSocket } from "undici";
import { eventSourceContract } from "./event-source.mjs";
import { webSocketContract } from "./web-socket.mjs";

eventSourceContract("undici", EventSource);
webSocketContract("undici", WebSocket);
