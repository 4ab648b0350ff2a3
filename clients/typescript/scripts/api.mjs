// Writes API.md from the types that are shipped, or, with `--check`, says whether it is current.

import { readdir, readFile, writeFile } from "node:fs/promises";

const at = (path) => new URL(`../${path}`, import.meta.url);

/** What is told of, in which order: a heading, what leads into it, and the declarations of a module. */
const CHAPTERS = [
  ["The client", 'import { Switchboard } from "switchboard-client"', "index.d.ts", ["Options", "Switchboard"]],
  ["What every client has", undefined, "client.d.ts", ["Switchboard"]],
  ["Options", undefined, "types.d.ts", ["CoreOptions", "TokenReason", "TokenRequest", "WebSocketLike", "SocketLike", "StorageLike", "Clock"]],
  [undefined, undefined, "several.d.ts", ["SeveralOptions"]],
  ["Listeners", undefined, "emitter.d.ts", ["Emitter", "ListenOptions"]],
  [undefined, undefined, "types.d.ts", ["ClientEvents", "State", "StateChange", "ApplicationNotice", "SubscriptionEvents", "Undo"]],
  ["Channels", undefined, "channel.d.ts", ["Channel"]],
  ["Subscriptions", undefined, "subscription.d.ts", ["Subscription"]],
  [
    "What is given and taken",
    undefined,
    "types.d.ts",
    [
      "EventMap", "EventName", "ChannelEvent", "AnyEvent", "Since", "Gap", "GapReason", "Subscribed", "PresenceChange", "Present",
      "Member", "Page", "Published", "SubscribeOptions", "PublishOptions", "HistoryOptions", "CallOptions", "ConnectOptions", "Handler",
    ],
  ],
  ["Errors", undefined, "errors.d.ts", ["SwitchboardError", "ErrorCode", "ClientCode", "ServerCode", "ErrorDetails"]],
  ["Tabs that share a connection", 'import { shared } from "switchboard-client/tabs"', "tabs/index.d.ts", ["shared", "SharedOptions"]],
  [
    "The client alone, with transports of one's choice",
    'import { several, Switchboard } from "switchboard-client/core";\nimport { webSocket } from "switchboard-client/websocket";\n' +
      'import { sse } from "switchboard-client/sse";\nimport { httpStream } from "switchboard-client/stream";\n' +
      'import { longPoll } from "switchboard-client/poll"',
    "client.d.ts",
    ["ClientOptions"],
  ],
  [undefined, undefined, "several.d.ts", ["several"]],
  ["Transports", undefined, "transport.d.ts", ["Transport", "TransportName", "Way", "Link", "Hearing", "Up", "Cut"]],
  [undefined, undefined, "session/words.d.ts", ["Said"]],
  ["What stands behind a client", undefined, "client.d.ts", ["StartEngine"]],
  [undefined, undefined, "engine.d.ts", ["Engine", "EngineEvents"]],
  [undefined, undefined, "session/session.d.ts", ["Done"]],
  [undefined, undefined, "session/subscriptions.d.ts", ["Sink", "Item"]],
  [undefined, undefined, "session/words.d.ts", ["Message", "Id", "RpcError"]],
  ["Reading Server-Sent Events", 'import { EventStream } from "switchboard-client"', "sse.d.ts", ["EventStream", "Block"]],
];

/** The declarations of a module, by their names: what is said of each, and how it is declared. */
function declarations(text) {
  const found = new Map();
  const pattern = /(?:\/\*\*((?:(?!\*\/)[\s\S])*)\*\/\n)?export (?:declare )?(?:abstract )?(class|interface|type|function|const) (\w+)/g;
  const starts = [...text.matchAll(pattern)];
  for (const [n, start] of starts.entries()) {
    const [whole, comment, , name] = start;
    const rest = text.slice(start.index + whole.indexOf("export "), starts[n + 1]?.index);
    const end = rest.search(/^(?:\}|\}\))?;?$|;$/m);
    const body = rest.slice(0, endOf(rest, end)).trimEnd();
    const said = (comment ?? "").replace(/^\s*\* ?/gm, "").trim();
    const code = body
      .replace(/^export (declare )?/, "")
      .replace(/^ {4}#private;\n/m, "")
      .replace(/ +$/gm, "")
      .replace(/^( +)/gm, (blanks) => blanks.slice(blanks.length / 2));
    if (!found.has(name)) found.set(name, { said, code });
  }
  return found;
}

/** Where a declaration ends: at its brace, or at the semicolon of a type. */
function endOf(text, fallback) {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    if (text.startsWith("/*", at)) at = text.indexOf("*/", at) + 1;
    else if ("{([".includes(text[at])) depth++;
    else if ("})]".includes(text[at])) {
      if (--depth === 0 && text[at] === "}" && /^export (declare )?(abstract )?(class|interface)/.test(text)) return at + 1;
    } else if (text[at] === ";" && depth === 0) return at + 1;
  }
  return fallback;
}

/** Documentation links by name become code. */
const prose = (text) => text.replace(/\{@link ([\w.]+)\}/g, "`$1`");

const MODULES = (await readdir(at("dist"), { recursive: true })).filter((path) => path.endsWith(".d.ts"));
const modules = new Map();
/** What a module declares for others, or has from others. */
const known = new Map();
for (const path of MODULES) {
  const text = await readFile(at(`dist/${path}`), "utf8");
  const found = declarations(text);
  const imported = [...text.matchAll(/^import .*?\{([^}]*)\}/gm)].flatMap(([, names]) => names.split(","));
  modules.set(path.replaceAll("\\", "/"), found);
  known.set(path.replaceAll("\\", "/"), new Set([...found.keys(), ...imported.map((name) => name.replace("type ", "").trim())]));
}

/** The members of these names, each with what is said of it. */
function membersOf(name, wanted) {
  const { code } = [...modules.values()].map((found) => found.get(name)).find((found) => found);
  const members = code.matchAll(/^ {2}(?:\/\*\*(?:(?!\*\/)[^])*\*\/\n {2})?(?:readonly |get )?(\w+)[(:?<][^]*?;(?=\n {2}[^ }]|\n\})/gm);
  const found = new Map([...members].map(([text, member]) => [member, text]));
  return wanted.map((member) => found.get(member) ?? missing(`${name} has no ${member}`));
}

/** What is picked of something else is written out. */
function written(code) {
  const PICK = /Pick<(\w+), ([^>]+)>/;
  const names = (text) => text.split("|").map((name) => name.trim().replaceAll('"', "")).filter((name) => name);
  const type = new RegExp(`^type (\\w+) = ${PICK.source};$`).exec(code);
  if (type) return `interface ${type[1]} {\n${membersOf(type[2], names(type[3])).join("\n")}\n}`;
  const [, of, wanted] = new RegExp(`^interface \\w+ extends ${PICK.source}`).exec(code) ?? [];
  return of ? code.replace(/ extends [^{]+\{\n/, ` {\n${membersOf(of, names(wanted)).join("\n")}\n`) : code;
}

function missing(why) {
  throw new Error(`${why}: mend scripts/api.mjs`);
}

let page = `# API

Made from the types by \`npm run api\`. What a member does is said beside it; [README.md](README.md) shows how it is used.
`;
const told = new Map();
for (const [heading, imports, path, names] of CHAPTERS) {
  if (heading) page += `\n## ${heading}\n`;
  if (imports) page += `\n\`\`\`ts\n${imports};\n\`\`\`\n`;
  for (const name of names) {
    const { said, code } = modules.get(path).get(name) ?? missing(`${path} declares no ${name}`);
    const text = prose(written(code));
    told.set(name, { text, path });
    page += `\n### \`${name}\`\n`;
    if (said) page += `\n${prose(said)}\n`;
    page += `\n\`\`\`ts\n${text}\n\`\`\`\n`;
  }
}

// What can be imported is told of, and so is every type of ours that is named by what is told.
const uncommented = (text) => text.replace(/\/\*[^]*?\*\/|"[^"\n]*"/g, "");
const named = new Map([...modules.get("types.d.ts").keys()].map((name) => [name, "what can be imported"]));
for (const [by, { text, path }] of told) {
  for (const [name] of uncommented(text).matchAll(/\b[A-Z]\w+/g)) if (known.get(path).has(name)) named.set(name, by);
}
for (const [name, by] of named) if (!told.has(name)) missing(`API.md says nothing of ${name}, of ${by}`);

if (!process.argv.includes("--check")) await writeFile(at("API.md"), page);
else if ((await readFile(at("API.md"), "utf8")) !== page) throw new Error("API.md is not current: run `npm run api`");
