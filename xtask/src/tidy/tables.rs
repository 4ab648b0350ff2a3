//! Documents that must agree with the code: the error table of the protocol, and the list of dependencies.

use super::{File, Finding};

const CODES: &str = "crates/wire/src/code.rs";
const PROTOCOL: &str = "docs/protocol.md";
const MANIFEST: &str = "Cargo.toml";
const DEPENDENCIES: &str = "docs/dependencies.md";

/// Appends where a document and the code disagree.
pub(crate) fn check(files: &[File], findings: &mut Vec<Finding>) {
    let text = |path: &str| files.iter().find(|file| file.path == path).map(|file| file.text.as_str());
    let (codes, protocol) = (text(CODES).map(error_rows).unwrap_or_default(), text(PROTOCOL).unwrap_or_default());
    if codes.is_empty() {
        findings.push(whole(
            CODES,
            "no row of the error table was found: its shape changed, so mend xtask's reader".into(),
        ));
    }
    let written: Vec<String> = protocol.lines().filter(|line| line.starts_with("| `")).map(squeeze).collect();
    for row in codes.iter().filter(|row| !written.contains(row)) {
        findings.push(whole(PROTOCOL, format!("the error table lacks this row of {CODES}: {row}")));
    }
    let is_error = |row: &&String| row.matches(" | ").count() == 5;
    for row in written.iter().filter(is_error).filter(|row| !codes.contains(row)) {
        findings.push(whole(PROTOCOL, format!("{CODES} has no such row: {row}")));
    }
    let listed = text(DEPENDENCIES).unwrap_or_default();
    let listed: Vec<&str> = listed.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let used = text(MANIFEST).map(dependencies).unwrap_or_default();
    for name in used.iter().filter(|name| !listed.contains(name)) {
        findings
            .push(whole(DEPENDENCIES, format!("`{name}` is not in the list: say why it is here and what it costs")));
    }
    for name in listed.iter().filter(|name| !used.contains(name)) {
        findings.push(whole(DEPENDENCIES, format!("`{name}` is listed, but the workspace does not use it")));
    }
}

fn whole(path: &str, what: String) -> Finding {
    Finding { path: path.into(), line: 0, what }
}

/// One blank for any run of them, so that tables may be aligned.
fn squeeze(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The rows of the `table!` of errors, as the document writes them:
/// ``| `name` | http | close | rpc | reconnect | sentence |``.
fn error_rows(code: &str) -> Vec<String> {
    let body = code.split("\ntable! {").nth(1).and_then(|rest| rest.split("\n}").next()).unwrap_or_default();
    body.lines().filter_map(error_row).collect()
}

fn error_row(line: &str) -> Option<String> {
    let mut quoted = line.split('"');
    let (name, numbers, sentence) = (quoted.nth(1)?, quoted.next()?, quoted.next()?);
    let mut numbers = numbers.split_whitespace();
    let (rpc, http, close) = (numbers.next()?, numbers.next()?, numbers.next()?);
    let reconnect = if numbers.next()? == "true" { "yes" } else { "no" };
    Some(format!("| `{name}` | {http} | {close} | {rpc} | {reconnect} | {sentence} |"))
}

/// The names under `[workspace.dependencies]` that are not crates of the workspace.
fn dependencies(manifest: &str) -> Vec<&str> {
    let section = manifest.split("[workspace.dependencies]").nth(1).and_then(|rest| rest.split("\n[").next());
    let lines = section.unwrap_or_default().lines().filter(|line| !line.contains("path ="));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim())
        .filter(|name| !name.starts_with('#'))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "macro_rules! table {}\n\ntable! {\n//  head\n    A  \"a\"  40000 400 4400 false \"Bad.\"\n    B \"b\" 1 503 1013 true \"Busy.\"\n}\n";
    const TOML: &str = "[workspace.dependencies]\nours = { path = \"x\" }\nbytes = \"1\"\n\n[workspace.lints]\nx = 1\n";

    fn found(protocol: &str, dependencies: &str) -> Vec<String> {
        let file = |path: &str, text: &str| File { path: path.into(), text: text.into() };
        let files =
            [file(CODES, CODE), file(MANIFEST, TOML), file(PROTOCOL, protocol), file(DEPENDENCIES, dependencies)];
        let mut findings = Vec::new();
        check(&files, &mut findings);
        findings.into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn the_documents_agree_with_the_code() {
        let rows = "| `a`  | 400 | 4400 | 40000 | no  | Bad. |\n| `b` | 503 | 1013 | 1 | yes | Busy. |\n";
        assert!(found(rows, "| `bytes` | why |\n").is_empty());
    }

    #[test]
    fn a_row_that_is_missing_or_changed_is_named() {
        let told = found("| `a` | 404 | 4400 | 40000 | no | Bad. |\n", "| `serde` | why |\n");
        assert_eq!(told.len(), 5, "{told:?}");
        assert!(told[0].contains("lacks this row") && told[0].contains("| `a` | 400"));
        assert!(told[2].contains("has no such row") && told[2].contains("404"));
        assert!(told[3].starts_with("`bytes` is not in the list"));
        assert!(told[4].starts_with("`serde` is listed"));
    }
}
