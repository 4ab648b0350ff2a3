//! Event streams: however a stream is cut it gives the same events, and those that the HTML standard gives.

use crate::choices::{Choices, everywhere, pieces};
use switchboard_wire::sse::decode::{Decoder, SseEvent, TooLong};

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let limit = choices.pick(&[1 << 20, 100, 12, 0]);
    let cuts = choices.cuts();
    let stream = choices.rest();
    let whole = Outcome::of(stream, &[], limit);
    assert_eq!(whole, Outcome::of(stream, &cuts, limit), "cut at {cuts:?}");
    assert_eq!(whole, Outcome::of(stream, &everywhere(stream), limit), "byte by byte");
    let twin = twin(stream);
    match whole.too_long {
        None => assert_eq!(whole, twin),
        Some(TooLong { line }) => {
            assert!(twin.events.starts_with(&whole.events), "what came before a line that is too long is there");
            assert!(whole.events.iter().all(|event| event.line < line));
        }
    }
    for event in &whole.events {
        assert!(
            event.data.len() + event.event.as_ref().map_or(0, String::len) <= 3 * limit,
            "bounded, replacements too"
        );
    }
}

/// What reading a stream came to.
#[derive(PartialEq, Debug)]
struct Outcome {
    events: Vec<SseEvent>,
    too_long: Option<TooLong>,
    within_event: bool,
    line: u64,
    retry: Option<u64>,
    id: String,
}

impl Outcome {
    fn of(stream: &[u8], cuts: &[usize], limit: usize) -> Outcome {
        let (mut decoder, mut events) = (Decoder::new(limit), Vec::new());
        let too_long = pieces(stream, cuts).find_map(|piece| decoder.feed(piece, &mut events).err());
        // Behind a line that is too long nothing can be read, so where the decoder stands says nothing.
        let (within_event, line) =
            if too_long.is_some() { (false, 0) } else { (decoder.is_within_event(), decoder.line()) };
        Outcome { events, too_long, within_event, line, retry: decoder.retry(), id: decoder.last_event_id().to_owned() }
    }
}

/// The stream read as WHATWG HTML section 9.2.6 says it: all at once, line by line.
fn twin(stream: &[u8]) -> Outcome {
    let (lines, rest) = lines(stream);
    let (mut events, mut id, mut last_event_id, mut retry) = (Vec::new(), String::new(), String::new(), None);
    let (mut data, mut event, mut begun, mut lossy) = (String::new(), String::new(), None, false);
    for (at, line) in lines.iter().enumerate() {
        let number = at as u64 + 1;
        if line.is_empty() {
            last_event_id.clone_from(&id);
            if let Some(data) = data.strip_suffix('\n') {
                let (event, data) = (Some(event.clone()).filter(|event| !event.is_empty()), data.to_owned());
                events.push(SseEvent {
                    event,
                    data,
                    last_event_id: last_event_id.clone(),
                    line: begun.unwrap_or(number),
                    lossy,
                });
            }
            (data, event, begun, lossy) = (String::new(), String::new(), None, false);
            continue;
        }
        if line.starts_with(b":") {
            continue;
        }
        begun = begun.or(Some(number));
        let colon = line.iter().position(|b| *b == b':');
        let (field, value) = (&line[..colon.unwrap_or(line.len())], &line[colon.map_or(line.len(), |at| at + 1)..]);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        let text = String::from_utf8_lossy(value).into_owned();
        let used = match field {
            b"data" => {
                data = data + &text + "\n";
                true
            }
            b"event" => {
                event = text;
                true
            }
            b"id" if !text.contains('\0') => {
                id = text;
                true
            }
            b"retry" if !text.is_empty() && text.chars().all(|c| c.is_ascii_digit()) => {
                retry = text.parse::<u64>().ok().or(retry);
                true
            }
            _ => false,
        };
        lossy |= used && std::str::from_utf8(value).is_err();
    }
    let within_event = begun.is_some() || !rest.is_empty();
    Outcome { events, too_long: None, within_event, line: lines.len() as u64 + 1, retry, id: last_event_id }
}

/// The lines that have ended, and the one that has not. The mark in front of the first is dropped once that has ended.
fn lines(stream: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let (mut lines, mut rest) = (Vec::new(), stream);
    while let Some(end) = rest.iter().position(|b| matches!(b, b'\r' | b'\n')) {
        let line = &rest[..end];
        lines.push(if lines.is_empty() { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line });
        rest = if rest[end..].starts_with(b"\r\n") { &rest[end + 2..] } else { &rest[end + 1..] };
    }
    (lines, rest)
}
