//! A bridge from HTTP/1.1 to HTTP/2, by another's HTTP/2: so the clients here, who see every byte of HTTP/1.1, ask over
//! HTTP/2.
//!
//! Each connection gets one of its own behind the bridge, and its requests are streams of that; or all get one between
//! them. What HTTP/2 has no word for is put on again in front: an answer without a length is chunked and then closes, and a
//! stream that is reset is a body that is cut off.

use crate::websocket::accept;
use bytes::{Buf, Bytes, BytesMut};
use h2::client::SendRequest;
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::thread;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, LocalSet, spawn_local};

/// What a connection that is shared may leave unread: more than its streams may, so that none holds up the others.
const WINDOW: u32 = 64 << 20;

/// Starts a bridge to a server, for as long as the process lives.
///
/// # Panics
/// If it cannot.
#[track_caller]
pub fn to_http2(server: SocketAddr) -> SocketAddr {
    start(server, false)
}

/// The same, with one connection for all clients that are there at once: their requests stand side by side on it, and a
/// client that goes takes its own stream with it.
///
/// # Panics
/// If it cannot.
#[track_caller]
pub fn to_shared_http2(server: SocketAddr) -> SocketAddr {
    start(server, true)
}

#[track_caller]
fn start(server: SocketAddr, is_shared: bool) -> SocketAddr {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.set_nonblocking(true).expect("a socket can be that");
    let address = listener.local_addr().expect("it is bound");
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        LocalSet::new().block_on(&runtime, async move {
            let listener = TcpListener::from_std(listener).expect("a listener");
            let far = Rc::new(Far { server, is_shared, last: RefCell::default() });
            while let Ok((client, _)) = listener.accept().await {
                let far = Rc::clone(&far);
                spawn_local(async move {
                    // A connection that fails is one that closes.
                    let _ = carry(client, &far).await;
                });
            }
        });
    });
    address
}

/// The server's side of a bridge.
struct Far {
    server: SocketAddr,
    is_shared: bool,
    /// The connection that was made last, as long as a client has it.
    last: RefCell<Weak<Connection>>,
}

/// A connection to the server, which goes with the last of its clients.
struct Connection {
    requests: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Far {
    async fn connect(&self) -> io::Result<Rc<Connection>> {
        let last = self.last.borrow().upgrade();
        if let Some(last) = last.filter(|last| self.is_shared && !last.driver.is_finished()) {
            return Ok(last);
        }
        let socket = TcpStream::connect(self.server).await?;
        socket.set_nodelay(true)?;
        let mut client = h2::client::Builder::new();
        // Small frames that lie unread until a test gets to them are no attack.
        client.data_frame_budget(usize::MAX / 2);
        if self.is_shared {
            client.initial_connection_window_size(WINDOW);
        }
        let (requests, connection) = client.handshake(socket).await.map_err(io::Error::other)?;
        let made = Rc::new(Connection { requests, driver: spawn_local(connection) });
        *self.last.borrow_mut() = Rc::downgrade(&made);
        Ok(made)
    }
}

/// Carries one client's requests.
async fn carry(mut client: TcpStream, far: &Far) -> io::Result<()> {
    client.set_nodelay(true)?;
    let connection = far.connect().await?;
    let mut requests = connection.requests.clone();
    let mut received = BytesMut::new();
    while let Some(asked) = Asked::read(&mut client, &mut received).await? {
        if !exchange(&mut client, &mut received, &mut requests, asked).await? {
            break;
        }
    }
    client.shutdown().await
}

/// A request's head.
struct Asked {
    method: Method,
    target: String,
    fields: Vec<(String, String)>,
}

impl Asked {
    /// Reads a head; `None` if the client is done.
    async fn read(client: &mut TcpStream, received: &mut BytesMut) -> io::Result<Option<Asked>> {
        let end = loop {
            if let Some(at) = received.windows(4).position(|four| four == b"\r\n\r\n") {
                break at;
            }
            if client.read_buf(received).await? == 0 {
                return Ok(None);
            }
        };
        let head = String::from_utf8_lossy(&received.split_to(end + 4)).into_owned();
        let mut lines = head.trim_end().split("\r\n");
        let mut line = lines.next().unwrap_or_default().split(' ');
        let method = Method::from_bytes(line.next().unwrap_or_default().as_bytes()).map_err(io::Error::other)?;
        let target = line.next().unwrap_or_default().to_owned();
        let fields = lines.filter_map(|line| line.split_once(':'));
        let fields = fields.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()));
        Ok(Some(Asked { method, target, fields: fields.collect() }))
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    fn is_websocket(&self) -> bool {
        self.field("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
    }

    /// The same for HTTP/2.
    fn request(&self) -> io::Result<Request<()>> {
        let authority = self.field("host").unwrap_or("localhost");
        let mut request = Request::builder().uri(format!("http://{authority}{}", self.target));
        for (name, value) in &self.fields {
            let own = ["host", "connection", "upgrade", "transfer-encoding", "keep-alive", "sec-websocket-key"];
            if !own.contains(&name.as_str()) {
                request = request.header(name, value);
            }
        }
        request = match self.is_websocket() {
            true => request.method(Method::CONNECT).extension(Protocol::from_static("websocket")),
            false => request.method(self.method.clone()),
        };
        request.body(()).map_err(io::Error::other)
    }
}

/// Carries a request and its answer; `false` if nothing can follow.
async fn exchange(
    client: &mut TcpStream,
    received: &mut BytesMut,
    requests: &mut SendRequest<Bytes>,
    asked: Asked,
) -> io::Result<bool> {
    poll_fn(|cx| requests.poll_ready(cx)).await.map_err(io::Error::other)?;
    let length: Option<usize> = asked.field("content-length").and_then(|length| length.parse().ok());
    let chunked = asked.field("transfer-encoding").is_some();
    let converses = asked.is_websocket();
    let ended = !converses && !chunked && length.unwrap_or(0) == 0;
    let (answer, mut up) = requests.send_request(asked.request()?, ended).map_err(io::Error::other)?;
    // Whether the client has said all of its request.
    let said = Cell::new(length.is_none() && !chunked);
    let goes_on = {
        let (mut reader, mut writer) = client.split();
        let sending = async {
            if let Some(left) = length.filter(|_| !ended) {
                send_length(&mut reader, received, &mut up, left).await?;
                said.set(true);
            } else if chunked {
                send_chunks(&mut reader, received, &mut up).await?;
                said.set(true);
            } else if converses {
                send_all(&mut reader, received, &mut up).await?;
            } else if reader.read_buf(received).await? == 0 {
                // The client has gone while it was to be answered.
                return Ok(());
            }
            std::future::pending::<io::Result<()>>().await
        };
        let mut answering = pin!(async {
            let response = answer.await.map_err(io::Error::other)?;
            let switches = converses && response.status() == 200;
            let sized = response.headers().contains_key("content-length") || response.status() == 204;
            let bare = sized || response.status() == 304;
            writer.write_all(&head_of(&response, &asked, switches, bare)).await?;
            let mut body = response.into_body();
            while let Some(data) = body.data().await {
                let data = data.map_err(io::Error::other)?;
                let _ = body.flow_control().release_capacity(data.len());
                if !data.is_empty() {
                    writer.write_all(&piece(&data, !switches && !bare)).await?;
                }
            }
            if !switches && !bare && asked.method != Method::HEAD {
                writer.write_all(b"0\r\n\r\n").await?;
            }
            Ok::<bool, io::Error>(bare && !switches)
        });
        tokio::select! {
            goes_on = &mut answering => goes_on,
            sent = sending => match sent {
                // The server has heard enough, and may have answered.
                Err(error) if matches!(error.kind(), io::ErrorKind::Other | io::ErrorKind::BrokenPipe) => answering.await,
                gone => gone.map(|()| false),
            },
        }
    }?;
    if !said.get() && !ended {
        // Closing now, with the rest of the body unread, would reset the connection, and the answer with it.
        let mut rest = vec![0; 64 << 10];
        client.shutdown().await?;
        while client.read(&mut rest).await? > 0 {}
        return Ok(false);
    }
    Ok(goes_on)
}

fn head_of(response: &Response<RecvStream>, asked: &Asked, switches: bool, bare: bool) -> Vec<u8> {
    let status = if switches { 101 } else { response.status().as_u16() };
    let mut head = format!("HTTP/1.1 {status} Bridged\r\n");
    for (name, value) in response.headers() {
        head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
    }
    if switches {
        let accept = accept(asked.field("sec-websocket-key").unwrap_or_default());
        head.push_str(&format!("upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: {accept}\r\n"));
    } else if !bare {
        head.push_str("transfer-encoding: chunked\r\nconnection: close\r\n");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

fn piece(data: &[u8], chunked: bool) -> Vec<u8> {
    if !chunked {
        return data.to_vec();
    }
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// Sends as much as there is room for, until it is all.
async fn send(up: &mut SendStream<Bytes>, mut data: Bytes, ends: bool) -> io::Result<()> {
    while data.has_remaining() {
        up.reserve_capacity(data.len());
        let room = match up.capacity() {
            0 => {
                let room = poll_fn(|cx| up.poll_capacity(cx)).await;
                room.ok_or(io::ErrorKind::BrokenPipe)?.map_err(io::Error::other)?
            }
            room => room,
        };
        up.send_data(data.split_to(room.min(data.len())), false).map_err(io::Error::other)?;
    }
    match ends {
        true => up.send_data(Bytes::new(), true).map_err(io::Error::other),
        false => Ok(()),
    }
}

async fn send_length(
    reader: &mut (impl AsyncRead + Unpin),
    received: &mut BytesMut,
    up: &mut SendStream<Bytes>,
    mut left: usize,
) -> io::Result<()> {
    while left > 0 {
        if received.is_empty() && reader.read_buf(received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let data = received.split_to(received.len().min(left)).freeze();
        left -= data.len();
        send(up, data, left == 0).await?;
    }
    Ok(())
}

async fn send_chunks(
    reader: &mut (impl AsyncRead + Unpin),
    received: &mut BytesMut,
    up: &mut SendStream<Bytes>,
) -> io::Result<()> {
    loop {
        let end = loop {
            if let Some(at) = received.windows(2).position(|two| two == b"\r\n") {
                break at;
            }
            if reader.read_buf(received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let size = String::from_utf8_lossy(&received[..end]).into_owned();
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16);
        let size = size.map_err(io::Error::other)?;
        received.advance(end + 2);
        if size == 0 {
            send(up, Bytes::new(), true).await?;
            // Trailers, which nobody reads, up to an empty line.
            while !received.starts_with(b"\r\n") {
                match received.windows(2).position(|two| two == b"\r\n") {
                    Some(at) => received.advance(at + 2),
                    None if reader.read_buf(received).await? == 0 => break,
                    None => {}
                }
            }
            received.advance(received.len().min(2));
            return Ok(());
        }
        while received.len() < size + 2 {
            if reader.read_buf(received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let data = received.split_to(size).freeze();
        received.advance(2);
        send(up, data, false).await?;
    }
}

/// All that a client says, until it closes its side.
async fn send_all(
    reader: &mut (impl AsyncRead + Unpin),
    received: &mut BytesMut,
    up: &mut SendStream<Bytes>,
) -> io::Result<()> {
    loop {
        if !received.is_empty() {
            send(up, received.split().freeze(), false).await?;
        }
        if reader.read_buf(received).await? == 0 {
            return send(up, Bytes::new(), true).await;
        }
    }
}
