//! `--transport sse`: Server-Sent Events. The data of an event is the JSON event; that of a notice stands alone, with
//! the notice's name as the type.

use super::follow::{Audience, Follow, Next};
use super::{Cut, Link, MESSAGE_MAX, cut};
use crate::failure::Failure;
use std::time::Duration;
use switchboard_wire::sse::decode::Decoder;

pub async fn read(link: &Link<'_>, follow: &mut Follow, audience: &mut dyn Audience) -> Result<(), Cut> {
    let Some(response) = link.open("text/event-stream", follow.position()).await? else { return Ok(()) };
    let mut body = response.into_body();
    let mut decoder = Decoder::new(MESSAGE_MAX);
    let mut events = Vec::new();
    let end = loop {
        match link.bytes(&mut body).await {
            Ok(Some(bytes)) if decoder.feed(&bytes, &mut events).is_ok() => {}
            Ok(Some(_)) => break cut("the server sent an event that is longer than all reason"),
            Ok(None) => break cut("the server ended the stream"),
            Err(cut) => break cut,
        }
        for event in events.drain(..) {
            // An event's own type never begins with `$`.
            let next = match event.event.as_deref() {
                Some(name) if name.starts_with('$') => follow.notice(name, &event.data, audience)?,
                _ => follow.json(&event.data, audience)?,
            };
            match next {
                Next::Read => {}
                Next::Stop => return Ok(audience.pause().map_err(Failure::from)?),
                // `retry` was read with it, and says how long to stay away.
                Next::Again(why) => return Err(after(cut(why), &decoder)),
            }
        }
        audience.pause().map_err(Failure::from)?;
    };
    Err(end)
}

/// The cut, with the wait that the server last asked for.
fn after(cut: Cut, decoder: &Decoder) -> Cut {
    match cut {
        Cut::Lost { sentence, connected, .. } => {
            Cut::Lost { sentence, connected, wait: decoder.retry().map(Duration::from_millis) }
        }
        failed => failed,
    }
}
