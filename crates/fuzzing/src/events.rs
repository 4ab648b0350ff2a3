//! Events in every form: what was published is what a reader of that form finds.

use crate::choices::Choices;
use crate::lines;
use crate::slow_inflate::{self, End};
use bytes::Bytes;
use switchboard::listen::Framing;
use switchboard::listen::http1::{BodyDecoder, Decoded};
use switchboard_wire::event::Draft;
use switchboard_wire::gzip::Total;
use switchboard_wire::sse::decode::{Decoder, SseEvent};
use switchboard_wire::websocket::Role;
use switchboard_wire::websocket::deflate::Inflaters;
use switchboard_wire::websocket::message::{Incoming, Limits, Reader};
use switchboard_wire::{ChannelName, Code, Encoded, Epoch, Event, Form, Kind, Mark, form, ndjson};

const CONTENT_TYPES: [Option<&str>; 10] = [
    None,
    Some("application/json"),
    Some("text/plain"),
    Some("text/plain; charset=utf-8"),
    Some("text/html"),
    Some("image/png"),
    Some("application/x-www-form-urlencoded"),
    Some("application/octet-stream; x=y"),
    Some("Application/JSON; charset=UTF-8"),
    Some(" "),
];

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let id = Mark { epoch: Epoch::new(choices.number()), seq: choices.number() };
    let (resumable, time, window) = (choices.flag(), choices.number(), 9 + choices.below(7) as u8);
    let length = choices.below(20);
    let name = choices.flag().then(|| String::from_utf8_lossy(choices.take(length)).into_owned());
    let length = if choices.flag() { choices.below(40) } else { 0 };
    let given = String::from_utf8_lossy(choices.take(length)).into_owned();
    let content_type = if given.is_empty() { choices.pick(&CONTENT_TYPES) } else { Some(&*given) };
    let data = Bytes::copy_from_slice(choices.rest());
    let draft = match Draft::from_body(name.as_deref(), content_type, data.clone()) {
        Ok(draft) => draft,
        Err(problem) => return refused(name.as_deref(), content_type, &data, problem.code),
    };
    assert_eq!((draft.event(), draft.data()), (name.as_deref(), &data));
    let channel = ChannelName::new("a/\"b\\ \u{fc}").unwrap();
    let event = Event { id, resumable, channel, time, draft };
    let json = json(&event);
    assert_eq!(payload(&event, Form::Body), event.draft.data());
    assert_eq!(payload(&event, Form::NdJson { gzip: false }), [&json[..], b"\n"].concat());
    sse(&event, &json);
    gzip(&event);
    let raw = match event.draft.kind() {
        Kind::Binary => Incoming::Binary(data),
        Kind::Json | Kind::Text => Incoming::Text(data),
    };
    for deflated in [None, Some(window)] {
        assert_eq!(websocket(&event, Form::WsRaw { deflated }), raw);
        assert_eq!(websocket(&event, Form::WsEvent { deflated }), Incoming::Text(json.clone().into()));
    }
}

/// A body is refused for what is wrong with it.
fn refused(name: Option<&str>, content_type: Option<&str>, data: &[u8], code: Code) {
    match code {
        Code::EventType => assert!(name.is_some_and(|name| {
            name.is_empty() || name.len() > 255 || name.starts_with('$') || name.contains(['\r', '\n', '\0'])
        })),
        Code::InvalidJson => assert!(serde_json::from_slice::<&serde_json::value::RawValue>(data).is_err()),
        Code::InvalidText => assert!(std::str::from_utf8(data).is_err()),
        Code::InvalidParameter => {
            assert!(content_type.is_some_and(|text| text.bytes().any(|b| !(b' '..=b'~').contains(&b))));
        }
        other => panic!("{other:?}"),
    }
}

/// What the form carries, once it is certain that the chunk around it says the same.
fn payload(event: &Event, form: Form) -> Bytes {
    let encoded: Encoded = form::event(event, form);
    let (payload, chunk) = (encoded.payload(), encoded.chunk());
    assert_eq!(encoded.cost(), chunk.len());
    let mut body = [&chunk[..], b"0\r\n\r\n"].concat();
    let mut decoder = BodyDecoder::new(Framing::Chunked);
    if !payload.is_empty() {
        let Ok(Decoded::Data { skip, len }) = decoder.decode(&body) else { panic!("{:?}", chunk.escape_ascii()) };
        assert_eq!(body[skip..skip + len], payload);
        body.drain(..skip + len);
    }
    assert_eq!(decoder.decode(&body), Ok(Decoded::Done { skip: body.len() }));
    payload
}

/// The JSON event, once it is certain that it is one line that says what was published.
fn json(event: &Event) -> Vec<u8> {
    let (mut json, draft) = (Vec::new(), &event.draft);
    event.write_json(&mut json);
    assert!(!json.contains(&b'\n') && !json.contains(&b'\r'), "one line");
    let text = std::str::from_utf8(&json).expect("JSON is UTF-8");
    let members: std::collections::BTreeMap<&str, &serde_json::value::RawValue> = serde_json::from_str(text).unwrap();
    let word = |name: &str| members.get(name).map(|raw| serde_json::from_str::<String>(raw.get()).unwrap());
    assert_eq!(word("id"), Some(event.id.to_string()));
    assert_eq!(word("channel").as_deref(), Some(event.channel.as_str()));
    assert_eq!(word("event").as_deref(), draft.event());
    assert_eq!(members["time"].get(), event.time.to_string());
    match draft.kind() {
        Kind::Binary => assert_eq!(word("base64"), Some(base64(draft.data()))),
        Kind::Text => assert_eq!(word("data").map(String::into_bytes).as_deref(), Some(&draft.data()[..])),
        Kind::Json => {
            let kept = String::from_utf8_lossy(draft.data()).replace(['\r', '\n'], " ");
            assert_eq!(members["data"].get(), kept.trim_matches([' ', '\t']), "JSON is kept as it was written");
        }
    }
    assert_eq!(members.contains_key("data"), draft.kind() != Kind::Binary);
    assert_eq!(members.contains_key("base64"), draft.kind() == Kind::Binary);
    let implied = members.contains_key("data") && draft.content_type() == draft.kind().implied_type();
    assert!(implied || draft.kind() == Kind::Binary || word("type").as_deref() == Some(draft.content_type()));
    assert_eq!(ndjson::parse_line(&lines::written(draft)).as_ref(), Ok(draft), "it can be published again");
    json
}

fn sse(event: &Event, json: &[u8]) {
    let id = if event.resumable { event.id.to_string() } else { String::new() };
    let name = event.draft.event().map(str::to_owned);
    let data = match event.draft.kind() {
        Kind::Binary => base64(event.draft.data()),
        Kind::Json | Kind::Text => {
            String::from_utf8_lossy(event.draft.data()).replace("\r\n", "\n").replace('\r', "\n")
        }
    };
    let json = String::from_utf8_lossy(json).into_owned();
    for (form, data) in [(Form::SseRaw { gzip: false }, data), (Form::SseEvent { gzip: false }, json)] {
        let (mut decoder, mut events) = (Decoder::new(usize::MAX), Vec::new());
        decoder.feed(&payload(event, form), &mut events).unwrap();
        let expected = SseEvent { event: name.clone(), data, last_event_id: id.clone(), line: 1, lossy: false };
        assert_eq!(events, [expected]);
        assert!(!decoder.is_within_event() && decoder.last_event_id() == id && decoder.retry().is_none());
    }
}

/// Compressed, a message is the same bytes as otherwise, wherever it stands, and adds to the sum what it should.
fn gzip(event: &Event) {
    let forms = [|gzip| Form::SseRaw { gzip }, |gzip| Form::SseEvent { gzip }, |gzip| Form::NdJson { gzip }];
    let (mut body, mut plain, mut total) = (Vec::new(), Vec::new(), Total::default());
    for form in forms {
        plain.extend_from_slice(&payload(event, form(false)));
        body.extend_from_slice(&payload(event, form(true)));
        total.add(form::event(event, form(true)).message(false).sum);
    }
    let end = total.end();
    let (blocks, sum) = end.split_at(2);
    let (inflated, end) = slow_inflate::inflate(&[&body, blocks].concat(), usize::MAX);
    assert!(inflated == plain && end == End::Whole(true), "{end:?}");
    assert_eq!(sum, [crc(&plain).to_le_bytes(), (plain.len() as u32).to_le_bytes()].concat());
}

/// RFC 1952 section 8, bit by bit.
fn crc(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

fn websocket(event: &Event, form: Form) -> Incoming {
    let mut frame = payload(event, form).to_vec();
    let mut rest = &mut frame[..];
    let mut reader = Reader::new(Role::Client, true, Limits::default());
    let incoming = reader.read(&mut rest, &mut Inflaters::new()).unwrap().expect("a whole message");
    assert!(rest.is_empty() && reader.is_idle());
    incoming
}

/// RFC 4648 section 4, bit by bit.
pub(crate) fn base64(data: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in data.chunks(3) {
        let bits = three.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..4 {
            let digit = char::from(ALPHABET[bits >> (18 - 6 * at) & 63]);
            text.push(if at <= three.len() { digit } else { '=' });
        }
    }
    text
}
