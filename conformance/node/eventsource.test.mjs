import { EventSource } from "eventsource";
import { eventSourceContract } from "./event-source.mjs";

eventSourceContract("eventsource", EventSource);
