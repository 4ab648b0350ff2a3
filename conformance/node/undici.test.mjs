import { EventSource, WebSocket, fetch } from "undici";
import { GZIP } from "../support/index.mjs";
import { eventSourceContract } from "./event-source.mjs";
import { fetchContract } from "./fetch.mjs";
import { webSocketContract } from "./web-socket.mjs";

eventSourceContract("undici", EventSource);
eventSourceContract("undici, gzip", EventSource, GZIP);
webSocketContract("undici", WebSocket);
fetchContract("undici", fetch, { saysCut: true });
fetchContract("undici, gzip", fetch, { saysCut: true, ...GZIP });
