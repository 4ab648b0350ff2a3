//! The table of what a peer can cost: each row names a test that is there.

use super::{File, Finding};

const TABLE: &str = "docs/security.md";

/// Appends the rows that name no test, or one that is not there.
pub(crate) fn check(files: &[File], findings: &mut Vec<Finding>) {
    let Some(table) = files.iter().find(|file| file.path == TABLE) else { return };
    let rows: Vec<(usize, &str)> = rows(&table.text).collect();
    if rows.is_empty() {
        findings.push(Finding { path: TABLE.into(), line: 0, what: "it has no row: mend xtask's reader".into() });
    }
    for (line, row) in rows {
        let what = match test_of(row) {
            None => "the row names no test in its last cell".to_owned(),
            Some(name) if files.iter().any(|file| has_test(file, name)) => continue,
            Some(name) => format!("there is no test `{name}`"),
        };
        findings.push(Finding { path: TABLE.into(), line, what });
    }
}

/// The rows of tables, without their heads, and their lines.
fn rows(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line));
    lines.filter(|(_, line)| line.starts_with("| ") && !line.starts_with("| a peer |"))
}

/// The name in the last cell.
fn test_of(row: &str) -> Option<&str> {
    let cell = row.trim_end().strip_suffix('|')?.rsplit('|').next()?.trim();
    cell.strip_prefix('`')?.strip_suffix('`').filter(|name| !name.contains('`'))
}

/// Whether a file has a test of this name: a function under `#[test]`, with other attributes in between at most, or one of a
/// suite that is asked of several.
fn has_test(file: &File, name: &str) -> bool {
    if !file.path.ends_with(".rs") {
        return false;
    }
    let is_suite = file.path.contains("/tests/suite/");
    let mut is_test = is_suite;
    for line in file.text.lines().map(str::trim_start) {
        match line {
            "#[test]" => is_test = true,
            _ if is_test && names(line, name) => return true,
            _ => is_test = is_suite || is_test && (line.starts_with("#[") || line.starts_with("//")),
        }
    }
    false
}

fn names(line: &str, name: &str) -> bool {
    let line = line.trim_start();
    let rest = line.strip_prefix("fn ").or_else(|| line.strip_prefix("pub(crate) fn "));
    rest.and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with(['(', '<']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_without_a_test_is_found() {
        let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        let table = "| a peer | costs |\n|---|---|\n| does | `it_is_so` |\n| and | `it_is_not` |\n| or | nothing |\n";
        let tests =
            "    #[test]\n    #[ignore = \"slow\"]\n    fn it_is_so() {\n    #[test]\n    fn it_is_not_this() {}\n";
        let files = [file(TABLE, table), file("a.rs", tests), file("b.rs", "fn it_is_not() {}\n")];
        let mut findings = Vec::new();
        check(&files, &mut findings);
        let found: Vec<(usize, &str)> = findings.iter().map(|finding| (finding.line, &*finding.what)).collect();
        assert_eq!(found, [(4, "there is no test `it_is_not`"), (5, "the row names no test in its last cell")]);
    }
}
