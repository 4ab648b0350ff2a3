//! Settings from a TOML file. Every key must be known: a slip of the finger is told with its line, never ignored.

use super::suggest::nearest;
use super::value::Hidden;
use super::value::{Value, kind};
use super::written::{
    API_KEY_KEYS, ApiKey, CACHE_KEYS, CLASSLESS_KEYS, Cache, KEY_KEYS, Key, Origin, PUSH_KEYS, Problem, PushList,
    RULE_KEYS, Rule, SETTINGS, Said, Written,
};
use std::ops::Range;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// Reads the text of a file, `path` in its messages.
pub fn read(path: &str, text: &str) -> (Written, Vec<Problem>) {
    let (table, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(|error| error.span().map(|span| span.start));
    let mut reader = Reader { path: path.into(), text, written: Written::default(), problems: Vec::new() };
    for error in &errors {
        let origin = reader.origin(error.span().unwrap_or_default());
        reader.problems.push(Problem::at(&origin, format!("this is not TOML: {}", error.message())));
    }
    // What follows a syntax error may be read wrongly, and complaints about it would mislead.
    if errors.is_empty() {
        reader.table("", table.get_ref());
    }
    (reader.written, reader.problems)
}

struct Reader<'a> {
    path: Arc<str>,
    text: &'a str,
    written: Written,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn origin(&self, span: Range<usize>) -> Origin {
        let before = self.text.as_bytes().get(..span.start).unwrap_or(self.text.as_bytes());
        Origin::File(self.path.clone(), 1 + before.iter().filter(|b| **b == b'\n').count())
    }

    fn table(&mut self, within: &str, table: &DeTable<'_>) {
        // The parser sorts keys; a person reads from the top.
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (name, value) in entries {
            let origin = self.origin(name.span());
            let key =
                if within.is_empty() { name.get_ref().to_string() } else { format!("{within}.{}", name.get_ref()) };
            let inner = value.get_ref();
            if let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) {
                if let Err(why) = (setting.read_toml)(&mut self.written, inner, origin.clone()) {
                    self.problems.push(Problem::at(&origin, format!("`{key}`: {why}")));
                }
            } else if let Some((_, read)) = LISTS.iter().find(|(list, _)| *list == key) {
                self.list(&key, inner, &origin, *read);
            } else if let (true, DeValue::Table(table)) = (is_table(&key), inner) {
                self.table(&key, table);
            } else {
                self.problems.push(unknown(&key, &origin, inner));
            }
        }
    }

    /// Reads an array of tables, each with `read`.
    fn list(&mut self, key: &str, value: &DeValue<'_>, origin: &Origin, read: ReadOne) {
        let DeValue::Array(items) = value else {
            let what = if key == "channel" { "rules for channels are" } else { "it is" };
            let sentence = format!("`{key}` is {}: {what} written [[{key}]]", kind(value));
            return self.problems.push(Problem::at(origin, sentence));
        };
        for item in items.iter() {
            match item.get_ref() {
                DeValue::Table(table) => read(self, table, &self.origin(item.span())),
                other => {
                    let sentence = format!("`{key}` holds {}: each is written [[{key}]]", kind(other));
                    self.problems.push(Problem::at(origin, sentence));
                }
            }
        }
    }

    /// Reads the keys of one table of a list: `take` takes a value, or is asked for a key that is none.
    fn entries(
        &mut self,
        list: (&str, &'static [&'static str], &[&'static str]),
        table: &DeTable<'_>,
        origin: &Origin,
        mut take: impl FnMut(&str, &DeValue<'_>, &Origin) -> Result<(), String>,
    ) {
        let (name, known, needed) = list;
        let mut missing = needed.to_vec();
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let (key, value, origin) = (key.get_ref().as_ref(), value.get_ref(), self.origin(key.span()));
            missing.retain(|needed| *needed != key);
            if !known.contains(&key) {
                let hint = did_you_mean(key, known.iter().copied());
                self.problems.push(Problem::at(&origin, format!("unknown key `{key}` in [[{name}]]{hint}")));
            } else if let Err(why) = take(key, value, &origin) {
                self.problems.push(Problem::at(&origin, format!("`{key}`: {why}")));
            }
        }
        for key in missing {
            self.problems.push(Problem::at(origin, format!("this [[{name}]] lacks `{key}`")));
        }
    }

    fn rule(&mut self, table: &DeTable<'_>, origin: &Origin) {
        let mut rule = Rule::default();
        let says_more = CLASSLESS_KEYS.iter().any(|key| table.contains_key(*key));
        let needed: &[&'static str] = if says_more { &["pattern"] } else { &["pattern", "class"] };
        self.entries(("channel", &RULE_KEYS, needed), table, origin, |key, value, origin| match key {
            "pattern" => said(string(value), origin, &mut rule.pattern),
            "class" => said(string(value), origin, &mut rule.class),
            "events" => said(Value::from_toml(value), origin, &mut rule.events),
            "age" => said(Value::from_toml(value), origin, &mut rule.age),
            "bytes" => said(Value::from_toml(value), origin, &mut rule.bytes),
            "subscribe" => said(string(value), origin, &mut rule.subscribe),
            "publish" => said(string(value), origin, &mut rule.publish),
            "presence" => said(string(value), origin, &mut rule.presence),
            "publishes" => said(Value::from_toml(value), origin, &mut rule.publishes),
            "message" => said(Value::from_toml(value), origin, &mut rule.message),
            _ => said(string(value), origin, &mut rule.track),
        });
        self.written.rules.push(rule);
    }

    fn key(&mut self, table: &DeTable<'_>, origin: &Origin) {
        let mut key = Key::default();
        self.entries(("auth.key", &KEY_KEYS, &["algorithm"]), table, origin, |name, value, origin| match name {
            "id" => said(string(value), origin, &mut key.id),
            "algorithm" => said(string(value), origin, &mut key.algorithm),
            "secret" => said(string(value).map(Hidden), origin, &mut key.secret),
            "secret_file" => said(string(value), origin, &mut key.secret_file),
            "public_key" => said(string(value), origin, &mut key.public_key),
            _ => said(string(value), origin, &mut key.public_key_file),
        });
        self.written.keys.push(key);
    }

    fn api_key(&mut self, table: &DeTable<'_>, origin: &Origin) {
        let mut key = ApiKey::default();
        let needed = &["name", "hash"];
        self.entries(("auth.api_key", &API_KEY_KEYS, needed), table, origin, |name, value, origin| match name {
            "name" => said(string(value), origin, &mut key.name),
            "hash" => said(string(value), origin, &mut key.hash),
            "subscribe" => said(Value::from_toml(value), origin, &mut key.subscribe),
            "publish" => said(Value::from_toml(value), origin, &mut key.publish),
            "presence" => said(Value::from_toml(value), origin, &mut key.presence),
            _ => said(Value::from_toml(value), origin, &mut key.manage),
        });
        self.written.api_keys.push(key);
    }

    fn cache(&mut self, table: &DeTable<'_>, origin: &Origin) {
        let mut rule = Cache::default();
        self.entries(("site.cache", &CACHE_KEYS, &CACHE_KEYS), table, origin, |name, value, origin| match name {
            "path" => said(string(value), origin, &mut rule.path),
            _ => said(string(value), origin, &mut rule.control),
        });
        self.written.caches.push(rule);
    }

    fn push(&mut self, table: &DeTable<'_>, origin: &Origin) {
        let mut list = PushList::default();
        self.entries(("site.push", &PUSH_KEYS, &PUSH_KEYS), table, origin, |name, value, origin| match name {
            "page" => said(string(value), origin, &mut list.page),
            _ => said(Value::from_toml(value), origin, &mut list.files),
        });
        self.written.pushes.push(list);
    }
}

type ReadOne = fn(&mut Reader<'_>, &DeTable<'_>, &Origin);

/// What is written as an array of tables.
const LISTS: [(&str, ReadOne); 5] = [
    ("channel", |reader, table, origin| reader.rule(table, origin)),
    ("auth.key", |reader, table, origin| reader.key(table, origin)),
    ("auth.api_key", |reader, table, origin| reader.api_key(table, origin)),
    ("site.cache", |reader, table, origin| reader.cache(table, origin)),
    ("site.push", |reader, table, origin| reader.push(table, origin)),
];

fn said<T>(read: Result<T, String>, origin: &Origin, slot: &mut Option<Said<T>>) -> Result<(), String> {
    *slot = Some(Said { value: read?, origin: origin.clone() });
    Ok(())
}

fn string(value: &DeValue<'_>) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| format!("expected a string, not {}", kind(value)))
}

fn is_table(key: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.key.split_once('.').is_some_and(|(table, _)| table == key))
}

fn unknown(key: &str, origin: &Origin, value: &DeValue<'_>) -> Problem {
    if is_table(key) {
        return Problem::at(origin, format!("`{key}` is {}: it is a table, written [{key}]", kind(value)));
    }
    let tables = SETTINGS.iter().filter_map(|setting| setting.key.split_once('.').map(|(table, _)| table));
    if let (DeValue::Table(_), Some(table)) = (value, nearest(key, tables.chain(["channel"]))) {
        let written = if table == "channel" { "[[channel]]".to_owned() } else { format!("[{table}]") };
        return Problem::at(origin, format!("unknown table [{key}]; did you mean {written}?"));
    }
    Problem::at(origin, format!("unknown key `{key}`{}", did_you_mean(key, SETTINGS.iter().map(|setting| setting.key))))
}

fn did_you_mean(written: &str, keys: impl IntoIterator<Item = &'static str>) -> String {
    match nearest(written, keys).map(|key| (key, key.split_once('.'))) {
        Some((_, Some((table, key)))) => format!("; did you mean `{key}` in [{table}]?"),
        Some((key, None)) => format!("; did you mean `{key}`?"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        read("s.toml", text).1.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_is_read_with_the_line_of_each_value() {
        let text = "listen = [\"127.0.0.1:1\", \"[::1]:2\"]\nshards = 2\n[limits]\n# why\nmessage = 65536\n\
                    [[channel]]\npattern = \"a/**\"\nclass = \"state\"\n";
        let (written, problems) = read("s.toml", text);
        assert_eq!(problems, []);
        assert_eq!(written.listen.unwrap().value.0.len(), 2);
        let message = written.limits_message.unwrap();
        assert_eq!((message.value.0, message.origin.to_string()), (65536, "s.toml:5".to_owned()));
        assert_eq!(written.rules.len(), 1);
    }

    #[test]
    fn what_is_unknown_is_refused_with_its_line_and_a_suggestion() {
        let cases = [
            ("\n\nhartbeat = \"1s\"", "s.toml:3: unknown key `hartbeat`; did you mean `heartbeat`?"),
            ("message = 1", "s.toml:1: unknown key `message`; did you mean `message` in [limits]?"),
            ("[limit]\nmessage = 1", "s.toml:1: unknown table [limit]; did you mean [limits]?"),
            ("[channels]\n", "s.toml:1: unknown table [channels]; did you mean [[channel]]?"),
            ("[limits]\nmesage = 1", "s.toml:2: unknown key `limits.mesage`; did you mean `message` in [limits]?"),
            ("zzz = 1", "s.toml:1: unknown key `zzz`"),
            ("limits = 3", "s.toml:1: `limits` is a number: it is a table, written [limits]"),
            ("[channel]\npattern = 1", "s.toml:1: `channel` is a table: rules for channels are written [[channel]]"),
            ("drain = 10", "s.toml:1: `drain`: `10` has no unit: write `10s` for seconds, or `ms`, `m` or `h`"),
            ("insecure = \"true\"", "s.toml:1: `insecure`: expected true or false, not a string"),
            (
                "[[channel]]\npatern = \"a\"\npattern = \"b\"\nclass = \"state\"",
                "s.toml:2: unknown key `patern` in [[channel]]; did you mean `pattern`?",
            ),
            ("\n[[channel]]\npattern = \"b\"", "s.toml:2: this [[channel]] lacks `class`"),
        ];
        for (text, expected) in cases {
            assert_eq!(problems(text), [expected], "{text}");
        }
        assert!(
            problems("a = \nb = [")[0].starts_with("s.toml:1: this is not TOML: "),
            "{:?}",
            problems("a = \nb = [")
        );
    }
}
