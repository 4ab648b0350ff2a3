//! What the configuration says of the application, as meant.

use super::access::read_file;
use super::meant::said;
use super::suggest::nearest;
use super::value::{Count, Hiddens, Span, Text, Texts};
use super::written::{Origin, Problem, Said, Written};
use std::path::{Path, PathBuf};
use switchboard::application::webhook::{Limits, Settings};
use switchboard::application::{Backend, Kind, Question};
use switchboard::auth::settings::Secret;
use switchboard::outward::{Address, trust};

/// Shortest secret, in bytes: as long as what it makes (RFC 2104 section 3).
const SECRET_LEAST: usize = 32;

/// What holds of it where nobody says otherwise.
pub fn defaults() -> Written {
    let limits = Limits::default();
    Written {
        application_url: said(Text(String::new())),
        application_secret: None,
        application_secret_file: said(Texts(Vec::new())),
        application_ca: said(Text(String::new())),
        application_asks: said(Texts(Vec::new())),
        application_tells: said(Texts(Vec::new())),
        application_fields: said(Texts(Vec::new())),
        application_timeout: said(Span(limits.timeout)),
        application_concurrency: said(Count(limits.concurrency)),
        application_queue: said(Count(limits.queue)),
        application_notices: said(Count(limits.notices)),
        application_failures: said(Count(limits.failures as usize)),
        application_pause: said(Span(limits.pause)),
        application_debounce: said(Span(limits.debounce)),
        ..super::site::defaults()
    }
}

/// The application that was written, if one was.
pub fn resolve(written: &Written, problems: &mut Vec<Problem>) -> Backend {
    let Some(url) = written.application_url.as_ref().filter(|said| !said.value.0.is_empty()) else {
        problems.extend(without_address(written));
        return Backend::None;
    };
    let address = Address::parse(&url.value.0)
        .map_err(|why| problems.push(Problem::at(&url.origin, format!("`application.url`: {why}"))));
    let secrets = secrets(written, problems);
    if secrets.is_empty() && written.application_secret.is_none() && files(written).is_empty() {
        let sentence = "`application.url` goes with a secret that requests are signed with: `application.secret`, or \
                        `application.secret_file`";
        problems.push(Problem::at(&url.origin, sentence));
    }
    let asks = known("application.asks", &written.application_asks, &Question::ALL, Question::as_str, problems);
    let tells = known("application.tells", &written.application_tells, &Kind::ALL, Kind::as_str, problems);
    let fields = fields(written, problems);
    let Ok(address) = address else { return Backend::None };
    let ca = roots(written, &address).unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    let limits = limits(written);
    Backend::Webhook(Box::new(Settings { address, ca, secrets, asks, tells, fields, limits }))
}

fn limits(written: &Written) -> Limits {
    let mut limits = Limits::default();
    macro_rules! put {
        ($($place:ident, $said:ident, $of:expr;)*) => {
            $(if let Some(said) = &written.$said { limits.$place = $of(said.value); })*
        };
    }
    put! {
        timeout, application_timeout, |span: Span| span.0;
        concurrency, application_concurrency, |count: Count| count.0;
        queue, application_queue, |count: Count| count.0;
        notices, application_notices, |count: Count| count.0;
        failures, application_failures, |count: Count| u32::try_from(count.0).unwrap_or(u32::MAX);
        pause, application_pause, |span: Span| span.0;
        debounce, application_debounce, |span: Span| span.0;
    }
    limits
}

/// What would say that the application guards something, while there is none.
fn without_address(written: &Written) -> Option<Problem> {
    let stands = |key: &str, texts: &Option<Said<Texts>>| {
        let said = texts.as_ref().filter(|said| !said.value.0.is_empty())?;
        Some(Problem::at(&said.origin, format!("`{key}` goes with `application.url`, which says who is asked")))
    };
    let secret = written.application_secret.as_ref().map(|said| {
        Problem::at(&said.origin, "`application.secret` goes with `application.url`, which says who is asked")
    });
    stands("application.asks", &written.application_asks)
        .or_else(|| stands("application.tells", &written.application_tells))
        .or_else(|| stands("application.fields", &written.application_fields))
        .or_else(|| stands("application.secret_file", &written.application_secret_file))
        .or(secret)
}

fn files(written: &Written) -> Vec<Said<String>> {
    let said = written.application_secret_file.iter();
    said.flat_map(|said| said.value.0.iter().map(|name| Said { value: name.clone(), origin: said.origin.clone() }))
        .collect()
}

/// All secrets, the first for whoever takes one alone.
fn secrets(written: &Written, problems: &mut Vec<Problem>) -> Vec<Secret> {
    let mut secrets = Vec::new();
    let mut take = |bytes: &[u8], key: &str, origin: &Origin| {
        if bytes.len() < SECRET_LEAST {
            let sentence = format!("`{key}`: a secret has at least {SECRET_LEAST} bytes, and this one {}", bytes.len());
            problems.push(Problem::at(origin, sentence));
        }
        secrets.push(Secret::new(bytes));
    };
    if let Some(Said { value: Hiddens(texts), origin }) = &written.application_secret {
        texts.iter().for_each(|text| take(text.as_bytes(), "application.secret", origin));
    }
    let mut unread = Vec::new();
    for file in files(written) {
        match read_file(&file) {
            Ok(bytes) => take(bytes.trim_ascii_end(), "application.secret_file", &file.origin),
            Err(why) => unread.extend(why),
        }
    }
    problems.extend(unread);
    secrets
}

/// Words that stand for something.
fn known<T: Copy>(
    key: &str,
    said: &Option<Said<Texts>>,
    all: &[T],
    word: fn(T) -> &'static str,
    problems: &mut Vec<Problem>,
) -> Vec<T> {
    let Some(said) = said else { return Vec::new() };
    let words: Vec<&'static str> = all.iter().map(|each| word(*each)).collect();
    let mut found = Vec::new();
    for text in &said.value.0 {
        match all.iter().find(|each| word(**each) == text) {
            Some(each) => found.push(*each),
            None => {
                let hint = match nearest(text, words.iter().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are {}", words.join(", ")),
                };
                problems.push(Problem::at(&said.origin, format!("unknown word `{text}` in `{key}`; {hint}")));
            }
        }
    }
    found
}

/// Names of fields, in lower case.
fn fields(written: &Written, problems: &mut Vec<Problem>) -> Vec<String> {
    let Some(said) = &written.application_fields else { return Vec::new() };
    let fine = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    for name in said.value.0.iter().filter(|name| !fine(name)) {
        let sentence = format!("`{name}` in `application.fields` is no name of a field, such as `cookie`");
        problems.push(Problem::at(&said.origin, sentence));
    }
    said.value.0.iter().map(|name| name.to_ascii_lowercase()).collect()
}

fn roots(written: &Written, address: &Address) -> Result<Option<PathBuf>, Problem> {
    let Some(said) = written.application_ca.as_ref().filter(|said| !said.value.0.is_empty()) else { return Ok(None) };
    let checked = match address.is_secure() {
        true => trust::check_roots(Path::new(&said.value.0)),
        false => Err("it goes with an `application.url` that begins with https://".into()),
    };
    checked.map_err(|why| Problem::at(&said.origin, format!("`application.ca`: {why}")))?;
    Ok(Some(PathBuf::from(&said.value.0)))
}

#[cfg(test)]
mod tests {
    use super::super::{file, meant};
    use super::*;
    use std::time::Duration;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn of(text: &str) -> Result<Backend, Vec<String>> {
        let (written, problems) = file::read("s.toml", &format!("[application]\n{text}"));
        assert_eq!(problems, []);
        match meant::resolve(&written.over(meant::defaults())) {
            Ok(meant) => Ok(meant.server.application),
            Err(problems) => Err(problems.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn an_application_is_an_address_and_a_secret() {
        let text = format!(
            "url = \"http://127.0.0.1:9000/hook\"\nsecret = [\"{SECRET}\", \"another {SECRET}\"]\ntimeout = \"2s\"\n\
             asks = [\"connect\", \"publish\"]\ntells = [\"channel.vacated\"]\nfields = [\"Cookie\"]"
        );
        let Ok(Backend::Webhook(settings)) = of(&text) else { panic!("an application") };
        assert_eq!(settings.secrets.len(), 2);
        assert_eq!(settings.asks, [Question::Connect, Question::Publish]);
        assert_eq!(settings.tells, [Kind::Vacated]);
        assert_eq!((settings.fields, settings.limits.timeout), (vec!["cookie".to_owned()], Duration::from_secs(2)));
        assert!(matches!(of(""), Ok(Backend::None)));
    }

    #[test]
    fn a_secret_may_be_in_a_file() {
        let path = std::env::temp_dir().join(format!("switchboard-application-{}", std::process::id()));
        std::fs::write(&path, format!("{SECRET}\n")).unwrap();
        let text = format!("url = \"http://a/\"\nsecret_file = \"{}\"", path.display());
        let found = of(&text);
        std::fs::remove_file(&path).unwrap();
        let Ok(Backend::Webhook(settings)) = found else { panic!("an application: {found:?}") };
        assert_eq!(settings.secrets, [Secret::new(SECRET.as_bytes())]);
        assert!(of(&text).unwrap_err()[0].contains("cannot be read"));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_where_it_stands() {
        let with = |rest: &str| format!("url = \"http://a/\"\nsecret = \"{SECRET}\"\n{rest}");
        for (text, expected) in [
            ("url = \"a\"\nsecret = \"0123456789abcdef0123456789abcdef\"".to_owned(), "s.toml:2: `application.url`: "),
            ("url = \"http://a/\"".to_owned(), "s.toml:2: `application.url` goes with a secret"),
            ("url = \"http://a/\"\nsecret = \"short\"".to_owned(), "s.toml:3: `application.secret`: a secret has"),
            (with("asks = [\"conect\"]"), "s.toml:4: unknown word `conect` in `application.asks`; did you mean"),
            (with("tells = [\"zzzzzzzz\"]"), "s.toml:4: unknown word `zzzzzzzz` in `application.tells`; there are"),
            (with("fields = [\"a b\"]"), "s.toml:4: `a b` in `application.fields`"),
            (with("ca = \"x\""), "s.toml:4: `application.ca`: it goes with"),
            (with("concurrency = 0"), "s.toml:4: `application.concurrency` is 0"),
            ("asks = [\"publish\"]".to_owned(), "s.toml:2: `application.asks` goes with `application.url`"),
            (format!("secret = \"{SECRET}\""), "s.toml:2: `application.secret` goes with `application.url`"),
        ] {
            let problems = of(&text).unwrap_err();
            assert!(problems.len() == 1 && problems[0].starts_with(expected), "{text}: {problems:?}");
        }
    }
}
