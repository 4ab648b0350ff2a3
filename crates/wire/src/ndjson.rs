//! Newline-delimited JSON, and the JSON in which events are published: one to a line, or several in a batch.
//!
//! An event is `{"data"|"base64","event"?,"type"?}`. A string in `data` is `text/plain`, any other value
//! `application/json`, kept as written; `base64` is binary. `type` names another content type.

mod lines;

pub use lines::{Lines, TooLong};

use crate::code::{Code, Problem};
use crate::event::{Draft, Kind, MediaType, from_base64};
use crate::limits::APPENDS_MAX;
use crate::name::{BadName, ChannelName};
use bytes::Bytes;
use serde::de::{DeserializeOwned, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// One line: an event.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `data` or `base64`")]
struct Line<'a> {
    #[serde(borrow, default, deserialize_with = "as_written")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    base64: Option<Cow<'a, str>>,
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    content_type: Option<Cow<'a, str>>,
}

/// One item of a batch: an event and where it goes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `channels` and `data` or `base64`")]
struct BatchItem<'a> {
    channels: Channels,
    #[serde(borrow, default, deserialize_with = "as_written")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    base64: Option<Cow<'a, str>>,
    #[serde(borrow)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow, rename = "type")]
    content_type: Option<Cow<'a, str>>,
    key: Option<String>,
}

/// The channels of an item: of more than may be, no more are kept than show it.
struct Channels(Vec<String>);

impl<'de> Deserialize<'de> for Channels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Channels, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Channels;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Channels, A::Error> {
                let mut kept = Vec::new();
                while kept.len() <= APPENDS_MAX
                    && let Some(name) = all.next_element()?
                {
                    kept.push(name);
                }
                while all.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Channels(kept))
            }
        }

        deserializer.deserialize_seq(Names)
    }
}

/// What a session's `publish` is called with: an event and where it goes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "`channel` and `data` or `base64`")]
struct Said<'a> {
    channel: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "as_written")]
    data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    event: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    content_type: Option<Cow<'a, str>>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default = "yes")]
    echo: bool,
    /// By name alone: the last, so that what is given by position is the data.
    #[serde(borrow, default)]
    base64: Option<Cow<'a, str>>,
}

fn yes() -> bool {
    true
}

/// Tells a `null` from a member that is not there.
fn as_written<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// An item of a batch: one event, published to each of these channels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// At least one, none of them twice, and none the system's own.
    pub channels: Vec<ChannelName>,
    pub draft: Draft,
    /// The idempotency key, as given.
    pub key: Option<String>,
}

/// What a session publishes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publish {
    pub channel: ChannelName,
    pub draft: Draft,
    /// The idempotency key, as given.
    pub key: Option<String>,
    /// Whether the session is to hear it, if it listens.
    pub echo: bool,
}

/// Reads the params of a session's `publish`:
/// `{"channel","data"|"base64","event"?,"type"?,"key"?,"echo"?}`, or their values in this order, with `data`.
pub fn parse_publish(params: &str) -> Result<Publish, Problem> {
    let said: Said<'_> = serde_json::from_str(params).map_err(|error| {
        let text = error.to_string();
        Code::InvalidParams.because(text.split(" at line ").next().unwrap_or_default().to_owned())
    })?;
    let channel = ordinary(&said.channel)?;
    let draft = draft(said.data, said.base64.as_deref(), said.event.as_deref(), said.content_type.as_deref());
    // What is no event in a body is wrong in the params of a call.
    let draft = draft.map_err(|problem| match problem.code {
        Code::InvalidItem => Code::InvalidParams.because(problem.detail),
        _ => problem,
    })?;
    Ok(Publish { channel, draft, key: said.key, echo: said.echo })
}

/// A name that is not the system's own.
fn ordinary(text: &str) -> Result<ChannelName, Problem> {
    let name = ChannelName::new(text).and_then(|name| match name.is_reserved() {
        true => Err(BadName::Reserved),
        false => Ok(name),
    });
    name.map_err(|bad| Code::ChannelName.because(format!("{text:?}: {bad}")))
}

/// Reads one line of a stream of events: `{"data"|"base64","event"?,"type"?}`. Members it does not know are refused.
pub fn parse_line(line: &[u8]) -> Result<Draft, Problem> {
    let line: Line<'_> = from_json(utf8(line)?)?;
    draft(line.data, line.base64.as_deref(), line.event.as_deref(), line.content_type.as_deref())
}

/// Cuts a batch into its items, as written, one after the other: so it is to whoever cuts when to rest.
#[derive(Debug)]
pub struct Batch<'a> {
    /// What was not cut yet. Behind the last item, nothing.
    rest: &'a str,
    /// Items that were cut.
    count: usize,
}

impl<'a> Batch<'a> {
    pub fn new(body: &'a [u8]) -> Result<Batch<'a>, Problem> {
        let text = utf8(body)?.trim_start_matches(BLANK);
        match text.as_bytes().first() {
            Some(b'[') => Ok(Batch { rest: &text[1..], count: 0 }),
            Some(b'{' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                Err(Code::InvalidItem.because("a batch is an array of items: `[{\"channels\":[…],\"data\":…}, …]`"))
            }
            Some(_) | None => Err(no_batch("it begins with no `[`")),
        }
    }

    /// The next item; `None` behind the last.
    pub fn next_item(&mut self) -> Result<Option<&'a RawValue>, Problem> {
        if self.rest.is_empty() && self.count > 0 {
            return Ok(None);
        }
        let rest = self.rest.trim_start_matches(BLANK);
        if let (0, Some(behind)) = (self.count, rest.strip_prefix(']')) {
            return self.end(behind).map(|()| None);
        }
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        let item = match values.next() {
            Some(Ok(item)) => item,
            Some(Err(error)) => return Err(no_batch(&format!("item {}: {error}", self.count))),
            None => return Err(no_batch("it has no end")),
        };
        let behind = rest[values.byte_offset()..].trim_start_matches(BLANK);
        self.count += 1;
        match behind.as_bytes().first() {
            // Between a comma and the end there has to be an item.
            Some(b',') if !behind[1..].is_empty() => self.rest = &behind[1..],
            Some(b']') => self.end(&behind[1..])?,
            Some(b',') | None => return Err(no_batch("it has no end")),
            Some(_) => return Err(no_batch(&format!("behind item {} there is no `,` and no `]`", self.count - 1))),
        }
        Ok(Some(item))
    }

    fn end(&mut self, behind: &str) -> Result<(), Problem> {
        if !behind.trim_start_matches(BLANK).is_empty() {
            return Err(no_batch("something follows its end"));
        }
        (self.rest, self.count) = ("", self.count.max(1));
        Ok(())
    }
}

/// What may be between the parts of JSON (RFC 8259 section 2).
const BLANK: [char; 4] = [' ', '\t', '\n', '\r'];

fn no_batch(why: &str) -> Problem {
    Code::InvalidJson.because(format!("the batch does not parse: {why}"))
}

/// Reads one item of a batch: `{"channels":[…],"data"|"base64","event"?,"type"?,"key"?}`. Members it does not know are
/// refused.
pub fn parse_item(item: &RawValue) -> Result<Item, Problem> {
    let item: BatchItem<'_> = from_json(item.get())?;
    let Channels(texts) = item.channels;
    match texts.len() {
        0 => return Err(Code::InvalidItem.because("`channels` names no channel")),
        1..=APPENDS_MAX => {}
        _ => return Err(too_many_events()),
    }
    let mut channels: Vec<ChannelName> = Vec::with_capacity(texts.len());
    for text in &texts {
        channels.push(ordinary(text)?);
    }
    let mut sorted: Vec<&str> = channels.iter().map(ChannelName::as_str).collect();
    sorted.sort_unstable();
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Code::InvalidItem.because(format!("`channels` names {:?} twice", twice[0])));
    }
    let draft = draft(item.data, item.base64.as_deref(), item.event.as_deref(), item.content_type.as_deref())?;
    Ok(Item { channels, draft, key: item.key })
}

/// A batch comes to more events than one may.
pub fn too_many_events() -> Problem {
    Code::TooLarge.because(format!("the batch comes to more than {APPENDS_MAX} events"))
}

fn utf8(text: &[u8]) -> Result<&str, Problem> {
    simdutf8::basic::from_utf8(text).map_err(|_| Code::InvalidText.because("JSON is UTF-8, and this is not"))
}

fn from_json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Problem> {
    serde_json::from_str(text).map_err(|error| {
        // The reader names lines itself, and those of the body: a line within this one would mislead. To those who write
        // JSON, what serde calls a sequence is an array.
        let text = error.to_string().replace("expected a sequence", "expected an array");
        Code::InvalidItem.because(text.replace(" at line 1 column", " at column"))
    })
}

fn owned<T: DeserializeOwned>(value: &RawValue) -> Result<T, Problem> {
    serde_json::from_str(value.get()).map_err(|error| Code::InvalidItem.because(error.to_string()))
}

fn draft(
    data: Option<&RawValue>,
    base64: Option<&str>,
    event: Option<&str>,
    content_type: Option<&str>,
) -> Result<Draft, Problem> {
    let content_type = content_type.map(str::trim);
    if content_type.is_some_and(str::is_empty) {
        return Err(Code::InvalidItem.because("`type` is empty; leave it out instead"));
    }
    match (data, base64) {
        (Some(value), None) if value.get().starts_with('"') => text(event, content_type, owned(value)?),
        (Some(value), None) => {
            if content_type.is_some_and(|text| MediaType::of(text).is_text()) {
                return Err(Code::InvalidItem.because("`type` is a text, and `data` is no string"));
            }
            Draft::new(event, Kind::Json, content_type, Bytes::copy_from_slice(value.get().as_bytes()))
        }
        (None, Some(encoded)) => {
            let data = from_base64(encoded)
                .ok_or_else(|| Code::InvalidItem.because("`base64` is not base64 with padding (RFC 4648 section 4)"))?;
            match content_type {
                None => Draft::new(event, Kind::Binary, None, data),
                Some(_) => Draft::from_body(event, content_type, data),
            }
        }
        (None, None) => Err(Code::InvalidItem.because("neither `data` nor `base64` is there")),
        (Some(_), Some(_)) => Err(Code::InvalidItem.because("`data` and `base64` are both there")),
    }
}

/// A string is text whatever its type is called, except that as JSON it must parse.
fn text(event: Option<&str>, content_type: Option<&str>, data: String) -> Result<Draft, Problem> {
    let is_json = content_type.is_some_and(|text| MediaType::of(text).is("application/json"));
    Draft::new(event, if is_json { Kind::Json } else { Kind::Text }, content_type, data.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_become_what_they_say() {
        let cases = [
            (r#"{"data":"a\nb"}"#, Kind::Text, "text/plain", &b"a\nb"[..]),
            (r#" {"data": {"a" : 1.50} } "#, Kind::Json, "application/json", br#"{"a" : 1.50}"#),
            (r#"{"data":null}"#, Kind::Json, "application/json", b"null"),
            (r#"{"data":1e400}"#, Kind::Json, "application/json", b"1e400"),
            (r#"{"data":"{}","type":"application/json"}"#, Kind::Json, "application/json", b"{}"),
            (r#"{"data":{},"type":"application/ld+json"}"#, Kind::Json, "application/ld+json", b"{}"),
            (r#"{"data":"<a/>","type":"text/html; charset=utf-8"}"#, Kind::Text, "text/html; charset=utf-8", b"<a/>"),
            (r#"{"data":"<a/>","type":"image/svg+xml"}"#, Kind::Text, "image/svg+xml", b"<a/>"),
            (r#"{"base64":"AP8="}"#, Kind::Binary, "application/octet-stream", b"\x00\xff"),
            (r#"{"base64":"","type":"image/png"}"#, Kind::Binary, "image/png", b""),
            (r#"{"base64":"e30=","type":"application/json"}"#, Kind::Json, "application/json", b"{}"),
            (r#"{"base64":"YQ==","type":"text/plain"}"#, Kind::Text, "text/plain", b"a"),
        ];
        for (line, kind, content_type, data) in cases {
            let draft = parse_line(line.as_bytes()).unwrap();
            assert_eq!((draft.kind(), draft.content_type()), (kind, content_type), "{line}");
            assert_eq!(draft.data(), data, "{line}");
        }
        assert_eq!(parse_line(br#"{"event":"\u0061","data":1}"#).unwrap().event(), Some("a"));
        assert_eq!(parse_line(br#"{"event":null,"data":1}"#).unwrap().event(), None);
    }

    #[test]
    fn lines_that_are_no_event_are_refused() {
        let cases: &[(&[u8], Code)] = &[
            (b"{}", Code::InvalidItem),
            (b"[1]", Code::InvalidItem),
            (b"1", Code::InvalidItem),
            (b"{", Code::InvalidItem),
            (br#"{"data":1} x"#, Code::InvalidItem),
            (br#"{"data":1,"base64":""}"#, Code::InvalidItem),
            (br#"{"data":1,"data":2}"#, Code::InvalidItem),
            (br#"{"data":1,"id":"x"}"#, Code::InvalidItem),
            (br#"{"data":tru}"#, Code::InvalidItem),
            (br#"{"data":"\ud800"}"#, Code::InvalidItem),
            (br#"{"base64":"AP8"}"#, Code::InvalidItem),
            (br#"{"base64":1}"#, Code::InvalidItem),
            (br#"{"data":1,"type":"text/plain"}"#, Code::InvalidItem),
            (br#"{"data":1,"type":" "}"#, Code::InvalidItem),
            (br#"{"data":1,"type":"a\nb"}"#, Code::InvalidParameter),
            (br#"{"data":1,"event":"$end"}"#, Code::EventType),
            (br#"{"data":1,"event":""}"#, Code::EventType),
            (br#"{"data":"{","type":"application/json"}"#, Code::InvalidJson),
            (br#"{"base64":"/w==","type":"text/plain"}"#, Code::InvalidText),
            (b"{\"data\":\"\xff\"}", Code::InvalidText),
        ];
        for (line, code) in cases {
            assert_eq!(parse_line(line).unwrap_err().code, *code, "{}", line.escape_ascii());
        }
        let unknown = parse_line(br#"{"data":1,"id":"x"}"#).unwrap_err();
        assert!(unknown.detail.contains("unknown field `id`") && !unknown.detail.contains("line"), "{unknown}");
    }

    #[test]
    fn items_name_their_channels() {
        let item = |text: &str| parse_item(items(&format!("[{text}]")).unwrap()[0]);
        let good = item(r#"{"channels":["a","b/c"],"data":1,"key":"k","event":"e"}"#).unwrap();
        assert_eq!(good.channels, ["a", "b/c"].map(|name| ChannelName::new(name).unwrap()));
        assert_eq!((good.key.as_deref(), good.draft.event()), (Some("k"), Some("e")));
        for (text, code) in [
            (r#"{"channels":[],"data":1}"#, Code::InvalidItem),
            (r#"{"data":1}"#, Code::InvalidItem),
            (r#"{"channels":["a","b","a"],"data":1}"#, Code::InvalidItem),
            (r#"{"channels":"a","data":1}"#, Code::InvalidItem),
            (r#"{"channels":["a"]}"#, Code::InvalidItem),
            (r#"{"channels":["a"],"data":1,"end":true}"#, Code::InvalidItem),
            (r#"{"channels":["a*/*"],"data":1}"#, Code::ChannelName),
            (r#"{"channels":["$a"],"data":1}"#, Code::ChannelName),
            (r#"{"channels":["a"],"data":1,"event":"$a"}"#, Code::EventType),
            ("1", Code::InvalidItem),
        ] {
            assert_eq!(item(text).unwrap_err().code, code, "{text}");
        }
    }

    #[test]
    fn of_the_channels_of_an_item_no_more_are_kept_than_a_batch_may_come_to() {
        let text = |count: usize| format!("[{}]", vec![r#""a""#; count].join(","));
        let Channels(kept) = serde_json::from_str(&text(3 * APPENDS_MAX)).unwrap();
        assert_eq!(kept.len(), APPENDS_MAX + 1);
        let whole = format!(r#"[{{"channels":{},"data":1}}]"#, text(3 * APPENDS_MAX));
        assert_eq!(parse_item(items(&whole).unwrap()[0]), Err(too_many_events()));
        assert!(serde_json::from_str::<Channels>(&text(APPENDS_MAX + 1).replace("]", ",1x]")).is_err());
    }

    /// All items of a batch.
    fn items(text: &str) -> Result<Vec<&RawValue>, Problem> {
        let (mut batch, mut items) = (Batch::new(text.as_bytes())?, Vec::new());
        while let Some(item) = batch.next_item()? {
            items.push(item);
        }
        assert!(matches!(batch.next_item(), Ok(None)), "the end stays the end");
        Ok(items)
    }

    #[test]
    fn a_batch_is_an_array_and_nothing_else() {
        assert!(Batch::new(b"\xff").is_err());
        for text in ["{}", " {\"a\":1}", "1", "-1", "\"[]\"", "null", "true"] {
            assert_eq!(items(text).unwrap_err().code, Code::InvalidItem, "{text}");
        }
        for text in [
            "", " ", "x", "]", "[", "[ ", "[1", "[1,", "[1, ", "[1,]", "[,1]", "[1 2]", "[1}", "[{}]]", "[] x", "[1x]",
            "[[1]",
        ] {
            assert_eq!(items(text).unwrap_err().code, Code::InvalidJson, "{text}");
        }
    }

    /// JSON, or nearly.
    fn nearly_json() -> impl Strategy<Value = String> {
        let parts = prop::sample::select(
            &["[", "]", "{", "}", ",", ":", " ", "\n", "1", "-2.5e3", "\"a,]\"", "\"\\\"\"", "null", "x"][..],
        );
        prop::collection::vec(parts, 0..12).prop_map(|parts| format!("[{}", parts.concat()))
    }

    proptest! {
        #[test]
        fn a_batch_is_cut_as_json_is(text in nearly_json()) {
            let whole: Result<Vec<&RawValue>, _> = serde_json::from_str(&text);
            let shown = |items: Vec<&RawValue>| items.iter().map(|item| item.get().to_owned()).collect::<Vec<_>>();
            prop_assert_eq!(items(&text).ok().map(shown), whole.ok().map(shown));
        }

        #[test]
        fn any_line_is_read_or_refused(line in "\\PC{0,40}|\\{\"(data|base64)\":\\PC{0,20}\\}") {
            let _ = parse_line(line.as_bytes());
        }

        #[test]
        fn text_survives(text in "\\PC{0,40}") {
            let line = serde_json::json!({ "data": &text }).to_string();
            let draft = parse_line(line.as_bytes()).unwrap();
            prop_assert_eq!(draft.data(), text.as_bytes());
        }
    }
}
