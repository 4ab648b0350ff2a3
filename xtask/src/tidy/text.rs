//! Rules for every text file: whitespace, notes to oneself, and paths of somebody's machine.

use super::source::{Source, is_word};
use super::{File, Finding};

/// Notes that nobody finds again. An issue is found.
const NOTES: &[&str] = &["TODO", "FIXME", "XXX", "HACK"];

/// Beginnings of paths that exist on one machine only.
const MACHINE_PATHS: &[&str] = &["/home/", "/root/", "/Users/"];

/// Words that claim instead of showing. Say what was measured, how, and the number.
const CLAIMS: &[&str] =
    &["blazing", "blazingly", "lightning-fast", "world-class", "cutting-edge", "seamless", "seamlessly"];

/// The file that spells the words out.
const THIS_FILE: &str = "xtask/src/tidy/text.rs";

/// Appends what the file breaks.
pub(crate) fn check(file: &File, findings: &mut Vec<Finding>) {
    if file.path.starts_with("LICENSE") {
        return;
    }
    let mut say = |line: usize, what: String| findings.push(Finding { path: file.path.clone(), line, what });
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        say(0, "the last line has no line break at its end".into());
    }
    let prose = prose(file);
    for (at, line) in file.text.lines().enumerate() {
        if line.ends_with([' ', '\t']) {
            say(at + 1, "blanks at the end of the line".into());
        }
        if file.path == THIS_FILE {
            continue;
        }
        for path in MACHINE_PATHS.iter().filter(|path| names_path(line, path)) {
            say(at + 1, format!("`{path}` is a path of one machine: make it relative to the project"));
        }
        let words = prose.get(at).map_or("", String::as_str);
        for note in NOTES.iter().filter(|note| has_word(words, note)) {
            say(at + 1, format!("`{note}` is read by nobody: open an issue, or do it now"));
        }
        for claim in CLAIMS.iter().filter(|claim| has_word(&words.to_lowercase(), claim)) {
            say(at + 1, format!("`{claim}` claims and does not show: give the fact or leave it out"));
        }
    }
}

/// What is written for people, by lines: the comments of Rust, and all of any other file.
fn prose(file: &File) -> Vec<String> {
    match file.path.ends_with(".rs") {
        true => Source::read(file).lines.into_iter().map(|line| line.comment).collect(),
        false => file.text.lines().map(str::to_owned).collect(),
    }
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_word) && !after.is_some_and(is_word)
    })
}

/// Whether the path begins in this line, rather than going on from something: `a/home/b` does not name `/home/`.
fn names_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| is_word(c) || matches!(c, '.' | '-' | '/' | '}' | '*' | '$'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        let mut findings = Vec::new();
        check(&File { path: path.into(), text: text.into() }, &mut findings);
        findings.into_iter().map(|f| (f.line, f.what.split('`').nth(1).unwrap_or("").to_owned())).collect()
    }

    #[test]
    fn notes_to_oneself_are_refused_in_prose_only() {
        assert_eq!(found("a.rs", "// TODO: x\nlet a = \"TODO\"; // a TODOS b\n"), [(1, "TODO".into())]);
        assert_eq!(found("a.md", "one\nFIXME two\n"), [(2, "FIXME".into())]);
    }

    #[test]
    fn paths_of_one_machine_are_refused() {
        assert_eq!(found("a.rs", "let a = \"/home/me/x\";\n"), [(1, "/home/".into())]);
        assert_eq!(found("a.md", "see `/home/x`\n"), [(1, "/home/".into())]);
        assert!(found("a.md", "GET /channels/home/kitchen and ../home/x, crates/root/y\n").is_empty());
    }

    #[test]
    fn claims_are_refused() {
        assert_eq!(found("README.md", "A Blazing server\n"), [(1, "blazing".into())]);
    }

    #[test]
    fn lines_end_cleanly() {
        assert_eq!(found("a.toml", "a = 1 \nb = 2"), [(0, String::new()), (1, String::new())]);
        assert!(found("LICENSE-MIT", "a ").is_empty());
    }
}
