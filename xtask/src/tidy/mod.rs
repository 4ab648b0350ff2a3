//! The project's own rules, each with the reason and what to do instead. Style that a machine can check is checked
//! here rather than argued about in review.

mod bounds;
mod links;
mod markdown;
mod purity;
mod rust;
mod source;
mod tables;
mod text;
mod twins;

use crate::steps::Failure;
use source::Source;
use std::fmt;
use std::path::{Path, PathBuf};

/// One breach of a rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Finding {
    /// From the project's top folder, with `/` between.
    pub path: String,
    /// From 1; 0 is the file as a whole.
    pub line: usize,
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// What a check of the whole project came to.
#[derive(Debug)]
pub(crate) struct Report {
    pub files: usize,
    pub findings: Vec<Finding>,
}

/// Folders that hold nothing we wrote, or what was built of it.
const PASSED_OVER: &[&str] = &["target", "node_modules", "dist", "__pycache__", ".git"];
/// Names by which a text file is known.
const TEXT: &[&str] = &["rs", "md", "toml", "sh", "html", "css", "js", "mjs", "ts", "py", "json", "yml", "yaml"];

/// Checks every file under `root`.
pub(crate) fn check(root: &Path) -> Result<Report, Failure> {
    let files = read_all(root)?;
    let sources: Vec<Source> = files.iter().filter(|file| file.path.ends_with(".rs")).map(Source::read).collect();
    let test_files = rust::test_files(&sources);
    let mut findings = Vec::new();
    for file in &files {
        text::check(file, &mut findings);
    }
    for source in &sources {
        let is_test = test_files.iter().any(|prefix| source.path.starts_with(prefix));
        rust::check(source, is_test, &mut findings);
        if !is_test {
            purity::check(source, &mut findings);
        }
    }
    tables::check(&files, &mut findings);
    bounds::check(&files, &mut findings);
    links::check(&files, |path| root.join(path).exists(), &mut findings);
    twins::check(&files, &mut findings);
    findings.sort();
    Ok(Report { files: files.len(), findings })
}

/// A text file of the project.
#[derive(Debug)]
pub(crate) struct File {
    pub path: String,
    pub text: String,
}

fn read_all(root: &Path) -> Result<Vec<File>, Failure> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for path in entries(&folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && !PASSED_OVER.contains(&&*name) {
                folders.push(path);
            } else if path.is_file() && is_text(&path, &name) {
                let text = std::fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
                let inner = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                files.push(File { path: inner, text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let listed = std::fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    listed.map_err(|error| unreadable(folder, &error))
}

fn is_text(path: &Path, name: &str) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    TEXT.contains(&&*extension) || path.ends_with(".ci/run") || name.starts_with("LICENSE")
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(format!("{} cannot be read: {error}", path.display()), "look at the file: it should be UTF-8 text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_keeps_its_own_rules() {
        let report = check(&crate::program::root()).unwrap();
        assert!(report.files > 30, "only {} files were found", report.files);
        assert_eq!(report.findings, []);
    }
}
