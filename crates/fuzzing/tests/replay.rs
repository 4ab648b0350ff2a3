//! What the fuzzers found, run again: the corpora that reach everything they reached, and each input that once failed.

// A test fails by panicking, also in what it is made of.
#![allow(clippy::panic)]

use std::path::Path;
use switchboard_fuzzing::{TARGETS, corpus, run};

/// Runs every input of a target.
fn replay(target: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let mut count = 0;
    for kind in ["regressions", "corpus"] {
        let path = folder.join(kind).join(format!("{target}.txt"));
        if kind == "regressions" && !path.exists() {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for (why, input) in corpus::read(&text) {
            let outcome = std::panic::catch_unwind(|| run(target, &input));
            assert!(outcome.is_ok(), "{kind} of {target}: {} {}", why.unwrap_or_default(), corpus::escape(&input));
            count += 1;
        }
    }
    assert!(count >= 10, "{target} has a corpus of {count} inputs");
}

macro_rules! replay {
    ($($target:ident)*) => {
        $(
            #[test]
            fn $target() {
                replay(stringify!($target));
            }
        )*

        #[test]
        fn every_target_is_replayed() {
            let targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(targets, [$(stringify!($target)),*]);
        }
    };
}

replay! {
    answers
    bodies
    deflate
    events
    forwarded
    frames
    heads
    jsonrpc
    lines
    log
    messages
    names
    positions
    proxy
    queries
    readers
    sse
    tls
    tokens
}

/// `fuzz/` has a program for each target, and libFuzzer no other.
#[test]
fn every_target_is_fuzzed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let mut programs: Vec<String> = std::fs::read_dir(folder.join("fuzz_targets"))
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    programs.sort();
    let targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    assert_eq!(programs, targets);
    for target in targets {
        let program = std::fs::read_to_string(folder.join(format!("fuzz_targets/{target}.rs"))).unwrap();
        assert!(program.contains(&format!("switchboard_fuzzing::run(\"{target}\", input)")), "{target}");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{target}.rs\"")), "{target}");
    }
}
