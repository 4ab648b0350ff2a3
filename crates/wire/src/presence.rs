//! Who is on a channel, in the words of the wire: a member, and the notice that one came or went.
//!
//! A notice is an event like any other, so that it is encoded once for all who hear it. Its channel is one of the
//! system's own, `$presence/{channel}`, which no client can read or publish to by itself, and its data are the params of
//! the notification `presence`.

use crate::event::{Draft, Event};
use crate::json;
use crate::jsonrpc::Json;
use crate::name::{ChannelName, Selection};

/// What the channels of notices begin with.
const ROOT: &str = "$presence";

/// Whether somebody came or went.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Change {
    /// Somebody who was not there has come; or somebody is there and shows another `info` now.
    Join,
    Leave,
}

impl Change {
    pub fn as_str(self) -> &'static str {
        match self {
            Change::Join => "join",
            Change::Leave => "leave",
        }
    }
}

/// Somebody on a channel, as those who may see who is there are told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Member<'a> {
    /// The public id of a session that it is there with.
    pub session: &'a str,
    pub user: Option<&'a str>,
    /// Whatever it shows of itself, as written.
    pub info: Option<&'a Json<'a>>,
}

impl Member<'_> {
    /// Appends `{"session","user"?,"info"?}`, on one line.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"session\":");
        json::string(self.session, out);
        if let Some(user) = self.user {
            out.extend_from_slice(b",\"user\":");
            json::string(user, out);
        }
        if let Some(info) = self.info {
            out.extend_from_slice(b",\"info\":");
            json::on_one_line(info.as_str().as_bytes(), out);
        }
        out.push(b'}');
    }
}

/// Appends a list of members: `"members":[…]`, to stand in an object. Those that would make it longer than `most` bytes are
/// left out.
pub fn write_members<'a>(members: impl IntoIterator<Item = Member<'a>>, most: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"members\":[");
    let start = out.len();
    for (i, member) in members.into_iter().enumerate() {
        let before = out.len();
        if i > 0 {
            out.push(b',');
        }
        member.write_json(out);
        if out.len() - start > most {
            out.truncate(before);
            break;
        }
    }
    out.push(b']');
}

/// The notice that somebody came to a channel or left it, to be appended to [`channel_of`] it.
pub fn notice(channel: &ChannelName, change: Change, member: &Member<'_>) -> Draft {
    let mut params = b"{\"channel\":".to_vec();
    json::string(channel.as_str(), &mut params);
    params.extend_from_slice(format!(",\"event\":\"{}\",\"member\":", change.as_str()).as_bytes());
    member.write_json(&mut params);
    params.push(b'}');
    Draft::of_json(params)
}

/// Appends the params of the notification `presence`, `{"channel","event","member"}`, on one line: what an event of a
/// channel of notices says.
pub fn write_params(event: &Event, out: &mut Vec<u8>) {
    out.extend_from_slice(event.draft.data());
}

/// The channel of the notices of a channel.
pub fn channel_of(channel: &ChannelName) -> ChannelName {
    channel.under(ROOT)
}

/// Whether a channel is one of notices.
pub fn is_of_notices(channel: &ChannelName) -> bool {
    channel.as_str().strip_prefix(ROOT).is_some_and(|rest| rest.starts_with('/'))
}

/// The notices of all channels of a selection.
pub fn notices_of(selection: &Selection) -> Selection {
    Selection {
        channels: selection.channels.iter().map(channel_of).collect(),
        patterns: selection.patterns.iter().map(|pattern| pattern.under(ROOT)).collect(),
    }
}

/// What a selection has besides notices, and the channels whose notices it has.
pub fn apart(selection: &Selection) -> (Selection, Selection) {
    let (mut read, mut watched) = (Selection::default(), Selection::default());
    for channel in &selection.channels {
        match channel.beneath(ROOT) {
            Some(channel) => watched.channels.push(channel),
            None => read.channels.push(channel.clone()),
        }
    }
    for pattern in &selection.patterns {
        match pattern.beneath(ROOT) {
            Some(pattern) => watched.patterns.push(pattern),
            None => read.patterns.push(pattern.clone()),
        }
    }
    (read, watched)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::NAME_MAX;
    use crate::{Epoch, Mark};

    fn params(draft: Draft, channel: &ChannelName) -> String {
        let id = Mark { epoch: Epoch::new(1), seq: 1 };
        let event = Event { id, resumable: false, channel: channel_of(channel), time: 0, draft };
        let mut out = Vec::new();
        write_params(&event, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_notice_says_who_came_or_went_and_keeps_what_they_show_as_written() {
        let channel = ChannelName::new("room/\"1\"").unwrap();
        let info = Json::parse("{\"n\":\n1.50, \"n\": \"\\u00fc\"}").unwrap();
        let member = Member { session: "0a", user: Some("ann\n"), info: Some(&info) };
        assert_eq!(
            params(notice(&channel, Change::Join, &member), &channel),
            r#"{"channel":"room/\"1\"","event":"join","member":{"session":"0a","user":"ann\n","info":{"n": 1.50, "n": "\u00fc"}}}"#
        );
        let nobody = Member { session: "0b", user: None, info: None };
        assert_eq!(
            params(notice(&channel, Change::Leave, &nobody), &channel),
            r#"{"channel":"room/\"1\"","event":"leave","member":{"session":"0b"}}"#
        );
    }

    #[test]
    fn a_list_of_members_is_json() {
        let member = |session| Member { session, user: None, info: None };
        for (sessions, expected) in
            [(&[][..], r#""members":[]"#), (&["a", "b"], r#""members":[{"session":"a"},{"session":"b"}]"#)]
        {
            let mut out = Vec::new();
            write_members(sessions.iter().map(|session| member(session)), 1000, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
        let each = r#"{"session":"a"}"#.len();
        for (most, there) in [(0, 0), (each - 1, 0), (each, 1), (2 * each, 1), (2 * each + 1, 2)] {
            let mut out = Vec::new();
            write_members(["a", "b", "c"].map(member), most, &mut out);
            let text = format!("{{{}}}", String::from_utf8(out).unwrap());
            let read: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read["members"].as_array().unwrap().len(), there, "{most} {text}");
        }
    }

    #[test]
    fn notices_have_channels_of_the_systems_own_that_are_selected_as_the_channels_themselves() {
        let longest = "x".repeat(NAME_MAX);
        for name in ["a", "room/1", "room/1/x", &longest] {
            let name = ChannelName::new(name).unwrap();
            let notices = channel_of(&name);
            assert!(notices.is_reserved() && is_of_notices(&notices) && !is_of_notices(&name));
            for text in ["**", "*", "room/*", "room/**", "*/1", "a", "**/x", &longest] {
                let mut selection = Selection::default();
                selection.add(text).unwrap();
                let watching = notices_of(&selection);
                assert_eq!(watching.selects(&notices), selection.selects(&name), "{text} {name}");
                assert!(!watching.selects(&name) && !selection.selects(&notices), "{text} {name}");
            }
        }
        for other in ["$presences/a", "$presence", "$other/presence/a", "a", "presence/a"] {
            assert!(!is_of_notices(&ChannelName::new(other).unwrap()), "{other}");
        }
    }

    #[test]
    fn what_is_read_and_what_is_watched_are_told_apart() {
        let select = |texts: &[&str]| {
            let mut selection = Selection::default();
            texts.iter().for_each(|text| selection.add(text).unwrap());
            selection
        };
        let (read, watched) = (select(&["a", "b/*", "c/**"]), select(&["a", "b/*"]));
        let notices = notices_of(&watched);
        let both = Selection {
            channels: [&notices.channels[..], &read.channels].concat(),
            patterns: [&notices.patterns[..], &read.patterns].concat(),
        };
        assert_eq!(apart(&both), (read.clone(), watched));
        assert_eq!(apart(&read), (read, Selection::default()));
    }
}
