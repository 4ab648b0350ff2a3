//! Streams that are compressed for clients which take gzip: what arrives is the same, as it is published, and the whole
//! body is one gzip member with a true sum at its end.

use flate2::write::GzDecoder;
use std::io::Write as _;
use std::time::Duration;
use switchboard::Config;
use switchboard_testkit::{Server, Streamed, config};

const SSE: (&str, &str) = ("Accept", "text/event-stream");
const LINES: (&str, &str) = ("Accept", "application/x-ndjson");
const GZIP: (&str, &str) = ("Accept-Encoding", "deflate, gzip;q=0.5");

fn server() -> Server {
    Server::start(Config { gzip: true, ..config() })
}

/// A compressed body, read as it comes.
struct Gunzip {
    stream: Streamed,
    decoder: GzDecoder<Vec<u8>>,
}

impl Gunzip {
    fn new(stream: Streamed) -> Gunzip {
        assert_eq!(stream.head.field("content-encoding"), Some("gzip"));
        assert!(stream.head.lists("vary", "accept-encoding") && stream.head.lists("vary", "accept"));
        Gunzip { stream, decoder: GzDecoder::new(Vec::new()) }
    }

    /// Reads until the text ends with this.
    fn read_through(&mut self, end: &str) -> String {
        while !self.text().ends_with(end) {
            let piece = self.stream.data();
            self.decoder.write_all(&piece).unwrap();
            self.decoder.flush().unwrap();
        }
        self.text()
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.decoder.get_ref()).into_owned()
    }

    /// Reads to the end, where the sum is checked.
    fn finish(mut self) -> String {
        let (rest, clean) = self.stream.rest();
        assert!(clean);
        self.decoder.write_all(&rest).unwrap();
        String::from_utf8(self.decoder.finish().unwrap()).unwrap()
    }
}

#[test]
fn what_arrives_is_the_same_and_the_sum_at_the_end_is_true() {
    let server = server();
    let open = |fields: &[(&str, &str)]| server.stream("/channels/a", fields);
    for accept in [SSE, LINES] {
        let (mut plain, mut packed) = (open(&[accept]), Gunzip::new(open(&[accept, GZIP])));
        assert_eq!(plain.head.field("content-encoding"), None);
        let large = "{\"bid\":1.5,\"ask\":1.6} ".repeat(2000);
        for data in ["short", &large, "", "after"] {
            server.publish("a", data);
        }
        let mark = if accept == SSE { "data: after\n\n" } else { "\"after\"" };
        packed.read_through(if accept == SSE { mark } else { "}\n" });
        server.end("a");
        let (expected, _) = plain.rest();
        assert_eq!(packed.finish(), String::from_utf8(expected).unwrap());
        server.delete("/channels/a").expect(204);
    }
}

#[test]
fn a_slow_reader_and_one_that_catches_up_get_a_true_sum_as_well() {
    let server = Server::start(Config { gzip: true, heartbeat: Duration::from_millis(50), ..config() });
    let slow = server.stream("/channels/a", &[SSE, GZIP]);
    let mut published = String::new();
    for i in 0..900u32 {
        // Hard to compress, so that it fills the socket.
        let noise: String = (0..8000).map(|_| char::from(fastrand::alphanumeric() as u8)).collect();
        server.publish("a", &noise);
        published.push_str(&format!("{i}:{noise}\n"));
    }
    let behind = server.stream("/channels/a?since=earliest", &[SSE, GZIP]);
    server.end("a");
    let (slow, behind) = (Gunzip::new(slow).finish(), Gunzip::new(behind).finish());
    for heard in [slow, behind] {
        let data = heard.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| data.len() == 8000);
        let heard: String = data.enumerate().map(|(i, noise)| format!("{i}:{noise}\n")).collect();
        assert!(heard == published, "{} of {} bytes", heard.len(), published.len());
    }
}

#[test]
fn only_clients_that_take_gzip_get_it_and_only_where_it_is_configured() {
    let server = server();
    for (accepts, packed) in [
        ("gzip", true),
        ("x-gzip", true),
        ("*", true),
        ("br, *;q=0.1", true),
        ("gzip;q=0", false),
        ("gzip;q=0, *", false),
        ("br", false),
        ("identity", false),
    ] {
        let stream = server.stream("/channels/a", &[SSE, ("Accept-Encoding", accepts)]);
        assert_eq!(stream.head.field("content-encoding").is_some(), packed, "{accepts}");
    }
    let raw = server.stream("/channels/a?form=raw", &[LINES, GZIP]);
    assert_eq!(raw.head.field("content-encoding"), None, "a body without framing is sent as it is");
    let plain = Server::new().stream("/channels/a", &[SSE, GZIP]);
    assert_eq!((plain.head.field("content-encoding"), plain.head.lists("vary", "accept-encoding")), (None, false));
}

#[test]
fn a_drain_ends_a_compressed_stream_cleanly() {
    let server = server();
    let mut stream = Gunzip::new(server.stream("/channels/a", &[SSE, GZIP]));
    stream.read_through("\n\n");
    let drained = std::thread::spawn(move || server.drain());
    assert!(stream.finish().contains("event: $closing\ndata: {\"code\":\"draining\""));
    drained.join().unwrap();
}
