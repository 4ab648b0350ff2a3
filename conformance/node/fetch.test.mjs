import { fetchContract } from "./fetch.mjs";

fetchContract("fetch", fetch, { saysCut: false });
