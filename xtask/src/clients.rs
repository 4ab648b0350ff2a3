//! Clients run against the program as it is built: those that others wrote, unmodified (`conformance/README.md` tells what
//! each of them shows), and our own for TypeScript.

use crate::program::{ask, cargo, root, run, run_in, target_directory};
use crate::steps::{Failure, Outcome, Steps};
use std::path::PathBuf;

/// The manifest of Rust's clients, which are no part of the workspace.
pub(crate) const RUST: &str = "conformance/rust/Cargo.toml";

/// Names the program under test to every client's tests.
const SERVER: &str = "CONFORMANCE_SERVER";

/// The program behind the pages of the examples.
const EXAMPLES: &str = "switchboard-examples";

/// Every wait has a deadline of its own; the one here, which counts for a file of tests too, is for what does not wait but hang.
const NODE_TESTS: [&str; 4] = ["--no-warnings", "--test", "--test-reporter=spec", "--test-timeout=300000"];

const HINT: &str = "the failing test is named above; conformance/README.md tells how to run it by hand";

/// Builds the program and runs every client against it.
pub(crate) fn run_all(steps: &mut Steps) -> Result<(), Failure> {
    steps.run("server", server)?;
    steps.run("client: typescript", typescript)?;
    steps.run("clients: curl", || node_tests("conformance/curl"))?;
    steps.run("clients: nghttp", || node_tests("conformance/nghttp"))?;
    steps.run("clients: node", node)?;
    steps.run("clients: python", python)?;
    steps.run("clients: niquests", niquests)?;
    steps.run("clients: rust", rust)?;
    steps.run("clients: chromium", chromium)?;
    steps.run("http1", http1)?;
    steps.run("redbot", redbot)?;
    steps.run("proxies", proxies)?;
    steps.run("client: typescript in chromium", in_chromium)?;
    steps.run("documents", documents)
}

fn server() -> Result<Outcome, Failure> {
    run(&cargo(), &["build", "--package", "switchboard-cli"], "mend what the compiler names above")?;
    Ok(Outcome::Passed)
}

fn program() -> PathBuf {
    built("switchboard")
}

fn built(name: &str) -> PathBuf {
    target_directory().join("debug").join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}

/// Our own client: built, weighed, and tested by itself and against the program.
fn typescript() -> Result<Outcome, Failure> {
    const FOLDER: &str = "clients/typescript";
    npm(FOLDER)?;
    let hint = "what failed is named above; clients/typescript/README.md tells how to run it by hand";
    run_in(FOLDER, &[(SERVER, &program())], "npm", &["test"], hint)?;
    const RUNTIMES: &str = "clients/typescript/runtimes";
    npm(RUNTIMES)?;
    node_tests(RUNTIMES)
}

fn node() -> Result<Outcome, Failure> {
    npm("conformance/node")?;
    node_tests("conformance/node")
}

fn chromium() -> Result<Outcome, Failure> {
    npm("conformance/chromium")?;
    node_tests("conformance/chromium")
}

/// nginx and HAProxy in front of the program, as `docs/proxies.md` sets them up.
fn proxies() -> Result<Outcome, Failure> {
    npm("conformance/proxies")?;
    node_tests("conformance/proxies")
}

/// The client for TypeScript, as it was built, in a browser; and the pages of the examples.
fn in_chromium() -> Result<Outcome, Failure> {
    run(&cargo(), &["build", "--package", EXAMPLES], "mend what the compiler names above")?;
    // The browser is driven by what others' clients are driven by, and the proxies are theirs too.
    npm("conformance/chromium")?;
    npm("conformance/proxies")?;
    let variables = [(SERVER, &*built("switchboard")), ("EXAMPLES_SERVER", &*built(EXAMPLES))];
    run_in("clients/typescript/e2e", &variables, "node", &NODE_TESTS, HINT)?;
    Ok(Outcome::Passed)
}

/// The examples: the client is built, and the program that serves the pages is run.
pub(crate) fn examples() -> Result<(), Failure> {
    const CLIENT: &str = "clients/typescript";
    npm(CLIENT)?;
    run_in(CLIENT, &[], "npm", &["run", "build"], "mend what the compiler names above")?;
    run(&cargo(), &["run", "--release", "--package", EXAMPLES], "see what it says above")
}

/// Installs what the folder's lock file names, by their hashes.
fn npm(folder: &str) -> Result<(), Failure> {
    let hint = "npm needs its registry once; where package.json has changed, `npm install` mends the lock file";
    run_in(folder, &[], "npm", &["ci", "--prefer-offline", "--no-progress"], hint)
}

fn node_tests(folder: &str) -> Result<Outcome, Failure> {
    run_in(folder, &[(SERVER, &program())], "node", &NODE_TESTS, HINT)?;
    Ok(Outcome::Passed)
}

fn python() -> Result<Outcome, Failure> {
    python_tests("conformance/python", "conformance-python")
}

/// In an environment of its own: it puts itself in place of what others need.
fn niquests() -> Result<Outcome, Failure> {
    python_tests("conformance/niquests", "conformance-niquests")
}

/// Requests that could be read in two ways, through proxies, and those that others test their parsers with.
fn http1() -> Result<Outcome, Failure> {
    const FOLDER: &str = "conformance/http1";
    let corpus = target_directory().join("conformance-http1");
    let download = "-m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: --require-hashes";
    let into = corpus.to_string_lossy().into_owned();
    let arguments: Vec<&str> = download.split(' ').chain(["-r", "corpus.txt", "-d", &into]).collect();
    run_in(FOLDER, &[], "python3", &arguments, "pip needs its index once; corpus.txt names the archive by its hash")?;
    let variables = [(SERVER, &*program()), ("CONFORMANCE_CORPUS", &*corpus)];
    run_in(FOLDER, &variables, "python3", &["-B", "-m", "unittest", "--verbose"], HINT)?;
    Ok(Outcome::Passed)
}

/// A linter of HTTP, in an environment of its own, since others ask for other versions of what it needs.
fn redbot() -> Result<Outcome, Failure> {
    python_tests("conformance/redbot", "conformance-redbot")
}

/// The server's descriptions: read by others' readers, and held against what it does.
fn documents() -> Result<Outcome, Failure> {
    const FOLDER: &str = "conformance/documents";
    npm(FOLDER)?;
    node_tests(FOLDER)?;
    python_tests(FOLDER, "conformance-documents")
}

/// Installs what the folder's requirements name, by their hashes, into an environment below the target directory, and runs
/// the folder's tests there.
fn python_tests(folder: &str, environment: &str) -> Result<Outcome, Failure> {
    let environment = target_directory().join(environment);
    let interpreter = environment.join("bin/python");
    let (environment, interpreter) = (environment.to_string_lossy(), interpreter.to_string_lossy());
    // One that was not made to its end, as when this was stopped, is made anew.
    if ask(&interpreter, &["-m", "pip", "--version"]).is_none() {
        run_in(folder, &[], "python3", &["-m", "venv", "--clear", &environment], "see what venv says above")?;
    }
    let install = "-m pip install --quiet --disable-pip-version-check --no-build-isolation --require-hashes -r";
    let hint = "pip needs its index once; build.txt and requirements.txt name all by their hashes";
    // Some clients come without a wheel: what builds them is there first.
    for list in ["build.txt", "requirements.txt"].into_iter().filter(|list| root().join(folder).join(list).exists()) {
        let arguments: Vec<&str> = install.split(' ').chain([list]).collect();
        run_in(folder, &[], &interpreter, &arguments, hint)?;
    }
    // `-B`: no compiled files beside the sources.
    run_in(folder, &[(SERVER, &program())], &interpreter, &["-B", "-m", "unittest", "--verbose"], HINT)?;
    Ok(Outcome::Passed)
}

fn rust() -> Result<Outcome, Failure> {
    let variables = [(SERVER, &*program()), ("CARGO_TARGET_DIR", &*target_directory())];
    let clippy = ["clippy", "--locked", "--manifest-path", RUST, "--all-targets", "--", "-D", "warnings"];
    run_in(".", &variables, &cargo(), &clippy, "mend what clippy names above, or expect it with a reason beside it")?;
    run_in(".", &variables, &cargo(), &["test", "--locked", "--manifest-path", RUST], HINT)?;
    Ok(Outcome::Passed)
}
