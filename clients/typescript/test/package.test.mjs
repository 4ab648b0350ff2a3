// The package as it is published: what is in it, and how it looks to a strict program.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { copyFile, cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, after, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
let folder;
let files;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "switchboard-package-"));
  // As `npm run package` does, which would build once more.
  const licences = ["LICENSE-MIT", "LICENSE-APACHE"];
  for (const name of licences) await copyFile(join(root, "../..", name), join(root, name));
  const pack = ["pack", "--ignore-scripts", "--json", "--pack-destination", folder];
  const [packed] = [Object.values(JSON.parse(execFileSync("npm", pack, { cwd: root, encoding: "utf8" })))].flat();
  files = packed.files.map(({ path }) => path);
  await mkdir(join(folder, "node_modules/switchboard-client"), { recursive: true });
  const unpack = ["-xzf", packed.filename, "--strip-components=1", "-C", "node_modules/switchboard-client"];
  execFileSync("tar", unpack, { cwd: folder });
});

after(() => rm(folder, { recursive: true }));

test("it has modules with types and maps, what they were made of, and what is to be read", async () => {
  const isExpected = (path) =>
    /^(package\.json|README\.md|API\.md|LICENSE-(MIT|APACHE))$/.test(path) ||
    /^src\/[\w/]+\.ts$/.test(path) ||
    /^dist\/[\w/]+\.(js|d\.ts)(\.map)?$/.test(path) ||
    /^dist\/switchboard\.min\.js(\.map)?$/.test(path);
  assert.deepEqual(files.filter((path) => !isExpected(path)), []);
  for (const name of ["README.md", "API.md", "LICENSE-MIT", "LICENSE-APACHE"]) assert.ok(files.includes(name), name);
  const { exports, dependencies, sideEffects } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  assert.deepEqual([dependencies, sideEffects], [undefined, false]);
  for (const [name, targets] of Object.entries(exports)) {
    if (name === "./package.json") continue;
    for (const path of Object.values(targets)) assert.ok(files.includes(path.slice(2)), `${name} is ${path}`);
  }
  for (const path of files.filter((path) => /^src\/.*\.ts$/.test(path))) {
    const built = path.replace("src", "dist").replace(/ts$/, "js");
    for (const made of [built, `${built}.map`, built.replace(/js$/, "d.ts")]) assert.ok(files.includes(made), made);
  }
});

/** Anchors of headings, as they are made of a Markdown page: its words in small letters, and hyphens between them. */
function anchors(page) {
  const headings = [...page.replace(/^```[^]*?^```$/gm, "").matchAll(/^#+ (.+)$/gm)];
  return headings.map(([, words]) => words.toLowerCase().replace(/[^\p{L}\p{N}\s_-]/gu, "").replaceAll(" ", "-"));
}

test("the links of its pages lead to what is in it", async () => {
  for (const page of files.filter((path) => path.endsWith(".md"))) {
    const text = await readFile(join(folder, "node_modules/switchboard-client", page), "utf8");
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link).filter((link) => !/^[a-z]+:/.test(link));
    assert.ok(links.length > 0, `${page} has no links`);
    for (const link of links) {
      const [path, anchor] = link.split("#");
      const name = path || page;
      assert.ok(files.includes(name), `${page}: ${link} is not in the package`);
      if (anchor === undefined) continue;
      const target = await readFile(join(folder, "node_modules/switchboard-client", name), "utf8");
      assert.ok(anchors(target).includes(anchor), `${page}: nothing in ${name} is called ${anchor}`);
    }
  }
});

test("every module of it can be imported, and does nothing by that", () => {
  const { exports } = JSON.parse(execFileSync("cat", ["node_modules/switchboard-client/package.json"], { cwd: folder, encoding: "utf8" }));
  const names = Object.keys(exports).filter((name) => name !== "./package.json");
  const program = names.map((name) => `await import(${JSON.stringify(`switchboard-client${name.slice(1)}`)});`).join("\n");
  execFileSync(process.execPath, ["--input-type=module", "-e", program], { cwd: folder, timeout: 20_000 });
});

/** What the README shows, each block a program: what it takes for granted is declared. */
async function blocks() {
  const readme = await readFile(join(root, "README.md"), "utf8");
  const found = [...readme.matchAll(/^```[jt]s\n([^]*?)^```$/gm)].map(([, code]) => code);
  assert.ok(found.length >= 8, `${found.length} blocks`);
  return found.map((code) => {
    const missing = [
      [/\bimport \{ Switchboard \}/, 'import { Switchboard } from "switchboard-client";'],
      [/\bconst client\b/, "declare const client: Switchboard;"],
      [/\bconst url\b/, "declare const url: string;"],
      [/\bconst signal\b|[{,] signal \}\) =>/, "declare const signal: AbortSignal;"],
    ];
    const declared = missing.filter(([there]) => !there.test(code)).map(([, declaration]) => declaration);
    return [...declared, code, "export {};"].join("\n");
  });
}

for (const [resolution, module] of [["nodenext", "nodenext"], ["bundler", "esnext"]]) {
  test(`a strict program compiles against it, with the modules of ${resolution}`, async () => {
    await cp(join(root, "test/consumer"), join(folder, resolution), { recursive: true });
    const compilerOptions = {
      strict: true,
      exactOptionalPropertyTypes: true,
      noUncheckedIndexedAccess: true,
      noEmit: true,
      skipLibCheck: false,
      target: "es2022",
      lib: ["es2022", "dom"],
      types: [],
      module,
      moduleResolution: resolution,
    };
    await writeFile(join(folder, resolution, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
    for (const [n, code] of (await blocks()).entries()) await writeFile(join(folder, resolution, `readme-${n}.ts`), code);
    await writeFile(join(folder, resolution, "ws.d.ts"), 'declare module "ws" { export default WebSocket; }');
    await writeFile(join(folder, resolution, "package.json"), JSON.stringify({ type: "module" }));
    try {
      execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", join(folder, resolution)], { encoding: "utf8" });
    } catch ({ stdout }) {
      assert.fail(stdout);
    }
  });
}

test("API.md is what the types say", () => {
  execFileSync(process.execPath, [join(root, "scripts/api.mjs"), "--check"]);
});
