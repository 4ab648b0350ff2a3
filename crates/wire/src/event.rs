//! The event: what is published, what the log holds, and its JSON.

use crate::code::{Code, Problem};
use crate::json;
use crate::limits::{CONTENT_TYPE_MAX, EVENT_TYPE_MAX};
use crate::name::ChannelName;
use crate::position::Mark;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;

/// How the data is held and written into JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Kind {
    /// A JSON text, kept as written: the value of `data`.
    Json,
    /// UTF-8: a string in `data`.
    Text,
    /// Anything: base64 text in `base64`.
    Binary,
}

impl Kind {
    /// The content type that need not be named because the kind implies it.
    pub fn implied_type(self) -> &'static str {
        match self {
            Kind::Json => "application/json",
            Kind::Text => "text/plain",
            Kind::Binary => "application/octet-stream",
        }
    }
}

/// An event as it is published, checked, before the log has named it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Draft {
    event: Option<Box<str>>,
    kind: Kind,
    content_type: Option<Box<str>>,
    data: Bytes,
}

impl Draft {
    /// An event from a request body. `application/json` must parse; `text/*` must be UTF-8; without a type, or with
    /// a form's, it is text if it is UTF-8; anything else is binary.
    pub fn from_body(event: Option<&str>, content_type: Option<&str>, data: Bytes) -> Result<Draft, Problem> {
        let declared = content_type.map(str::trim).filter(|text| !text.is_empty());
        let kind = match declared.map(MediaType::of) {
            Some(media_type) if media_type.is("application/json") => Kind::Json,
            Some(media_type) if media_type.is_text() => Kind::Text,
            Some(media_type) if !media_type.is_form() => Kind::Binary,
            _ => {
                let kind = if simdutf8::basic::from_utf8(&data).is_ok() { Kind::Text } else { Kind::Binary };
                return Draft::new(event, kind, None, data);
            }
        };
        Draft::new(event, kind, declared, data)
    }

    /// An event of a known kind. The data is checked against the kind, the type against the rules.
    pub fn new(event: Option<&str>, kind: Kind, content_type: Option<&str>, data: Bytes) -> Result<Draft, Problem> {
        if let Some(event) = event {
            check_type(event)?;
        }
        match kind {
            Kind::Json => check_json(&data)?,
            Kind::Text if simdutf8::basic::from_utf8(&data).is_err() => return Err(Code::InvalidText.into()),
            Kind::Text | Kind::Binary => {}
        }
        let content_type = content_type.filter(|text| !MediaType::of(text).is_implied(kind));
        if let Some(text) = content_type
            && (text.len() > CONTENT_TYPE_MAX || !text.bytes().all(|b| matches!(b, b' '..=b'~')))
        {
            return Err(Code::InvalidParameter.because("the content type is too long or not visible ASCII"));
        }
        Ok(Draft { event: event.map(Into::into), kind, content_type: content_type.map(Into::into), data })
    }

    /// An event of the server's own, of a JSON text that it wrote itself, on one line.
    pub(crate) fn of_json(text: Vec<u8>) -> Draft {
        Draft { event: None, kind: Kind::Json, content_type: None, data: text.into_boxed_slice().into() }
    }

    pub fn event(&self) -> Option<&str> {
        self.event.as_deref()
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The content type, named or implied.
    pub fn content_type(&self) -> &str {
        self.content_type.as_deref().unwrap_or(self.kind.implied_type())
    }

    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// What the event takes in memory besides its encodings, in bytes, near enough to bound it by.
    pub fn cost(&self) -> usize {
        self.data.len()
            + self.event.as_ref().map_or(0, |text| text.len())
            + self.content_type.as_ref().map_or(0, |text| text.len())
    }
}

/// What a content type names, in whatever case (RFC 9110 section 8.3.1).
#[derive(Clone, Copy, Debug)]
pub struct MediaType<'a> {
    essence: &'a str,
    /// What follows the first semicolon, if there is one.
    parameters: Option<&'a str>,
}

impl<'a> MediaType<'a> {
    pub fn of(content_type: &'a str) -> MediaType<'a> {
        let end = content_type.bytes().position(|b| b == b';');
        let (essence, parameters) = match end {
            Some(end) => (&content_type[..end], Some(&content_type[end + 1..])),
            None => (content_type, None),
        };
        MediaType { essence: essence.trim(), parameters }
    }

    /// Whether it is this one, parameters aside.
    pub fn is(self, essence: &str) -> bool {
        self.essence.eq_ignore_ascii_case(essence)
    }

    pub(crate) fn is_text(self) -> bool {
        self.essence.get(..5).is_some_and(|front| front.eq_ignore_ascii_case("text/"))
    }

    /// What clients say who were not told what they send.
    fn is_form(self) -> bool {
        self.is("application/x-www-form-urlencoded") || self.is("multipart/form-data")
    }

    /// Whether it says no more than the kind does: all text here is UTF-8.
    fn is_implied(self, kind: Kind) -> bool {
        let says_utf8 = |parameter: &str| parameter.trim().replace('"', "").eq_ignore_ascii_case("charset=utf-8");
        let mut parameters = self.parameters.iter().flat_map(|parameters| parameters.split(';'));
        self.is(kind.implied_type()) && parameters.all(|parameter| kind != Kind::Binary && says_utf8(parameter))
    }
}

/// A type is 1..=255 bytes, does not begin with `$`, and fits on a line of an event stream.
fn check_type(event: &str) -> Result<(), Problem> {
    let why = if event.is_empty() {
        "the event type is empty; leave it out instead"
    } else if event.len() > EVENT_TYPE_MAX {
        "the event type has more than 255 bytes"
    } else if event.starts_with('$') {
        "event types that begin with `$` are the server's own notices"
    } else if event.contains(['\r', '\n', '\0']) {
        "the event type holds a line break or NUL"
    } else {
        return Ok(());
    };
    Err(Code::EventType.because(why))
}

fn check_json(data: &[u8]) -> Result<(), Problem> {
    serde_json::from_slice::<serde::de::IgnoredAny>(data)
        .map(|_| ())
        .and_then(|()| simdutf8::basic::from_utf8(data).map(|_| ()).map_err(serde::de::Error::custom))
        .map_err(|error| Code::InvalidJson.because(format!("the JSON does not parse: {error}")))
}

/// An event as the log holds it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Event {
    /// Names the event for ever. With one log it is the event's position too.
    pub id: Mark,
    /// Whether a reader can resume after this event: false in `ephemeral` channels.
    pub resumable: bool,
    pub channel: ChannelName,
    /// Milliseconds since the Unix epoch, by the server's clock.
    pub time: u64,
    pub draft: Draft,
}

impl Event {
    /// Appends the JSON event, on one line: `{"id","channel","event"?,"data"|"base64","time","type"?}`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        let draft = &self.draft;
        out.reserve(96 + draft.data.len() + draft.data.len() / 2 * usize::from(draft.kind == Kind::Binary));
        out.extend_from_slice(b"{\"id\":\"");
        self.id.write_to(out);
        out.extend_from_slice(b"\",\"channel\":");
        json::string(self.channel.as_str(), out);
        if let Some(event) = draft.event() {
            out.extend_from_slice(b",\"event\":");
            json::string(event, out);
        }
        match draft.kind {
            Kind::Json => {
                out.extend_from_slice(b",\"data\":");
                json::on_one_line(&draft.data, out);
            }
            Kind::Text => {
                out.extend_from_slice(b",\"data\":");
                json::string(&String::from_utf8_lossy(&draft.data), out);
            }
            Kind::Binary => {
                out.extend_from_slice(b",\"base64\":\"");
                out.extend_from_slice(base64(&draft.data).as_bytes());
                out.push(b'"');
            }
        }
        out.extend_from_slice(b",\"time\":");
        out.extend_from_slice(self.time.to_string().as_bytes());
        if let Some(content_type) = &draft.content_type {
            out.extend_from_slice(b",\"type\":");
            json::string(content_type, out);
        }
        out.push(b'}');
    }
}

/// Standard base64 with padding (RFC 4648 section 4).
pub fn base64(data: &[u8]) -> String {
    BASE64.encode(data)
}

/// Reads standard base64 with padding; `None` if it is not.
pub fn from_base64(text: &str) -> Option<Bytes> {
    BASE64.decode(text).ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Epoch;

    fn json_of(draft: Draft) -> String {
        let id = Mark { epoch: Epoch::new(1), seq: 7 };
        let channel = ChannelName::new("a/b").unwrap();
        let mut out = Vec::new();
        Event { id, resumable: true, channel, time: 5, draft }.write_json(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn bodies_become_what_their_type_says() {
        type Case = (Option<&'static str>, &'static [u8], Result<(Kind, &'static str), Code>);
        let cases: &[Case] = &[
            (None, b"hello", Ok((Kind::Text, "text/plain"))),
            (None, b"\xff", Ok((Kind::Binary, "application/octet-stream"))),
            (Some("application/x-www-form-urlencoded"), b"hello", Ok((Kind::Text, "text/plain"))),
            (Some("application/x-www-form-urlencoded"), b"\xff", Ok((Kind::Binary, "application/octet-stream"))),
            (Some("application/json"), b"{\"a\":\n1}", Ok((Kind::Json, "application/json"))),
            (Some("Application/JSON; charset=utf-8"), b"1", Ok((Kind::Json, "application/json"))),
            (Some("application/json"), b"{", Err(Code::InvalidJson)),
            (Some("application/json"), b"", Err(Code::InvalidJson)),
            (Some("application/json"), b"\"\xff\"", Err(Code::InvalidJson)),
            (Some("text/html"), b"<b>", Ok((Kind::Text, "text/html"))),
            (Some("text/plain"), b"\xff", Err(Code::InvalidText)),
            (Some("image/png"), b"hello", Ok((Kind::Binary, "image/png"))),
        ];
        for (content_type, body, expected) in cases {
            let draft = Draft::from_body(None, *content_type, Bytes::from_static(body));
            match (draft, expected) {
                (Ok(draft), Ok((kind, name))) => {
                    assert_eq!((draft.kind(), draft.content_type()), (*kind, *name), "{content_type:?}");
                }
                (Err(problem), Err(code)) => assert_eq!(problem.code, *code),
                (draft, _) => panic!("{content_type:?}: {draft:?}"),
            }
        }
    }

    #[test]
    fn types_that_a_notice_or_a_line_break_could_hide_in_are_refused() {
        for bad in ["", "$open", "a\nb", "a\rb", "a\0b", &"x".repeat(256)] {
            let problem = Draft::from_body(Some(bad), None, Bytes::new()).unwrap_err();
            assert_eq!(problem.code, Code::EventType, "{bad:?}");
        }
        assert!(Draft::from_body(Some(" spaced: type"), None, Bytes::new()).is_ok());
    }

    #[test]
    fn the_json_event_is_the_contracts() {
        let body = |event, content_type, data: &'static [u8]| {
            json_of(Draft::from_body(event, content_type, Bytes::from_static(data)).unwrap())
        };
        assert_eq!(
            body(Some("x"), Some("application/json"), b"{\"a\":\r\n 1.50}"),
            r#"{"id":"000000000117","channel":"a/b","event":"x","data":{"a":   1.50},"time":5}"#
        );
        assert_eq!(
            body(None, Some("text/css"), b"a\n\"b\""),
            r#"{"id":"000000000117","channel":"a/b","data":"a\n\"b\"","time":5,"type":"text/css"}"#
        );
        assert_eq!(body(None, None, b"\xff\x00"), r#"{"id":"000000000117","channel":"a/b","base64":"/wA=","time":5}"#);
    }
}
