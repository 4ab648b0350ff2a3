import { GZIP } from "../support/index.mjs";
import { fetchContract } from "./fetch.mjs";

fetchContract("fetch", fetch, { saysCut: false });
fetchContract("fetch, gzip", fetch, { saysCut: false, ...GZIP });
