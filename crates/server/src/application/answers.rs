//! What an application's answers say, read in one place, whichever way they came.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use std::sync::Arc;
use switchboard_hub::access::{Action, Grants};
use switchboard_wire::code::{Problem, TABLE};
use switchboard_wire::jsonrpc::{ErrorObject, Json};
use switchboard_wire::limits::{INFO_MAX, SELECTION_MAX};
use switchboard_wire::{Code, Pattern};

/// Longest name of a user, in bytes, as in tokens.
const USER_MAX: usize = 255;
/// Patterns granted for one action, as in tokens.
const PATTERNS_MAX: usize = 256;

/// The answer to `connect`: the session may open.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Granted {
    /// Whose session it is; where this is not said, whose token it was.
    pub user: Option<Arc<str>>,
    /// What others see of the user, in presence, and the application at every call.
    pub info: Option<Json<'static>>,
    /// What it may do, in place of what its token says, if it has one.
    pub grants: Option<Grants>,
    /// What it is subscribed to from the beginning.
    pub subscriptions: Vec<Begin>,
}

/// A subscription that a session begins with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Begin {
    /// A name or a pattern.
    pub channel: String,
    pub since: Option<String>,
}

/// The answer to `subscribe`: it may.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Allowed {
    /// Where reading begins, in place of what the client asked for.
    pub since: Option<String>,
}

/// The answer to `publish`: it may.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Taken {
    /// As the client has it.
    #[default]
    AsItIs,
    /// With this for data.
    Data(Json<'static>),
    /// With these bytes, in base64.
    Base64(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenGrant {
    user: Option<String>,
    info: Option<Json<'static>>,
    channels: Option<WrittenGrants>,
    #[serde(default)]
    subscriptions: Vec<WrittenBegin>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenGrants {
    #[serde(default)]
    subscribe: Vec<String>,
    #[serde(default)]
    publish: Vec<String>,
    #[serde(default)]
    presence: Vec<String>,
    #[serde(default)]
    manage: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum WrittenBegin {
    Channel(String),
    Since { channel: String, since: Option<String> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenAllowed {
    since: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTaken {
    #[serde(default, deserialize_with = "given")]
    data: Option<Json<'static>>,
    base64: Option<String>,
}

/// A value that is there, be it null.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Json<'static>>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// Why an answer does not count.
fn bad(method: &str, why: impl std::fmt::Display) -> Problem {
    Code::ApplicationFailed.because(format!("the application's answer to `{method}` does not count: {why}"))
}

/// The object that an answer is. Null grants what an empty one does.
fn object<T: DeserializeOwned>(method: &str, answer: &Json<'_>) -> Result<T, Problem> {
    let text = if answer.as_str() == "null" { "{}" } else { answer.as_str() };
    if !text.starts_with('{') {
        return Err(bad(method, "it is no object"));
    }
    serde_json::from_str(text).map_err(|error| bad(method, error))
}

impl Granted {
    /// Refuses what is no good, whichever way it came.
    pub(crate) fn check(&self) -> Result<(), Problem> {
        let bad = |why: String| bad("connect", why);
        if self.user.as_ref().is_some_and(|user| user.is_empty() || user.len() > USER_MAX) {
            return Err(bad(format!("`user` is of 1 to {USER_MAX} bytes")));
        }
        if self.info.as_ref().is_some_and(|info| info.as_str().len() > INFO_MAX) {
            return Err(bad(format!("`info` is of at most {INFO_MAX} bytes")));
        }
        if self.subscriptions.len() > SELECTION_MAX {
            return Err(bad(format!("there are more than {SELECTION_MAX} `subscriptions`")));
        }
        for Begin { channel, .. } in &self.subscriptions {
            let fit = match channel.starts_with('$') {
                true => Err("names that begin with `$` are the system's own".to_owned()),
                false => Pattern::new(channel).map(|_| ()).map_err(|why| why.to_string()),
            };
            fit.map_err(|why| bad(format!("`{channel}` is nothing to subscribe to: {why}")))?;
        }
        Ok(())
    }

    pub fn read(answer: &Json<'_>) -> Result<Granted, Problem> {
        let bad = |why: String| bad("connect", why);
        let written: WrittenGrant = object("connect", answer)?;
        let grants = written.channels.map(WrittenGrants::read).transpose().map_err(&bad)?;
        let begin = |written| {
            let (channel, since) = match written {
                WrittenBegin::Channel(channel) => (channel, None),
                WrittenBegin::Since { channel, since } => (channel, since),
            };
            Begin { channel, since }
        };
        let granted = Granted {
            user: written.user.map(Arc::from),
            info: written.info,
            grants,
            subscriptions: written.subscriptions.into_iter().map(begin).collect(),
        };
        granted.check()?;
        Ok(granted)
    }
}

impl WrittenGrants {
    fn read(self) -> Result<Grants, String> {
        let patterns = |action: Action, texts: Vec<String>| -> Result<Vec<Pattern>, String> {
            let action = action.as_str();
            if texts.len() > PATTERNS_MAX {
                return Err(format!("there are more than {PATTERNS_MAX} patterns for `{action}`"));
            }
            let read = |text: &String| Pattern::new(text).map_err(|why| format!("`{text}` for `{action}`: {why}"));
            texts.iter().map(read).collect()
        };
        Ok(Grants {
            subscribe: patterns(Action::Subscribe, self.subscribe)?,
            publish: patterns(Action::Publish, self.publish)?,
            presence: patterns(Action::Presence, self.presence)?,
            manage: patterns(Action::Manage, self.manage)?,
        })
    }
}

impl Allowed {
    pub fn read(answer: &Json<'_>) -> Result<Allowed, Problem> {
        object("subscribe", answer).map(|WrittenAllowed { since }| Allowed { since })
    }
}

impl Taken {
    pub fn read(answer: &Json<'_>) -> Result<Taken, Problem> {
        match object("publish", answer)? {
            WrittenTaken { data: None, base64: None } => Ok(Taken::AsItIs),
            WrittenTaken { data: Some(data), base64: None } => Ok(Taken::Data(data)),
            WrittenTaken { data: None, base64: Some(base64) } => Ok(Taken::Base64(base64)),
            WrittenTaken { .. } => Err(bad("publish", "it has both `data` and `base64`")),
        }
    }
}

/// A refusal to connect, where that is answered with a status or a close code: the row of the table that has the error's
/// number, else `forbidden`, with the error's message.
pub fn refusal(error: &ErrorObject<'_>) -> Problem {
    let row = TABLE.iter().find(|(_, row)| i64::from(row.rpc) == error.code);
    // What is no failure cannot refuse.
    let code = row.map(|(code, _)| *code).filter(|code| code.row().http >= 400).unwrap_or(Code::Forbidden);
    // An error of our own says what is particular in `data`.
    #[derive(Deserialize)]
    struct Data {
        detail: String,
    }
    let detail = error.data.as_ref().and_then(|data| data.read::<Data>().ok()).map(|data| data.detail);
    code.because(detail.unwrap_or_else(|| error.message.clone().into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Json<'_> {
        Json::parse(text).unwrap()
    }

    #[test]
    fn an_answer_to_connect_says_who_it_is_what_it_may_and_where_it_begins() {
        let text = r#"{"user":"ann","info":{"name": "Ann"},"channels":{"subscribe":["room/**"]},
            "subscriptions":["room/1",{"channel":"user/*","since":"earliest"}]}"#;
        let granted = Granted::read(&json(text)).unwrap();
        assert_eq!(granted.user.as_deref(), Some("ann"));
        assert_eq!(granted.info.unwrap().as_str(), r#"{"name": "Ann"}"#, "kept as written");
        assert_eq!(granted.grants.unwrap().subscribe, [Pattern::new("room/**").unwrap()]);
        let begins: Vec<_> = granted.subscriptions.iter().map(|b| (b.channel.as_str(), b.since.as_deref())).collect();
        assert_eq!(begins, [("room/1", None), ("user/*", Some("earliest"))]);
        for nothing in ["{}", "null"] {
            assert_eq!(Granted::read(&json(nothing)), Ok(Granted::default()));
        }
    }

    #[test]
    fn answers_to_the_other_questions_are_short() {
        assert_eq!(Allowed::read(&json("{}")), Ok(Allowed { since: None }));
        assert_eq!(Allowed::read(&json(r#"{"since":"latest"}"#)), Ok(Allowed { since: Some("latest".into()) }));
        assert_eq!(Taken::read(&json("null")), Ok(Taken::AsItIs));
        assert_eq!(Taken::read(&json(r#"{"data":[1.0]}"#)), Ok(Taken::Data(Json::parse("[1.0]").unwrap())));
        assert_eq!(Taken::read(&json(r#"{"data":null}"#)), Ok(Taken::Data(Json::parse("null").unwrap())));
        assert_eq!(Taken::read(&json(r#"{"base64":"AAEC"}"#)), Ok(Taken::Base64("AAEC".into())));
    }

    #[test]
    fn an_answer_that_says_something_else_does_not_count() {
        for (text, why) in [
            ("true", "no object"),
            ("[]", "no object"),
            (r#"{"usr":"ann"}"#, "unknown field"),
            (r#"{"user":""}"#, "bytes"),
            (r#"{"user":7}"#, "string"),
            (r#"{"channels":{"subscribe":["a//b"]}}"#, "`a//b` for `subscribe`"),
            (r#"{"subscriptions":["/"]}"#, "nothing to subscribe to"),
            (r#"{"subscriptions":["$presence/a"]}"#, "the system's own"),
        ] {
            let problem = Granted::read(&json(text)).unwrap_err();
            assert_eq!(problem.code, Code::ApplicationFailed);
            assert!(problem.detail.contains(why), "{text}: {}", problem.detail);
        }
        assert!(Allowed::read(&json("false")).is_err());
        assert!(Taken::read(&json(r#"{"data":1,"base64":""}"#)).is_err());
    }

    #[test]
    fn a_refusal_is_a_row_of_the_table_or_forbidden() {
        let error = |code, message: &str| ErrorObject { code, message: message.to_owned().into(), data: None };
        assert_eq!(refusal(&error(40100, "who are you?")), Code::Unauthorized.because("who are you?"));
        assert_eq!(refusal(&error(7, "not today")), Code::Forbidden.because("not today"));
        assert_eq!(refusal(&error(20400, "done")), Code::Forbidden.because("done"));
        let ours = Code::Overloaded.because("it is down");
        assert_eq!(refusal(&ErrorObject::from(&ours)), ours);
    }
}
