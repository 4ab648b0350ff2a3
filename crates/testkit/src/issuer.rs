//! Who offers a set of keys over HTTP, with TLS or without, well or badly, and the authorities that vouch for it.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

/// What an issuer does with whoever connects.
#[derive(Clone, Debug)]
pub enum Conduct {
    /// Answers with this set.
    Offers(Value),
    /// Answers with these bytes.
    Answers(String),
    /// Says nothing, not even what TLS begins with.
    Mute,
    /// Says this as an answer's beginning, and no more, until the other side goes or [`Issuer::hang_up`].
    Stalls(&'static str),
    /// Says this as an answer's beginning, and goes without a word of farewell.
    Breaks(&'static str),
}

/// When a certificate counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Term {
    Now,
    Past,
    Future,
}

impl Term {
    fn params(self, hosts: &[&str]) -> CertificateParams {
        let mut params =
            CertificateParams::new(hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>()).unwrap();
        let (from, to) = match self {
            Term::Now => (2020, 4000),
            Term::Past => (2020, 2021),
            Term::Future => (3999, 4000),
        };
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        params
    }
}

/// Who signs certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: rcgen::Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// With a new key, also where there was one of this name before.
    pub fn new(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: rcgen::Issuer::new(params, key), pem }
    }

    /// Its own certificate, which makes it a root for whoever trusts it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for hosts and its key, in PEM.
    pub fn issue(&self, hosts: &[&str]) -> (String, String) {
        self.issue_for(hosts, Term::Now)
    }

    /// The same, for a while.
    pub fn issue_for(&self, hosts: &[&str], term: Term) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = term.params(hosts).signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// A certificate for a host, and all that a server needs to show it.
    pub fn certify(&self, host: &str, term: Term) -> Arc<ServerConfig> {
        self.shown(host, term, IsCa::NoCa)
    }

    /// The same, of one that may sign others: no server is to show it.
    pub fn certify_authority(&self, host: &str) -> Arc<ServerConfig> {
        self.shown(host, Term::Now, IsCa::Ca(BasicConstraints::Unconstrained))
    }

    fn shown(&self, host: &str, term: Term, is_ca: IsCa) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = term.params(&[host]);
        params.is_ca = is_ca;
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        Arc::new(config.with_no_client_auth().with_single_cert(chain, key).unwrap())
    }
}

/// An issuer on a port of its own. It counts the requests that it heard whole.
#[derive(Debug)]
pub struct Issuer {
    address: SocketAddr,
    conduct: Arc<Mutex<Conduct>>,
    tls: Arc<Mutex<Option<Arc<ServerConfig>>>>,
    asked: Arc<AtomicUsize>,
    /// The connections, as long as they are attended to.
    sockets: Arc<Mutex<Vec<Weak<TcpStream>>>>,
}

impl Issuer {
    /// Over plain HTTP.
    pub fn plain(conduct: Conduct) -> Issuer {
        Issuer::start(conduct, None)
    }

    /// With TLS.
    pub fn secure(conduct: Conduct, tls: Arc<ServerConfig>) -> Issuer {
        Issuer::start(conduct, Some(tls))
    }

    fn start(conduct: Conduct, tls: Option<Arc<ServerConfig>>) -> Issuer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let issuer = Issuer {
            address,
            conduct: Arc::new(Mutex::new(conduct)),
            tls: Arc::new(Mutex::new(tls)),
            asked: Arc::default(),
            sockets: Arc::default(),
        };
        let (conduct, tls, asked) = (issuer.conduct.clone(), issuer.tls.clone(), issuer.asked.clone());
        let sockets = issuer.sockets.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (conduct, tls, asked) =
                    (conduct.lock().unwrap().clone(), tls.lock().unwrap().clone(), asked.clone());
                let socket = Arc::new(socket.unwrap());
                sockets.lock().unwrap().push(Arc::downgrade(&socket));
                // Whoever is kept waiting keeps nobody else waiting.
                std::thread::spawn(move || receive(&socket, &conduct, tls, &asked));
            }
        });
        issuer
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `https://localhost:…`
    pub fn https(&self) -> String {
        format!("https://localhost:{}/jwks.json", self.address.port())
    }

    /// `http://localhost:…`
    pub fn http(&self) -> String {
        format!("http://localhost:{}/jwks.json", self.address.port())
    }

    /// From the next connection on.
    pub fn conduct(&self, conduct: Conduct) {
        *self.conduct.lock().unwrap() = conduct;
    }

    /// From the next connection on it shows this certificate.
    pub fn show(&self, tls: Arc<ServerConfig>) {
        *self.tls.lock().unwrap() = Some(tls);
    }

    /// Closes all connections, those that wait for more of an answer among them.
    pub fn hang_up(&self) {
        for socket in self.sockets.lock().unwrap().drain(..).filter_map(|socket| socket.upgrade()) {
            // The other side may have done so already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn receive(mut socket: &TcpStream, conduct: &Conduct, tls: Option<Arc<ServerConfig>>, asked: &AtomicUsize) {
    match tls {
        _ if matches!(conduct, Conduct::Mute) => wait_for_the_end(&mut socket),
        None => attend(&mut socket, conduct, asked),
        Some(tls) => {
            let mut stream = StreamOwned::new(ServerConnection::new(tls).unwrap(), socket);
            attend(&mut stream, conduct, asked);
            // An end that is said, unlike one that anybody on the way can make.
            if matches!(conduct, Conduct::Offers(_) | Conduct::Answers(_)) {
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    }
}

/// A connection that fails is the other side's choice, and no matter here.
fn attend(stream: &mut (impl Read + Write), conduct: &Conduct, asked: &AtomicUsize) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        match stream.read(&mut byte) {
            // As servers do that are spoken to in TLS.
            Ok(1) if head.is_empty() && !byte[0].is_ascii_uppercase() => {
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
                return;
            }
            Ok(1) => head.push(byte[0]),
            _ => return,
        }
    }
    asked.fetch_add(1, Ordering::SeqCst);
    let mut say = |text: &str| {
        let _ = stream.write_all(text.as_bytes());
        let _ = stream.flush();
    };
    match conduct {
        Conduct::Offers(set) => {
            say(&format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{set}", set.to_string().len()));
        }
        Conduct::Answers(text) => say(text),
        Conduct::Breaks(text) => say(text),
        Conduct::Stalls(text) => {
            say(text);
            wait_for_the_end(stream);
        }
        Conduct::Mute => {}
    }
}

fn wait_for_the_end(stream: &mut impl Read) {
    let mut waste = [0; 1024];
    while stream.read(&mut waste).is_ok_and(|read| read > 0) {}
}

/// The key pair of RFC 8037 A.1, as a JWK of this id and as what signs.
fn ed25519(id: &str) -> (Value, EncodingKey) {
    let seed = BASE64_URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let der = [&[0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20][..], &seed].concat();
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": id});
    (jwk, EncodingKey::from_ed_der(&der))
}

/// A set of one key pair under these ids.
pub fn set(ids: &[&str]) -> Value {
    json!({"keys": ids.iter().map(|id| ed25519(id).0).collect::<Vec<_>>()})
}

/// A token of these claims that names this id, signed by the key of [`set`].
pub fn token(id: &str, claims: &Value) -> String {
    let header = Header { kid: Some(id.to_owned()), ..Header::new(Algorithm::EdDSA) };
    encode(&header, claims, &ed25519(id).1).unwrap()
}
