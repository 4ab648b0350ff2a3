//! What `vectors/websocket` says, read by the reader and answered by the handshake.

#![allow(clippy::unwrap_used, reason = "helpers of a test, which the lints cannot tell from other code")]

use switchboard_vectors::{Case, Event, Side, websocket};
use switchboard_wire::websocket::close::Close;
use switchboard_wire::websocket::deflate::Inflaters;
use switchboard_wire::websocket::message::{Incoming, Limits, Reader};
use switchboard_wire::websocket::{Role, handshake};

/// What the reader should make of an event.
fn incoming(event: Event) -> Incoming {
    match event {
        Event::Text(text) => Incoming::Text(text.into()),
        Event::Binary(data) => Incoming::Binary(data.into()),
        Event::Ping(payload) => Incoming::Ping(payload.into()),
        Event::Pong(payload) => Incoming::Pong(payload.into()),
        Event::Close(code, reason) => Incoming::Close(Close { code, reason: reason.into() }),
    }
}

/// Reads the pieces to their end; gives the events, and the code and the number of the piece at which it failed.
fn read<'a>(case: &Case, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Incoming>, Option<(u16, usize)>) {
    let role = match case.role {
        Side::Server => Role::Server,
        Side::Client => Role::Client,
    };
    let limits = Limits { message: case.limit, fragments: case.fragments };
    let mut reader = Reader::new(role, case.deflate, limits);
    let (mut inflaters, mut events, mut failed) = (Inflaters::new(), Vec::new(), None);
    for (number, piece) in pieces.enumerate() {
        let mut piece = piece.to_vec();
        let mut rest = &mut piece[..];
        loop {
            match reader.read(&mut rest, &mut inflaters) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(problem) => {
                    let before = failed.replace((problem.code.row().close, number));
                    assert_eq!(before, None, "{}: it fails once, and what follows is swallowed", case.name);
                }
            }
        }
    }
    (events, failed)
}

/// Comparing large messages with `assert_eq` would print them.
fn same(found: &[Incoming], expected: &[Incoming]) -> bool {
    found == expected
}

#[test]
fn the_reader_does_what_the_vectors_say() {
    let mut count = 0;
    for mut case in websocket() {
        let expected: Vec<Incoming> = std::mem::take(&mut case.events).into_iter().map(incoming).collect();
        let name = &case.name;

        let (found, failed) = read(&case, case.pieces.iter().map(|piece| piece.bytes.as_slice()));
        assert!(same(&found, &expected), "{name}: other events");
        let last = case.pieces.len() - 1;
        assert_eq!(failed, case.fails.map(|code| (code, last)), "{name}: the code, and the piece at which it failed");

        let whole = case.whole();
        // The smaller the pieces are, the longer it takes, and the less is new about the last of a million.
        let sizes = [(usize::MAX, usize::MAX), (1, 1 << 17), (7, 1 << 18), (4099, usize::MAX)];
        for (size, _) in sizes.into_iter().filter(|(_, most)| whole.len() <= *most) {
            let (found, failed) = read(&case, whole.chunks(size));
            assert!(same(&found, &expected), "{name}, in pieces of {size} bytes: other events");
            assert_eq!(failed.map(|(code, _)| code), case.fails, "{name}, in pieces of {size} bytes");
        }
        count += 1;
    }
    assert!(count >= 400, "only {count} vectors were found");
}

#[test]
fn the_handshake_answers_an_offer_as_the_vectors_say() {
    let mut count = 0;
    for case in websocket() {
        let Some(offer) = case.offer else { continue };
        let fields = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Extensions", &offer),
        ];
        let headers = fields.iter().map(|(name, value)| (*name, value.as_bytes()));
        let accepted = handshake::accept("GET", (1, 1), headers, &[], true).unwrap();
        assert_eq!(accepted.extensions(), case.answer, "{}", case.name);
        assert_eq!(accepted.deflate.is_some(), case.deflate, "{}", case.name);
        count += 1;
    }
    assert!(count >= 15, "only {count} offers were found");
}
