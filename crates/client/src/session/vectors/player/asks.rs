//! Requests: the client's own, whose answers it reads, and those of backends, which are answered by what it did.

use super::super::answers;
use super::{Called, Player};
use crate::error::RpcError;
use crate::http::Problem;
use crate::session::{Happening, Session};
use crate::transport::Posted;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use switchboard_vectors::sessions::Answer;

/// A request, until it is answered.
pub(super) struct Asked {
    method: String,
    path: String,
    /// The number of the client's message that it brings.
    number: Option<u64>,
    /// Which of the calls of backends it is.
    call: Option<usize>,
}

impl Player<'_> {
    pub(super) fn publish(&mut self, channel: &str, data: &Value, event: Option<&str>, id: Option<&str>) {
        if let Some(id) = id {
            let id = self.names.make(&id.into());
            let what = json!({ "channel": channel, "data": data, "event": event });
            assert!(self.published.insert(id.as_str().unwrap().to_owned(), what).is_none(), "{}", self.at);
        }
    }

    pub(super) fn ask(&mut self, method: &str, path: &str, fields: &[(String, String)], body: Option<&str>) {
        let path = self.names.fill(path);
        let body: Value = body.and_then(|body| serde_json::from_str(&self.names.fill(body)).ok()).unwrap_or_default();
        let is_own = path.starts_with("/session");
        let (mut number, mut call) = (None, None);
        match path.rsplit('/').next() {
            _ if is_own && method == "POST" => number = self.post(fields, &body),
            _ if is_own => {}
            Some("call") => {
                let method = body["method"].as_str().unwrap().to_owned();
                call = Some(self.called.len());
                self.called.push(Called { method, id: None, outcome: None });
            }
            Some("notify") => self.told.push_back(body),
            Some("subscribe") => _ = self.channels.insert(body["channel"].as_str().unwrap().to_owned()),
            Some("unsubscribe") => _ = self.channels.remove(body["channel"].as_str().unwrap()),
            _ => {}
        }
        self.asked.push_back(Asked { method: method.to_owned(), path, number, call });
    }

    /// The client sends a message by POST, under the number that comes next. Another number, or none, this client does not
    /// give.
    fn post(&mut self, fields: &[(String, String)], body: &Value) -> Option<u64> {
        let (_, seq) = fields.iter().find(|(name, _)| name == "Session-Seq")?;
        let seq: u64 = seq.parse().ok().filter(|seq| *seq > 0)?;
        if seq == self.sent + 1 && body.is_object() {
            self.say(body);
            assert_eq!(self.sent, seq, "{}", self.at);
        } else if seq <= self.sent {
            // What is known to have arrived is not sent again, whatever becomes of the connection.
            self.session.dropped();
            assert!(self.session.next_up(0).is_none(), "{}: it is sent again", self.at);
            return None;
        } else {
            return None;
        }
        Some(seq)
    }

    pub(super) fn answer(&mut self, last: bool, answer: &Answer) {
        let asked = if last { self.asked.pop_back() } else { self.asked.pop_front() };
        let asked = asked.unwrap_or_else(|| panic!("{}: nothing was asked", self.at));
        match (asked.path.starts_with("/session"), answers::problem(answer)) {
            (true, Some(problem)) => self.is_refused(&asked, &problem),
            (true, None) => self.reads(&asked, answer),
            (false, Some(_)) => self.backend_is_refused(&asked),
            (false, None) => self.backend_reads(&asked, answer),
        }
    }

    fn is_refused(&mut self, asked: &Asked, problem: &Problem) {
        let is_known = asked.path != "/session";
        let is_gone = match &*asked.method {
            "POST" if is_known => answers::is_gone_up(problem),
            _ => answers::is_gone(problem, is_known),
        };
        let location = self.session.said().map(|said| said.location.clone());
        if is_gone && location.is_some_and(|location| asked.path.split('?').next() == Some(location.as_str())) {
            return self.lost();
        }
        match (Posted::of(problem.clone()), asked.number) {
            // What was said with that number takes none, and is settled.
            (Posted::Refused(_), Some(number)) => {
                self.session.refused(number, RpcError::new(0, "refused"));
                let (call, _) = self.waits.pop_last().unwrap();
                self.expected.push(json!({ "answered": call, "error": { "code": 0, "message": "refused" } }));
                self.sent -= 1;
                self.unconfirmed.retain(|(each, _)| *each < number);
            }
            (Posted::Expected(seq), _) => {
                assert_eq!(self.session.expected(seq), Ok(()), "{}", self.at);
                self.unconfirmed.retain(|(each, _)| *each >= seq);
                // Nothing else is there to be sent.
                assert!(self.session.next_up(0).is_none(), "{}", self.at);
            }
            _ => {}
        }
    }

    /// An answer to the client that is a success.
    fn reads(&mut self, asked: &Asked, answer: &Answer) {
        match (&*asked.method, answer.status) {
            ("POST", 201) => {
                let said = self.names.make(answer.body.as_ref().unwrap());
                for (name, value) in &answer.fields {
                    assert_eq!(
                        (&**name, self.names.make(&value.as_str().into())),
                        ("location", said["location"].clone())
                    );
                }
                self.opened(&said);
                self.begins(&said);
            }
            ("POST", 202) => asked.number.into_iter().for_each(|number| self.confirm(number)),
            ("GET", 200) => self.page(answer.body.as_ref().unwrap()),
            // The client ends its session itself.
            ("DELETE", 204) => {}
            other => panic!("{}: what does {other:?} mean?", self.at),
        }
    }

    /// A page that was asked for from a place of its own: a client that is there reads it.
    fn page(&mut self, body: &Value) {
        let made = self.names.make(body);
        let page = self.placed(made);
        let (messages, end) = (page["messages"].as_array().unwrap(), page["place"].as_str().unwrap());
        let is_control = |message: &&Value| !super::NOT_NUMBERED.iter().any(|name| message["method"] == *name);
        let (control, position) = end.split_once('.').unwrap();
        let before = control.parse::<usize>().unwrap() - messages.iter().filter(is_control).count();
        let place = format!("{before}.{position}");
        let mut client = Session::default();
        let said = json!({ "id": "s", "location": "/session/s.key", "place": place, "seq": page["seq"] });
        client.opened(serde_json::from_value(said).unwrap()).unwrap();
        client.attempt();
        let mut heard = Vec::new();
        let read = client.received_page(page.to_string().as_bytes(), 0, |client| {
            heard.extend(std::iter::from_fn(|| client.happening()).map(|happening| match happening {
                Happening::Notified { method, .. } => method,
                other => panic!("{other:?}"),
            }));
        });
        assert_eq!((read, client.place().to_string().as_str()), (Ok(()), end), "{}", self.at);
        let notices = messages.iter().filter(is_control).filter_map(|message| message.get("method"));
        assert_eq!(heard, notices.map(|method| method.as_str().unwrap()).collect::<Vec<_>>(), "{}", self.at);
    }

    /// Nothing of it came to the client; or it did, and the client has not answered.
    fn backend_is_refused(&mut self, asked: &Asked) {
        if let Some(call) = asked.call {
            let Called { method, id, outcome } = &mut self.called[call];
            assert_eq!(*outcome, None, "{}: the client has answered {method}", self.at);
            // No `down` is to be taken for it.
            id.get_or_insert(Value::Null);
        } else if asked.path.ends_with("/notify") {
            self.told.pop_back();
        }
    }

    /// What the client did is what a backend reads.
    fn backend_reads(&mut self, asked: &Asked, answer: &Answer) {
        assert!((200..300).contains(&answer.status), "{}: {}", self.at, answer.status);
        let body = answer.body.clone().unwrap_or_default();
        if let Some(call) = asked.call {
            let outcome = self.called[call].outcome.clone();
            let Some(answers) = body["answers"].as_array() else {
                return assert_eq!(outcome, Some(body), "{}: what the client answered", self.at);
            };
            let of_all: Vec<Value> = outcome.into_iter().collect();
            let without_session = answers.iter().cloned().map(|mut answer| {
                answer.as_object_mut().unwrap().remove("session");
                answer
            });
            assert_eq!(without_session.collect::<Vec<_>>(), of_all, "{}: what the client answered", self.at);
        } else if body["sessions"] == 0 {
            self.told.pop_back();
        } else if let Some(sessions) = body["sessions"].as_array() {
            assert_eq!(sessions.len(), usize::from(self.is_connected), "{}", self.at);
            sessions.iter().for_each(|session| self.is_seen(session));
        } else if asked.method == "GET" {
            self.is_seen(&body);
        }
    }

    /// How a backend sees the session: what the client asked for.
    fn is_seen(&mut self, session: &Value) {
        let channels = session["channels"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
        assert_eq!(channels.collect::<BTreeSet<_>>(), self.channels, "{}", self.at);
        let id = self.session.said().unwrap().id.clone();
        self.compare(&session["id"], &id.into());
    }
}
