//! A small server of events over HTTP/2, well behaved or not, and a way to publish to it over HTTP/1.1.

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use switchboard_bench::client::Dialogue;
use switchboard_bench::targets::switchboard::Protocol;
use switchboard_bench::targets::{Running, Target, Transport, Wish};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// What the server does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conduct {
    /// The status of every response.
    pub(super) status: u16,
    /// Streams it allows on a connection.
    pub(super) streams: u32,
    /// Bytes of a DATA frame at most.
    pub(super) frame: usize,
    /// The first stream of a connection is reset with its tenth event.
    pub(super) resets: bool,
    /// Every connection is left with its tenth event.
    pub(super) leaves: bool,
    /// The tenth event of a stream comes after the eleventh.
    pub(super) swaps: bool,
    /// It comes twice.
    pub(super) doubles: bool,
    /// It does not come.
    pub(super) loses: bool,
}

impl Default for Conduct {
    fn default() -> Conduct {
        Conduct {
            status: 200,
            streams: 1_000,
            frame: 16 << 10,
            resets: false,
            leaves: false,
            swaps: false,
            doubles: false,
            loses: false,
        }
    }
}

/// Events of each channel so far, and who hears the next.
type Channels = Arc<Mutex<HashMap<String, (Vec<Bytes>, Vec<UnboundedSender<Bytes>>)>>>;

/// A server in a thread of its own, until the tests end.
#[derive(Debug)]
pub(super) struct Server {
    reading: SocketAddr,
    publishing: SocketAddr,
}

impl Server {
    pub(super) fn start(conduct: Conduct) -> Server {
        let listener = || {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            listener.set_nonblocking(true).unwrap();
            listener
        };
        let (reading, publishing) = (listener(), listener());
        let server = Server { reading: reading.local_addr().unwrap(), publishing: publishing.local_addr().unwrap() };
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let channels = Channels::default();
                let publishing = TcpListener::from_std(publishing).unwrap();
                tokio::spawn(accept_publishers(publishing, Arc::clone(&channels)));
                let reading = TcpListener::from_std(reading).unwrap();
                while let Ok((stream, _)) = reading.accept().await {
                    tokio::spawn(serve(stream, conduct, Arc::clone(&channels)));
                }
            });
        });
        server
    }
}

impl Target for Server {
    fn name(&self) -> String {
        "h2".into()
    }

    fn start(&self, _: &Wish) -> Result<Running, String> {
        Ok(Running::elsewhere(self.reading))
    }

    fn subscription(&self, transport: Transport, channel: &str) -> Option<Dialogue> {
        Some(protocol().subscription(transport, channel))
    }

    fn position(&self, _: &Running, _: &str) -> Result<String, String> {
        Ok("earliest".into())
    }

    fn resumption(&self, transport: Transport, channel: &str, position: &str) -> Option<Dialogue> {
        protocol().resumption(transport, channel, position)
    }

    fn publication(&self, channel: &str, payload: &[u8]) -> Vec<u8> {
        protocol().publication(channel, payload)
    }

    fn publishing_address(&self, _: &Running) -> SocketAddr {
        self.publishing
    }
}

fn protocol() -> Protocol {
    Protocol { host: "127.0.0.1".into(), prefix: String::new(), authorization: None }
}

async fn serve(stream: TcpStream, conduct: Conduct, channels: Channels) {
    let mut builder = h2::server::Builder::new();
    builder.max_concurrent_streams(conduct.streams);
    let mut connection = builder.handshake::<_, Bytes>(stream).await.unwrap();
    let (leave, mut leaving) = unbounded_channel();
    let mut first = true;
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                // A client that resets its connection has had enough.
                let Some(Ok((request, respond))) = accepted else { return };
                assert_eq!(request.headers()["accept"], "text/event-stream");
                assert_eq!(request.uri().authority().unwrap(), "127.0.0.1");
                let uri = request.uri();
                let stream = Stream { conduct, is_first: std::mem::take(&mut first), leave: leave.clone() };
                let earlier = uri.query() == Some("since=earliest");
                stream.open(respond, uri.path(), earlier, &channels);
            }
            Some(()) = leaving.recv() => connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM),
        }
    }
}

/// A stream of events.
struct Stream {
    conduct: Conduct,
    is_first: bool,
    leave: UnboundedSender<()>,
}

impl Stream {
    fn open(self, mut respond: SendResponse<Bytes>, path: &str, earlier: bool, channels: &Channels) {
        let response =
            http::Response::builder().status(self.conduct.status).header("content-type", "text/event-stream");
        let mut body = respond.send_response(response.body(()).unwrap(), self.conduct.status != 200).unwrap();
        if self.conduct.status != 200 {
            return;
        }
        let (sender, events) = unbounded_channel();
        let mut channels = channels.lock().unwrap();
        let (held, listeners) = channels.entry(path.to_owned()).or_default();
        listeners.push(sender.clone());
        for event in held.iter().filter(|_| earlier) {
            sender.send(event.clone()).unwrap();
        }
        self.say(&mut body, b"retry: 5000\n\n:\nevent: $open\ndata: {}\n\n");
        tokio::spawn(self.go_on(body, events));
    }

    async fn go_on(self, mut body: SendStream<Bytes>, mut events: UnboundedReceiver<Bytes>) {
        let mut late: Option<Bytes> = None;
        let mut count = 0;
        let mut heartbeat = tokio::time::interval(Duration::from_millis(5));
        loop {
            let event = tokio::select! {
                Some(event) = events.recv() => event,
                _ = heartbeat.tick() => {
                    if !self.say(&mut body, b":\n") {
                        return;
                    }
                    continue;
                }
            };
            count += 1;
            match &self.conduct {
                Conduct { resets: true, .. } if count == 10 && self.is_first => {
                    return body.send_reset(Reason::INTERNAL_ERROR);
                }
                Conduct { leaves: true, .. } if count == 10 => {
                    let _ = self.leave.send(());
                    // The connection tells the client before this ends.
                    return std::future::pending().await;
                }
                Conduct { swaps: true, .. } if count == 10 => {
                    late = Some(event);
                    continue;
                }
                Conduct { loses: true, .. } if count == 10 => continue,
                Conduct { doubles: true, .. } if count == 10 => drop(self.tell(&mut body, &event)),
                _ => {}
            }
            self.tell(&mut body, &event);
            if let Some(late) = late.take() {
                self.tell(&mut body, &late);
            }
        }
    }

    fn tell(&self, body: &mut SendStream<Bytes>, event: &Bytes) -> bool {
        self.say(body, &[b"id: 1\ndata: ", &event[..], b"\n\n"].concat())
    }

    /// What the window has no room for, the library keeps.
    fn say(&self, body: &mut SendStream<Bytes>, text: &[u8]) -> bool {
        text.chunks(self.conduct.frame).all(|part| body.send_data(part.to_vec().into(), false).is_ok())
    }
}

async fn accept_publishers(listener: TcpListener, channels: Channels) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(take_publishes(stream, Arc::clone(&channels)));
    }
}

async fn take_publishes(mut stream: TcpStream, channels: Channels) {
    let mut received = Vec::new();
    while stream.read_buf(&mut received).await.is_ok_and(|count| count > 0) {
        let Some(end) = memchr::memmem::find(&received, b"\r\n\r\n") else { continue };
        let head = String::from_utf8(received[..end].to_vec()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
        let whole = end + 4 + length.parse::<usize>().unwrap();
        if received.len() < whole {
            continue;
        }
        let event = Bytes::copy_from_slice(&received[end + 4..whole]);
        received.drain(..whole);
        {
            let mut channels = channels.lock().unwrap();
            let (held, listeners) = channels.entry(head.split(' ').nth(1).unwrap().to_owned()).or_default();
            listeners.retain(|listener| listener.send(event.clone()).is_ok());
            held.push(event);
        }
        let _ = stream.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n").await;
    }
}
