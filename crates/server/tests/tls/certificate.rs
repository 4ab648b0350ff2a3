//! Certificates change while connections go on.

use crate::{Both, line_with, subscribe};
use rustls::pki_types::CertificateDer;
use std::sync::Arc;
use switchboard::StartError;
use switchboard_testkit::crowd::all_files;
use switchboard_testkit::issuer::{Authority, Term};
use switchboard_testkit::tls::{Files, VERSIONS, client, connect, try_connect};
use switchboard_testkit::{config, eventually};

/// The certificate that a new connection is shown.
fn shown(both: &Both, authority: &Authority) -> Option<CertificateDer<'static>> {
    let stream = try_connect(both.secure(), &Arc::new(client(authority, &VERSIONS))).ok()?;
    stream.conn.peer_certificates()?.first().cloned()
}

#[test]
fn a_thousand_connections_live_through_a_change_of_certificate() {
    let _files = all_files();
    let both = Both::start();
    let client = both.client();
    let mut readers: Vec<_> = (0..1000).map(|_| subscribe(connect(both.secure(), &client), "swap")).collect();
    both.server.await_readers("swap", 1000);
    both.server.publish("swap", "before.");
    let old = shown(&both, &both.authority).unwrap();
    let next = Authority::new("the next authority");
    both.files.replace(&next);
    both.server.running().reload_certificate(&both.files.config()).unwrap();
    both.server.publish("swap", "after.");
    for reader in &mut readers {
        line_with(reader, "before.");
        line_with(reader, "after.");
    }
    assert_eq!(both.server.readers("swap"), 1000);
    assert!(shown(&both, &next).is_some_and(|new| new != old));
    assert_eq!(shown(&both, &both.authority), None, "the old authority vouches for nobody any more");
}

#[test]
fn changed_files_are_seen_and_those_that_are_no_good_are_left_alone() {
    let both = Both::start();
    let mut reader = subscribe(both.connect(), "seen");
    let old = shown(&both, &both.authority);
    std::fs::write(both.files.certificate(), "no certificate").unwrap();
    let why = both.server.running().reload_certificate(&both.files.config()).unwrap_err();
    assert!(why.contains("holds no certificate"), "{why}");
    both.files.replace_for(&both.authority, Term::Past);
    let why = both.server.running().reload_certificate(&both.files.config()).unwrap_err();
    assert!(why.contains("expired on 2021-01-01"), "{why}");
    assert_eq!(shown(&both, &both.authority), old);
    both.files.replace(&both.authority);
    eventually("the new certificate is shown", || shown(&both, &both.authority) != old);
    both.server.publish("seen", "still here");
    line_with(&mut reader, "still here");
}

#[test]
fn a_session_is_taken_up_again_by_its_ticket_and_not_after_the_certificate_changed() {
    let both = Both::start();
    for version in VERSIONS {
        let mut config = (*both.client_of(&[version])).clone();
        config.resumption = rustls::client::Resumption::in_memory_sessions(8);
        let config = Arc::new(config);
        let kind = || {
            // A ticket of TLS 1.3 comes with the first answer.
            let reader = subscribe(connect(both.secure(), &config), "again");
            reader.get_ref().conn.handshake_kind().unwrap()
        };
        assert_eq!(kind(), rustls::HandshakeKind::Full);
        assert_eq!(kind(), rustls::HandshakeKind::Resumed);
        both.files.replace(&both.authority);
        both.server.running().reload_certificate(&both.files.config()).unwrap();
        assert_eq!(kind(), rustls::HandshakeKind::Full);
    }
}

#[test]
fn a_server_does_not_start_with_a_certificate_that_is_no_good() {
    let authority = Authority::new("an authority");
    let (files, others) = (Files::new(&authority), Files::new(&authority));
    let cut = files.directory().join("cut.pem");
    let whole = std::fs::read_to_string(files.certificate()).unwrap();
    std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
    let locked = files.directory().join("locked.pem");
    std::fs::write(&locked, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
        .unwrap();
    for (certificate, key, why) in [
        (files.directory().join("none"), files.key(), "cannot be read"),
        (files.certificate(), files.directory().join("none"), "cannot be read"),
        (files.key(), files.certificate(), "mixed up"),
        (files.certificate(), files.certificate(), "mixed up"),
        (cut, files.key(), "is damaged"),
        (files.certificate(), locked, "without a passphrase"),
        (files.certificate(), others.key(), "is not that of the first certificate"),
    ] {
        let mut config = config();
        config.tls = Some(switchboard::config::Tls { certificate, key, ..files.config() });
        let Err(StartError::Certificate(told)) = switchboard::start(config) else { panic!("it starts: {why}") };
        assert!(told.contains(why), "{why}: {told}");
    }
}

#[test]
fn open_mode_speaks_tls_on_loopback_addresses_alone() {
    let files = Files::new(&Authority::new("an authority"));
    let mut config = config();
    config.tls = Some(switchboard::config::Tls { listen: vec!["0.0.0.0:0".parse().unwrap()], ..files.config() });
    assert!(matches!(switchboard::start(config), Err(StartError::Public(_))));
}
