//! An event stream reader, by the letter of the WHATWG's "Interpreting an event stream".

use crate::conn::{Piece, Streamed};
use serde_json::Value;
use std::collections::VecDeque;

/// What an event stream gave.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// A comment line, without its colon.
    Comment(String),
    /// `retry:`, in milliseconds.
    Retry(u64),
    Block(Block),
    /// The stream ended, its body complete.
    End,
    /// The connection closed in the middle of the body.
    Cut,
}

/// A block that an EventSource would dispatch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Block {
    /// The `id:` in this block, if there was one.
    pub id: Option<String>,
    /// What an EventSource would give as `lastEventId`.
    pub last_id: String,
    /// The `event:`; empty if there was none.
    pub event: String,
    /// The `data:` lines, joined.
    pub data: String,
}

impl Block {
    /// The data as JSON.
    ///
    /// # Panics
    /// If it is not.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }
}

/// The parser: bytes in, items out.
#[derive(Debug, Default)]
pub struct Parser {
    line: Vec<u8>,
    begun: bool,
    after_cr: bool,
    id: Option<String>,
    last_id: String,
    event: String,
    data: String,
    dirty: bool,
}

impl Parser {
    /// Takes bytes, and gives the items they complete.
    pub fn feed(&mut self, bytes: &[u8], out: &mut VecDeque<Item>) {
        for &byte in bytes {
            let follows_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if follows_cr => {}
                b'\n' | b'\r' => {
                    let line = std::mem::take(&mut self.line);
                    self.take_line(&line, out);
                }
                _ => self.line.push(byte),
            }
        }
    }

    fn take_line(&mut self, line: &[u8], out: &mut VecDeque<Item>) {
        let text = String::from_utf8(line.to_vec()).expect("an event stream is UTF-8");
        let text = match std::mem::replace(&mut self.begun, true) {
            false => text.strip_prefix('\u{feff}').unwrap_or(&text),
            true => &text,
        };
        if text.is_empty() {
            return self.dispatch(out);
        }
        let (name, value) = text.split_once(':').unwrap_or((text, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "" => out.push_back(Item::Comment(value.to_owned())),
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.event),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
                self.dirty = true;
            }
            "retry" if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) => {
                out.push_back(Item::Retry(value.parse().expect("retry fits in 64 bits")));
            }
            _ => panic!("a server that knows the format sends no such line: {text:?}"),
        }
    }

    fn dispatch(&mut self, out: &mut VecDeque<Item>) {
        let id = self.id.take();
        if let Some(id) = &id {
            self.last_id.clone_from(id);
        }
        let (event, mut data) = (std::mem::take(&mut self.event), std::mem::take(&mut self.data));
        if !std::mem::take(&mut self.dirty) {
            assert!(event.is_empty(), "a block without data is lost on every EventSource: event {event:?}");
            return;
        }
        data.pop();
        out.push_back(Item::Block(Block { id, last_id: self.last_id.clone(), event, data }));
    }
}

/// A subscription over SSE.
#[derive(Debug)]
pub struct Sse {
    pub stream: Streamed,
    parser: Parser,
    queue: VecDeque<Item>,
}

impl Sse {
    /// Reads the body of a response.
    ///
    /// # Panics
    /// If the response is not a 200 with an event stream.
    #[track_caller]
    pub fn over(stream: Streamed) -> Sse {
        let head = &stream.head;
        assert_eq!(head.status, 200, "{} {}", head.raw, stream.conn.seen());
        assert_eq!(head.media_type(), "text/event-stream", "{}", head.raw);
        Sse { stream, parser: Parser::default(), queue: VecDeque::new() }
    }

    /// The next item, whatever it is.
    #[track_caller]
    pub fn next(&mut self) -> Item {
        loop {
            if let Some(item) = self.queue.pop_front() {
                return item;
            }
            match self.stream.next() {
                Piece::Data(data) => self.parser.feed(&data, &mut self.queue),
                Piece::End => return Item::End,
                Piece::Cut => return Item::Cut,
            }
        }
    }

    /// The next block, notices included, or the end.
    #[track_caller]
    pub fn next_block(&mut self) -> Option<Block> {
        loop {
            match self.next() {
                Item::Block(block) => return Some(block),
                Item::End | Item::Cut => return None,
                Item::Comment(_) | Item::Retry(_) => {}
            }
        }
    }

    /// The next block, notices included.
    ///
    /// # Panics
    /// If the stream ends.
    #[track_caller]
    pub fn block(&mut self) -> Block {
        match self.next_block() {
            Some(block) => block,
            None => panic!("the stream ended; received {}", self.stream.conn.seen()),
        }
    }

    /// The next event: a block that is not `$position`.
    ///
    /// # Panics
    /// If another notice comes, or the stream ends.
    #[track_caller]
    pub fn event(&mut self) -> Block {
        loop {
            let block = self.block();
            if block.event == "$position" {
                continue;
            }
            assert!(!block.event.starts_with('$'), "expected an event: {block:?}");
            return block;
        }
    }

    /// The next notice of this name.
    ///
    /// # Panics
    /// If something else comes that is not `$position`.
    #[track_caller]
    pub fn notice(&mut self, name: &str) -> Block {
        loop {
            let block = self.block();
            if block.event == name {
                return block;
            }
            assert_eq!(block.event, "$position", "expected {name}: {block:?}");
        }
    }

    /// The rest: blocks that are not `$position`, and whether the body was complete.
    #[track_caller]
    pub fn rest(&mut self) -> (Vec<Block>, bool) {
        let mut blocks = Vec::new();
        loop {
            match self.next() {
                Item::Block(block) if block.event == "$position" => {}
                Item::Block(block) => blocks.push(block),
                Item::End => return (blocks, true),
                Item::Cut => return (blocks, false),
                Item::Comment(_) | Item::Retry(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(chunks: &[&str]) -> Vec<Item> {
        let (mut parser, mut out) = (Parser::default(), VecDeque::new());
        for chunk in chunks {
            parser.feed(chunk.as_bytes(), &mut out);
        }
        out.into()
    }

    fn block(id: Option<&str>, last_id: &str, event: &str, data: &str) -> Item {
        let (last_id, event, data) = (last_id.into(), event.into(), data.into());
        Item::Block(Block { id: id.map(Into::into), last_id, event, data })
    }

    #[test]
    fn the_reader_follows_the_standard() {
        assert_eq!(
            items(&["\u{feff}retry: 10\r", "\n\r\nid: 7\revent:x\rdata: a\rdata:  b\r\rdata\n\n:hi\ndata: unfinished"]),
            vec![
                Item::Retry(10),
                block(Some("7"), "7", "x", "a\n b"),
                block(None, "7", "", ""),
                Item::Comment("hi".into())
            ]
        );
    }
}
