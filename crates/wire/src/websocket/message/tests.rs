use super::*;
use crate::websocket::deflate::Deflate;
use crate::websocket::{close, write};
use proptest::prelude::*;

const LIMITS: Limits = Limits { message: 1 << 16, fragments: 100 };

fn server(deflate: bool) -> Reader {
    Reader::new(Role::Server, deflate, LIMITS)
}

/// Feeds the pieces and gathers the events, and the code it ends with.
fn read_pieces<'a>(reader: &mut Reader, pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Incoming>, Option<Code>) {
    let (mut inflaters, mut events) = (Inflaters::new(), Vec::new());
    for piece in pieces {
        let mut piece = piece.to_vec();
        let mut rest = &mut piece[..];
        loop {
            match reader.read(&mut rest, &mut inflaters) {
                Ok(Some(event)) => events.push(event),
                Ok(None) => break,
                Err(problem) => return (events, Some(problem.code)),
            }
        }
        assert!(rest.is_empty(), "a reader that waits has taken everything");
    }
    (events, None)
}

fn read(reader: &mut Reader, input: &[u8]) -> (Vec<Incoming>, Option<Code>) {
    read_pieces(reader, std::iter::once(input))
}

/// One frame from a client.
fn frame(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write::write_frame(fin, false, opcode, payload, Some([0x11, 0x92, 0xe3, 0x04]), &mut out);
    out
}

#[test]
fn an_idle_reader_is_small_and_holds_nothing() {
    assert_eq!(size_of::<Reader>(), 24);
    let mut reader = server(false);
    assert!(reader.is_idle());
    let message = frame(true, Opcode::Text, b"hello");
    for end in 1..message.len() {
        assert_eq!(read(&mut reader, &message[..end]), (vec![], None));
        assert!(!reader.is_idle() && reader.held() > 0);
        assert_eq!(read(&mut reader, &message[end..]), (vec![Incoming::Text("hello".into())], None));
        assert!(reader.is_idle() && reader.held() == 0);
    }
}

#[test]
fn between_fragments_a_reader_is_not_idle() {
    let mut reader = server(false);
    read(&mut reader, &frame(false, Opcode::Text, b""));
    assert!(!reader.is_idle());
    let (events, failed) = read(&mut reader, &frame(true, Opcode::Ping, b"!"));
    assert_eq!((events, failed), (vec![Incoming::Ping("!".into())], None));
    assert!(!reader.is_idle());
    read(&mut reader, &frame(true, Opcode::Continuation, b""));
    assert!(reader.is_idle());
}

#[test]
fn announcing_a_long_message_takes_no_memory() {
    let mut reader = server(false);
    let message = frame(true, Opcode::Binary, &[7; 60_000]);
    read(&mut reader, &message[..100]);
    assert!(reader.held() < 500, "{}", reader.held());
    let (events, _) = read(&mut reader, &message[100..]);
    assert_eq!(events, [Incoming::Binary(vec![7; 60_000].into())]);
}

#[test]
fn bad_text_fails_where_it_is_and_not_at_the_end_of_its_frame() {
    // The second byte of a surrogate, in a frame of which most has not arrived.
    let message = frame(true, Opcode::Text, b"\xed\xa0 and much more");
    let mut reader = server(false);
    assert_eq!(read(&mut reader, &message[..7]), (vec![], None));
    assert_eq!(read(&mut reader, &message[7..8]), (vec![], Some(Code::InvalidText)));
}

#[test]
fn text_that_stops_within_a_character_fails_at_the_end_of_its_message() {
    let mut reader = server(false);
    let (events, failed) = read(&mut reader, &frame(false, Opcode::Text, b"\xe2\x82"));
    assert_eq!((events, failed), (vec![], None));
    assert_eq!(read(&mut reader, &frame(true, Opcode::Continuation, b"")), (vec![], Some(Code::InvalidText)));
}

#[test]
fn after_a_close_or_a_failure_nothing_more_is_read() {
    for mut input in [frame(true, Opcode::Close, b""), frame(true, Opcode::Continuation, b"")] {
        input.extend_from_slice(&frame(true, Opcode::Text, b"late"));
        let mut reader = server(false);
        let (events, failed) = read(&mut reader, &input);
        assert_eq!(events.len() + usize::from(failed.is_some()), 1);
        assert!(reader.is_done() && !reader.is_idle() && reader.held() == 0);
        assert_eq!(read(&mut reader, &input), (vec![], None));
    }
}

#[test]
fn the_limit_holds_before_the_payload_arrives() {
    let at = frame(true, Opcode::Binary, &[1; 1 << 16]);
    let beyond = frame(true, Opcode::Binary, &[1; (1 << 16) + 1]);
    assert_eq!(read(&mut server(false), &at).0.len(), 1);
    assert_eq!(read(&mut server(false), &beyond[..14]), (vec![], Some(Code::TooLarge)));
    assert_eq!(read(&mut server(false), &beyond), (vec![], Some(Code::TooLarge)));
    let mut reader = server(false);
    assert_eq!(read(&mut reader, &frame(false, Opcode::Binary, &[1; 1 << 15])), (vec![], None));
    let rest = frame(true, Opcode::Continuation, &[1; (1 << 15) + 1]);
    assert_eq!(read(&mut reader, &rest[..8]), (vec![], Some(Code::TooLarge)));
}

#[test]
fn a_message_has_only_so_many_fragments() {
    let full = || {
        let mut reader = server(false);
        read(&mut reader, &frame(false, Opcode::Binary, b""));
        for _ in 1..LIMITS.fragments {
            assert_eq!(read(&mut reader, &frame(false, Opcode::Continuation, b"")), (vec![], None));
        }
        reader
    };
    for (fin, payload) in [(false, &b""[..]), (false, b"x"), (true, b"x")] {
        let beyond = frame(fin, Opcode::Continuation, payload);
        assert_eq!(read(&mut full(), &beyond), (vec![], Some(Code::TooLarge)), "fin: {fin}, {payload:?}");
    }
    let end = frame(true, Opcode::Continuation, b"");
    assert_eq!(read(&mut full(), &end), (vec![Incoming::Binary(Bytes::new())], None), "an empty end does not count");
}

#[test]
fn blocks_without_content_do_not_go_on_for_ever() {
    let empty = [0x00, 0x00, 0x00, 0xff, 0xff].repeat(1000);
    let mut reader = server(true);
    let mut out = Vec::new();
    write::write_frame(false, true, Opcode::Binary, &empty, Some([0; 4]), &mut out);
    let mut failed = read(&mut reader, &out).1;
    for _ in 0..20 {
        let rest = frame(false, Opcode::Continuation, &empty);
        failed = failed.or(read(&mut reader, &rest).1);
    }
    assert_eq!(failed, Some(Code::TooLarge));
}

#[test]
fn a_bomb_stops_at_the_limit_whole_or_in_pieces() {
    let bomb = Deflate::new(15).message(&vec![b'a'; 1 << 22]).unwrap();
    let mut out = Vec::new();
    write::write_frame(true, true, Opcode::Text, &bomb, Some([1, 2, 3, 4]), &mut out);
    assert_eq!(read(&mut server(true), &out), (vec![], Some(Code::TooLarge)));
    let mut reader = server(true);
    let mut inflaters = Inflaters::new();
    for mut byte in out {
        let found = reader.read(&mut &mut std::slice::from_mut(&mut byte)[..], &mut inflaters);
        assert!(reader.held() < LIMITS.message + 1024);
        match found {
            Ok(event) => assert!(event.is_none()),
            Err(problem) => return assert_eq!(problem.code, Code::TooLarge),
        }
    }
    panic!("a bomb was read to its end");
}

/// A step of a conversation, as one side sends it.
#[derive(Clone, Debug)]
enum Sent {
    /// Text or binary, cut into fragments at these places, with a ping after each.
    Message {
        text: bool,
        payload: Vec<u8>,
        compressed: bool,
        cuts: Vec<prop::sample::Index>,
        pings: bool,
    },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn sent() -> impl Strategy<Value = Sent> {
    let text = "\\PC{0,200}".prop_map(|text| (true, text.into_bytes()));
    let binary = prop::collection::vec(any::<u8>(), 0..400).prop_map(|bytes| (false, bytes));
    let long = (0usize..70).prop_map(|times| (false, b"long".repeat(times * 200)));
    let payload = prop_oneof![text, binary, long];
    let cuts = prop::collection::vec(any::<prop::sample::Index>(), 0..5);
    let message =
        (payload, any::<bool>(), cuts, any::<bool>()).prop_map(|((text, payload), compressed, cuts, pings)| {
            Sent::Message { text, payload, compressed, cuts, pings }
        });
    let control = prop::collection::vec(any::<u8>(), 0..=125);
    prop_oneof![4 => message, 1 => control.clone().prop_map(Sent::Ping), 1 => control.prop_map(Sent::Pong)]
}

/// Writes what was sent, and gives what should be received.
fn write_all(sent: &[Sent], deflate: bool, mask: Option<[u8; 4]>) -> (Vec<u8>, Vec<Incoming>) {
    let (mut out, mut events) = (Vec::new(), Vec::new());
    let mut compressor = Deflate::new(15);
    for step in sent {
        match step {
            Sent::Ping(payload) => {
                write::write_ping(payload, mask, &mut out);
                events.push(Incoming::Ping(payload.clone().into()));
            }
            Sent::Pong(payload) => {
                write::write_pong(payload, mask, &mut out);
                events.push(Incoming::Pong(payload.clone().into()));
            }
            Sent::Message { text, payload, compressed, cuts, pings } => {
                let compressed = *compressed && deflate;
                let data = if compressed { compressor.message(payload).unwrap() } else { payload.clone() };
                let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(data.len() + 1)).collect();
                cuts.sort_unstable();
                cuts.push(data.len());
                let mut from = 0;
                for (i, &to) in cuts.iter().enumerate() {
                    let opcode = match (i, text) {
                        (0, true) => Opcode::Text,
                        (0, false) => Opcode::Binary,
                        _ => Opcode::Continuation,
                    };
                    let fin = i + 1 == cuts.len();
                    write::write_frame(fin, compressed && i == 0, opcode, &data[from..to], mask, &mut out);
                    if *pings && !fin {
                        write::write_ping(&[i as u8], mask, &mut out);
                        events.push(Incoming::Ping(vec![i as u8].into()));
                    }
                    from = to;
                }
                let data = payload.clone().into();
                events.push(if *text { Incoming::Text(data) } else { Incoming::Binary(data) });
            }
        }
    }
    (out, events)
}

/// Cuts the input where the sizes say, beginning again with the first size.
fn cut<'a>(mut input: &'a [u8], sizes: &'a [usize]) -> impl Iterator<Item = &'a [u8]> {
    let mut sizes = sizes.iter().cycle();
    std::iter::from_fn(move || {
        let (piece, rest) = input.split_at(input.len().min(*sizes.next()?));
        input = rest;
        (!piece.is_empty()).then_some(piece)
    })
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![4 => 1usize..8, 2 => 1usize..300, 1 => 1usize..20_000], 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_one_side_writes_the_other_reads_however_it_arrives(
        sent in prop::collection::vec(sent(), 0..6),
        from_client: bool,
        deflate: bool,
        key: [u8; 4],
        sizes in sizes(),
    ) {
        let (role, mask) = if from_client { (Role::Server, Some(key)) } else { (Role::Client, None) };
        let (mut bytes, mut expected) = write_all(&sent, deflate, mask);
        let mut reader = Reader::new(role, deflate, LIMITS);
        prop_assert_eq!(read(&mut reader, &bytes), (expected.clone(), None));
        prop_assert!(reader.is_idle());

        close::write_close(4000, "enough", mask, &mut bytes);
        expected.push(Incoming::Close(Close { code: Some(4000), reason: "enough".into() }));
        let mut reader = Reader::new(role, deflate, LIMITS);
        prop_assert_eq!(read_pieces(&mut reader, cut(&bytes, &sizes)), (expected, None));
        prop_assert!(reader.is_done());
    }

    #[test]
    fn garbage_is_read_refused_or_waited_on_the_same_however_it_arrives(
        sent in prop::collection::vec(sent(), 0..3),
        garbage in prop::collection::vec(any::<u8>(), 0..300),
        broken in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        from_client: bool,
        deflate: bool,
        sizes in sizes(),
    ) {
        let (role, mask) = if from_client { (Role::Server, Some([9, 8, 7, 6])) } else { (Role::Client, None) };
        let (mut bytes, _) = write_all(&sent, deflate, mask);
        bytes.extend_from_slice(&garbage);
        for (at, byte) in broken {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        let limits = Limits { message: 2000, fragments: 4 };
        let mut whole = Reader::new(role, deflate, limits);
        let mut pieces = Reader::new(role, deflate, limits);
        let expected = read(&mut whole, &bytes);
        let found = read_pieces(&mut pieces, cut(&bytes, &sizes));
        prop_assert_eq!(&found.0, &expected.0);
        prop_assert_eq!(found.1.is_some(), expected.1.is_some());
        prop_assert_eq!(pieces.is_idle(), whole.is_idle());
    }

    #[test]
    fn text_in_pieces_is_text_just_if_the_whole_is(
        text in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..12),
            ("\\PC{0,30}", any::<prop::sample::Index>(), any::<u8>()).prop_map(|(text, at, byte)| {
                let mut bytes = text.into_bytes();
                bytes.push(b'.');
                let at = at.index(bytes.len());
                bytes[at] = byte;
                bytes
            }),
            "\\PC{0,30}".prop_map(String::into_bytes),
        ],
        sizes in prop::collection::vec(1usize..5, 1..6),
    ) {
        // Each piece is a fragment, and arrives byte by byte.
        let mut bytes = frame(false, Opcode::Text, b"");
        for piece in cut(&text, &sizes) {
            bytes.extend_from_slice(&frame(false, Opcode::Continuation, piece));
        }
        bytes.extend_from_slice(&frame(true, Opcode::Continuation, b""));
        let (events, failed) = read_pieces(&mut server(false), bytes.chunks(1));
        match std::str::from_utf8(&text) {
            Ok(_) => prop_assert_eq!((events, failed), (vec![Incoming::Text(text.into())], None)),
            Err(_) => prop_assert_eq!((events, failed), (vec![], Some(Code::InvalidText))),
        }
    }
}
