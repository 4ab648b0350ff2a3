//! TLS as clients speak it, by a library that the server does not share its connections with: certificates in files, a
//! connection of which every byte is at hand, and a bridge by which every other client here speaks TLS.

use crate::PATIENCE;
use crate::http2::PREFACE;
use crate::issuer::{Authority, Term};
use rustix::net::{RecvFlags, recv};
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The hosts that certificates here are for.
const HOSTS: [&str; 2] = ["localhost", "127.0.0.1"];

/// A certificate and its key in files, and the root that it leads to, in a directory that goes with this.
#[derive(Debug)]
pub struct Files {
    directory: PathBuf,
}

impl Files {
    pub fn new(authority: &Authority) -> Files {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("switchboard-tls-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let files = Files { directory: std::env::temp_dir().join(name) };
        std::fs::create_dir_all(&files.directory).expect("a directory can be made");
        files.replace(authority);
        std::fs::write(files.root(), authority.pem()).expect("a file can be written");
        files
    }

    /// Puts another certificate and key in the place of those that are there.
    pub fn replace(&self, authority: &Authority) {
        self.replace_for(authority, Term::Now);
    }

    /// The same, for a while.
    pub fn replace_for(&self, authority: &Authority, term: Term) {
        let (certificate, key) = authority.issue_for(&HOSTS, term);
        for (path, text) in [(self.certificate(), certificate), (self.key(), key)] {
            let new = path.with_extension("new");
            std::fs::write(&new, text).expect("a file can be written");
            std::fs::rename(&new, &path).expect("a file can be renamed");
        }
    }

    pub fn certificate(&self) -> PathBuf {
        self.directory.join("certificate.pem")
    }

    pub fn key(&self) -> PathBuf {
        self.directory.join("key.pem")
    }

    /// The root that the first certificate leads to.
    pub fn root(&self) -> PathBuf {
        self.directory.join("root.pem")
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// What a server is told of it, on a free port.
    pub fn config(&self) -> switchboard::config::Tls {
        switchboard::config::Tls {
            listen: vec!["127.0.0.1:0".parse().expect("an address")],
            certificate: self.certificate(),
            key: self.key(),
        }
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A client that trusts this authority alone, and takes up no session again.
pub fn client(authority: &Authority, versions: &[&'static SupportedProtocolVersion]) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("an authority has a certificate");
    roots.add(root).expect("an authority is a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions);
    let mut config = builder.expect("versions that exist").with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    config
}

/// The versions of TLS that are spoken.
pub const VERSIONS: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS13, &rustls::version::TLS12];

/// What a client says first: a whole record with its ClientHello.
///
/// # Panics
/// If there is no such client.
pub fn hello() -> Vec<u8> {
    let config = client(&Authority::new("nobody asks for it"), &VERSIONS);
    let name = ServerName::try_from("localhost").expect("a name");
    let mut connection = ClientConnection::new(Arc::new(config), name).expect("a client that can be made");
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).expect("a vector takes it");
    hello
}

/// A TLS connection.
pub type Secured = StreamOwned<ClientConnection, TcpStream>;

/// Connects and agrees on TLS.
///
/// # Panics
/// If that fails.
#[track_caller]
pub fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> Secured {
    try_connect(address, config).unwrap_or_else(|error| panic!("{address}: {error}"))
}

/// Connects and agrees on TLS, if the server does.
pub fn try_connect(address: SocketAddr, config: &Arc<ClientConfig>) -> std::io::Result<Secured> {
    let socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::clone(config), name).expect("a client that can be made");
    let mut stream = StreamOwned::new(connection, socket);
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    Ok(stream)
}

/// A port of this machine at which TLS is put around whatever is said, and taken off what is answered.
#[derive(Debug)]
pub struct Bridge {
    address: SocketAddr,
}

impl Bridge {
    /// A bridge to a server.
    pub fn to(server: SocketAddr, config: ClientConfig) -> Bridge {
        let config = Arc::new(config);
        Bridge::start(move |socket| cross(socket, connect(server, &config)))
    }

    /// The same, which agrees (RFC 7301) on what its client turns out to speak.
    pub fn agreeing(server: SocketAddr, config: ClientConfig) -> Bridge {
        let speaking = |protocol: &[u8]| {
            let mut config = config.clone();
            config.alpn_protocols = vec![protocol.to_vec()];
            Arc::new(config)
        };
        let (new, old) = (speaking(b"h2"), speaking(b"http/1.1"));
        Bridge::start(move |socket| {
            let config = if begins_with(&socket, PREFACE) { &new } else { &old };
            let secured = connect(server, config);
            assert_eq!(secured.conn.alpn_protocol(), config.alpn_protocols.first().map(Vec::as_slice));
            cross(socket, secured);
        })
    }

    fn start(carry: impl Fn(TcpStream) + Send + Sync + 'static) -> Bridge {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a listener has an address");
        let carry = Arc::new(carry);
        std::thread::spawn(move || {
            for socket in listener.incoming().map_while(Result::ok) {
                let carry = Arc::clone(&carry);
                std::thread::spawn(move || carry(socket));
            }
        });
        Bridge { address }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Whether the first thing said on a connection is this. It is still to be read then.
fn begins_with(socket: &TcpStream, words: &[u8]) -> bool {
    let mut said = vec![0; words.len()];
    // One byte more at a time is waited for: who says something else may say no more before it is answered.
    (1..=words.len()).all(|length| {
        let peeked = recv(socket, &mut said[..length], RecvFlags::PEEK | RecvFlags::WAITALL);
        peeked.is_ok_and(|(read, _)| read == length) && said[..length] == words[..length]
    })
}

/// Carries bytes both ways until both ends are done. A connection that is cut off on one side is reset on the other.
fn cross(near: TcpStream, far: Secured) {
    let Secured { conn, sock } = far;
    sock.set_read_timeout(None).expect("a socket takes a timeout");
    near.set_nodelay(true).expect("a socket takes TCP_NODELAY");
    let session = Arc::new(Mutex::new(conn));
    let back = {
        let (near, sock, session) = (near.try_clone(), sock.try_clone(), Arc::clone(&session));
        let (near, sock) = (near.expect("a socket can be cloned"), sock.expect("a socket can be cloned"));
        std::thread::spawn(move || come_back(&near, &sock, &session))
    };
    let mut bytes = vec![0; 64 << 10];
    loop {
        match (&near).read(&mut bytes) {
            Ok(0) => {
                let mut session = session.lock().expect("no thread panics");
                session.send_close_notify();
                let _ = send(&mut session, &sock);
                let _ = sock.shutdown(Shutdown::Write);
                break;
            }
            Ok(read) => {
                let mut session = session.lock().expect("no thread panics");
                if session.writer().write_all(&bytes[..read]).is_err() || send(&mut session, &sock).is_err() {
                    break;
                }
            }
            Err(_) => {
                reset(&sock);
                break;
            }
        }
    }
    let _ = back.join();
}

fn come_back(near: &TcpStream, sock: &TcpStream, session: &Mutex<ClientConnection>) {
    let mut bytes = vec![0; 64 << 10];
    let mut plain = Vec::new();
    loop {
        let read = (&*sock).read(&mut bytes).unwrap_or(0);
        let mut arrived = &bytes[..read];
        let mut session = session.lock().expect("no thread panics");
        let mut over = read == 0;
        loop {
            if session.read_tls(&mut arrived).is_err() || session.process_new_packets().is_err() {
                return reset(near);
            }
            match session.reader().read_to_end(&mut plain) {
                // The end was said.
                Ok(_) => over = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // It was not.
                Err(_) => return reset(near),
            }
            if arrived.is_empty() || over {
                break;
            }
        }
        let _ = send(&mut session, sock);
        drop(session);
        if (&*near).write_all(&plain).is_err() {
            return reset(sock);
        }
        plain.clear();
        if over {
            let _ = near.shutdown(Shutdown::Write);
            return;
        }
    }
}

fn send(session: &mut ClientConnection, mut sock: &TcpStream) -> std::io::Result<()> {
    while session.wants_write() {
        session.write_tls(&mut sock)?;
    }
    Ok(())
}

/// Has a connection reset when it is closed, and whoever reads it see an end.
fn reset(socket: &TcpStream) {
    let _ = socket2::SockRef::from(socket).set_linger(Some(Duration::ZERO));
    let _ = socket.shutdown(Shutdown::Read);
}
