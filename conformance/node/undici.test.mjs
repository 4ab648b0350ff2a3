import { EventSource, WebSocket, fetch } from "undici";
import { eventSourceContract } from "./event-source.mjs";
import { fetchContract } from "./fetch.mjs";
import { webSocketContract } from "./web-socket.mjs";

eventSourceContract("undici", EventSource);
webSocketContract("undici", WebSocket);
fetchContract("undici", fetch, { saysCut: true });
