//! Reads event streams, as the HTML standard interprets them (WHATWG HTML section 9.2.6).

use std::borrow::Cow;

/// An event as it was dispatched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SseEvent {
    /// `None` where the stream named none, which EventSource calls `message`.
    pub event: Option<String>,
    pub data: String,
    /// The stream's last event id once this event was read; empty if there is none.
    pub last_event_id: String,
    /// The line of the stream on which the event's block begins, from 1.
    pub line: u64,
    /// Whether bytes that are not UTF-8 were replaced, as the standard asks of a reader.
    pub lossy: bool,
}

/// An event, or a line, takes more bytes than the limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong {
    /// The line, from 1.
    pub line: u64,
}

/// Takes the bytes of a stream and gives its events.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    /// The line so far, without its end.
    partial: Vec<u8>,
    /// Lines that have ended.
    lines: u64,
    /// The latest line ended in CR: a LF that follows belongs to it.
    after_cr: bool,
    block: Block,
    /// As of the latest `id` line; it counts once its block is complete.
    id: String,
    last_event_id: String,
    retry: Option<u64>,
}

/// The fields of the block that is being read.
#[derive(Debug, Default)]
struct Block {
    /// Where it begins; 0 until a line of it was read.
    line: u64,
    event: String,
    /// Each line with a LF behind it.
    data: String,
    lossy: bool,
}

impl Decoder {
    /// `limit`: the most that one event or one line may take, in bytes.
    pub fn new(limit: usize) -> Decoder {
        Decoder {
            limit,
            partial: Vec::new(),
            lines: 0,
            after_cr: false,
            block: Block::default(),
            id: String::new(),
            last_event_id: String::new(),
            retry: None,
        }
    }

    /// Takes the next bytes and appends the events that they complete. What came before a line that is too long is
    /// appended; after it nothing more can be read.
    pub fn feed(&mut self, mut bytes: &[u8], events: &mut Vec<SseEvent>) -> Result<(), TooLong> {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) && bytes[0] == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let end = bytes.iter().position(|b| matches!(b, b'\r' | b'\n'));
            let (text, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            let held = self.partial.len() + self.block.data.len() + self.block.event.len();
            if held.saturating_add(text.len()) > self.limit {
                return Err(TooLong { line: self.lines + 1 });
            }
            let Some((ending, rest)) = rest.split_first() else {
                self.partial.extend_from_slice(text);
                return Ok(());
            };
            self.after_cr = *ending == b'\r';
            bytes = rest;
            if self.partial.is_empty() {
                self.take_line(text, events);
            } else {
                // Between lines, which may be for long, there is nothing to keep.
                let mut partial = std::mem::take(&mut self.partial);
                partial.extend_from_slice(text);
                self.take_line(&partial, events);
            }
        }
        Ok(())
    }

    /// Whether the stream is in the midst of an event: what is there so far is dropped should the stream end here.
    pub fn is_within_event(&self) -> bool {
        self.block.line > 0 || !self.partial.is_empty()
    }

    /// Bytes held of an event that is not whole.
    pub fn held(&self) -> usize {
        self.partial.capacity() + self.block.data.capacity() + self.block.event.capacity()
    }

    /// The number of the line that is being read, from 1.
    pub fn line(&self) -> u64 {
        self.lines + 1
    }

    /// How long the stream asks its readers to wait before they connect again, in milliseconds.
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// What a reader that connects again sends as `Last-Event-ID`, as of the latest block; empty if there is none.
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    fn take_line(&mut self, mut line: &[u8], events: &mut Vec<SseEvent>) {
        self.lines += 1;
        if self.lines == 1 {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            self.dispatch(events);
            return;
        }
        if line[0] == b':' {
            return;
        }
        if self.block.line == 0 {
            self.block.line = self.lines;
        }
        let colon = line.iter().position(|b| *b == b':');
        let (field, value) = match colon {
            Some(at) => (&line[..at], &line[at + 1..]),
            None => (line, &b""[..]),
        };
        let value = String::from_utf8_lossy(value.strip_prefix(b" ").unwrap_or(value));
        let lossy = matches!(value, Cow::Owned(_));
        match field {
            b"data" => {
                self.block.data.push_str(&value);
                self.block.data.push('\n');
            }
            b"event" => self.block.event = value.into_owned(),
            b"id" if !value.contains('\0') => self.id = value.into_owned(),
            b"retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                self.retry = value.parse().ok().or(self.retry);
            }
            _ => return,
        }
        self.block.lossy |= lossy;
    }

    fn dispatch(&mut self, events: &mut Vec<SseEvent>) {
        let mut block = std::mem::take(&mut self.block);
        self.last_event_id.clone_from(&self.id);
        if block.data.pop().is_some() {
            events.push(SseEvent {
                event: Some(block.event).filter(|event| !event.is_empty()),
                data: block.data,
                last_event_id: self.last_event_id.clone(),
                line: block.line,
                lossy: block.lossy,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Event, data and id of each event, and the decoder, for a stream given in pieces that end at `cuts`.
    fn decode(stream: &[u8], cuts: &[usize]) -> (Vec<SseEvent>, Decoder) {
        let (mut decoder, mut events) = (Decoder::new(1 << 20), Vec::new());
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).chain([0, stream.len()]).collect();
        cuts.sort_unstable();
        for piece in cuts.windows(2) {
            decoder.feed(&stream[piece[0]..piece[1]], &mut events).unwrap();
        }
        (events, decoder)
    }

    fn brief(stream: &str) -> Vec<(String, String, String)> {
        let all: Vec<usize> = (0..stream.len()).collect();
        let events = decode(stream.as_bytes(), &[]).0;
        assert_eq!(events, decode(stream.as_bytes(), &all).0, "byte by byte");
        let brief = |event: SseEvent| (event.event.unwrap_or_default(), event.data, event.last_event_id);
        events.into_iter().map(brief).collect()
    }

    #[test]
    fn streams_are_read_as_the_standard_says() {
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str, &'a str)]);
        let cases: &[Case<'_>] = &[
            ("data: a\n\n", &[("", "a", "")]),
            ("\u{feff}data: a\n\n", &[("", "a", "")]),
            ("\u{feff}\u{feff}data: a\n\n", &[]),
            ("data: YHOO\ndata: +2\r\ndata: 10\r\r\n", &[("", "YHOO\n+2\n10", "")]),
            (
                "data:  a\n\ndata:b\n\ndata\n\ndata\ndata\n\n",
                &[("", " a", ""), ("", "b", ""), ("", "", ""), ("", "\n", "")],
            ),
            (": comment\n\n:\ndata: a\n:\n\n", &[("", "a", "")]),
            ("event: e\ndata: a\n\ndata: b\n\n", &[("e", "a", ""), ("", "b", "")]),
            ("event: e\nevent\ndata: a\n\n", &[("", "a", "")]),
            ("event: e\n\ndata: a\n\n", &[("", "a", "")]),
            ("id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", &[("", "a", "1"), ("", "b", "1"), ("", "c", "")]),
            ("id: 1\n\nid: 2\0\ndata: a\n\n", &[("", "a", "1")]),
            ("data: a\n\ndata: b", &[("", "a", "")]),
            ("data: a\n\ndata: b\n", &[("", "a", "")]),
            ("Data: a\n data: b\ndata : c\nfoo: d\n\n", &[]),
            ("data: a:b\n\n\n\n\r\r", &[("", "a:b", "")]),
            ("data: a\r\rdata: b\r\n\r\ndata: c\n\r", &[("", "a", ""), ("", "b", ""), ("", "c", "")]),
        ];
        for (stream, expected) in cases {
            let expected: Vec<_> =
                expected.iter().map(|(a, b, c)| (a.to_string(), b.to_string(), c.to_string())).collect();
            assert_eq!(brief(stream), expected, "{stream:?}");
        }
    }

    #[test]
    fn retry_is_digits_alone() {
        for (stream, retry) in [
            ("retry: 10\n", Some(10)),
            ("retry:10\nretry: x\nretry: -1\nretry\nretry: 1 \nretry: 99999999999999999999\n", Some(10)),
            ("retry: +1\n", None),
        ] {
            assert_eq!(decode(stream.as_bytes(), &[]).1.retry(), retry, "{stream:?}");
        }
    }

    #[test]
    fn an_id_counts_once_its_block_is_complete() {
        let (_, decoder) = decode(b"id: 1\n\nid: 2\n", &[]);
        assert_eq!(decoder.last_event_id(), "1");
        assert!(decoder.is_within_event());
        assert!(!decode(b"id: 1\n\n", &[]).1.is_within_event());
    }

    #[test]
    fn bytes_that_are_not_utf_8_are_replaced_and_told() {
        let (events, _) = decode(b":\xff\nx: \xff\ndata: a\n\ndata: \xc3\n\xa9:\n\n", &[]);
        assert_eq!((&*events[0].data, events[0].lossy, events[0].line), ("a", false, 2));
        assert_eq!((&*events[1].data, events[1].lossy, events[1].line), ("\u{fffd}", true, 5));
    }

    #[test]
    fn what_one_event_takes_is_bounded() {
        for stream in ["data: 123456789", "data: 1234\ndata: 5", "event: 123\nxxxxxxxx\n"] {
            let (mut decoder, mut events) = (Decoder::new(10), Vec::new());
            let stream = format!("data: 0\n\n{stream}");
            let line = decoder.feed(stream.as_bytes(), &mut events).unwrap_err().line;
            assert!((3..=5).contains(&line), "{stream:?}");
            assert_eq!(events.len(), 1);
        }
        let mut decoder = Decoder::new(10);
        for _ in 0..100 {
            decoder.feed(b"data: 0\n\n: 34567\n", &mut Vec::new()).unwrap();
        }
    }

    proptest! {
        #[test]
        fn however_it_is_cut_a_stream_is_the_same(
            stream in "(\u{feff})?((data|event|id|retry|\u{e9})?:{0,2} {0,2}[0-9\0\u{e9}]{0,3}(\r|\n|\r\n){1,3}){0,12}",
            cuts in prop::collection::vec(any::<usize>(), 0..12),
        ) {
            let (whole, decoder) = decode(stream.as_bytes(), &[]);
            let (cut, other) = decode(stream.as_bytes(), &cuts);
            prop_assert_eq!(whole, cut);
            prop_assert_eq!((decoder.retry(), decoder.last_event_id()), (other.retry(), other.last_event_id()));
        }

        #[test]
        fn what_is_encoded_reads_back(data in "[^\r]{0,30}", event in "[a-z]{1,5}") {
            let mut stream = Vec::new();
            crate::sse::encode::event(&event, &mut stream);
            crate::sse::encode::data(data.as_bytes(), &mut stream);
            crate::sse::encode::end(&mut stream);
            let events = decode(&stream, &[]).0;
            prop_assert_eq!(events.len(), 1);
            prop_assert_eq!((events[0].event.as_deref(), &events[0].data), (Some(&*event), &data));
        }

        #[test]
        fn garbage_is_read(stream in prop::collection::vec(any::<u8>(), 0..100), cuts in prop::collection::vec(any::<usize>(), 0..9)) {
            prop_assert_eq!(decode(&stream, &[]).0, decode(&stream, &cuts).0);
        }
    }
}
