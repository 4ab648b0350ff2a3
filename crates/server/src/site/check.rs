//! Looks at what the configuration says of the site before anything is served: so that a list that cannot be kept is told
//! when it is read, and not found out by visitors.

use super::open::{Directory, Found};
use super::path::{self, SitePath};
use super::push::{FILES_MAX, PushedFile};
use super::settings::{PushRule, Settings};
use crate::config::plain;
use std::collections::HashSet;
use std::fmt;
use std::io;
use std::path::Path;

/// Something that the configuration says and the site cannot do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    pub key: Key,
    /// A sentence without a full stop.
    pub why: String,
}

/// Where it is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    Directory,
    Prefix,
    /// The page of a list, by its place among them.
    Page(usize),
    /// The files of one.
    Files(usize),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl std::error::Error for Refused {}

/// A page with files that go with it.
#[derive(Debug)]
pub(super) struct Page {
    /// Decoded, as [`SitePath::shown`] is.
    pub(super) shown: String,
    /// The file that is served for it, below the directory.
    pub(super) file: String,
    /// Paths as requests name them, and below the directory.
    pub(super) files: Vec<(String, String)>,
}

impl Page {
    /// What goes with the page now, with its versions; nothing where the page itself is gone. This reads the file system.
    pub(super) fn files(&self, directory: &Directory) -> Vec<PushedFile> {
        let is_file = |found: &Found| !found.is_directory;
        if !directory.look(Path::new(&self.file)).is_ok_and(|found| is_file(&found)) {
            return Vec::new();
        }
        let look = |(path, below): &(String, String)| {
            let found = directory.look(Path::new(below)).ok().filter(is_file)?;
            Some(PushedFile::new(path.clone(), found))
        };
        self.files.iter().filter_map(look).collect()
    }
}

/// Whether a site can be served as this says.
pub fn check(settings: &Settings) -> Result<(), Vec<Refused>> {
    pages(settings).map(drop)
}

/// The pages of the push lists, or all that is wrong with the settings.
pub(super) fn pages(settings: &Settings) -> Result<Vec<Page>, Vec<Refused>> {
    let mut refused = Vec::new();
    let mut refuse = |key, why: String| refused.push(Refused { key, why });
    if let Err(why) = path::check_prefix(&settings.prefix) {
        refuse(Key::Prefix, format!("`{}` cannot be the prefix of the site: {why}", settings.prefix));
        return Err(refused);
    }
    let directory = Directory::new(settings.directory.clone(), settings.symlinks);
    if let Err(error) = directory.look(Path::new("")) {
        let why =
            if error.kind() == io::ErrorKind::NotFound { "there is no such directory".into() } else { plain(&error) };
        refuse(Key::Directory, format!("`{}` cannot be served: {why}", settings.directory.display()));
        return Err(refused);
    }
    let mut seen = HashSet::new();
    let mut pages = Vec::new();
    for (index, rule) in settings.push.iter().enumerate() {
        let page = match page(&rule.page, settings, &directory) {
            Ok(page) if seen.insert(page.0.clone()) => Some(page),
            Ok(_) => {
                refuse(Key::Page(index), format!("the page `{}` has a list already", rule.page));
                None
            }
            Err(why) => {
                refuse(Key::Page(index), format!("`{}` is no page of the site: {why}", rule.page));
                None
            }
        };
        let (files, wrong) = files(rule, page.as_ref().map(|(_, file)| file.as_str()), settings, &directory);
        wrong.into_iter().for_each(|why| refuse(Key::Files(index), why));
        pages.extend(page.map(|(shown, file)| Page { shown, file, files }));
    }
    if refused.is_empty() { Ok(pages) } else { Err(refused) }
}

/// A page by its path: decoded, and the file that is served for it.
fn page(written: &str, settings: &Settings, directory: &Directory) -> Result<(String, String), String> {
    let path = SitePath::of(written, &settings.prefix).map_err(|bad| bad.to_string())?;
    let mut file = path.relative();
    if path.is_directory() {
        file = if file.is_empty() { super::INDEX.to_owned() } else { format!("{file}/{}", super::INDEX) };
    }
    is_file(&file, directory, settings)?;
    Ok((path.shown(&settings.prefix), file))
}

/// The files of a list, and what is wrong with it.
fn files(
    rule: &PushRule,
    page: Option<&str>,
    settings: &Settings,
    directory: &Directory,
) -> (Vec<(String, String)>, Vec<String>) {
    let (mut good, mut wrong) = (Vec::new(), Vec::new());
    if rule.files.len() > FILES_MAX {
        wrong.push(format!("{} files with one page are more than help it: at most {FILES_MAX} are", rule.files.len()));
    }
    let mut seen = HashSet::new();
    for written in &rule.files {
        match file(written, page, settings, directory) {
            Ok(file) if seen.insert(file.clone()) => good.push((written.clone(), file)),
            Ok(_) => wrong.push(format!("`{written}` is listed twice")),
            Err(why) => wrong.push(format!("`{written}` cannot be pushed: {why}")),
        }
    }
    (good, wrong)
}

/// A file by its path, below the directory.
fn file(written: &str, page: Option<&str>, settings: &Settings, directory: &Directory) -> Result<String, String> {
    // What stands in a `Link` between angle brackets is a URI: nothing in it may end it.
    if let Some(c) = written.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '<' | '>' | '"' | '?' | '#')) {
        return Err(match c {
            '?' => "what a query asks for is made for the asking, and only files can go ahead of it".to_owned(),
            c => format!("`{c}` is percent-encoded in a path"),
        });
    }
    let path = SitePath::of(written, &settings.prefix).map_err(|bad| bad.to_string())?;
    if path.is_directory() {
        return Err("it is a directory: name the file".to_owned());
    }
    let file = path.relative();
    if page == Some(file.as_str()) {
        return Err("it is the page itself".to_owned());
    }
    is_file(&file, directory, settings)?;
    Ok(file)
}

fn is_file(file: &str, directory: &Directory, settings: &Settings) -> Result<(), String> {
    let within = settings.directory.display();
    match directory.look(Path::new(file)) {
        Ok(found) if !found.is_directory => Ok(()),
        Ok(_) => Err("it is a directory: name the file".to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(format!("there is no file `{file}` in {within}")),
        Err(error) => Err(format!("`{file}` in {within} cannot be read: {}", plain(&error))),
    }
}
