//! Who is on a channel, in the words of the wire: a member, and the notice that one came or went.
//!
//! A notice is an event like any other, so that it is encoded once for all who hear it. Its channel is one of the
//! system's own, `$presence/{channel}`, which no client can read or publish to by itself, and its data are the params of
//! the notification `presence`.

use crate::event::{Draft, Event};
use crate::json;
use crate::jsonrpc::Json;
use crate::name::{ChannelName, Pattern};

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

/// Appends a list of members: `"members":[…]`, to stand in an object.
pub fn write_members<'a>(members: impl IntoIterator<Item = Member<'a>>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"members\":[");
    for (i, member) in members.into_iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        member.write_json(out);
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

/// What selects the channels of the notices of all channels that the pattern selects.
pub fn pattern_of(pattern: &Pattern) -> Pattern {
    pattern.under(ROOT)
}

/// The channel whose notices these are; `None` if the channel is not one of notices.
pub fn watched(notices: &ChannelName) -> Option<&str> {
    notices.as_str().strip_prefix(ROOT)?.strip_prefix('/')
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
            write_members(sessions.iter().map(|session| member(session)), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn notices_have_channels_of_the_systems_own_that_patterns_select_as_the_channels_themselves() {
        let longest = "x".repeat(NAME_MAX);
        for name in ["a", "room/1", "room/1/x", &longest] {
            let name = ChannelName::new(name).unwrap();
            let notices = channel_of(&name);
            assert!(notices.is_reserved());
            assert_eq!(watched(&notices), Some(name.as_str()));
            for pattern in ["**", "*", "room/*", "room/**", "*/1", "a", "**/x"] {
                let pattern = Pattern::new(pattern).unwrap();
                assert_eq!(pattern_of(&pattern).matches(&notices), pattern.matches(&name), "{pattern} {name}");
                assert!(!pattern_of(&pattern).matches(&name) && !pattern.matches(&notices), "{pattern} {name}");
            }
        }
        for other in ["$presences/a", "$other/presence/a", "a", "presence/a"] {
            assert_eq!(watched(&ChannelName::new(other).unwrap()), None);
        }
    }
}
