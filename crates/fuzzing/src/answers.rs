//! What a server says to a client of sessions, which may be any server: [`switchboard_client::session`].
//!
//! Each line of the input is something that happens. `@` and a place and a blank may stand before a message, as an event
//! stream has it.
//!
//! ```text
//! {"jsonrpc":"2.0",…}    a message comes
//! %{"messages":[…],…}    a page of a long poll comes
//! !                      the connection is cut, and another begins
//! ?                      time passes
//! ```

use switchboard_client::session::{Happening, Session};
use switchboard_wire::jsonrpc::{Params, parse};

/// What may happen to one listener for one message: an item, and that it is behind or finished.
const EACH: usize = 3;
const LISTENERS: [&str; 3] = ["a", "b/*", "**"];
const MESSAGES: usize = 200;

pub(crate) fn run(input: &[u8]) {
    let (mut session, mut now) = (Session::default(), 0);
    for channel in LISTENERS {
        session.listen(channel, None, channel == "a").expect("a name or a pattern");
    }
    session.call("double", Params::default(), true, Some(5_000));
    session.notify("told", Params::default());
    session.attempt();
    let mut messages = 0;
    for line in input.split(|byte| *byte == b'\n').take(MESSAGES) {
        let heard = match line.split_first() {
            Some((b'!', _)) => {
                session.dropped();
                session.attempt();
                Ok(())
            }
            Some((b'?', _)) => {
                now += 1_000;
                session.tick(now);
                Ok(())
            }
            Some((b'%', page)) => session.received_page(page, now, |session| drain(session, page.len())),
            Some((b'@', rest)) => {
                let at = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
                let (place, text) = rest.split_at(at);
                session.received(text, std::str::from_utf8(place).ok(), now)
            }
            _ => session.received(line, None, now),
        };
        messages += 1;
        drain(&mut session, line.len());
        sends_messages(&mut session, now);
        if heard.is_err() {
            // The client gives such a connection up and begins another; what it knows has to be fit for that.
            session.dropped();
            session.lost();
            session.attempt();
            drain(&mut session, 0);
        }
    }
    assert!(
        session.place().to_string().parse::<switchboard_client::session::Place>().is_ok(),
        "after {messages} messages"
    );
}

/// Takes what has happened, which is bounded by what was said.
fn drain(session: &mut Session, length: usize) {
    let mut count = 0;
    while let Some(happening) = session.happening() {
        count += 1;
        if let Happening::Called { session: of, id, .. } = happening {
            session.answer(of, id, Ok(switchboard_wire::jsonrpc::Json::from(&serde_json::json!(1))));
        }
        // The least that a message of a batch takes is some bytes.
        assert!(count <= (EACH + 1) * (LISTENERS.len() + 2) * (1 + length), "{count} happenings of {length} bytes");
    }
}

/// What the client sends is JSON-RPC.
fn sends_messages(session: &mut Session, now: u64) {
    let mut before = 0;
    for _ in 0..8 {
        let Some((number, text)) = session.next_up(now) else { return };
        assert!(number > before, "numbers rise");
        before = number;
        assert!(parse(&text).is_ok(), "{:?}", String::from_utf8_lossy(&text));
    }
}
