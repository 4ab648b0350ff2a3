//! Links within the project lead somewhere: to a file that is there, and to a heading of it.

use super::markdown::Document;
use super::{File, Finding};
use std::path::Path;

/// Appends the links that lead nowhere. `is_there` tells of a path from the project's top folder.
pub(crate) fn check(files: &[File], is_there: impl Fn(&str) -> bool, findings: &mut Vec<Finding>) {
    for file in files.iter().filter(|file| file.path.ends_with(".md")) {
        for (line, link) in Document::read(&file.text).links {
            if let Some(what) = broken(files, &file.path, link, &is_there) {
                findings.push(Finding { path: file.path.clone(), line, what });
            }
        }
    }
}

fn broken(files: &[File], from: &str, link: &str, is_there: impl Fn(&str) -> bool) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (target, anchor) = link.split_once('#').map_or((link, None), |(target, anchor)| (target, Some(anchor)));
    let Some(path) = resolve(from, target) else {
        return Some(format!("the link `{link}` leads out of the project"));
    };
    if !is_there(&path) {
        return Some(format!("the link `{link}` leads nowhere: there is no {path}"));
    }
    let (anchor, file) = (anchor?, files.iter().find(|file| file.path == path)?);
    let anchors = Document::read(&file.text).anchors();
    let is_heading = anchors.iter().any(|each| each == anchor);
    (!is_heading)
        .then(|| format!("the link `{link}` leads nowhere: {path} has no such heading, but {}", anchors.join(", ")))
}

/// The path from the project's top folder; none if that is above it.
fn resolve(from: &str, target: &str) -> Option<String> {
    if target.is_empty() {
        return Some(from.to_owned());
    }
    let folder = Path::new(from).parent()?.to_str()?;
    let mut path: Vec<&str> = folder.split('/').filter(|segment| !segment.is_empty()).collect();
    for segment in target.split('/') {
        match segment {
            "." | "" => {}
            ".." => _ = path.pop()?,
            name => path.push(name),
        }
    }
    Some(path.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(link: &str) -> usize {
        let file = |path: &str, text: String| File { path: path.into(), text };
        let files = [file("a.md", "# One thing\n".into()), file("docs/b.md", format!("# Two\n\n[x]({link})\n"))];
        let mut findings = Vec::new();
        check(&files, |path| ["a.md", "docs/b.md", "docs", "crates/x.rs"].contains(&path), &mut findings);
        assert!(findings.iter().all(|finding| (finding.path.as_str(), finding.line) == ("docs/b.md", 3)));
        findings.len()
    }

    #[test]
    fn a_link_leads_to_a_file_and_a_heading_that_are_there() {
        for fine in
            ["../a.md", "../a.md#one-thing", "b.md#two", "#two", "../crates/x.rs", "../docs/", "https://x.org/#y"]
        {
            assert_eq!(found(fine), 0, "{fine}");
        }
        for broken in ["a.md", "../a.md#one", "#three", "../../c.md", "../crates/y.rs"] {
            assert_eq!(found(broken), 1, "{broken}");
        }
    }
}
