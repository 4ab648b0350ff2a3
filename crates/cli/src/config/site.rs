//! What the configuration says of the site, as meant.

use super::suggest::known;
use super::value::{Count, Text};
use super::written::{Origin, Problem, PushList, Said, Written};
use http::HeaderValue;
use switchboard::site::{self, CacheRule, Glob, Hints, Key, PushRule, Settings, Symlinks};

const SYMLINKS: [(&str, Symlinks); 2] = [("within", Symlinks::Within), ("anywhere", Symlinks::Anywhere)];
const HINTS: [(&str, Hints); 3] = [("browsers", Hints::Browsers), ("all", Hints::All), ("off", Hints::Off)];

/// What holds where nobody says otherwise.
pub fn defaults() -> Written {
    let site = Settings::new("");
    let word = |text: &str| super::meant::said(Text(text.to_owned()));
    Written {
        site_directory: word(""),
        site_prefix: word(&site.prefix),
        site_symlinks: word(SYMLINKS[0].0),
        site_hints: word(HINTS[0].0),
        site_transfers: super::meant::said(Count(site.transfers)),
        ..Written::default()
    }
}

/// The site, if there is one. What it is to serve is looked at, so that a list that cannot be kept is told now.
pub fn resolve(written: &Written, problems: &mut Vec<Problem>) -> Option<Settings> {
    let directory = written.site_directory.as_ref().filter(|said| !said.value.0.is_empty());
    let Some(directory) = directory else {
        problems.extend(without_directory(written));
        return None;
    };
    let before = problems.len();
    let mut settings = Settings::new(&directory.value.0);
    if let Some(prefix) = &written.site_prefix {
        settings.prefix = with_slashes(&prefix.value.0);
    }
    if let Some(said) = &written.site_symlinks {
        settings.symlinks = one_of("site.symlinks", said, &SYMLINKS, problems).unwrap_or(settings.symlinks);
    }
    if let Some(said) = &written.site_hints {
        settings.hints = one_of("site.hints", said, &HINTS, problems).unwrap_or(settings.hints);
    }
    if let Some(said) = &written.site_transfers {
        settings.transfers = said.value.0;
    }
    settings.cache = cache_rules(written, problems);
    // A list that lacks one of the two was complained of where it was read.
    let lists = written.pushes.iter().filter_map(|list| Some((list.page.as_ref()?, list.files.as_ref()?)));
    settings.push = lists
        .clone()
        .map(|(page, files)| PushRule { page: page.value.clone(), files: files.value.0.clone() })
        .collect();
    let lists: Vec<_> = lists.collect();
    for refused in site::check(&settings).err().unwrap_or_default() {
        let origin = match refused.key {
            Key::Directory => Some(&directory.origin),
            Key::Prefix => written.site_prefix.as_ref().map(|said| &said.origin),
            Key::Page(index) => lists.get(index).map(|(page, _)| &page.origin),
            Key::Files(index) => lists.get(index).map(|(_, files)| &files.origin),
        };
        problems.push(Problem { origin: origin.cloned(), sentence: refused.why });
    }
    check_cookie(written, problems);
    (problems.len() == before).then_some(settings)
}

/// What is said of files helps nobody where none are served.
fn without_directory(written: &Written) -> Option<Problem> {
    let list = |list: &PushList| list.page.as_ref().map(|said| said.origin.clone());
    let said = written.pushes.iter().find_map(list);
    let said =
        said.or_else(|| written.caches.iter().find_map(|rule| rule.path.as_ref().map(|said| said.origin.clone())));
    said.map(|origin| {
        Problem::at(&origin, "there is no site to say this of: `directory` in [site] says where its files are")
    })
}

/// A prefix may be written without the slash at its end.
fn with_slashes(prefix: &str) -> String {
    if prefix.ends_with('/') { prefix.to_owned() } else { format!("{prefix}/") }
}

fn one_of<T: Copy, const N: usize>(
    key: &str,
    said: &Said<Text>,
    words: &[(&'static str, T); N],
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let found = words.iter().find(|(word, _)| *word == said.value.0).map(|(_, meant)| *meant);
    if found.is_none() {
        let hint = known(&said.value.0, words.map(|(word, _)| word));
        problems.push(Problem::at(&said.origin, format!("unknown `{key} = \"{}\"`{hint}", said.value.0)));
    }
    found
}

fn cache_rules(written: &Written, problems: &mut Vec<Problem>) -> Vec<CacheRule> {
    let mut rules = Vec::new();
    for rule in &written.caches {
        let (Some(path), Some(control)) = (&rule.path, &rule.control) else { continue };
        let glob =
            path.value.parse::<Glob>().map_err(|why| Problem::at(&path.origin, format!("`{}`: {why}", path.value)));
        let value = control_of(control);
        match (glob, value) {
            (Ok(path), Ok(control)) => rules.push(CacheRule { path, control }),
            (path, control) => problems.extend(path.err().into_iter().chain(control.err())),
        }
    }
    rules
}

fn control_of(said: &Said<String>) -> Result<HeaderValue, Problem> {
    let plain = said.value.bytes().all(|b| matches!(b, b' '..=b'~')) && !said.value.trim().is_empty();
    HeaderValue::from_str(&said.value).ok().filter(|_| plain).ok_or_else(|| {
        Problem::at(&said.origin, "`control` is what `Cache-Control` says, such as \"public, max-age=3600\"")
    })
}

/// The cookie that carries a token is another than the site's.
fn check_cookie(written: &Written, problems: &mut Vec<Problem>) {
    if let Some(said) = written.auth_cookie.as_ref().filter(|said| said.value.0 == site::push::NAME) {
        let sentence =
            format!("`auth.cookie`: `{}` is the cookie in which the site keeps what a browser has", said.value.0);
        problems.push(Problem::at(&said.origin, sentence));
    }
}

/// What is in the directory and nobody will ever get.
pub fn warning(written: &Written, settings: Option<&Settings>) -> Option<Problem> {
    let settings = settings?;
    let shadowed =
        site::RESERVED.into_iter().find(|name| settings.prefix == "/" && settings.directory.join(name).exists())?;
    let origin = written.site_directory.as_ref().map_or(Origin::Default, |said| said.origin.clone());
    let sentence =
        format!("`{shadowed}` in the site's directory is never served: the server answers at /{shadowed} itself");
    Some(Problem::at(&origin, sentence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{file, meant};
    use std::path::PathBuf;

    /// A directory with some files, under a name of this test's own.
    struct Files(PathBuf);

    impl Files {
        fn new(name: &str) -> Files {
            let path = std::env::temp_dir().join(format!("switchboard-config-site-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir_all(path.join("sub")).unwrap();
            for file in ["index.html", "style.css", "app.js", ".env", "sub/x.css"] {
                std::fs::write(path.join(file), "x").unwrap();
            }
            Files(path)
        }

        /// `text` is what follows [site] and its directory.
        fn of(&self, text: &str) -> Result<Settings, Vec<String>> {
            let (written, problems) = file::read("s.toml", &format!("[site]\ndirectory = {:?}\n{text}", self.0));
            let told = |problems: Vec<Problem>| problems.iter().map(ToString::to_string).collect::<Vec<String>>();
            if !problems.is_empty() {
                return Err(told(problems));
            }
            meant::resolve(&written.over(meant::defaults())).map(|meant| meant.server.site.unwrap()).map_err(told)
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_site_is_taken_over_and_nothing_is_served_unless_said() {
        let files = Files::new("taken");
        let text = "prefix = \"/a\"\nsymlinks = \"anywhere\"\nhints = \"off\"\ntransfers = 3\n\
                    [[site.cache]]\npath = \"/a/*.css\"\ncontrol = \"public, max-age=60\"\n\
                    [[site.push]]\npage = \"/a/\"\nfiles = [\"/a/style.css\", \"/a/sub/x.css\"]\n";
        let site = files.of(text).unwrap();
        assert_eq!((site.prefix.as_str(), site.symlinks, site.hints), ("/a/", Symlinks::Anywhere, Hints::Off));
        assert_eq!((site.transfers, site.directory.as_path()), (3, files.0.as_path()));
        assert_eq!(
            (site.cache[0].path.to_string().as_str(), &site.cache[0].control),
            ("/a/*.css", &HeaderValue::from_static("public, max-age=60"))
        );
        assert_eq!(
            site.push,
            [PushRule { page: "/a/".into(), files: vec!["/a/style.css".into(), "/a/sub/x.css".into()] }]
        );
        assert!(meant::resolve(&meant::defaults()).unwrap().server.site.is_none());
    }

    #[test]
    fn what_cannot_be_pushed_is_refused_where_it_stands_with_the_reason() {
        let files = Files::new("pushed");
        let list = |page: &str, file: &str| format!("[[site.push]]\npage = \"{page}\"\nfiles = [\"{file}\"]\n");
        for (page, file, begins, holds) in [
            ("/", "/channels/news", "s.toml:5: `/channels/news` cannot be pushed", "answers there itself"),
            ("/", "/api/channels", "s.toml:5: `/api/channels`", "answers there itself"),
            ("/", "/session", "s.toml:5: ", "answers there itself"),
            ("/", "/none.css", "s.toml:5: ", "there is no file `none.css`"),
            ("/", "/style.css?v=1", "s.toml:5: ", "query"),
            ("/", "/.env", "s.toml:5: ", "begin with a dot"),
            ("/", "/sub/../style.css", "s.toml:5: ", "begin with a dot"),
            ("/", "/sub/", "s.toml:5: ", "directory"),
            ("/", "/sub", "s.toml:5: ", "directory"),
            ("/", "/index.html", "s.toml:5: ", "the page itself"),
            ("/", "style.css", "s.toml:5: ", "not below the prefix"),
            ("/", "/a>b", "s.toml:5: ", "percent-encoded"),
            ("/none", "/style.css", "s.toml:4: `/none` is no page", "there is no file `none`"),
            ("/sub/", "/style.css", "s.toml:4: ", "there is no file `sub/index.html`"),
            ("/channels", "/style.css", "s.toml:4: ", "answers there itself"),
        ] {
            let problems = files.of(&list(page, file)).unwrap_err();
            assert!(
                problems.len() == 1 && problems[0].starts_with(begins) && problems[0].contains(holds),
                "{problems:?}"
            );
        }
        let twice = format!("{}{}", list("/", "/style.css"), list("/", "/app.js"));
        assert!(files.of(&twice).unwrap_err()[0].starts_with("s.toml:7: the page `/` has a list already"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_where_it_stands() {
        let files = Files::new("meant");
        for (text, begins) in [
            ("prefix = \"/channels\"", "s.toml:3: `/channels/` cannot be the prefix of the site: the server answers"),
            ("prefix = \"x\"", "s.toml:3: `x/` cannot be the prefix"),
            ("symlinks = \"anywher\"", "s.toml:3: unknown `site.symlinks = \"anywher\"`; did you mean `anywhere`?"),
            ("hints = \"on\"", "s.toml:3: unknown `site.hints = \"on\"`"),
            ("[[site.cache]]\npath = \"*.css\"\ncontrol = \"x\"", "s.toml:4: `*.css`: a pattern of paths begins"),
            ("[[site.cache]]\npath = \"/x\"\ncontrol = \"\"", "s.toml:5: `control`"),
            ("[[site.cache]]\npath = \"/x\"", "s.toml:3: this [[site.cache]] lacks `control`"),
            ("[[site.push]]\npage = \"/\"", "s.toml:3: this [[site.push]] lacks `files`"),
            ("[auth]\ncookie = \"switchboard-site\"", "s.toml:4: `auth.cookie`"),
        ] {
            let problems = files.of(text).unwrap_err();
            assert!(problems.len() == 1 && problems[0].starts_with(begins), "{problems:?}");
        }
        let (written, problems) = file::read("s.toml", "[site]\ndirectory = \"/none/such\"");
        assert_eq!(problems, []);
        let problems = meant::resolve(&written.over(meant::defaults())).unwrap_err();
        assert_eq!(problems[0].to_string(), "s.toml:2: `/none/such` cannot be served: there is no such directory");
        let (written, _) = file::read("s.toml", "[[site.push]]\npage = \"/\"\nfiles = []");
        let problems = meant::resolve(&written.over(meant::defaults())).unwrap_err();
        assert!(problems[0].to_string().starts_with("s.toml:2: there is no site to say this of"), "{problems:?}");
    }
}
