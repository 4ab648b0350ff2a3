//! The suites of tests that know only HTTP/1.1, asked once more over HTTP/2: through a bridge (`TESTKIT_HTTP2`, in
//! `crates/testkit/src/bridge.rs`), so that what they show of the one is shown of the other.

use crate::program::{cargo, run_in};
use crate::steps::{Failure, Outcome};
use std::path::Path;

/// The suites, with the tests that are about HTTP/1.1 itself, or about what a bridge changes, and why each is. What else
/// fails over HTTP/2 fails the step.
const SUITES: [(&str, &[Apart]); 3] = [("contract", CONTRACT), ("resume", &[]), ("sessions", SESSIONS)];

/// Tests that are left out, and the reason.
type Apart = (&'static [&'static str], &'static str);

const CONTRACT: &[Apart] = &[];

const SESSIONS: &[Apart] = &[];

/// Runs the suites.
pub(crate) fn suites() -> Result<Outcome, Failure> {
    for (suite, apart) in SUITES {
        let mut arguments = vec!["test", "--package", "switchboard", "--test", suite, "--", "--exact"];
        for name in apart.iter().flat_map(|(names, _)| *names) {
            arguments.extend(["--skip", name]);
        }
        let hint = "the failing test passes over HTTP/1.1: mend what differs, or say in xtask/src/http2.rs why it must";
        run_in(".", &[("TESTKIT_HTTP2", Path::new("1"))], &cargo(), &arguments, hint)?;
    }
    Ok(Outcome::Passed)
}
