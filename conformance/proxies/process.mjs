// nginx and HAProxy as processes of their own: Debian's configuration, as it comes, with ours in its place. What has to
// differ for a test, addresses and files, is replaced; all else is what a machine of Debian's has.

import { spawn } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certify } from "../support/certificate.mjs";
import { until } from "../support/index.mjs";
import { freePort } from "../support/port.mjs";

const DOCUMENTS = new URL("../../docs/", import.meta.url);

/** A file below `docs`. */
export const document = (name) => readFile(new URL(name, DOCUMENTS), "utf8");

/** The name that the proxies of `docs/proxies` go by, and their certificate is for. */
export const NAME = "live.example.com";

/** A text with each of these replaced. A replacement that finds nothing is a mistake. */
export function replaced(text, pairs) {
  return pairs.reduce((text, [from, to]) => {
    const after = text.replaceAll(from, () => to);
    if (after === text) throw new Error(`there is no ${from} to replace in:\n${text}`);
    return after;
  }, text);
}

/** A program that Debian puts where only root's PATH leads. */
function executable(name) {
  const folders = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/usr/local/sbin"];
  const found = folders.map((folder) => join(folder, name)).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  if (!found) throw new Error(`${name} is not installed: \`cargo xtask clients\` installs it, or install Debian's ${name}`);
  return found;
}

/** A proxy that runs. `output` is what it wrote, its log included. */
class Proxy {
  #child;
  #exit;
  port;
  folder;
  output = "";

  static async start(test, program, flags, { port, folder }) {
    const proxy = new Proxy();
    Object.assign(proxy, { port, folder });
    const child = spawn(executable(program), flags, { stdio: ["ignore", "pipe", "pipe"] });
    proxy.#child = child;
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (text) => (proxy.output += text));
    proxy.#exit = new Promise((done) => child.once("exit", done));
    test.after(() => proxy.#stop());
    const ended = proxy.#exit.then(() => Promise.reject(new Error(`${program} ended: ${proxy.output}`)));
    ended.catch(() => {});
    await Promise.race([until(`${program} listens`, () => accepts(port)), ended]);
    return proxy;
  }

  /** The address over TLS, under the name of the certificate. */
  get url() {
    return `https://${NAME}:${this.port}`;
  }

  async #stop() {
    this.#child.kill("SIGTERM");
    // nginx's workers go with their master, and HAProxy is one process.
    await this.#exit;
    await rm(this.folder, { recursive: true, force: true });
  }
}

/** Whether somebody listens there. */
const accepts = (port) =>
  new Promise((done) => {
    const socket = net.connect(port, "127.0.0.1", () => done(true));
    socket.once("error", () => done(false));
    socket.once("connect", () => socket.destroy());
  });

async function stage() {
  const [folder, port] = await Promise.all([mkdtemp(join(tmpdir(), "switchboard-proxy-")), freePort()]);
  return { folder, port, at: (name) => join(folder, name) };
}

/** Debian's nginx.conf, with this in place of its sites, and everything it writes in the folder. */
async function nginxStock(at, sites) {
  const stock = await readFile("/etc/nginx/nginx.conf", "utf8");
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((kind) => `${kind}_temp_path ${at(kind)};`);
  // Without a user of its own its workers are nobody: what they need is for everybody.
  return replaced(stock, [
    [/^user .*$/gm, ""],
    ["/run/nginx.pid", at("nginx.pid")],
    [/^error_log .*$/gm, `error_log ${at("error.log")};`],
    ["/var/log/nginx/access.log", at("stock.log")],
    ["include /etc/nginx/conf.d/*.conf;", temporary.join(" ")],
    ["include /etc/nginx/sites-enabled/*;", `include ${sites};`],
  ]).replace(/^error_log/m, "daemon off;\nerror_log");
}

/** nginx with these sites. `listen` in them is `127.0.0.1:PORT`. */
export async function nginxWith(test, sites, settings = {}) {
  const { folder, port, at } = settings.stage ?? (await stage());
  await writeFile(at("sites.conf"), replaced(sites, [["127.0.0.1:PORT", `127.0.0.1:${port}`]]));
  await writeFile(at("nginx.conf"), await nginxStock(at, at("sites.conf")));
  const proxy = await Proxy.start(test, "nginx", ["-e", at("error.log"), "-c", at("nginx.conf")], { folder, port });
  return Object.assign(proxy, { log: () => readFile(at("live.log"), "utf8") });
}

/** nginx as `docs/proxies.md` sets it up. `changes` are replacements in its configuration. */
export async function nginx(test, server, changes = []) {
  const staged = await stage();
  const { key, certificate, authority } = await certify(staged.folder, NAME);
  const sites = replaced(await document("proxies/nginx.conf"), [
    ["listen 443 ssl http2;", "listen 127.0.0.1:PORT ssl http2;"],
    [`/etc/ssl/${NAME}.crt`, certificate],
    [`/etc/ssl/${NAME}.key`, key],
    ["/var/log/nginx/live.log", staged.at("live.log")],
    ["http://127.0.0.1:8000;", `${server.url};`],
    ...changes,
  ]);
  return Object.assign(await nginxWith(test, sites, { stage: staged }), { authority, hasSocketsOverH2: false });
}

/**
 * Debian's haproxy.cfg without what only a service has, and with its log on standard output, by one thread: of what two log at
 * once, it drops one.
 */
async function haproxyStock() {
  const stock = await readFile("/etc/haproxy/haproxy.cfg", "utf8");
  const apart = /^\s*(log \/dev\/log.*|chroot .*|stats .*|user .*|group .*|daemon)\n/gm;
  return replaced(stock, [[apart, ""], [/^global\n/gm, "global\n\tlog stdout format raw local0\n\tnbthread 1\n"]]);
}

/** HAProxy with the file of `docs/proxies` of this name. */
export async function haproxy(test, server, { file = "haproxy.cfg", changes = [] } = {}) {
  const { folder, port, at } = await stage();
  const { key, certificate, authority } = await certify(folder, NAME);
  const pair = (await readFile(certificate, "utf8")) + (await readFile(key, "utf8"));
  await writeFile(at("pair.pem"), pair);
  await writeFile(at("event-stream.http"), await document("proxies/event-stream.http"));
  await mkdir(at("etc"));
  await writeFile(at("etc/1.cfg"), await haproxyStock());
  const ours = replaced(await document(`proxies/${file}`), [
    ["bind :443", `bind 127.0.0.1:${port}`],
    ["127.0.0.1:8000", `127.0.0.1:${server.port}`],
    [`/etc/haproxy/${NAME}.pem`, at("pair.pem")],
    ...(file === "haproxy.cfg" ? [["/etc/haproxy/errors/event-stream.http", at("event-stream.http")]] : []),
    ...changes,
  ]);
  await writeFile(at("etc/2.cfg"), ours);
  const proxy = await Proxy.start(test, "haproxy", ["-db", "-f", at("etc")], { folder, port });
  return Object.assign(proxy, { authority, hasSocketsOverH2: true, log: async () => proxy.output });
}
