//! What a follower knows: where it is, what has ended, what is still wanted. The transports feed it; it touches nothing
//! but its audience.

use crate::failure::Failure;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeSet;
use switchboard_wire::name::Selection;

/// The JSON event.
#[derive(Debug, Deserialize)]
pub struct Event<'a> {
    #[serde(borrow)]
    pub id: Cow<'a, str>,
    #[serde(borrow)]
    pub channel: Cow<'a, str>,
    #[serde(borrow, default)]
    pub event: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub data: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub base64: Option<Cow<'a, str>>,
    /// Milliseconds since the Unix epoch.
    pub time: u64,
    #[serde(borrow, default)]
    pub position: Option<Cow<'a, str>>,
}

/// A member that is there is something, `null` too.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Whoever is told what was received.
pub trait Audience {
    /// An event, also as the JSON it came as.
    fn event(&mut self, event: &Event<'_>, json: &str) -> std::io::Result<()>;

    /// A sentence about the stream.
    fn notice(&mut self, sentence: &str);

    /// Nothing more is at hand: what was held back is to be shown.
    fn pause(&mut self) -> std::io::Result<()>;
}

/// What to do next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    /// Read on.
    Read,
    /// Everything that was asked for is here.
    Stop,
    /// The server closes; connect again, after the reason was said.
    Again(String),
}

#[derive(Debug, Deserialize)]
struct Open<'a> {
    #[serde(borrow)]
    position: Cow<'a, str>,
    #[serde(borrow, default)]
    gap: Option<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
struct Gap<'a> {
    #[serde(borrow, default)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow)]
    from: Cow<'a, str>,
    #[serde(borrow)]
    to: Cow<'a, str>,
    #[serde(borrow)]
    reason: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
struct Position<'a> {
    #[serde(borrow)]
    position: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
struct End<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
}

#[derive(Debug, Deserialize)]
struct Closing<'a> {
    #[serde(borrow)]
    reason: Cow<'a, str>,
    reconnect: bool,
}

/// A page.
#[derive(Debug, Deserialize)]
pub struct Page<'a> {
    #[serde(borrow)]
    pub events: Vec<&'a RawValue>,
    #[serde(borrow)]
    position: Cow<'a, str>,
    #[serde(borrow, default)]
    gap: Option<&'a RawValue>,
    #[serde(default)]
    ended: bool,
}

/// A notice in JSON: an object with one member, whose name begins with `$`.
#[derive(Debug, Deserialize)]
struct Notice<'a> {
    #[serde(borrow, rename = "$open", default)]
    open: Option<&'a RawValue>,
    #[serde(borrow, rename = "$gap", default)]
    gap: Option<&'a RawValue>,
    #[serde(borrow, rename = "$position", default)]
    position: Option<&'a RawValue>,
    #[serde(borrow, rename = "$end", default)]
    end: Option<&'a RawValue>,
    #[serde(borrow, rename = "$closing", default)]
    closing: Option<&'a RawValue>,
}

/// One follower, over all its connections.
#[derive(Debug)]
pub struct Follow {
    selection: Selection,
    position: Option<String>,
    ended: BTreeSet<String>,
    /// Events still wanted.
    left: Option<u64>,
    /// Events and notices received, by which progress is known.
    received: u64,
    /// Whether the connection was lost, and that was said.
    lost: bool,
}

impl Follow {
    pub fn new(selection: Selection, since: Option<String>, limit: Option<u64>) -> Follow {
        Follow { selection, position: since, ended: BTreeSet::new(), left: limit, received: 0, lost: false }
    }

    /// Where to read on: what was asked for, until something was received.
    pub fn position(&self) -> Option<&str> {
        self.position.as_deref()
    }

    pub fn received(&self) -> u64 {
        self.received
    }

    /// The connection is lost. That it is, is said once.
    pub fn lost(&mut self, sentence: &str, audience: &mut dyn Audience) {
        if !self.lost {
            audience.notice(&format!("{sentence}; trying again"));
        }
        self.lost = true;
    }

    /// An event or a notice, as JSON.
    pub fn json(&mut self, json: &str, audience: &mut dyn Audience) -> Result<Next, Failure> {
        if json.trim_start().starts_with("{\"$") {
            let notice: Notice<'_> = parse(json)?;
            let known = [
                ("$open", notice.open),
                ("$gap", notice.gap),
                ("$position", notice.position),
                ("$end", notice.end),
                ("$closing", notice.closing),
            ];
            return match known.into_iter().find_map(|(name, data)| Some((name, data?))) {
                Some((name, data)) => self.notice(name, data.get(), audience),
                // A newer server may say more than this one understands.
                None => Ok(Next::Read),
            };
        }
        let event: Event<'_> = parse(json)?;
        self.heard(audience);
        audience.event(&event, json.trim())?;
        self.position = Some(event.position.as_ref().unwrap_or(&event.id).to_string());
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(1);
            if *left == 0 {
                return Ok(Next::Stop);
            }
        }
        Ok(Next::Read)
    }

    /// A notice: its name, and its data as JSON.
    pub fn notice(&mut self, name: &str, data: &str, audience: &mut dyn Audience) -> Result<Next, Failure> {
        self.heard(audience);
        match name {
            "$open" => {
                let open: Open<'_> = parse(data)?;
                // With a gap, the notice that follows moves the cursor: a drop in between must not hide the loss.
                if open.gap.is_none() {
                    self.position = Some(open.position.into_owned());
                }
            }
            "$gap" => self.gap(data, audience)?,
            "$position" => self.position = Some(parse::<Position<'_>>(data)?.position.into_owned()),
            "$end" => {
                self.ended.insert(parse::<End<'_>>(data)?.channel.into_owned());
                let all = self.selection.channels.iter().all(|channel| self.ended.contains(channel.as_str()));
                if all && self.selection.patterns.is_empty() {
                    return Ok(Next::Stop);
                }
            }
            "$closing" => {
                let closing: Closing<'_> = parse(data)?;
                let reason = closing.reason.trim_end_matches('.');
                if !closing.reconnect {
                    return Err(Failure::Refused(format!("the server closed the stream: {reason}")));
                }
                return Ok(Next::Again(farewell(reason)));
            }
            _ => {}
        }
        Ok(Next::Read)
    }

    /// A page, and whether it leads on.
    pub fn page(&mut self, json: &str, audience: &mut dyn Audience) -> Result<Next, Failure> {
        let page: Page<'_> = parse(json)?;
        self.heard(audience);
        if let Some(gap) = page.gap {
            self.gap(gap.get(), audience)?;
        }
        for event in &page.events {
            match self.json(event.get(), audience)? {
                Next::Read => {}
                next => return Ok(next),
            }
        }
        self.position = Some(page.position.into_owned());
        Ok(if page.ended { Next::Stop } else { Next::Read })
    }

    fn gap(&mut self, data: &str, audience: &mut dyn Audience) -> Result<(), Failure> {
        let gap: Gap<'_> = parse(data)?;
        let channel = gap.channel.as_deref().map(|channel| format!("{channel}: ")).unwrap_or_default();
        let why = match &*gap.reason {
            "trimmed" => "events are missing here: newer ones have taken their place in the history",
            "expired" => "events are missing here: they are older than the history goes back",
            "deleted" => "the channel was deleted, and its events with it",
            "epoch" => "events may be missing here: the server has lost its memory, by a restart most likely",
            "ahead" => "the position is one that this server has not reached; going on from its newest",
            "unknown" => "the position cannot be read; going on from the oldest that is held",
            "skipped" => "events are missing here: they are not kept, and came too fast or while not connected",
            "forgotten" => "events may be missing here: the server has dropped its record of the channel",
            _ => "events are missing here",
        };
        audience.notice(&format!("{channel}{why} ({}, from {} to {})", gap.reason, gap.from, gap.to));
        self.position = Some(gap.to.into_owned());
        Ok(())
    }

    fn heard(&mut self, audience: &mut dyn Audience) {
        self.received += 1;
        if std::mem::take(&mut self.lost) {
            audience.notice("connected again");
        }
    }
}

/// Why the server closes, without the advice to connect again: that is done, and said.
pub fn farewell(reason: &str) -> String {
    let why = reason.trim_end_matches('.').trim_end_matches("; connect again");
    format!("the server closes: {why}")
}

fn parse<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Failure> {
    serde_json::from_str(json)
        .map_err(|error| Failure::Refused(format!("the server says what no Switchboard would: {error}")))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Keeps what it was told, a line each; notices begin with `!`.
    #[derive(Default)]
    pub struct Recorder(pub Vec<String>);

    impl Audience for Recorder {
        fn event(&mut self, event: &Event<'_>, _: &str) -> std::io::Result<()> {
            self.0.push(event.data.map(|data| data.get().to_owned()).unwrap_or_default());
            Ok(())
        }

        fn notice(&mut self, sentence: &str) {
            self.0.push(format!("! {sentence}"));
        }

        fn pause(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn follow(channels: &[&str], limit: Option<u64>) -> Follow {
        let mut selection = Selection::default();
        channels.iter().for_each(|channel| selection.add(channel).unwrap());
        Follow::new(selection, None, limit)
    }

    fn event(id: &str, data: &str) -> String {
        format!("{{\"id\":\"{id}\",\"channel\":\"a\",\"data\":{data},\"time\":1}}")
    }

    #[test]
    fn the_position_follows_events_and_notices() {
        let mut follow = follow(&["a"], None);
        let mut told = Recorder::default();
        let mut read = |text: &str| {
            assert_eq!(follow.json(text, &mut told), Ok(Next::Read));
            follow.position().map(str::to_owned)
        };
        assert_eq!(read(r#"{"$open":{"position":"p1"}}"#).as_deref(), Some("p1"));
        assert_eq!(read(&event("p2", "1")).as_deref(), Some("p2"));
        assert_eq!(read(r#"{"$position":{"position":"p5"}}"#).as_deref(), Some("p5"));
        let gap = r#"{"channel":"a","from":"p5","to":"p9","reason":"trimmed"}"#;
        assert_eq!(
            read(&format!(r#"{{"$open":{{"position":"p9","recovered":false,"gap":{gap}}}}}"#)).as_deref(),
            Some("p5")
        );
        assert_eq!(read(&format!(r#"{{"$gap":{gap}}}"#)).as_deref(), Some("p9"));
        assert_eq!(
            read(r#"{"id":"p10","channel":"a","data":"x","time":1,"position":"p10.q1"}"#).as_deref(),
            Some("p10.q1")
        );
        assert_eq!(read(r#"{"$new":{}}"#).as_deref(), Some("p10.q1"));
        assert_eq!(told.0[0], "1");
        assert!(told.0[1].starts_with("! a: events are missing here"), "{told:?}", told = told.0);
        assert_eq!(told.0.len(), 3);
    }

    #[test]
    fn it_stops_when_all_that_was_named_has_ended() {
        let end = |channel: &str| format!(r#"{{"$end":{{"channel":"{channel}"}}}}"#);
        let mut told = Recorder::default();
        let mut two = follow(&["a", "b"], None);
        assert_eq!(two.json(&end("a"), &mut told), Ok(Next::Read));
        assert_eq!(two.json(&end("b"), &mut told), Ok(Next::Stop));
        let mut pattern = follow(&["a", "x/*"], None);
        assert_eq!(pattern.json(&end("a"), &mut told), Ok(Next::Read));
    }

    #[test]
    fn it_stops_at_the_limit() {
        let mut told = Recorder::default();
        let mut follow = follow(&["a"], Some(2));
        let page =
            format!(r#"{{"events":[{},{},{}],"position":"3"}}"#, event("1", "1"), event("2", "2"), event("3", "3"));
        assert_eq!(follow.page(&page, &mut told), Ok(Next::Stop));
        assert_eq!((told.0.as_slice(), follow.position()), (["1", "2"].map(str::to_owned).as_slice(), Some("2")));
    }

    #[test]
    fn pages_carry_gaps_and_ends() {
        let mut told = Recorder::default();
        let mut follow = follow(&["a"], None);
        let gap = r#"{"from":"0","to":"4","reason":"epoch"}"#;
        let page = format!(r#"{{"events":[{}],"position":"5","gap":{gap},"ended":true}}"#, event("5", "5"));
        assert_eq!(follow.page(&page, &mut told), Ok(Next::Stop));
        assert!(told.0[0].contains("restart") && told.0[1] == "5", "{:?}", told.0);
    }

    #[test]
    fn a_farewell_says_whether_to_return() {
        let mut told = Recorder::default();
        let mut follow = follow(&["a"], None);
        let closing = |reconnect| format!(r#"{{"$closing":{{"code":"x","reason":"Bye.","reconnect":{reconnect}}}}}"#);
        assert_eq!(follow.json(&closing(true), &mut told), Ok(Next::Again("the server closes: Bye".to_owned())));
        let said = farewell("The server is shutting down; connect again.");
        assert_eq!(said, "the server closes: The server is shutting down");
        assert!(matches!(follow.json(&closing(false), &mut told), Err(Failure::Refused(_))));
    }

    #[test]
    fn a_loss_is_said_once_and_so_is_the_return() {
        let mut told = Recorder::default();
        let mut follow = follow(&["a"], None);
        follow.lost("gone", &mut told);
        follow.lost("gone", &mut told);
        follow.json(&event("1", "1"), &mut told).unwrap();
        assert_eq!(told.0, ["! gone; trying again", "! connected again", "1"]);
    }
}
