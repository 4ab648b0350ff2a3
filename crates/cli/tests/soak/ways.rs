//! Ways to the server: in clear text and over TLS, by HTTP/1.1 and by HTTP/2, whole and cut.

use crate::count;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread;
use std::time::{Duration, Instant};
use switchboard_testkit::issuer::Authority;
use switchboard_testkit::tls::{Bridge, Files, VERSIONS, client};
use switchboard_testkit::{Conn, Server, bridge, eventually};

/// How long a connection lasts that is cut, at most.
const LONGEST: Duration = Duration::from_secs(10);
/// How long a machine that does much else may take for an answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is seen whether its time is over.
const TICK: Duration = Duration::from_millis(50);

/// Where the server is reached.
pub(crate) struct Ways {
    /// Ways that last until their client goes.
    whole: Vec<SocketAddr>,
    /// Ways that are cut at any time, as URLs.
    cut: Vec<String>,
    /// Where it speaks TLS.
    secure: SocketAddr,
    root: PathBuf,
    /// How often those were cut.
    pub(crate) cuts: Arc<AtomicU64>,
}

impl Ways {
    pub(crate) fn to(server: &Server, files: &Files, authority: &Authority, seed: u64) -> Ways {
        let plain = server.address();
        eventually("it says where it speaks TLS", || server.said().contains("listening on https://"));
        let said = server.said();
        let port = said.split("listening on https://127.0.0.1:").nth(1).and_then(|rest| rest.lines().next());
        let secure = format!("127.0.0.1:{}", port.expect("it says where it speaks TLS")).parse().unwrap();
        let secured = VERSIONS.map(|version| Bridge::to(secure, client(authority, &[version])).address());
        let mut whole = vec![plain, plain, bridge::to_http2(plain), bridge::to_shared_http2(plain)];
        whole.extend([secured[0], secured[1], bridge::to_http2(secured[0]), bridge::to_shared_http2(secured[1])]);
        let cuts = Arc::<AtomicU64>::default();
        let cutting = |to: SocketAddr, n: u64| cutting(to, fastrand::Rng::with_seed(seed ^ n), &cuts);
        let cut = vec![
            format!("http://{}", cutting(plain, 1)),
            format!("https://localhost:{}", cutting(secure, 2).port()),
            // Behind the bridge it is the connection with all streams of its clients that is cut.
            format!("http://{}", bridge::to_shared_http2(cutting(plain, 3))),
            format!("http://{}", bridge::to_http2(cutting(secured[0], 4))),
        ];
        Ways { whole, cut, secure, root: files.root(), cuts }
    }

    /// A connection over any way that is not cut.
    pub(crate) fn connect(&self, chance: &mut fastrand::Rng) -> Conn {
        let mut conn = Conn::open(self.whole[chance.usize(..self.whole.len())]);
        conn.set_patience(PATIENCE);
        conn
    }

    /// The URL of any way that is cut.
    pub(crate) fn url(&self, chance: &mut fastrand::Rng) -> &str {
        &self.cut[chance.usize(..self.cut.len())]
    }

    pub(crate) fn secure(&self) -> SocketAddr {
        self.secure
    }

    /// What vouches for the server.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }
}

/// A way whose connections are dropped in both directions after a while, in the midst of whatever is said.
fn cutting(to: SocketAddr, mut chance: fastrand::Rng, cuts: &Arc<AtomicU64>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let cuts = Arc::clone(cuts);
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            let Ok(far) = TcpStream::connect(to) else { continue };
            let end = Instant::now() + LONGEST.mul_f64(0.1 + 0.9 * chance.f64());
            let (near, far) = (Arc::new(near), Arc::new(far));
            for (from, to) in [(Arc::clone(&near), Arc::clone(&far)), (far, near)] {
                let cuts = Arc::clone(&cuts);
                thread::spawn(move || carry(&from, &to, end, &cuts));
            }
        }
    });
    address
}

fn carry(mut from: &TcpStream, mut to: &TcpStream, end: Instant, cuts: &AtomicU64) {
    from.set_nodelay(true).unwrap();
    from.set_read_timeout(Some(TICK)).unwrap();
    let mut bytes = vec![0; 16 << 10];
    while Instant::now() < end {
        match from.read(&mut bytes) {
            Ok(0) => {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
            Ok(read) if to.write_all(&bytes[..read]).is_ok() => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            _ => break,
        }
    }
    if Instant::now() >= end {
        count(cuts);
    }
    for side in [from, to] {
        let _ = side.shutdown(Shutdown::Both);
    }
}
