//! Lines of standard input, each as an item of the streamed body.

use crate::failure::{Failure, plain};
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use std::io::{BufRead, Read as _};
use std::sync::Arc;
use switchboard_wire::event::base64;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of lines that are held until they are acknowledged; beyond it standard input is left unread.
const ROOM: u32 = 64 << 20;
/// Longest line, in bytes.
const LINE_MAX: u64 = 16 << 20;
/// What a line takes besides its bytes, near enough: it keeps many short lines from being free.
const OVERHEAD: u32 = 128;

/// A line, ready to be sent.
#[derive(Debug)]
pub struct Line {
    /// From 1, blank ones counted.
    pub number: u64,
    /// A line of NDJSON with its line feed.
    pub item: Bytes,
    _room: OwnedSemaphorePermit,
}

/// How lines become items.
#[derive(Clone, Debug)]
pub struct Encoding {
    pub event: Option<String>,
    pub content_type: Option<String>,
    pub json: bool,
}

#[derive(Serialize)]
struct Item<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

impl Encoding {
    /// The item of a line without its line break; `None` for a blank line where lines are JSON.
    fn item(&self, line: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let text = std::str::from_utf8(line);
        let (mut data, mut binary) = (None, None);
        match (self.json, text) {
            (true, Ok(text)) if text.trim().is_empty() => return Ok(None),
            (true, Ok(text)) => data = Some(Data::Json(serde_json::from_str(text).map_err(not_json)?)),
            (true, Err(_)) => return Err("is not UTF-8, as JSON must be".to_owned()),
            (false, Ok(text)) => data = Some(Data::Text(text)),
            (false, Err(_)) => binary = Some(base64(line)),
        }
        let content_type = self.content_type.as_deref();
        let item = Item { event: self.event.as_deref(), data, base64: binary, content_type };
        let mut out = serde_json::to_vec(&item).map_err(not_json)?;
        // A raw value keeps its line breaks; a line read by its end holds a lone CR at most, and that is a space too.
        out.iter_mut().filter(|b| **b == b'\r').for_each(|b| *b = b' ');
        out.push(b'\n');
        Ok(Some(out))
    }
}

fn not_json(error: serde_json::Error) -> String {
    format!("is not JSON: {error}")
}

/// Reads `input` on a thread of its own, for such a read cannot be given up. The last thing received may be the
/// failure that ended the reading; nothing more comes after it.
pub fn read(encoding: Encoding, input: impl BufRead + Send + 'static) -> UnboundedReceiver<Result<Line, Failure>> {
    read_within(ROOM, encoding, input)
}

fn read_within(
    room: u32,
    encoding: Encoding,
    mut input: impl BufRead + Send + 'static,
) -> UnboundedReceiver<Result<Line, Failure>> {
    let (lines, receiver) = unbounded_channel();
    let runtime = Handle::current();
    std::thread::spawn(move || {
        if let Err(failure) = read_on(room, &encoding, &mut input, &runtime, &lines) {
            // Where nobody receives any more there is nobody to tell.
            let _ = lines.send(Err(failure));
        }
    });
    receiver
}

fn read_on(
    most: u32,
    encoding: &Encoding,
    input: &mut impl BufRead,
    runtime: &Handle,
    lines: &UnboundedSender<Result<Line, Failure>>,
) -> Result<(), Failure> {
    let room = Arc::new(Semaphore::new(most as usize));
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = input.by_ref().take(LINE_MAX + 1).read_until(b'\n', &mut line);
        read.map_err(|error| Failure::Usage(format!("standard input cannot be read: {}", plain(&error))))?;
        if line.is_empty() {
            break;
        }
        let bad = |why: &str| Failure::Usage(format!("line {number} {why}; the lines before it were published"));
        if line.len() as u64 > LINE_MAX {
            return Err(bad(&format!("is longer than {} MiB", LINE_MAX >> 20)));
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let Some(item) = encoding.item(text).map_err(|why| bad(&why))? else { continue };
        // A line of control characters grows sixfold as JSON: it must not wait for more than there is.
        let cost = u32::try_from(item.len()).unwrap_or(most).saturating_add(OVERHEAD).min(most);
        let Ok(permit) = runtime.block_on(room.clone().acquire_many_owned(cost)) else { break };
        if lines.send(Ok(Line { number, item: item.into(), _room: permit })).is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufReader, Read};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn items(encoding: Encoding, input: &'static [u8]) -> (Vec<String>, Option<Failure>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut lines = read(encoding, input);
            let mut out = Vec::new();
            while let Some(line) = lines.recv().await {
                match line {
                    Ok(line) => out.push(format!("{} {}", line.number, String::from_utf8(line.item.to_vec()).unwrap())),
                    Err(failure) => return (out, Some(failure)),
                }
            }
            (out, None)
        })
    }

    #[test]
    fn lines_are_text_as_they_stand() {
        let encoding = Encoding { event: Some("log".to_owned()), content_type: None, json: false };
        let (items, failure) = items(encoding, b"a \"b\"\r\n\nc\xff\nlast");
        let expected = [
            "1 {\"event\":\"log\",\"data\":\"a \\\"b\\\"\"}\n",
            "2 {\"event\":\"log\",\"data\":\"\"}\n",
            "3 {\"event\":\"log\",\"base64\":\"Y/8=\"}\n",
            "4 {\"event\":\"log\",\"data\":\"last\"}\n",
        ];
        assert_eq!((items.as_slice(), failure), (expected.map(str::to_owned).as_slice(), None));
    }

    /// One short line after another, without end.
    struct Endless(Arc<AtomicUsize>);

    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.0.fetch_add(1, Ordering::SeqCst);
            buffer[..2].copy_from_slice(b"x\n");
            Ok(2)
        }
    }

    #[test]
    fn the_input_is_left_unread_while_there_is_no_room() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let encoding = Encoding { event: None, content_type: None, json: false };
            let item = encoding.item(b"x").unwrap().unwrap().len() as u32;
            let produced = Arc::new(AtomicUsize::new(0));
            let input = BufReader::with_capacity(2, Endless(produced.clone()));
            let mut lines = read_within(10 * (item + OVERHEAD), encoding, input);
            for acknowledged in 0..1000 {
                let line = lines.recv().await;
                // Ten have room, and one more was read and waits for it.
                assert!(produced.load(Ordering::SeqCst) <= acknowledged + 11);
                drop(line);
            }
        });
    }

    #[test]
    fn json_lines_are_kept_as_written_and_blank_ones_are_none() {
        let encoding = Encoding { event: None, content_type: None, json: true };
        let (items, failure) = items(encoding, b"{\"a\": 1.50}\n\n[1, 2]\n{\"a\n{}\n");
        assert_eq!(items, ["1 {\"data\":{\"a\": 1.50}}\n", "3 {\"data\":[1, 2]}\n"]);
        let Some(Failure::Usage(sentence)) = failure else { panic!("{failure:?}") };
        assert!(sentence.starts_with("line 4 is not JSON"), "{sentence}");
    }
}
