//! HTTP/2, frame by frame: RFC 9113 by its sections, and what the server makes of it. The client says only what a test
//! has it say.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of tests fail as tests do: by panicking"
)]

mod compression;
mod connections;
mod defences;
mod floods;
mod flow;
mod frames;
mod messages;
mod preface;
mod settings;
mod stopping;
mod streams;
mod subscribers;
mod websocket;
mod windows;

use switchboard_testkit::http2::{Ended, error};
use switchboard_testkit::{Http2, Server};

fn connect(server: &Server) -> Http2 {
    Http2::open(server.address())
}

/// Says this on a new connection, which must end for it with this code (section 5.4.1).
#[track_caller]
fn ends_the_connection(server: &Server, code: u32, said: impl AsRef<[u8]>) {
    let mut client = connect(server);
    client.send(said);
    assert_eq!(client.goaway(), code);
}

/// The same where the `h2` crate has another code than the RFC, which `docs/http2.md` tells: either will do.
#[track_caller]
fn ends_the_connection_as(server: &Server, of_the_rfc: u32, said: impl AsRef<[u8]>) {
    let mut client = connect(server);
    client.send(said);
    let code = client.goaway();
    assert!(code == of_the_rfc || code == error::PROTOCOL_ERROR, "{code}");
}

/// Says this on a new connection. The stream must end for it with this code, and the connection goes on (section 5.4.2).
#[track_caller]
fn resets(server: &Server, stream: u32, code: u32, said: impl AsRef<[u8]>) -> Http2 {
    let mut client = connect(server);
    client.send(said);
    assert_eq!(client.ended(stream), Ended::Reset(code));
    goes_on(&mut client, stream + 100);
    client
}

/// Says this on a new connection, which does nothing to it.
#[track_caller]
fn is_ignored(server: &Server, said: impl AsRef<[u8]>) -> Http2 {
    let mut client = connect(server);
    client.send(said);
    goes_on(&mut client, 101);
    client
}

/// Checks that the connection serves, on a new stream.
#[track_caller]
fn goes_on(client: &mut Http2, stream: u32) {
    client.get(stream, "/healthz").expect(200);
}

/// Checks that a request that is malformed ends its stream, or the connection (section 8.1.1, and section 5.4.2 lets an
/// endpoint take the one for the other). `docs/http2.md` tells which is when.
#[track_caller]
fn is_malformed(server: &Server, fields: &[switchboard_testkit::Field<'_>]) {
    let mut client = connect(server);
    client.send(switchboard_testkit::http2::headers(1, fields, true));
    let ended = client.ended(1);
    let code = error::PROTOCOL_ERROR;
    assert!(ended == Ended::Reset(code) || ended == Ended::GoAway(code), "{fields:?}: {ended:?}");
}
