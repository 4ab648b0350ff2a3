//! Rules for Rust files: their length, and what may end a program by surprise.

use super::Finding;
use super::source::{Line, Source};

/// Longest Rust file, in lines. Functions have clippy's `too_many_lines`, set in clippy.toml.
const LINES_MAX: usize = 600;

/// What panics, and need not.
const PANICS: &[&str] = &[".unwrap()", ".expect(", "panic!(", "unreachable!("];

/// How far above a call its `// Invariant:` may stand: the call may end a chain of several lines.
const INVARIANT_REACH: usize = 8;

/// Appends what the file breaks. `is_test`: all of it is compiled for tests only.
pub(crate) fn check(source: &Source, is_test: bool, findings: &mut Vec<Finding>) {
    let length = source.lines.iter().rposition(|line| *line != Line::default()).map_or(0, |last| last + 1);
    if length > LINES_MAX {
        let what = format!("{length} lines; a file has at most {LINES_MAX}: split it by what it decides");
        findings.push(Finding { path: source.path.clone(), line: 0, what });
    }
    for (at, line) in source.lines.iter().enumerate() {
        if is_test || line.is_test {
            continue;
        }
        for panics in PANICS.iter().filter(|word| holds(&line.code, word)) {
            if !says_invariant(&source.lines, at) {
                let what = format!(
                    "`{panics}` outside a test: return an error value, or say in an `// Invariant:` line above why it cannot happen"
                );
                findings.push(Finding { path: source.path.clone(), line: at + 1, what });
            }
        }
    }
}

/// Whether the code holds the word, not as the end of a longer one.
fn holds(code: &str, word: &str) -> bool {
    code.match_indices(word)
        .any(|(at, _)| word.starts_with('.') || !code[..at].chars().next_back().is_some_and(super::source::is_word))
}

/// Whether an `// Invariant:` stands on the line or above it, with no blank line between.
fn says_invariant(lines: &[Line], at: usize) -> bool {
    lines[at.saturating_sub(INVARIANT_REACH)..=at]
        .iter()
        .rev()
        .take_while(|line| !line.code.trim().is_empty() || !line.comment.is_empty())
        .any(|line| line.comment.contains("Invariant:"))
}

/// The beginnings of the paths of files that are compiled for tests only: by folder, by who declares them, or by name.
pub(crate) fn test_files(sources: &[Source]) -> Vec<String> {
    // These are linked by tests alone, and a panic is how a test fails.
    let mut prefixes = ["crates/testkit/", "crates/vectors/", "conformance/"].map(str::to_owned).to_vec();
    for source in sources {
        for folder in ["/tests/", "/benches/"] {
            prefixes.extend(source.path.find(folder).map(|at| source.path[..at + folder.len()].to_owned()));
        }
        if source.path.ends_with("/tests.rs") || source.path.ends_with("_tests.rs") {
            prefixes.push(source.path.clone());
        }
        let folder = folder_of_modules(&source.path);
        for module in &source.test_modules {
            prefixes.push(format!("{folder}/{module}.rs"));
            prefixes.push(format!("{folder}/{module}/"));
        }
    }
    prefixes
}

/// Where the modules that a file declares live: beside `mod.rs`, `lib.rs` and `main.rs`, else in the folder of its name.
fn folder_of_modules(path: &str) -> &str {
    let stem = path.strip_suffix(".rs").unwrap_or(path);
    ["/mod", "/lib", "/main"].iter().find_map(|name| stem.strip_suffix(name)).unwrap_or(stem)
}

#[cfg(test)]
mod tests {
    use super::super::source::read;
    use super::*;

    fn lines_found(text: &str) -> Vec<usize> {
        let mut findings = Vec::new();
        check(&read("crates/hub/src/x.rs", text), false, &mut findings);
        findings.iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn what_panics_is_refused_outside_tests() {
        assert_eq!(lines_found("fn f() {\n    a.unwrap();\n    b.expect(\"c\");\n    panic!(\"d\")\n}\n"), [2, 3, 4]);
        assert_eq!(lines_found("fn f() { a.unwrap_or(1); x.expected(); core_panic!(2); } // .unwrap()\n"), []);
        assert_eq!(lines_found("#[cfg(test)]\nmod tests {\n    fn f() { a.unwrap() }\n}\n"), []);
        assert_eq!(lines_found("#[expect(clippy::x)]\nfn f() { \".unwrap()\" }\n"), []);
    }

    #[test]
    fn an_invariant_is_said_right_above() {
        assert_eq!(lines_found("// Invariant: one is there.\na.first().unwrap();\n"), []);
        assert_eq!(lines_found("// Invariant: one is there,\n// always.\na\n    .first()\n    .unwrap();\n"), []);
        assert_eq!(lines_found("// Invariant: far away.\n\na.unwrap();\n"), [3]);
    }

    #[test]
    fn a_long_file_is_refused_as_a_whole() {
        assert_eq!(lines_found(&"x;\n".repeat(600)), []);
        assert_eq!(lines_found(&"x;\n".repeat(601)), [0]);
    }

    #[test]
    fn files_for_tests_are_known_by_their_folder_and_by_who_declares_them() {
        let sources = [
            read("crates/hub/tests/resume/main.rs", ""),
            read("crates/hub/src/lib.rs", "#[cfg(test)]\nmod twin;"),
            read("crates/hub/src/ring.rs", "#[cfg(test)]\nmod tests;"),
            read("crates/hub/src/readers_tests.rs", ""),
        ];
        let files = test_files(&sources);
        for path in [
            "crates/hub/tests/other.rs",
            "crates/hub/src/twin.rs",
            "crates/hub/src/twin/deep.rs",
            "crates/hub/src/ring/tests.rs",
            "crates/hub/src/readers_tests.rs",
            "crates/testkit/src/lib.rs",
        ] {
            assert!(files.iter().any(|prefix| path.starts_with(prefix)), "{path}: {files:?}");
        }
        assert!(!files.iter().any(|prefix| "crates/hub/src/ring.rs".starts_with(prefix)));
    }
}
