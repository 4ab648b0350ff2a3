//! TLS: a session of the server's with anything at its other end, or with a client that says what the input has it say.

use crate::choices::Choices;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::io::{Read, Write};
use std::ops::RangeInclusive;
use std::sync::{Arc, LazyLock};
use switchboard::inside::{Secured, Session};

/// What one session keeps of records that have not arrived whole.
const KEPT_MAX: usize = 5 + (16 << 10) + 2048;
/// What a server says in a handshake at most, an alert and its answers to new keys included.
const SAID_MAX: usize = 8 << 10;

/// What clients here say.
const SAID: u8 = b'a';

/// Changes of keys that bring nothing with them which any client may make: the table in `docs/security.md`.
const CHANGES: usize = 32;

/// A server, and clients of it in TLS 1.3 and 1.2.
static ENDS: LazyLock<(Secured, [Arc<ClientConfig>; 2])> = LazyLock::new(|| {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let path = |name: &str| std::env::temp_dir().join(format!("switchboard-fuzz-{}-{name}", std::process::id()));
    let (certificate_file, key_file) = (path("certificate.pem"), path("key.pem"));
    std::fs::write(&certificate_file, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let secured = Secured::new(&certificate_file, &key_file).unwrap();
    for file in [certificate_file, key_file] {
        std::fs::remove_file(file).unwrap();
    }
    let clients = [&rustls::version::TLS13, &rustls::version::TLS12].map(|version| {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(certificate.der().to_vec())).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
    });
    (secured, clients)
});

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    match choices.below(3) {
        0 => anything(&mut choices),
        kind => conversation(&mut choices, kind - 1),
    }
}

/// Bytes that nobody sealed, and what becomes of the session.
fn anything(choices: &mut Choices<'_>) {
    let piece = 1 + choices.below(300);
    let mut end = End::new();
    for bytes in choices.rest().chunks(piece) {
        if end.feed(bytes).is_err() {
            break;
        }
    }
    assert!(end.plain.is_empty() && !end.session.is_open(), "nobody shook hands");
    assert!(end.said.len() <= SAID_MAX, "{} bytes", end.said.len());
}

/// The server's side, and all that came of it.
struct End {
    session: Session,
    /// To the client.
    said: Vec<u8>,
    plain: Vec<u8>,
}

impl End {
    fn new() -> End {
        End { session: ENDS.0.session().unwrap(), said: Vec::new(), plain: Vec::new() }
    }

    fn feed(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let fed = self.session.feed(bytes, &mut self.said, &mut self.plain);
        assert!(self.session.kept() <= KEPT_MAX, "{} bytes are kept", self.session.kept());
        if fed.is_err() {
            assert!(!self.session.is_open() && self.session.seal(b"more", &mut Vec::new()).is_err(), "it is over");
        }
        fed
    }

    /// Takes in what the client has sealed, of which so much was said in all. `false` if the client has changed its keys
    /// so often, `changes` in all, that it was ended.
    fn hear(&mut self, sealed: &[u8], piece: usize, said: usize, changes: usize) -> bool {
        if let Err(error) = sealed.chunks(piece).try_for_each(|bytes| self.feed(bytes)) {
            assert!(changes > CHANGES, "{error}, after {changes} changes");
            return false;
        }
        assert!(self.plain.len() == said && self.plain.iter().all(|byte| *byte == SAID));
        true
    }
}

/// A client that keeps to the protocol, until somebody on the way does not.
fn conversation(choices: &mut Choices<'_>, version: usize) {
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(ENDS.1[version].clone(), name).unwrap();
    let mut end = End::new();
    let piece = 1 + choices.below(4000);
    // What follows the handshake may come with the last of it.
    let early = choices.flag();
    let (mut said, mut changes) = (0, 0);
    while client.is_handshaking() || !end.session.is_open() {
        let mut sealed = take(&mut client);
        if early && !client.is_handshaking() {
            said += say(&mut client, choices);
            sealed.extend(take(&mut client));
        }
        end.hear(&sealed, piece, said, changes);
        hear(&mut client, &mut end, &[]);
    }
    while !choices.is_empty() && !end.session.has_ended() {
        match choices.below(6) {
            0 => {
                let more = say(&mut client, choices);
                let sealed = take(&mut client);
                return spoil(choices, end, sealed, piece, said..=said + more);
            }
            1 => {
                let data = vec![choices.byte(); choices.below(16 << 10)];
                end.session.seal(&data, &mut end.said).unwrap();
                hear(&mut client, &mut end, &data);
            }
            2 if version == 0 => {
                client.refresh_traffic_keys().unwrap();
                changes += 1;
            }
            3 => {
                client.send_close_notify();
                assert!(!end.hear(&take(&mut client), piece, said, changes) || end.session.has_ended());
                return;
            }
            _ => {
                said += say(&mut client, choices);
                if !end.hear(&take(&mut client), piece, said, changes) {
                    return;
                }
            }
        }
    }
}

/// Has the client say something, and tells how much.
fn say(client: &mut ClientConnection, choices: &mut Choices<'_>) -> usize {
    let length = choices.below(20_000);
    client.writer().write_all(&vec![SAID; length]).unwrap();
    length
}

/// Somebody on the way changes a little, or adds it: that is noticed, and nothing of it is heard.
fn spoil(choices: &mut Choices<'_>, mut end: End, mut sealed: Vec<u8>, piece: usize, said: RangeInclusive<usize>) {
    match sealed.len() {
        0 => sealed.extend_from_slice(choices.take(64)),
        length => sealed[choices.below(length)] ^= choices.byte() | 1,
    }
    let _ = sealed.chunks(piece).try_for_each(|bytes| end.feed(bytes));
    assert!(said.contains(&end.plain.len()) && end.plain.iter().all(|byte| *byte == SAID));
    assert!(end.said.len() <= SAID_MAX);
}

fn take(client: &mut ClientConnection) -> Vec<u8> {
    let mut out = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut out).unwrap();
    }
    out
}

/// Has the client read what the server has said.
fn hear(client: &mut ClientConnection, end: &mut End, expected: &[u8]) {
    let said = std::mem::take(&mut end.said);
    let mut rest = &said[..];
    let mut plain = Vec::new();
    while !rest.is_empty() {
        client.read_tls(&mut rest).unwrap();
        client.process_new_packets().unwrap();
        let _ = client.reader().read_to_end(&mut plain);
    }
    assert!(plain == expected, "the client hears what was said");
}
