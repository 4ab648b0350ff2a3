//! Messages: however the bytes arrive the same is received, and it is what RFC 6455 says of the whole.

use crate::choices::{Choices, everywhere, pieces};
use crate::deflate;
use bytes::Bytes;
use switchboard_wire::Code;
use switchboard_wire::websocket::deflate::{Deflate, Inflaters};
use switchboard_wire::websocket::header::{Header, Opcode};
use switchboard_wire::websocket::message::{Incoming, Limits, Reader};
use switchboard_wire::websocket::{Role, close, mask, write};

const OPCODES: [Opcode; 6] =
    [Opcode::Continuation, Opcode::Text, Opcode::Binary, Opcode::Close, Opcode::Ping, Opcode::Pong];

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let how = How {
        role: choices.pick(&[Role::Server, Role::Client]),
        deflate: choices.flag(),
        limits: Limits { message: choices.pick(&[1 << 12, 40, 7, 0]), fragments: choices.pick(&[100, 2, 1]) },
    };
    let cuts = choices.cuts();
    // Bytes as they are break a rule soon; frames that are well-formed come further.
    let stream = if choices.flag() { frames(&mut choices, how) } else { choices.rest().to_vec() };
    let whole = how.read(&stream, &[]);
    let twin = twin(&stream, how);
    for (cuts, read) in
        [(&[][..], &whole), (&cuts, &how.read(&stream, &cuts)), (&[], &how.read(&stream, &everywhere(&stream)))]
    {
        assert_eq!(read.0, twin.0, "cut at {cuts:?}");
        assert!(agree(read.1, &twin.1), "cut at {cuts:?}: {:?}, not {:?}", read.1, twin.1);
    }
}

/// More than any input here inflates to, in bytes.
const MUCH: usize = 1 << 22;

#[derive(Clone, Copy, Debug)]
struct How {
    role: Role,
    deflate: bool,
    limits: Limits,
}

impl How {
    /// What is received, and the code that the connection fails with.
    fn read(self, stream: &[u8], cuts: &[usize]) -> (Vec<Incoming>, Option<Code>) {
        let mut reader = Reader::new(self.role, self.deflate, self.limits);
        let (mut inflaters, mut events) = (Inflaters::new(), Vec::new());
        let mut failed = None;
        for piece in pieces(stream, cuts) {
            let mut piece = piece.to_vec();
            let mut rest = &mut piece[..];
            loop {
                match reader.read(&mut rest, &mut inflaters) {
                    Ok(Some(event)) => {
                        assert!(failed.is_none() && !matches!(events.last(), Some(Incoming::Close(_))), "that was all");
                        events.push(event);
                    }
                    Ok(None) => break,
                    Err(problem) => {
                        assert!(failed.is_none() && reader.is_done());
                        failed = Some(problem.code);
                    }
                }
                let closed = matches!(events.last(), Some(Incoming::Close(_)));
                assert_eq!(reader.is_done(), closed || failed.is_some());
            }
            assert!(rest.is_empty(), "a reader that waits has taken everything");
            assert_eq!(reader.held() == 0, reader.is_idle() || reader.is_done());
            let most = self.limits.message + 200;
            assert!(reader.held() <= most + most / 8, "{} bytes are held", reader.held());
        }
        (events, failed)
    }
}

/// Frames one after the other, nearly all of them well-formed.
fn frames(choices: &mut Choices<'_>, how: How) -> Vec<u8> {
    let mut stream = Vec::new();
    while !choices.is_empty() {
        let (kind, length) = (choices.byte(), choices.below(200));
        let opcode = OPCODES[usize::from(kind) % 6];
        let key = [choices.byte(), 0x92, 0xe3, 0x04];
        let mask = (how.role == Role::Server).then_some(key);
        let (fin, compressed) = (kind & 0x80 == 0 || opcode.is_control(), kind & 0x40 != 0);
        let payload = choices.take(if opcode.is_control() { length.min(125) } else { length });
        let compressed = compressed && how.deflate && matches!(opcode, Opcode::Text | Opcode::Binary);
        match kind & 0x38 {
            // What was compressed, rather than what says that it was.
            0x20 if compressed => {
                let payload = Deflate::new(15).message(payload).unwrap();
                write::write_frame(fin, compressed, opcode, &payload, mask, &mut stream);
            }
            // A close frame that says something that may be said.
            0x20 if opcode == Opcode::Close => {
                let codes = [1000, 1001, 1007, 3000, 4999, 1005, 999, 5000];
                close::write_close(codes[length % 8], &String::from_utf8_lossy(payload), mask, &mut stream);
            }
            // A header alone, with a length of its own.
            0x08 => Header { fin, compressed, opcode, mask, length: choices.number() >> 1 }.write(&mut stream),
            _ => write::write_frame(fin, compressed, opcode, payload, mask, &mut stream),
        }
    }
    stream
}

/// Whether the reader failed as it should: with one of the codes, or not at all if there are none.
fn agree(failed: Option<Code>, expected: &[Code]) -> bool {
    failed.map_or(expected.is_empty(), |code| expected.contains(&code))
}

/// A message of which frames have come.
struct Message {
    text: bool,
    compressed: bool,
    payload: Vec<u8>,
    announced: u128,
    fragments: u32,
}

/// What the whole stream is, frame by frame: what is received, and the codes that it may fail with. One that is broken
/// in two ways may be refused for either.
fn twin(mut stream: &[u8], how: How) -> (Vec<Incoming>, Vec<Code>) {
    let (mut events, mut message) = (Vec::new(), None);
    loop {
        let (header, payload) = match Header::parse(stream, how.role, how.deflate) {
            Err(_) => return (events, vec![Code::WsProtocol]),
            Ok(None) => return (events, Vec::new()),
            Ok(Some((header, taken))) => {
                let rest = &stream[taken..];
                let there = usize::try_from(header.length).map_or(rest.len(), |length| length.min(rest.len()));
                stream = &rest[there..];
                let mut payload = rest[..there].to_vec();
                mask::apply(header.mask.unwrap_or_default(), 0, &mut payload);
                (header, payload)
            }
        };
        let ended = payload.len() as u64 == header.length;
        let outcome = match header.opcode {
            Opcode::Close | Opcode::Ping | Opcode::Pong if !ended => return (events, Vec::new()),
            Opcode::Close => close::Close::parse(&payload).map(Incoming::Close).map_err(|problem| vec![problem.code]),
            Opcode::Ping => Ok(Incoming::Ping(payload.into())),
            Opcode::Pong => Ok(Incoming::Pong(payload.into())),
            _ => match data(&mut message, header, &payload, ended, how.limits) {
                Ok(Some(event)) => Ok(event),
                Ok(None) => continue,
                Err(codes) => Err(codes),
            },
        };
        match outcome {
            Ok(event @ Incoming::Close(_)) => {
                events.push(event);
                return (events, Vec::new());
            }
            Ok(event) => events.push(event),
            Err(codes) => return (events, codes),
        }
    }
}

/// Takes a frame of a message up, as much of it as is there.
fn data(
    slot: &mut Option<Message>,
    header: Header,
    payload: &[u8],
    ended: bool,
    limits: Limits,
) -> Result<Option<Incoming>, Vec<Code>> {
    let continues = header.opcode == Opcode::Continuation;
    if continues != slot.is_some() {
        return Err(vec![Code::WsProtocol]);
    }
    let (text, compressed) = (header.opcode == Opcode::Text, header.compressed);
    let message = slot.get_or_insert(Message { text, compressed, payload: Vec::new(), announced: 0, fragments: 0 });
    // An empty frame behind the others is how some senders end a message.
    message.fragments += u32::from(!(header.fin && header.length == 0));
    message.announced += u128::from(header.length);
    let most = if message.compressed { limits.message + limits.message / 8 + 64 } else { limits.message };
    if message.fragments > limits.fragments || message.announced > most as u128 {
        return Err(vec![Code::TooLarge]);
    }
    message.payload.extend_from_slice(payload);
    let is_whole = ended && header.fin;
    let plain = match message.compressed {
        true => deflate::partly(&message.payload, limits.message, is_whole),
        false => Ok(message.payload.clone()),
    };
    let broken = |text: &[u8]| match std::str::from_utf8(text) {
        Ok(_) => false,
        Err(error) => error.error_len().is_some() || is_whole,
    };
    match plain {
        Ok(plain) if message.text && broken(&plain) => Err(vec![Code::InvalidText]),
        Ok(_) if !is_whole => Ok(None),
        Ok(plain) => {
            let text = message.text;
            *slot = None;
            let plain = Bytes::from(plain);
            Ok(Some(if text { Incoming::Text(plain) } else { Incoming::Binary(plain) }))
        }
        Err(code) => {
            let mut codes = vec![code];
            if message.text {
                // What came before it stopped inflating, or grew too large, may have stopped being text already.
                codes.push(Code::InvalidText);
            }
            if message.compressed && deflate::partly(&message.payload, MUCH, is_whole) == Err(Code::WsProtocol) {
                // An inflater may look beyond what it gives, and find that broken first.
                codes.push(Code::WsProtocol);
            }
            Err(codes)
        }
    }
}
