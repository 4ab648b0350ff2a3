//! A way to the server that can be cut. It carries TCP, keeps what clients sent, and severs connections when told, in
//! the midst of an event if need be. The server is not asked, as with any real network.

use crate::{Server, within};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

#[derive(Debug)]
pub struct Way {
    state: Arc<State>,
    port: u16,
}

#[derive(Debug)]
struct State {
    /// What each connection sent.
    sent: Mutex<Vec<Vec<u8>>>,
    /// How many bytes may still come down before the way is shut.
    allowance: Mutex<Option<usize>>,
    /// Whether connections are severed, those that stand and those that come.
    is_shut: watch::Sender<bool>,
}

impl Way {
    pub async fn to(server: &Server) -> Way {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, upstream) = (listener.local_addr().unwrap().port(), server.port);
        let state =
            Arc::new(State { sent: Mutex::default(), allowance: Mutex::default(), is_shut: watch::Sender::new(false) });
        let accepting = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if !*accepting.is_shut.borrow()
                    && let Ok(far) = TcpStream::connect(("127.0.0.1", upstream)).await
                {
                    tokio::spawn(carry(Arc::clone(&accepting), near, far));
                }
            }
        });
        Way { state, port }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The `Last-Event-ID` of each request that came this way, oldest first.
    pub fn last_event_ids(&self) -> Vec<Option<String>> {
        let sent = self.state.sent.lock().unwrap();
        let field = |head: &Vec<u8>| {
            let head = String::from_utf8_lossy(head).into_owned();
            let mut fields = head.lines().filter_map(|line| line.split_once(": "));
            fields.find(|(name, _)| name.eq_ignore_ascii_case("last-event-id")).map(|(_, value)| value.to_owned())
        };
        sent.iter().map(field).collect()
    }

    /// Lets this many bytes more come down, then severs every connection, and those that come next too, until `open`.
    pub fn cut_after(&self, bytes: usize) {
        *self.state.allowance.lock().unwrap() = Some(bytes);
    }

    /// Waits for that cut.
    pub async fn is_cut(&self) {
        let mut is_shut = self.state.is_shut.subscribe();
        within("the way to be cut", is_shut.wait_for(|is_shut| *is_shut)).await.unwrap();
    }

    pub fn open(&self) {
        *self.state.allowance.lock().unwrap() = None;
        self.state.is_shut.send_replace(false);
    }
}

/// Carries a connection until either side ends it or the way is shut; then both sides are closed.
async fn carry(state: Arc<State>, near: TcpStream, far: TcpStream) {
    let number = {
        let mut sent = state.sent.lock().unwrap();
        sent.push(Vec::new());
        sent.len() - 1
    };
    let mut is_shut = state.is_shut.subscribe();
    let ((near_reads, near_writes), (far_reads, far_writes)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = pass(near_reads, far_writes, |data| {
            state.sent.lock().unwrap()[number].extend_from_slice(data);
            data.len()
        }) => {}
        () = pass(far_reads, near_writes, |data| state.spend(data.len())) => {}
        _ = is_shut.wait_for(|is_shut| *is_shut) => {}
    }
    // A cut that fell within what was just passed on shuts the way for all.
    if *state.allowance.lock().unwrap() == Some(0) {
        state.is_shut.send_replace(true);
    }
}

/// Passes bytes on until the end, or until `look` lets fewer through than there were.
async fn pass(mut reader: OwnedReadHalf, mut writer: OwnedWriteHalf, look: impl Fn(&[u8]) -> usize) {
    let mut buffer = vec![0; 65536];
    while let Ok(count @ 1..) = reader.read(&mut buffer).await {
        let passes = look(&buffer[..count]);
        if writer.write_all(&buffer[..passes]).await.is_err() || passes < count {
            return;
        }
    }
}

impl State {
    /// How many of so many bytes may come down.
    fn spend(&self, count: usize) -> usize {
        match &mut *self.allowance.lock().unwrap() {
            None => count,
            Some(left) => {
                let passes = count.min(*left);
                *left -= passes;
                passes
            }
        }
    }
}
