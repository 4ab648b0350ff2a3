//! Keys that are fetched, rotated, and asked for by tokens with made-up names.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use switchboard::auth::settings::Jwks;
use switchboard_testkit::identity::{bearer, claims, settings};
use switchboard_testkit::{Server, eventually};

/// Who offers a set, and counts who asks for it.
struct Issuer {
    address: SocketAddr,
    set: Arc<Mutex<Option<Value>>>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    /// Without a set it answers 500.
    fn new(set: Option<Value>) -> Issuer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (set, asked) = (Arc::new(Mutex::new(set)), Arc::new(AtomicUsize::new(0)));
        let (shown, counted) = (set.clone(), asked.clone());
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let mut socket = socket.unwrap();
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let mut byte = [0];
                    if socket.read(&mut byte).unwrap_or(0) == 0 {
                        break;
                    }
                    head.push(byte[0]);
                }
                counted.fetch_add(1, Ordering::SeqCst);
                let answer = match &*shown.lock().unwrap() {
                    Some(set) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{set}", set.to_string().len()),
                    None => "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_owned(),
                };
                let _ = socket.write_all(answer.as_bytes());
            }
        });
        Issuer { address, set, asked }
    }

    fn server(&self, cooldown: Duration) -> Server {
        let mut settings = settings();
        settings.keys.clear();
        let url = format!("http://{}/jwks.json", self.address);
        settings.jwks = Some(Jwks { url, refresh: Duration::from_secs(3600), cooldown });
        super::server_with(settings)
    }

    fn offer(&self, set: Value) {
        *self.set.lock().unwrap() = Some(set);
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// The key pair of RFC 8037 A.1, as a JWK of this id and as what signs.
fn ed25519(id: &str) -> (Value, EncodingKey) {
    let seed = BASE64_URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let der = [&[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20][..], &seed].concat();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": id});
    (jwk, EncodingKey::from_ed_der(&der))
}

fn token(id: &str) -> String {
    let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::EdDSA) };
    encode(&header, &claims("ann", &["a/**"]), &ed25519(id).1).unwrap()
}

fn set(ids: &[&str]) -> Value {
    json!({"keys": ids.iter().map(|id| ed25519(id).0).collect::<Vec<_>>()})
}

fn status(server: &Server, token: &str) -> u16 {
    server.get_with("/channels/a/x", &[("Authorization", &bearer(token))]).status()
}

#[test]
fn keys_are_fetched_and_rotate_without_a_restart() {
    let issuer = Issuer::new(Some(set(&["k1"])));
    let server = issuer.server(Duration::ZERO);
    assert_eq!(status(&server, &token("k1")), 200);
    let mut sse = server.connect().sse("/channels/a/x", &[("Authorization", &bearer(&token("k1")))]);
    sse.notice("$open");
    let before = issuer.asked();
    assert_eq!(status(&server, &token("k1")), 200);
    assert_eq!(issuer.asked(), before, "a key that is known is not fetched again");
    issuer.offer(set(&["k2"]));
    assert_eq!(status(&server, &token("k2")), 200);
    assert_eq!(status(&server, &token("k1")), 401);
    server.post("/channels/a/x", &[("Authorization", &bearer(&token("k2")))], "on").expect(201);
    assert_eq!(sse.event().data, "on", "what was opened by the earlier key goes on");
}

#[test]
fn tokens_with_made_up_names_do_not_make_for_fetches() {
    let issuer = Issuer::new(Some(set(&["k1"])));
    let server = issuer.server(Duration::from_secs(3600));
    assert_eq!(status(&server, &token("k1")), 200);
    let made_up: Vec<String> = (0..40).map(|i| token(&format!("made-up-{i}"))).collect();
    std::thread::scope(|scope| {
        for tokens in made_up.chunks(10) {
            let server = &server;
            scope.spawn(move || tokens.iter().for_each(|token| assert_eq!(status(server, token), 401)));
        }
    });
    assert_eq!(issuer.asked(), 1);
}

#[test]
fn as_long_as_there_are_no_keys_a_refusal_is_for_now() {
    let issuer = Issuer::new(None);
    let server = issuer.server(Duration::ZERO);
    let shown = bearer(&token("k1"));
    let refused = server.get_with("/channels/a/x", &[("Authorization", &shown)]).expect_problem(503, "overloaded");
    assert!(refused.field("retry-after").is_some());
    let mut sse = server.connect().sse("/channels/a/x", &[("Authorization", &shown)]);
    assert_eq!(sse.notice("$closing").json()["code"], "overloaded", "an EventSource is to come again");
    issuer.offer(set(&["k1"]));
    eventually("the keys are fetched", || status(&server, &token("k1")) == 200);
    *issuer.set.lock().unwrap() = None;
    assert_eq!(status(&server, &token("unknown")), 401);
    assert_eq!(status(&server, &token("k1")), 200, "a set that cannot be fetched leaves the last in force");
}
