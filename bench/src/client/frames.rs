//! Takes apart what comes down one connection, cut anywhere: the response's head, chunks or WebSocket frames, and in
//! them blocks, lines or messages.
//!
//! A connection keeps what it has not understood yet, and nothing while it has understood everything.

use super::dialogue::{Framing, Link};
use switchboard_wire::websocket::Role;
use switchboard_wire::websocket::deflate::Inflate;
use switchboard_wire::websocket::header::{Header, Opcode};

/// A head longer than this is none.
const HEAD_MAX: usize = 16 << 10;
/// A message longer than this when inflated is damaged.
const INFLATED_MAX: usize = 16 << 20;

/// Something that was received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part<'a> {
    /// The response's head, with its status.
    Head(u16),
    /// A block, a line or a message.
    Piece(&'a [u8]),
    /// A ping, to be answered with its payload.
    Ping(&'a [u8]),
    /// The server ended the stream, and how.
    End(&'static str),
    /// It cannot be read.
    Damaged(&'static str),
}

/// What all connections share: room for unwrapped bytes, and one decompressor, since no context is taken over.
#[derive(Default)]
pub struct Scratch {
    body: Vec<u8>,
    inflated: Vec<u8>,
    inflate: Option<Inflate>,
}

impl std::fmt::Debug for Scratch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

/// Where one connection is in what it receives.
#[derive(Debug)]
pub struct Decoder {
    link: Link,
    framing: Framing,
    stage: Stage,
    /// What is left of the chunk at hand, with the line break that ends it; or the length of a page.
    chunk: u32,
    rest: Option<Box<Rest>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Head,
    Chunked,
    Plain,
    /// A body of this many bytes, then another head.
    Sized,
    Frames,
    Over,
}

/// Received and not yet understood.
#[derive(Debug, Default)]
struct Rest {
    raw: Vec<u8>,
    body: Vec<u8>,
    /// A message in several frames, and whether it is compressed.
    message: Option<(Vec<u8>, bool)>,
}

impl Rest {
    fn is_empty(&self) -> bool {
        self.raw.is_empty() && self.body.is_empty() && self.message.is_none()
    }
}

impl Decoder {
    pub fn new(link: Link, framing: Framing) -> Decoder {
        // On HTTP/2 the head is a frame of its own, and what comes here is what DATA frames carry.
        let stage = if link == Link::Http2 { Stage::Plain } else { Stage::Head };
        Decoder { link, framing, stage, chunk: 0, rest: None }
    }

    /// Understands what it can of what was received, in order.
    pub fn feed(&mut self, input: &[u8], scratch: &mut Scratch, mut part: impl FnMut(Part<'_>)) {
        match self.rest.as_mut().filter(|rest| !rest.raw.is_empty()) {
            None => {
                let used = self.understand(input, scratch, &mut part);
                self.keep_raw(&input[used..]);
            }
            Some(rest) => {
                let mut raw = std::mem::take(&mut rest.raw);
                raw.extend_from_slice(input);
                let used = self.understand(&raw, scratch, &mut part);
                raw.drain(..used);
                self.keep_raw(&raw);
            }
        }
        if self.rest.as_ref().is_some_and(|rest| rest.is_empty()) {
            self.rest = None;
        }
    }

    fn keep_raw(&mut self, raw: &[u8]) {
        if !raw.is_empty() && self.stage != Stage::Over {
            self.rest.get_or_insert_default().raw = raw.to_vec();
        }
    }

    /// How many bytes were understood.
    fn understand(&mut self, input: &[u8], scratch: &mut Scratch, part: &mut impl FnMut(Part<'_>)) -> usize {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            let more = match self.stage {
                Stage::Head => self.head(rest, part),
                Stage::Sized => self.page(rest, part),
                Stage::Frames => return used + self.frames(rest, scratch, part),
                Stage::Over => return input.len(),
                Stage::Plain => {
                    self.body(rest, part);
                    return input.len();
                }
                Stage::Chunked => return used + self.chunks(rest, scratch, part),
            };
            let Some(more) = more else { return used };
            used += more;
        }
    }

    fn chunks(&mut self, input: &[u8], scratch: &mut Scratch, part: &mut impl FnMut(Part<'_>)) -> usize {
        let mut body = std::mem::take(&mut scratch.body);
        body.clear();
        let chunks = dechunk(&mut self.chunk, input, &mut body);
        self.body(&body, part);
        scratch.body = body;
        chunks.unwrap_or_else(|end| {
            part(end);
            self.stage = Stage::Over;
            input.len()
        })
    }

    /// A body with a length, once it is whole.
    fn page(&mut self, input: &[u8], part: &mut impl FnMut(Part<'_>)) -> Option<usize> {
        let length = self.chunk as usize;
        part(Part::Piece(input.get(..length)?));
        self.stage = Stage::Head;
        Some(length)
    }

    /// A head, once it is whole: its length.
    fn head(&mut self, input: &[u8], part: &mut impl FnMut(Part<'_>)) -> Option<usize> {
        let Some(end) = memchr::memmem::find(input, b"\r\n\r\n") else {
            if input.len() > HEAD_MAX {
                self.damaged("the response's head does not end", part);
            }
            return None;
        };
        let head = String::from_utf8_lossy(&input[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let Some(status) = status.filter(|_| head.starts_with("http/1.")) else {
            self.damaged("the response has no status line", part);
            return None;
        };
        let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        self.stage = match self.link {
            Link::WebSocket => Stage::Frames,
            Link::Http if self.framing == Framing::Pages => {
                self.chunk = field("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
                Stage::Sized
            }
            Link::Http if field("transfer-encoding:").is_some_and(|coding| coding.ends_with("chunked")) => {
                Stage::Chunked
            }
            Link::Http | Link::Http2 => Stage::Plain,
        };
        part(Part::Head(status));
        Some(end + 4)
    }

    fn damaged(&mut self, why: &'static str, part: &mut impl FnMut(Part<'_>)) {
        self.stage = Stage::Over;
        part(Part::Damaged(why));
    }

    /// Splits a body's next bytes; what is unfinished is kept.
    fn body(&mut self, input: &[u8], part: &mut impl FnMut(Part<'_>)) {
        match self.rest.as_mut().filter(|rest| !rest.body.is_empty()) {
            None => {
                let used = split(self.framing, input, part);
                if used < input.len() {
                    self.rest.get_or_insert_default().body = input[used..].to_vec();
                }
            }
            Some(rest) => {
                rest.body.extend_from_slice(input);
                let used = split(self.framing, &rest.body, part);
                rest.body.drain(..used);
            }
        }
    }

    fn frames(&mut self, input: &[u8], scratch: &mut Scratch, part: &mut impl FnMut(Part<'_>)) -> usize {
        let mut used = 0;
        while self.stage != Stage::Over {
            let (header, start) = match Header::parse(&input[used..], Role::Client, true) {
                Ok(Some(found)) => found,
                Ok(None) => break,
                Err(_) => {
                    self.damaged("a WebSocket frame's header is wrong", part);
                    break;
                }
            };
            let start = used + start;
            let end = start.saturating_add(header.length as usize);
            let Some(payload) = input.get(start..end) else { break };
            self.frame(&header, payload, scratch, part);
            used = end;
        }
        used
    }

    fn frame(&mut self, header: &Header, payload: &[u8], scratch: &mut Scratch, part: &mut impl FnMut(Part<'_>)) {
        match header.opcode {
            Opcode::Ping => part(Part::Ping(payload)),
            Opcode::Pong => {}
            Opcode::Close => {
                self.stage = Stage::Over;
                part(Part::End("the server closed the WebSocket"));
            }
            Opcode::Text | Opcode::Binary if header.fin => self.message(payload, header.compressed, scratch, part),
            Opcode::Text | Opcode::Binary => {
                self.rest.get_or_insert_default().message = Some((payload.to_vec(), header.compressed));
            }
            Opcode::Continuation => {
                let Some((mut message, compressed)) = self.rest.as_mut().and_then(|rest| rest.message.take()) else {
                    return self.damaged("a continuation continues nothing", part);
                };
                message.extend_from_slice(payload);
                if header.fin {
                    self.message(&message, compressed, scratch, part);
                } else {
                    self.rest.get_or_insert_default().message = Some((message, compressed));
                }
            }
        }
    }

    fn message(&mut self, payload: &[u8], compressed: bool, scratch: &mut Scratch, part: &mut impl FnMut(Part<'_>)) {
        if !compressed {
            return part(Part::Piece(payload));
        }
        let inflate = scratch.inflate.get_or_insert_with(Inflate::new);
        scratch.inflated.clear();
        let whole = inflate
            .push(payload, INFLATED_MAX, &mut scratch.inflated)
            .and_then(|()| inflate.finish(INFLATED_MAX, &mut scratch.inflated));
        inflate.reset();
        match whole {
            Ok(()) => part(Part::Piece(&scratch.inflated)),
            Err(_) => self.damaged("a message does not inflate", part),
        }
    }
}

/// Takes the data out of chunks (RFC 9112 section 7.1). `left` is what the chunk at hand still has, its line break
/// counted. Says how many bytes were understood, or how the body ended.
fn dechunk(left: &mut u32, input: &[u8], body: &mut Vec<u8>) -> Result<usize, Part<'static>> {
    let mut used = 0;
    loop {
        let rest = &input[used..];
        if *left == 0 {
            let Some(end) = memchr::memchr(b'\n', rest) else { return Ok(used) };
            let line = std::str::from_utf8(&rest[..end]).unwrap_or_default();
            let size = line.split(';').next().unwrap_or_default().trim();
            match u32::from_str_radix(size, 16) {
                Ok(0) => return Err(Part::End("the body ended")),
                Ok(size) if size < u32::MAX - 2 => *left = size + 2,
                _ => return Err(Part::Damaged("a chunk has no size")),
            }
            used += end + 1;
            continue;
        }
        if rest.is_empty() {
            return Ok(used);
        }
        let taken = rest.len().min(*left as usize);
        let data = taken.min(left.saturating_sub(2) as usize);
        body.extend_from_slice(&rest[..data]);
        *left -= taken as u32;
        used += taken;
    }
}

/// Gives each whole block or line, and says how many bytes they were. A comment before a block is passed over, so that
/// nothing is kept of the heartbeats of a quiet stream.
fn split(framing: Framing, input: &[u8], part: &mut impl FnMut(Part<'_>)) -> usize {
    let (mut start, mut line) = (0, 0);
    for end in memchr::memchr_iter(b'\n', input) {
        let is_empty = end == line || &input[line..end] == b"\r";
        let is_comment = framing == Framing::Blocks && line == start && input[line] == b':';
        let ends = framing == Framing::Lines || is_empty || is_comment;
        if ends && !is_comment && (line > start || !is_empty) {
            part(Part::Piece(&input[start..end]));
        }
        if ends {
            start = end + 1;
        }
        line = end + 1;
    }
    start
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use switchboard_wire::websocket::deflate::Deflate;
    use switchboard_wire::websocket::write::{write_frame, write_ping};

    /// Feeds the input cut at the given places, and tells the parts as text.
    fn parts(link: Link, framing: Framing, input: &[u8], cuts: &[usize]) -> Vec<String> {
        let mut decoder = Decoder::new(link, framing);
        let (mut scratch, mut seen, mut from) = (Scratch::default(), Vec::new(), 0);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
        cuts.push(input.len());
        cuts.sort_unstable();
        for cut in cuts {
            decoder.feed(&input[from..cut], &mut scratch, |part| {
                seen.push(match part {
                    Part::Piece(piece) => String::from_utf8_lossy(piece).into_owned(),
                    other => format!("{other:?}"),
                });
            });
            from = cut;
        }
        assert!(decoder.rest.is_none(), "something was kept: {:?}", decoder.rest);
        seen
    }

    fn chunked() -> Vec<u8> {
        let mut input = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        for chunk in [
            "retry: 5\nevent: $open\ndata: {}\n\n",
            ":\n",
            "id: 1\ndata: a\n\nid: 2\r\nda",
            "ta: b\r\n\r\n",
            "data: c\n\n",
        ] {
            input.extend_from_slice(format!("{:x}\r\n{chunk}\r\n", chunk.len()).as_bytes());
        }
        input.extend_from_slice(b"0\r\n\r\n");
        input
    }

    fn frames() -> Vec<u8> {
        let mut input = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n".to_vec();
        write_frame(true, false, Opcode::Text, b"one", None, &mut input);
        write_frame(false, false, Opcode::Text, b"tw", None, &mut input);
        write_ping(b"beat", None, &mut input);
        write_frame(true, false, Opcode::Continuation, b"o", None, &mut input);
        let long = "three ".repeat(40);
        let compressed = Deflate::new(15).message(long.as_bytes()).unwrap();
        write_frame(true, true, Opcode::Binary, &compressed, None, &mut input);
        write_frame(true, false, Opcode::Text, long.as_bytes(), None, &mut input);
        write_frame(true, false, Opcode::Close, &[3, 232], None, &mut input);
        input
    }

    proptest! {
        #[test]
        fn blocks_in_chunks_are_found_wherever_they_are_cut(cuts in prop::collection::vec(any::<usize>(), 0..40)) {
            let expected = [
                "Head(200)", "retry: 5\nevent: $open\ndata: {}\n", "id: 1\ndata: a\n", "id: 2\r\ndata: b\r\n\r",
                "data: c\n", "End(\"the body ended\")",
            ];
            prop_assert_eq!(parts(Link::Http, Framing::Blocks, &chunked(), &cuts), expected);
        }

        #[test]
        fn messages_are_found_wherever_they_are_cut(cuts in prop::collection::vec(any::<usize>(), 0..40)) {
            let long = "three ".repeat(40);
            let expected = [
                "Head(101)", "one", "Ping([98, 101, 97, 116])", "two", &long, &long,
                "End(\"the server closed the WebSocket\")",
            ];
            prop_assert_eq!(parts(Link::WebSocket, Framing::Messages, &frames(), &cuts), expected);
        }

        #[test]
        fn lines_are_found_wherever_they_are_cut(cuts in prop::collection::vec(any::<usize>(), 0..20)) {
            let input = b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n{\"a\":1}\n\n{\"b\":2}\n";
            prop_assert_eq!(parts(Link::Http, Framing::Lines, input, &cuts), ["Head(200)", "{\"a\":1}", "{\"b\":2}"]);
        }

        #[test]
        fn pages_are_found_wherever_they_are_cut(cuts in prop::collection::vec(any::<usize>(), 0..20)) {
            let input = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{1}HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{22}";
            let expected = ["Head(200)", "{1}", "Head(200)", "{22}"];
            prop_assert_eq!(parts(Link::Http, Framing::Pages, input, &cuts), expected);
        }

        #[test]
        fn nothing_panics(input in prop::collection::vec(any::<u8>(), 0..300), cut in any::<usize>()) {
            for (link, framing) in [(Link::Http, Framing::Blocks), (Link::WebSocket, Framing::Messages)] {
                for head in ["", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"] {
                    let input = [head.as_bytes(), &input].concat();
                    let (first, second) = input.split_at(cut % (input.len() + 1));
                    let mut decoder = Decoder::new(link, framing);
                    let mut scratch = Scratch::default();
                    decoder.feed(first, &mut scratch, |_| {});
                    decoder.feed(second, &mut scratch, |_| {});
                }
            }
        }
    }

    #[test]
    fn what_is_no_response_is_damaged() {
        assert_eq!(
            parts(Link::Http, Framing::Lines, b"SSH-2.0-x\r\n\r\n", &[]),
            ["Damaged(\"the response has no status line\")"]
        );
    }
}
