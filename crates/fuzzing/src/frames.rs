//! Frame headers: read as RFC 6455 section 5.2 says, as early as can be, and written in the one way they are read.

use crate::choices::Choices;
use switchboard_wire::Code;
use switchboard_wire::websocket::Role;
use switchboard_wire::websocket::header::{HEADER_MAX, Header, Opcode};
use switchboard_wire::websocket::mask;

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let role = choices.pick(&[Role::Server, Role::Client]);
    let deflate = choices.flag();
    masks(&mut choices);
    let bytes = choices.rest();
    let mut told = false;
    for end in 0..=bytes.len().min(HEADER_MAX + 2) {
        let bytes = &bytes[..end];
        match (Header::parse(bytes, role, deflate), twin(bytes, role, deflate)) {
            (Ok(None), Twin::More) => assert!(!told && end < HEADER_MAX, "what was known is known"),
            (Ok(Some((header, taken))), Twin::Header(twin, length)) => {
                assert_eq!((header, taken), (twin, length));
                told = true;
                let mut written = Vec::new();
                header.write(&mut written);
                assert_eq!(written, bytes[..taken], "there is one way to write a header");
            }
            (Err(problem), Twin::Broken) => {
                assert_eq!(problem.code, Code::WsProtocol);
                told = true;
            }
            (read, twin) => panic!("{bytes:x?}: {read:?}, not {twin:?}"),
        }
    }
}

/// Masking in two pieces, wherever it is cut, is the plain loop.
fn masks(choices: &mut Choices<'_>) {
    let (key, offset) = ([choices.byte(), choices.byte(), choices.byte(), choices.byte()], choices.number() >> 1);
    let length = choices.below(40);
    let plain = choices.take(length).to_vec();
    let mut masked = plain.clone();
    let cut = choices.below(plain.len() + 1);
    let (front, back) = masked.split_at_mut(cut);
    mask::apply(key, offset, front);
    mask::apply(key, offset + cut as u64, back);
    let slow = plain.iter().enumerate().map(|(at, byte)| byte ^ key[((offset + at as u64) % 4) as usize]);
    assert_eq!(masked, slow.collect::<Vec<u8>>());
}

#[derive(Debug)]
enum Twin {
    More,
    Header(Header, usize),
    Broken,
}

/// The header at the front of the bytes; broken as soon as no bytes that may follow would mend it.
fn twin(bytes: &[u8], role: Role, deflate: bool) -> Twin {
    let bit = |at: usize| bytes[at / 8] >> (7 - at % 8) & 1 == 1;
    let Some(first) = bytes.first() else { return Twin::More };
    let (fin, compressed, code) = (bit(0), bit(1), first % 16);
    let opcode = match code {
        0 => Opcode::Continuation,
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        _ => return Twin::Broken,
    };
    let begins = code == 1 || code == 2;
    if bit(2) || bit(3) || (compressed && !(deflate && begins)) || (code >= 8 && !fin) {
        return Twin::Broken;
    }
    let Some(second) = bytes.get(1) else { return Twin::More };
    let (masked, short) = (bit(8), second % 128);
    if masked != (role == Role::Server) || (code >= 8 && short > 125) {
        return Twin::Broken;
    }
    let extended = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let Some(digits) = bytes.get(2..2 + extended) else { return Twin::More };
    let length = digits.iter().fold(0_u128, |length, digit| length * 256 + u128::from(*digit));
    if extended > 0 && (length >= 1 << 63 || length < if extended == 2 { 126 } else { 65_536 }) {
        return Twin::Broken;
    }
    let length = if extended == 0 { u64::from(short) } else { length as u64 };
    let key = bytes.get(2 + extended..2 + extended + 4).and_then(|key| <[u8; 4]>::try_from(key).ok());
    match (masked, key) {
        (true, None) => Twin::More,
        (true, mask) => Twin::Header(Header { fin, compressed, opcode, mask, length }, 6 + extended),
        (false, _) => Twin::Header(Header { fin, compressed, opcode, mask: None, length }, 2 + extended),
    }
}
