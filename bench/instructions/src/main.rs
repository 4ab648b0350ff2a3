//! Does one thing a number of times, to have its instructions counted: `switchboard-instructions WORK TIMES`.
//!
//! Run under Valgrind by `cargo xtask instructions`, which takes the difference of two numbers of times, so that what is
//! done once does not count. The inputs are always the same, and so are the instructions, whatever else the machine does.
#![allow(clippy::print_stderr, reason = "a command speaks to the person who ran it")]

use bytes::Bytes;
use std::hint::black_box;
use std::process::ExitCode;
use std::sync::Arc;
use switchboard_hub::{Place, Readers, Token};
use switchboard_store::{Append, Memory, Policy};
use switchboard_wire::event::Draft;
use switchboard_wire::name::Selection;
use switchboard_wire::{ChannelName, Epoch, Event, Form, Kind, Mark, form};

/// Readers that a pass goes over.
const READERS: u32 = 1000;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [work, times] = &words[..] else { return usage() };
    let Ok(times) = times.parse() else { return usage() };
    let done = match &**work {
        "encode-sse" => encode(Form::SseRaw { gzip: false }, times),
        "encode-websocket" => encode(Form::WsRaw { deflated: None }, times),
        "encode-ndjson" => encode(Form::NdJson { gzip: false }, times),
        "match-patterns" => match_patterns(times),
        "fan-out" => fan_out(times),
        "fan-out-several" => fan_out_several(times),
        "append" => append(times),
        _ => None,
    };
    match done {
        Some(done) => {
            black_box(done);
            ExitCode::SUCCESS
        }
        None => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!(
        "usage: switchboard-instructions WORK TIMES, with WORK one of encode-sse, encode-websocket, encode-ndjson, \
         match-patterns, fan-out, fan-out-several, append"
    );
    ExitCode::from(2)
}

/// An event of 128 bytes of JSON, in one form.
fn encode(form: Form, times: usize) -> Option<usize> {
    let data = format!("{{\"text\":\"{}\",\"n\":12345}}", "x".repeat(108));
    let draft = Draft::new(Some("said"), Kind::Json, None, data.into()).ok()?;
    let channel = ChannelName::new("chat/room-1").ok()?;
    let id = Mark { epoch: Epoch::new(7), seq: 123_456 };
    let event = Event { id, resumable: true, channel, time: 1_795_197_600_000, draft };
    Some((0..times).map(|_| form::event(black_box(&event), form).cost()).sum())
}

/// An event of 128 bytes, checked and put into the log.
fn append(times: usize) -> Option<usize> {
    let log = Memory::new(Epoch::new(7), Policy::default());
    let channel = ChannelName::new("chat/room-1").ok()?;
    let data = [b'x'; 128];
    let one = || {
        let draft = Draft::from_body(None, Some("text/plain"), Bytes::copy_from_slice(&data)).ok()?;
        let append = Append { channel: channel.clone(), draft: Some(draft), end: false, key: None };
        log.append(1_795_197_600_000, black_box(&[append])).ok()
    };
    Some((0..times).filter_map(|_| one()).map(|appended| appended.len()).sum())
}

fn selection(texts: &[&str]) -> Option<Arc<Selection>> {
    let mut selection = Selection::default();
    texts.iter().try_for_each(|text| selection.add(text)).ok()?;
    Some(Arc::new(selection))
}

/// Hands the next item, of this channel, to all who are due it.
fn pass(readers: &mut Readers, channels: &[&ChannelName]) -> usize {
    let seq = readers.position() + 1;
    let upto = readers.position() + channels.len() as u64;
    readers.begin(channels.len(), upto, |i| (channels[usize::from(i)], seq + u64::from(i)));
    std::iter::from_fn(|| readers.next_due()).map(|due| due.token as usize).sum()
}

/// An event of a channel that none of a thousand readers' patterns selects.
fn match_patterns(times: usize) -> Option<usize> {
    let mut readers = Readers::new(0);
    for token in 0..READERS {
        let texts = [format!("user/{token}/**"), format!("room/*/{}", token % 100)];
        readers.add(token as Token, selection(&[&texts[0], &texts[1]])?, Place::at(0));
    }
    let channel = ChannelName::new("ticker/nasdaq/abc").ok()?;
    Some((0..times).map(|_| pass(&mut readers, &[black_box(&channel)])).sum())
}

/// An event that a thousand readers of one channel are due.
fn fan_out(times: usize) -> Option<usize> {
    let mut readers = Readers::new(0);
    let only = selection(&["a"])?;
    for token in 0..READERS {
        readers.add(token as Token, only.clone(), Place::at(0));
    }
    let channel = ChannelName::new("a").ok()?;
    Some((0..times).map(|_| pass(&mut readers, &[black_box(&channel)])).sum())
}

/// Four events of two channels that a thousand readers of both are due.
fn fan_out_several(times: usize) -> Option<usize> {
    let mut readers = Readers::new(0);
    let both = selection(&["a", "b"])?;
    for token in 0..READERS {
        readers.add(token as Token, both.clone(), Place::at(0));
    }
    let (a, b) = (ChannelName::new("a").ok()?, ChannelName::new("b").ok()?);
    Some((0..times).map(|_| pass(&mut readers, &[black_box(&a), &b, &a, &b])).sum())
}
