import { EventSource } from "eventsource";
import { GZIP } from "../support/index.mjs";
import { eventSourceContract } from "./event-source.mjs";

eventSourceContract("eventsource", EventSource);
eventSourceContract("eventsource, gzip", EventSource, GZIP);
