//! A session with a client of the same library at its other end, and no socket between them.

use super::session::{PLAIN_MAX, RECORD_MAX, Session};
use super::socket::Socket;
use super::tunnel::Tunnel;
use proptest::prelude::*;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ServerConfig};
use std::future::poll_fn;
use std::io::{ErrorKind, Read, Write};
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::Poll;
use std::time::{Duration, SystemTime};
use switchboard_testkit::issuer::{Authority, Term};
use switchboard_testkit::tls::{Files, VERSIONS, client};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop::poll_proceed;

/// A certificate, and what trusts it, in both versions.
static SETTINGS: LazyLock<(Arc<ServerConfig>, [Arc<ClientConfig>; 2])> = LazyLock::new(|| {
    let authority = Authority::new("an authority");
    let files = Files::new(&authority);
    let server = super::configure(&files.certificate(), &files.key()).unwrap();
    (server, VERSIONS.map(|version| Arc::new(client(&authority, &[version]))))
});

/// Both ends of a connection.
struct Pair {
    client: ClientConnection,
    server: Session,
    /// What the server got.
    heard: Vec<u8>,
    /// On its way to the client.
    out: Vec<u8>,
}

impl Pair {
    fn new(version: usize) -> Pair {
        let (server, clients) = &*SETTINGS;
        let name = ServerName::try_from("localhost").unwrap();
        let client = ClientConnection::new(clients[version].clone(), name).unwrap();
        let server = Session::new(server.clone()).unwrap();
        Pair { client, server, heard: Vec::new(), out: Vec::new() }
    }

    /// Has both sides shake hands.
    fn shaken(version: usize) -> Pair {
        let mut pair = Pair::new(version);
        while pair.client.is_handshaking() || !pair.server.is_open() {
            pair.up(usize::MAX).unwrap();
            pair.down();
        }
        pair.down();
        pair
    }

    /// Takes what the client has to say to the server, so many bytes at a time.
    fn up(&mut self, piece: usize) -> std::io::Result<()> {
        let mut bytes = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut bytes).unwrap();
        }
        bytes.chunks(piece.min(bytes.len()).max(1)).try_for_each(|piece| self.feed(piece))
    }

    fn feed(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        let kept = self.server.put_kept(&mut buffer);
        buffer[kept..kept + bytes.len()].copy_from_slice(bytes);
        let heard = &mut self.heard;
        let mut plain = |bytes: &[u8]| heard.extend_from_slice(bytes);
        self.server.take_in(&mut buffer[..kept + bytes.len()], &mut self.out, &mut plain)
    }

    /// Takes what the server has to say to the client: what was in it.
    fn down(&mut self) -> Vec<u8> {
        let out = std::mem::take(&mut self.out);
        let mut rest = &out[..];
        let mut plain = Vec::new();
        while !rest.is_empty() {
            self.client.read_tls(&mut rest).unwrap();
            self.client.process_new_packets().unwrap();
            let _ = self.client.reader().read_to_end(&mut plain);
        }
        plain
    }
}

/// A handshake message that comes in pieces, each in a record of its own, which come in pieces as well.
#[test]
fn a_hello_may_be_in_many_records() {
    for version in 0..2 {
        for piece in [1, 7, 4096] {
            let mut pair = Pair::new(version);
            let mut hello = Vec::new();
            pair.client.write_tls(&mut hello).unwrap();
            let mut cut = Vec::new();
            for part in hello[5..].chunks(50) {
                cut.extend_from_slice(&[22, 3, 1, 0, part.len() as u8]);
                cut.extend_from_slice(part);
            }
            cut.chunks(piece).for_each(|piece| pair.feed(piece).unwrap());
            assert!(!pair.out.is_empty());
            pair.down();
            pair.up(piece).unwrap();
            pair.down();
            assert!(pair.server.is_open() && !pair.client.is_handshaking());
        }
    }
}

#[test]
fn what_comes_with_the_end_of_the_handshake_is_heard() {
    let mut pair = Pair::new(0);
    pair.up(usize::MAX).unwrap();
    pair.down();
    pair.client.refresh_traffic_keys().unwrap();
    pair.client.writer().write_all(b"at once").unwrap();
    pair.client.send_close_notify();
    pair.up(usize::MAX).unwrap();
    assert!(pair.server.is_open() && pair.server.has_ended());
    assert_eq!(pair.heard, b"at once");
    pair.server.seal(b"answered", &mut pair.out).unwrap();
    assert_eq!(pair.down(), b"answered");
}

#[test]
fn keys_change_on_both_sides() {
    let mut pair = Pair::shaken(0);
    for round in 0..5_u8 {
        pair.client.refresh_traffic_keys().unwrap();
        pair.client.writer().write_all(&[round; 10]).unwrap();
        pair.up(usize::MAX).unwrap();
        assert_eq!(std::mem::take(&mut pair.heard), [round; 10]);
        pair.server.seal(&[round; 20], &mut pair.out).unwrap();
        assert_eq!(pair.down(), [round; 20]);
    }
}

/// A socket that has this to read, and nothing more yet.
struct Arrived<'a> {
    bytes: &'a [u8],
    reads: usize,
}

impl Read for Arrived<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        self.reads += 1;
        if self.bytes.is_empty() { Err(ErrorKind::WouldBlock.into()) } else { self.bytes.read(into) }
    }
}

impl Write for Arrived<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What was kept of a record is copied with each read, so that reading it in bits would cost a thousand times what it holds.
#[test]
fn a_long_record_takes_a_read_or_two_also_where_little_is_asked_for() {
    for version in 0..2 {
        for most in [PLAIN_MAX, usize::MAX] {
            let mut pair = Pair::shaken(version);
            pair.client.writer().write_all(&[b'a'; PLAIN_MAX]).unwrap();
            let mut sealed = Vec::new();
            while pair.client.wants_write() {
                pair.client.write_tls(&mut sealed).unwrap();
            }
            let mut tunnel = Tunnel::new(pair.server);
            let (mut socket, mut into) = (Arrived { bytes: &sealed, reads: 0 }, vec![0; 64 << 10]);
            assert_eq!(tunnel.read_into(&mut socket, &mut into, most).unwrap(), PLAIN_MAX);
            assert_eq!(into[..PLAIN_MAX], [b'a'; PLAIN_MAX]);
            assert!(socket.reads <= 2, "{} reads", socket.reads);
        }
    }
}

/// What is left of a turn of a task, in reads, after it has read so many records of a byte, behind each of which the keys may
/// change.
fn left_after(version: usize, records: usize, change: bool) -> u32 {
    let mut pair = Pair::shaken(version);
    let mut sealed = Vec::new();
    for _ in 0..records {
        pair.client.writer().write_all(b"a").unwrap();
        if change {
            pair.client.refresh_traffic_keys().unwrap();
        }
        while pair.client.wants_write() {
            pair.client.write_tls(&mut sealed).unwrap();
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let task = async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (socket, _) = listener.accept().await.unwrap();
        client.write_all(&sealed).await.unwrap();
        while socket.peek(&mut vec![0; sealed.len()]).await.unwrap() < sealed.len() {}
        let mut stream = Socket::new(socket, pair.server);
        // So that it has the whole of a turn.
        tokio::task::yield_now().await;
        poll_fn(move |cx| {
            let mut buffer = vec![0; 2 * records];
            let mut into = ReadBuf::new(&mut buffer);
            assert!(Pin::new(&mut stream).poll_read(cx, &mut into).is_ready());
            assert_eq!(into.filled().len(), records);
            // What it has read counts before it reads on.
            assert!(Pin::new(&mut stream).poll_read(cx, &mut into).is_pending());
            let mut left = 0;
            while let Poll::Ready(proceeds) = poll_proceed(cx) {
                proceeds.made_progress();
                left += 1;
            }
            Poll::Ready(left)
        })
        .await
    };
    runtime.block_on(async { tokio::spawn(task).await.unwrap() })
}

#[test]
fn sixty_four_records_count_for_a_read() {
    for version in 0..2 {
        let left = left_after(version, 1, false);
        assert!(left > 100, "a read is a read: {left}");
        assert_eq!(left_after(version, 512, false), left - 512 / 64);
    }
}

#[test]
fn keys_that_change_count_for_sixteen_records() {
    let version = VERSIONS.iter().position(|version| version.version == rustls::ProtocolVersion::TLSv1_3).unwrap();
    let left = left_after(version, 1, false);
    // A record of data and one that says so come with each.
    assert_eq!(left_after(version, 32, true), left - 32 * (16 + 2) / 64);
}

#[test]
fn a_record_that_comes_byte_by_byte_takes_as_much_as_has_come_and_18_kib_at_most() {
    const LONGEST: usize = (16 << 10) + 256;
    let mut pair = Pair::shaken(0);
    let [high, low] = (LONGEST as u16).to_be_bytes();
    pair.feed(&[23, 3, 3, high, low]).unwrap();
    // All but the last byte, with which it is looked at.
    for _ in 1..LONGEST {
        pair.feed(b"x").unwrap();
    }
    assert_eq!(pair.server.kept(), 5 + LONGEST - 1);
    assert!(pair.server.kept() <= RECORD_MAX && RECORD_MAX <= (18 << 10) + 5);
    // One that says that it is longer is not waited for.
    let mut pair = Pair::shaken(0);
    let [high, low] = (LONGEST as u16 + 1).to_be_bytes();
    assert!(pair.feed(&[23, 3, 3, high, low]).is_err());
}

proptest! {
    #[test]
    fn what_goes_in_at_one_end_comes_out_at_the_other(
        version in 0..2usize,
        piece in 1..5000usize,
        said in prop::collection::vec((any::<bool>(), any::<u8>(), 0..PLAIN_MAX), 1..8),
    ) {
        let mut pair = Pair::new(version);
        while pair.client.is_handshaking() || !pair.server.is_open() {
            pair.up(piece).unwrap();
            pair.down();
        }
        for (up, byte, length) in said {
            let data = vec![byte; length];
            if up {
                pair.client.writer().write_all(&data).unwrap();
                pair.up(piece).unwrap();
                prop_assert!(std::mem::take(&mut pair.heard) == data);
            } else {
                pair.server.seal(&data, &mut pair.out).unwrap();
                prop_assert!(pair.down() == data);
            }
        }
        prop_assert!(!pair.server.has_ended());
        pair.client.send_close_notify();
        pair.up(piece).unwrap();
        prop_assert!(pair.server.has_ended());
    }
}

#[test]
fn a_certificate_that_is_not_valid_takes_no_valid_ones_place_until_it_is() {
    let authority = Authority::new("an authority");
    let files = Files::new(&authority);
    let tls = super::Tls::start(&files.certificate(), &files.key()).unwrap();
    let now = SystemTime::now();
    let later = now + Duration::from_secs(720_500 * 86_400);
    let first = tls.config();
    for (term, why) in [(Term::Past, "expired on 2021-01-01"), (Term::Future, "is not valid before 3999-01-01")] {
        files.replace_for(&authority, term);
        let told = tls.reload(None, now).unwrap_err();
        assert!(told.contains(why), "{told}");
        assert!(Arc::ptr_eq(&tls.config(), &first) && !tls.has_news(now));
    }
    assert!(tls.has_news(later));
    assert_eq!(tls.reload(None, later), Ok(Vec::new()));
    assert!(!Arc::ptr_eq(&tls.config(), &first) && !tls.has_news(later));
}

#[test]
fn a_certificate_that_is_no_longer_valid_gives_way_to_any_other() {
    let authority = Authority::new("an authority");
    let files = Files::new(&authority);
    files.replace_for(&authority, Term::Past);
    let tls = super::Tls::start(&files.certificate(), &files.key()).unwrap();
    let now = SystemTime::now();
    files.replace_for(&authority, Term::Past);
    let doubts = tls.reload(None, now).unwrap();
    assert!(doubts.len() == 1 && doubts[0].contains("expired on 2021-01-01"), "{doubts:?}");
    files.replace(&authority);
    assert_eq!(tls.reload(None, now), Ok(Vec::new()));
}
