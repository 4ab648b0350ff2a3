// Writes API.md from the types that are shipped, or, with `--check`, says whether it is current.

import { readFile, writeFile } from "node:fs/promises";

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
    ["ClientOptions", "StartEngine"],
  ],
  [undefined, undefined, "several.d.ts", ["several"]],
  [undefined, undefined, "transport.d.ts", ["Transport", "TransportName", "Way", "Link", "Hearing", "Cut"]],
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

let page = `# API

Made from the types by \`npm run api\`. What a member does is said beside it; [README.md](README.md) shows how it is used.
`;
const named = new Map();
for (const [heading, imports, path, names] of CHAPTERS) {
  const found = declarations(await readFile(at(`dist/${path}`), "utf8"));
  if (heading) page += `\n## ${heading}\n`;
  if (imports) page += `\n\`\`\`ts\n${imports};\n\`\`\`\n`;
  for (const name of names) {
    const declaration = found.get(name);
    if (!declaration) throw new Error(`${path} declares no ${name}`);
    named.set(name, path);
    page += `\n### \`${name}\`\n`;
    if (declaration.said) page += `\n${prose(declaration.said)}\n`;
    page += `\n\`\`\`ts\n${prose(declaration.code)}\n\`\`\`\n`;
  }
}

// What can be imported is told of.
const types = declarations(await readFile(at("dist/types.d.ts"), "utf8"));
const untold = [...types.keys()].filter((name) => !named.has(name));
if (untold.length > 0) throw new Error(`API.md says nothing of ${untold.join(", ")}: name them in scripts/api.mjs`);

if (!process.argv.includes("--check")) await writeFile(at("API.md"), page);
else if ((await readFile(at("API.md"), "utf8")) !== page) throw new Error("API.md is not current: run `npm run api`");
