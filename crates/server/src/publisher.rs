//! Publishing from within the program that the server is embedded in.

use crate::node::Node;
use bytes::Bytes;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;
use switchboard_store::Append;
use switchboard_wire::code::Problem;
use switchboard_wire::event::{Draft, Kind};
use switchboard_wire::{ChannelName, Code};

/// Publishes to channels of a server in this program, whatever the rules say. Cheap to clone.
#[derive(Clone)]
pub struct Publisher(Arc<Node>);

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Publisher")
    }
}

impl Publisher {
    pub(crate) fn new(node: Arc<Node>) -> Publisher {
        Publisher(node)
    }

    /// Publishes something as JSON, with a type if one is given. Waits, for a moment, where readers could not keep up; so it
    /// is for a runtime with timers.
    ///
    /// ```no_run
    /// # async fn publish(running: switchboard::Running) -> Result<(), Box<dyn std::error::Error>> {
    /// running.publisher().publish("users/ada", Some("order"), &[17]).await?;
    /// # Ok(()) }
    /// ```
    pub async fn publish(&self, channel: &str, event: Option<&str>, data: &impl Serialize) -> Result<(), Problem> {
        let data = serde_json::to_vec(data).map_err(|error| Code::InvalidJson.because(error.to_string()))?;
        let name = unreserved(channel)?;
        let most = self.0.limits.message(&name);
        if data.len() > most {
            return Err(Code::TooLarge.because(format!("the data has more than {most} bytes")));
        }
        let draft = Draft::new(event, Kind::Json, None, Bytes::from(data))?;
        self.append(Append { channel: name, draft: Some(draft), end: false, key: None }).await
    }

    /// Ends a channel: readers get what was published, are told, and go. What is published to it after that is refused
    /// with `channel_ended`.
    pub async fn end(&self, channel: &str) -> Result<(), Problem> {
        let channel = unreserved(channel)?;
        self.append(Append { channel, draft: None, end: true, key: None }).await
    }

    async fn append(&self, append: Append) -> Result<(), Problem> {
        self.0.pace().await;
        self.0.log.append(self.0.now(), &[append]).map(|_| ()).map_err(|(_, refusal)| refusal.code().into())
    }
}

/// The name of a channel that is not the system's own.
fn unreserved(channel: &str) -> Result<ChannelName, Problem> {
    let name = ChannelName::new(channel).map_err(|bad| Code::ChannelName.because(bad.to_string()))?;
    match name.is_reserved() {
        true => Err(Code::ChannelName.because("names that begin with `$` are the system's own")),
        false => Ok(name),
    }
}
