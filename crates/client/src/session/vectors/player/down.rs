//! What comes down, and what is to happen then.

use super::{NOT_NUMBERED, Player, Wait};
use serde_json::{Value, json};
use switchboard_wire::event::from_base64;

/// Under such ids answers come that are none of this client's calls.
const FOREIGN: u64 = 1_000_000;

impl Player<'_> {
    /// The server says this next.
    pub(super) fn down(&mut self, message: &Value) {
        assert!(self.is_connected, "{}: the client is not connected", self.at);
        let came = self.as_told(message);
        let members = came.as_array().cloned().unwrap_or_else(|| vec![came.clone()]);
        let is_control = came.is_array() || came.get("id").is_some() || !is_among(&NOT_NUMBERED, &came["method"]);
        let is_again = is_control && self.behind > 0;
        if is_again {
            self.behind -= 1;
        } else {
            self.control += u64::from(is_control);
            let expected: Vec<Value> = members.iter().flat_map(|member| self.happens(member)).collect();
            self.expected.extend(expected);
        }
        let ours: Vec<Value> = members.iter().map(|member| self.under_our_id(member)).collect();
        let text = if came.is_array() { Value::from(ours) } else { ours[0].clone() }.to_string();
        self.deliver(&text);
        for member in &members {
            self.forget(member);
        }
    }

    /// The message as the conversation has it; of what a backend told, word by word what it told.
    fn as_told(&mut self, message: &Value) -> Value {
        let is_notice = message.get("method").is_some() && message.get("id").is_none();
        if is_notice && self.told.front().is_some_and(|told| told["method"] == message["method"]) {
            let mut told = self.told.pop_front().unwrap();
            told["jsonrpc"] = "2.0".into();
            self.compare(message, &told);
            return told;
        }
        self.names.make(message)
    }

    fn deliver(&mut self, text: &str) {
        let place = format!("{}.{}", self.control - self.behind, self.position);
        let read = match &*self.over {
            "sse" => self.session.received(text.as_bytes(), Some(&place), 0),
            "poll" => {
                self.attempt();
                let page = format!(r#"{{"messages":[{text}],"place":"{place}","seq":{}}}"#, self.sent + 1);
                let mut pages = 0;
                let read = self.session.received_page(page.as_bytes(), 0, |_| pages += 1);
                assert_eq!(pages, 1, "{}", self.at);
                read
            }
            _ => self.session.received(text.as_bytes(), None, 0),
        };
        assert_eq!(read, Ok(()), "{}: {text}", self.at);
    }

    /// Calls by the numbers that the client gave them.
    fn under_our_id(&self, member: &Value) -> Value {
        let mut member = member.clone();
        if member.get("method").is_none() {
            let known = self.ids.get(&member["id"].to_string()).copied();
            let foreign = member["id"].as_u64().map(|id| id + FOREIGN);
            if let Some(id) = known.or(foreign) {
                member["id"] = id.into();
            }
        }
        member
    }

    /// An answer was given: what was sent up to its call has arrived.
    fn forget(&mut self, member: &Value) {
        let number = self.ids.get(&member["id"].to_string()).copied().filter(|_| member.get("method").is_none());
        let Some(number) = number else { return };
        self.waits.remove(&number);
        let at = self.unconfirmed.iter().position(|(_, said)| said["id"] == number && said.get("method").is_some());
        if let Some(at) = at {
            self.unconfirmed.drain(..=at);
        }
    }

    /// What the client is to hear of it, by the protocol. Moves its place.
    fn happens(&mut self, member: &Value) -> Vec<Value> {
        let Some(method) = member.get("method").and_then(Value::as_str) else { return self.answered(member) };
        let params = member.get("params");
        if let Some(id) = member.get("id") {
            let called = self.called.iter_mut().find(|called| called.id.is_none() && called.method == method);
            called.unwrap_or_else(|| panic!("{}: nobody calls {method}", self.at)).id = Some(id.clone());
            return vec![json!({ "called": id.to_string(), "method": method, "params": params })];
        }
        let text = |name: &str| params.and_then(|params| params.get(name)).and_then(Value::as_str);
        match method {
            "event" => return self.event(params.unwrap()).into_iter().collect(),
            "gap" => {
                self.position = text("to").unwrap().to_owned();
                let gap = json!({ "gap": params });
                return self.listening.heard(text("channel"), gap).into_iter().collect();
            }
            "end" => return self.listening.ended(text("channel").unwrap()),
            "closing" => return vec![json!({ "closing": params })],
            "expiring" => return vec![json!({ "expiring": params.unwrap()["expires"] })],
            "caught_up" => self.listening.caught_up(),
            "subscribed" => {}
            method => {
                assert!(!is_among(&NOT_NUMBERED, &method.into()), "{}: what is to come of {method}?", self.at);
                return vec![json!({ "notified": method, "params": params })];
            }
        }
        self.position = text("position").unwrap().to_owned();
        match method {
            "subscribed" => vec![json!({ "notified": method, "params": params })],
            _ => Vec::new(),
        }
    }

    fn event(&mut self, params: &Value) -> Option<Value> {
        let mut event = params.clone();
        self.position = params.get("position").unwrap_or(&params["id"]).as_str().unwrap().to_owned();
        event["position"] = self.position.as_str().into();
        if let Some(base64) = params.get("base64").and_then(Value::as_str) {
            event.as_object_mut().unwrap().remove("base64");
            event["data"] = from_base64(base64).unwrap().to_vec().into();
        }
        if let Some(published) = self.published.get(params["id"].as_str().unwrap()) {
            let what = json!({ "channel": event["channel"], "data": event["data"], "event": event.get("event") });
            assert_eq!(what, *published, "{}: what was published", self.at);
        }
        self.listening.heard(params["channel"].as_str(), json!({ "event": event }))
    }

    fn answered(&mut self, member: &Value) -> Vec<Value> {
        let number = self.ids.get(&member["id"].to_string()).copied();
        let Some(number) = number.filter(|number| self.waits.contains_key(number)) else { return Vec::new() };
        let outcome = member.get("error").map_or(Ok(&member["result"]), Err);
        match self.waits[&number] {
            Wait::Application => match outcome {
                Ok(result) => vec![json!({ "answered": number, "result": result })],
                Err(error) => vec![json!({ "answered": number, "error": error })],
            },
            Wait::Listener => {
                if let Ok(said) = outcome {
                    self.position = said["position"].as_str().unwrap().to_owned();
                }
                self.listening.answered(outcome)
            }
            Wait::Token => vec![json!({ "refreshed": outcome.err() })],
            Wait::Nobody => Vec::new(),
        }
    }
}

fn is_among(names: &[&str], name: &Value) -> bool {
    names.iter().any(|each| name == each)
}
