//! What the client sends.

use super::{Player, Wait, json_of};
use crate::error::RpcError;
use crate::session::Session;
use serde_json::{Map, Value, json};
use switchboard_wire::jsonrpc::{Id, Incoming, Json, Message, Params, parse};

impl Player<'_> {
    /// The client says this: itself, where it is what clients say.
    pub(super) fn up(&mut self, message: &Value) {
        assert!(self.is_connected, "{}: the client is not connected", self.at);
        self.say(message);
        if self.over != "websocket" {
            self.confirm(self.sent);
        }
    }

    pub(super) fn say(&mut self, message: &Value) {
        if let Value::Array(members) = message
            && !members.is_empty()
        {
            // This client says one after the other.
            return members.iter().for_each(|member| self.say(member));
        }
        let message = self.names.fill_in(message);
        let text = message.to_string();
        match parse(text.as_bytes()) {
            Ok(Incoming::One(Ok(Message::Response(_)))) => self.say_answer(&message),
            Ok(Incoming::One(Ok(_))) => self.say_call(&message),
            _ => self.is_no_word_of_a_client(&text),
        }
    }

    /// No client says this: nor does it take it for a message.
    pub(super) fn is_no_word_of_a_client(&self, text: &str) {
        let mut other = Session::default();
        let said = json!({ "id": "s", "location": "/session/s.k", "place": "0.p" });
        other.opened(serde_json::from_value(said).unwrap()).unwrap();
        assert!(other.received(text.as_bytes(), None, 0).is_err(), "{}: the client reads {text}", self.at);
    }

    fn say_answer(&mut self, message: &Value) {
        let id = match &message["id"] {
            Value::String(text) => Id::string(text).unwrap(),
            number => Id::from(number.as_u64().unwrap()),
        };
        let outcome = match message.get("error") {
            None => Ok(Json::of(&message["result"]).unwrap()),
            Some(error) => Err(RpcError {
                data: error.get("data").cloned(),
                ..RpcError::new(error["code"].as_i64().unwrap(), error["message"].as_str().unwrap())
            }),
        };
        self.session.answer(1, id, outcome);
        assert_eq!(self.next_up().as_ref(), Some(message), "{}: the client's answer", self.at);
        let called = self.called.iter_mut().find(|called| called.id.as_ref() == Some(&message["id"]));
        if let Some(called) = called.filter(|called| called.outcome.is_none()) {
            let mut outcome = message.clone();
            outcome.as_object_mut().unwrap().retain(|name, _| name == "result" || name == "error");
            called.outcome = Some(outcome);
        }
    }

    fn say_call(&mut self, message: &Value) {
        let id = message.get("id").map(Value::to_string);
        if let Some(before) = id.as_ref().and_then(|id| self.said.get(id)) {
            // It came by another way already: to the server it is what is passed over.
            return assert_eq!(before, message, "{}: an id is used again", self.at);
        }
        let (method, params) = (message["method"].as_str().unwrap(), by_name(message));
        let by_itself = |said: &Value| said["method"] == method && said.get("params") == params.as_ref();
        let (said, wait) = match self.ahead.iter().position(by_itself) {
            Some(at) => (self.ahead.remove(at).unwrap(), Wait::Nobody),
            None => {
                let wait = self.want(method, params.as_ref(), id.is_some());
                let said = self.next_up().unwrap_or_else(|| panic!("{}: the client says nothing", self.at));
                (said, wait)
            }
        };
        assert_eq!((&said["method"], said.get("params")), (&method.into(), params.as_ref()), "{}", self.at);
        assert_eq!(said.get("id").is_some(), id.is_some(), "{}: {said}", self.at);
        if let Some(id) = id {
            let number = said["id"].as_u64().unwrap();
            self.waits.insert(number, wait);
            self.ids.insert(id.clone(), number);
            self.said.insert(id, message.clone());
        }
    }

    /// The application wants what comes to this call.
    fn want(&mut self, method: &str, params: Option<&Value>, is_call: bool) -> Wait {
        let own = params.filter(|_| is_call);
        match (method, own) {
            ("subscribe", Some(params)) => {
                self.channels.extend(names(&params["channel"]));
                if self.listen(params) {
                    return Wait::Listener;
                }
            }
            ("unsubscribe", Some(params)) => {
                let channel = params["channel"].as_str().unwrap();
                self.channels.remove(channel);
                if let Some(listener) = self.listening.take(channel) {
                    self.session.leave(listener);
                    return Wait::Nobody;
                }
            }
            ("refresh", Some(params)) => {
                self.session.refresh(params["token"].as_str().unwrap());
                return Wait::Token;
            }
            _ => {}
        }
        let params = params.map_or(Params::ABSENT, |params| Params::new(Json::of(params).unwrap()).unwrap());
        match is_call {
            true => _ = self.session.call(method, params, false, None),
            false => self.session.notify(method, params),
        }
        Wait::Application
    }

    /// Listeners, if that is how this client comes to ask for it: several in one call only from the same position on.
    fn listen(&mut self, params: &Value) -> bool {
        let is_ours =
            params.as_object().unwrap().keys().all(|name| ["channel", "since", "presence"].contains(&&**name));
        let (channels, since) = (names(&params["channel"]), params.get("since").and_then(Value::as_str));
        if !is_ours || channels.is_empty() || channels.len() > 1 && since.is_none() {
            return false;
        }
        let presence = params.get("presence").is_some_and(|presence| presence == true);
        for channel in channels {
            match self.session.listen(&channel, since.map(str::to_owned), presence) {
                Ok(listener) => self.listening.add(listener, &channel),
                // The client knows the rules for names, too. By a call of the application's own the server is asked all the same.
                Err(_) => return false,
            }
        }
        true
    }

    /// The next message up, under the number that comes next.
    pub(super) fn next_up(&mut self) -> Option<Value> {
        let (number, text) = self.session.next_up(0)?;
        self.sent += 1;
        assert_eq!(number, self.sent, "{}: the number of {}", self.at, String::from_utf8_lossy(&text));
        let said = json_of(&text);
        self.unconfirmed.push_back((number, said.clone()));
        Some(said)
    }

    /// The server has applied everything up to this number.
    pub(super) fn confirm(&mut self, number: u64) {
        self.session.applied(number);
        self.unconfirmed.retain(|(each, _)| *each > number);
    }
}

/// The names and patterns of a call.
fn names(channel: &Value) -> Vec<String> {
    match channel {
        Value::String(name) => vec![name.clone()],
        Value::Array(names) => names.iter().map(|name| name.as_str().unwrap().to_owned()).collect(),
        _ => Vec::new(),
    }
}

/// Params as this client gives them: by name, where it knows the method.
fn by_name(message: &Value) -> Option<Value> {
    let names: &[&str] = match message["method"].as_str() {
        Some("subscribe") => &["channel", "since", "presence"],
        Some("unsubscribe") => &["channel"],
        Some("refresh") => &["token"],
        _ => &[],
    };
    let params = message.get("params")?;
    match params.as_array().filter(|_| !names.is_empty()) {
        Some(values) => {
            let named = names.iter().zip(values).map(|(name, value)| ((*name).to_owned(), value.clone()));
            Some(named.collect::<Map<String, Value>>().into())
        }
        None => Some(params.clone()),
    }
}
