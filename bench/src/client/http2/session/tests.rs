//! A server's bytes, written by hand.

use super::*;
use proptest::prelude::*;

const SMALL: Windows = Windows { stream: 1_000, connection: WINDOW };

/// A session with so many requests sent; what it said is forgotten.
fn session(requests: usize) -> Session {
    let mut session = Session::new(SMALL);
    (0..requests).for_each(|_| session.request(b"\x82", &mut Vec::new()));
    session
}

/// Type, flags, stream and payload of a frame.
type Written<'a> = (u8, u8, u32, &'a [u8]);

/// Frames, one after the other.
fn frames(frames: &[Written<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    frames.iter().for_each(|(kind, flags, stream, payload)| frame::write(*kind, *flags, *stream, payload, &mut out));
    out
}

/// What happens when the input comes cut at these places, as text, and what is said to it.
fn happens(session: &mut Session, input: &[u8], cuts: &[usize]) -> (Vec<String>, Vec<u8>) {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    cuts.push(input.len());
    cuts.sort_unstable();
    let (mut events, mut out, mut from) = (Vec::new(), Vec::new(), 0);
    for cut in cuts {
        let joined = session.join(&input[from..cut]);
        let mut rest = joined.as_deref().unwrap_or(&input[from..cut]);
        while let Some(event) = session.next(&mut rest, &mut out) {
            events.push(match event {
                Event::Data { stream, data } => format!("{stream}: {}", String::from_utf8_lossy(data)),
                Event::Head { stream, status } => format!("{stream}: status {status}"),
                Event::Over { stream, why } => format!("{stream}: {why}"),
                other => format!("{other:?}"),
            });
        }
        session.keep(rest);
        from = cut;
    }
    (events, out)
}

/// The one thing that happens, without cuts.
#[track_caller]
fn only(requests: usize, input: &[Written<'_>]) -> String {
    let (mut events, _) = happens(&mut session(requests), &frames(input), &[]);
    assert_eq!(events.len(), 1, "{events:?}");
    events.remove(0)
}

#[test]
fn a_client_begins_with_the_preface_its_settings_and_its_window() {
    let mut out = Vec::new();
    let mut session = Session::new(Windows { stream: 4, connection: WINDOW + 2 });
    session.begin(&mut out);
    let said = out.strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    let settings = [0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 4, 0, 0, 0, 4];
    assert_eq!(said, frames(&[(4, 0, 0, &settings), (8, 0, 0, &[0, 0, 0, 2])]));
    out.clear();
    session.request(b"\x82", &mut out);
    session.request(b"\x82", &mut out);
    assert_eq!(out, frames(&[(1, 5, 1, b"\x20\x82"), (1, 5, 3, b"\x82")]));
}

#[test]
fn what_a_server_asks_is_answered() {
    let input = frames(&[
        (kind::SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 250]),
        (kind::SETTINGS, flag::ACK, 0, &[]),
        (kind::PING, 0, 0, b"12345678"),
        (kind::PING, flag::ACK, 0, b"87654321"),
        (kind::SETTINGS, 0, 0, &[]),
        (kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]),
        (0xfa, 0xff, 77, b"unknown"),
    ]);
    let (events, out) = happens(&mut session(0), &input, &[]);
    assert_eq!(events, ["Ready { streams: 250 }"]);
    let answers = [
        (kind::SETTINGS, flag::ACK, 0, &b""[..]),
        (kind::PING, flag::ACK, 0, b"12345678"),
        (kind::SETTINGS, flag::ACK, 0, b""),
    ];
    assert_eq!(out, frames(&answers));
}

#[test]
fn a_stream_may_go_on_when_half_of_its_window_was_read() {
    let mut session = session(2);
    let data = |count| frames(&[(kind::DATA, 0, 3, &vec![b'x'; count])]);
    let mut out = Vec::new();
    let (events, _) = happens(&mut session, &data(499), &[]);
    assert_eq!(events.len(), 1);
    session.taken(1, &mut out);
    assert!(out.is_empty());
    // Padding counts: three bytes of it, and the one that says so.
    let padded = frames(&[(kind::DATA, flag::PADDED, 3, b"\x03abc\0\0\0")]);
    assert_eq!(happens(&mut session, &padded, &[]).0, ["1: abc"]);
    session.taken(1, &mut out);
    assert_eq!(out, frames(&[(kind::WINDOW_UPDATE, 0, 3, &506_u32.to_be_bytes())]));
    // Who reads nothing is not told to go on, and a server that goes on all the same is at fault.
    let (events, _) = happens(&mut session, &[data(1_000), data(1)].concat(), &[]);
    assert_eq!(events[1..], ["Broken(\"the server sends more than the windows allow\")"]);
}

#[test]
fn the_connection_goes_on_whoever_reads() {
    let mut session = session(100);
    let data: Vec<u8> =
        (0..66).flat_map(|stream| frames(&[(kind::DATA, 0, identifier(stream), &[0; 1_000])])).collect();
    let (events, out) = happens(&mut session, &data, &[]);
    assert_eq!(events.len(), 66);
    let update = (kind::WINDOW_UPDATE, 0, 0, &33_000_u32.to_be_bytes()[..]);
    assert_eq!(out, frames(&[update, update]));
}

#[test]
fn ends_of_all_kinds_are_noticed() {
    assert_eq!(only(2, &[(kind::RST_STREAM, 0, 3, &[0, 0, 0, 7])]), "1: the server reset the stream: REFUSED_STREAM");
    assert_eq!(
        only(3, &[(kind::GOAWAY, 0, 0, &[0, 0, 0, 3, 0, 0, 0, 11])]),
        "Leaving { streams: 2, why: \"the server goes away: ENHANCE_YOUR_CALM\" }"
    );
    assert_eq!(
        only(1, &[(kind::GOAWAY, 0, 0, &[0; 8])]),
        "Leaving { streams: 0, why: \"the server goes away: NO_ERROR\" }"
    );
    assert_eq!(only(1, &[(kind::HEADERS, 5, 1, b"\0\x01a\x01b")]), "0: the response ended");
    let (events, _) = happens(&mut session(1), &frames(&[(kind::HEADERS, 5, 1, b"\x8d")]), &[]);
    assert_eq!(events, ["0: status 404", "0: the response ended"]);
}

#[test]
fn what_no_server_may_send_breaks_the_connection() {
    let head = (kind::HEADERS, 0, 1, &b"\x88"[..]);
    let wrong: [&[Written<'_>]; 12] = [
        &[(kind::DATA, 0, 0, b"x")],
        &[(kind::DATA, 0, 2, b"x")],
        &[(kind::DATA, 0, 3, b"x")],
        &[(kind::DATA, flag::PADDED, 1, b"\x01")],
        &[(kind::HEADERS, flag::END_HEADERS, 1, b"\xbe")],
        &[(kind::HEADERS, flag::END_HEADERS | flag::PRIORITY, 1, b"\x88")],
        &[head, (kind::DATA, 0, 1, b"x")],
        &[head, (kind::CONTINUATION, flag::END_HEADERS, 3, b"")],
        &[(kind::CONTINUATION, flag::END_HEADERS, 1, b"\x88")],
        &[(kind::SETTINGS, 0, 0, b"12345")],
        &[(kind::PUSH_PROMISE, 0, 1, &[0; 4])],
        &[(kind::GOAWAY, 0, 0, b"123")],
    ];
    for input in wrong {
        let after = [input, &[(kind::PING, 0, 0, &[0; 8])]].concat();
        let (events, out) = happens(&mut session(1), &frames(&after), &[]);
        assert!(matches!(&events[..], [event] if event.starts_with("Broken")), "{input:?}: {events:?}");
        assert!(out.is_empty());
    }
}

proptest! {
    #[test]
    fn frames_are_understood_wherever_they_are_cut(cuts in prop::collection::vec(any::<usize>(), 0..40)) {
        let input = frames(&[
            (kind::SETTINGS, 0, 0, &[]),
            (kind::HEADERS, flag::END_HEADERS, 1, b"\x88"),
            (kind::HEADERS, flag::PADDED | flag::PRIORITY, 3, b"\x02\0\0\0\0\x10\x08\0\0"),
            (kind::CONTINUATION, 0, 3, b"\x033"),
            (kind::CONTINUATION, flag::END_HEADERS, 3, b"02"),
            (kind::HEADERS, flag::END_HEADERS, 5, b"\x08\x03103"),
            (kind::DATA, 0, 1, b"data: a\n\n"),
            (kind::DATA, flag::PADDED, 3, b"\x01data: b\n\n\0"),
            (kind::DATA, flag::END_STREAM, 1, b""),
        ]);
        let expected = [
            "Ready { streams: 4294967295 }", "0: status 200", "1: status 302", "0: data: a\n\n", "1: data: b\n\n",
            "0: ", "0: the response ended",
        ];
        prop_assert_eq!(happens(&mut session(3), &input, &cuts).0, expected);
    }

    #[test]
    fn no_input_panics(input in prop::collection::vec(0..12_u8, 0..300), cut: usize) {
        happens(&mut session(2), &input, &[cut]);
    }

    #[test]
    fn no_frames_panic(
        input in prop::collection::vec((0..11_u8, any::<u8>(), 0..6_u32, prop::collection::vec(any::<u8>(), 0..20)), 0..20),
    ) {
        let input: Vec<_> = input.iter().map(|(kind, flags, stream, payload)| (*kind, *flags, *stream, &payload[..])).collect();
        happens(&mut session(2), &frames(&input), &[]);
    }
}
