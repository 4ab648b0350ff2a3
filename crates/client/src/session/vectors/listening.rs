//! Who listens to what in a conversation, by the rules of `docs/sessions.md`: worked out anew, from what is said.

use crate::session::ListenerId;
use serde_json::{Value, json};
use switchboard_wire::name::{ChannelName, Selection};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Asked,
    Catching,
    Live,
}

struct Listener {
    id: ListenerId,
    channel: String,
    selection: Selection,
    state: State,
}

/// Those who listen, in the order in which they came.
#[derive(Default)]
pub(super) struct Listening(Vec<Listener>);

impl Listening {
    /// Somebody listens to this name or pattern, and the server was asked for it.
    pub(super) fn add(&mut self, id: ListenerId, channel: &str) {
        let mut selection = Selection::default();
        selection.add(channel).unwrap();
        self.0.push(Listener { id, channel: channel.to_owned(), selection, state: State::Asked });
    }

    /// The one who came last to this channel, and leaves it now.
    pub(super) fn take(&mut self, channel: &str) -> Option<ListenerId> {
        let at = self.0.iter().rposition(|listener| listener.channel == channel)?;
        Some(self.0.remove(at).id)
    }

    /// `subscribe` is answered: what is to happen.
    pub(super) fn answered(&mut self, outcome: Result<&Value, &Value>) -> Vec<Value> {
        let mut asked: Vec<&mut Listener> =
            self.0.iter_mut().filter(|listener| listener.state == State::Asked).collect();
        let said = match outcome {
            Ok(said) => said,
            Err(error) => {
                let told = asked.iter().map(|listener| json!({ "refused": listener.id, "error": error })).collect();
                self.0.retain(|listener| listener.state != State::Asked);
                return told;
            }
        };
        asked.iter_mut().for_each(|listener| listener.state = State::Catching);
        let mut told: Vec<Value> =
            asked.iter().map(|listener| json!({ "granted": listener.id, "position": said["position"] })).collect();
        if let Some(gap) = said.get("gap") {
            told.extend(self.heard(gap.get("channel").and_then(Value::as_str), json!({ "gap": gap })));
        }
        if said.get("ended").is_some_and(|ended| ended == true) {
            let catching = self.0.iter().filter(|listener| listener.state == State::Catching);
            let channels: Vec<String> = catching.map(|listener| listener.channel.clone()).collect();
            told.extend(channels.iter().flat_map(|channel| self.ended(channel)));
        }
        told
    }

    /// Catching up is over.
    pub(super) fn caught_up(&mut self) {
        for listener in self.0.iter_mut().filter(|listener| listener.state == State::Catching) {
            listener.state = State::Live;
        }
    }

    /// Whoever is to hear this of the channel, or of all.
    pub(super) fn heard(&self, channel: Option<&str>, item: Value) -> Option<Value> {
        let is_one_catching = self.0.iter().any(|listener| listener.state == State::Catching);
        let state = if is_one_catching { State::Catching } else { State::Live };
        let name = channel.map(|channel| ChannelName::new(channel).unwrap());
        let hears = |listener: &&Listener| {
            listener.state == state && name.as_ref().is_none_or(|name| listener.selection.selects(name))
        };
        let listeners: Vec<ListenerId> = self.0.iter().filter(hears).map(|listener| listener.id).collect();
        (!listeners.is_empty()).then(|| json!({ "heard": listeners, "item": item }))
    }

    /// The channel has ended: who listens to it alone has heard everything, and has gone.
    pub(super) fn ended(&mut self, channel: &str) -> Vec<Value> {
        let mut told: Vec<Value> = self.heard(Some(channel), json!({ "end": channel })).into_iter().collect();
        let (gone, stay) = std::mem::take(&mut self.0).into_iter().partition(|listener| listener.channel == channel);
        self.0 = stay;
        told.extend(gone.iter().map(|listener: &Listener| json!({ "finished": listener.id })));
        told
    }
}
