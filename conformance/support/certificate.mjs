// A key and a certificate of the tests' own, which signs itself.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Makes both with openssl in this folder, for a name and for this machine: the files, and the certificate as text. */
export async function certify(folder, name = "localhost") {
  const [key, certificate] = ["key.pem", "certificate.pem"].map((file) => join(folder, file));
  const made = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key];
  const names = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name},DNS:localhost,IP:127.0.0.1`];
  await run("openssl", ["req", "-x509", "-days", "2", ...made, ...names, "-out", certificate]);
  return { key, certificate, authority: await readFile(certificate, "utf8") };
}

/** One in a folder of its own, for all tests of a file; `remove` takes it away. */
export async function certificate() {
  const folder = await mkdtemp(join(tmpdir(), "switchboard-certificate-"));
  return { ...(await certify(folder)), remove: () => rm(folder, { recursive: true, force: true }) };
}
