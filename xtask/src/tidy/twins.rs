//! A document and its translation are kept in step: what does not depend on the language is the same in both.

use super::markdown::Document;
use super::{File, Finding};

const TWINS: &[(&str, &str)] = &[("README.md", "README.zh-CN.md")];

/// Appends where a translation is no longer what it translates.
pub(crate) fn check(files: &[File], findings: &mut Vec<Finding>) {
    for (original, translation) in TWINS {
        let text = |path: &str| files.iter().find(|file| file.path == path).map_or("", |file| &file.text);
        for what in differences(&Document::read(text(original)), &Document::read(text(translation))) {
            let what = format!("it is not in step with {original}: {what}");
            findings.push(Finding { path: (*translation).to_owned(), line: 0, what });
        }
    }
}

fn differences(one: &Document<'_>, other: &Document<'_>) -> Vec<String> {
    let levels = |document: &Document<'_>| document.headings.iter().map(|heading| heading.level.to_string()).collect();
    let rows = |document: &Document<'_>| document.rows.iter().map(usize::to_string).collect();
    [
        first("heading, by its level,", levels(one), levels(other)),
        first("row of a table, by its cells,", rows(one), rows(other)),
        first("block of code", one.code.clone(), other.code.clone()),
        first("link, in alphabetical order,", links(one), links(other)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Where the links lead: other words stand in another order, and headings within the document have other names.
fn links(document: &Document<'_>) -> Vec<String> {
    let anchors = document.anchors();
    let target = |link: &str| match link.strip_prefix('#') {
        Some(name) => format!("heading {:?}", anchors.iter().position(|anchor| anchor == name)),
        None => link.to_owned(),
    };
    let mut links: Vec<String> = document.links.iter().map(|(_, link)| target(link)).collect();
    links.sort();
    links
}

/// The first that differs.
fn first(what: &str, one: Vec<String>, other: Vec<String>) -> Option<String> {
    let at = (0..one.len().max(other.len())).find(|at| one.get(*at) != other.get(*at))?;
    let said = |all: &[String]| all.get(at).map_or("none".to_owned(), |each| format!("{each:?}"));
    Some(format!("{what} number {} is {} there and {} here", at + 1, said(&one), said(&other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "# A\n\n[x](b.md) [y](#c)\n\n| a |\n|---|\n\n```sh\nls\n```\n\n## C\n";

    fn found(other: &str) -> usize {
        differences(&Document::read(ONE), &Document::read(other)).len()
    }

    #[test]
    fn a_translation_has_other_words_and_nothing_else() {
        assert_eq!(found("# 甲\n\n[乙](#丙)[丁](b.md)\n\n| 戊 |\n|---|\n\n```sh\nls\n```\n\n## 丙\n"), 0);
        assert_eq!(found(""), 4);
        for (from, to) in [("## C", "### C"), ("| a |", "| a | b |"), ("ls", "ls -l"), ("b.md", "d.md"), ("#c", "#a")] {
            assert_eq!(found(&ONE.replace(from, to)), 1, "{from}");
        }
    }
}
