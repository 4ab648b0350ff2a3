//! Answers that are published word by word while they are made, and that whoever asked can stop.

use crate::model::Model;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use switchboard::Publisher;
use switchboard::application::{Code, Problem};
use tokio::task::AbortHandle;

/// How long a word takes: at least, and how much more at most, in milliseconds.
const LEAST: u64 = 25;
const MORE: u64 = 90;
/// Answers that are made at once; more are refused.
const ANSWERS: usize = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ask {
    question: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stop {
    /// As `answer.ask` said it.
    channel: String,
}

#[derive(Serialize)]
pub(crate) struct Begun {
    channel: String,
}

#[derive(Serialize)]
pub(crate) struct Stopped {
    /// Whether there was still something to stop.
    stopped: bool,
}

pub(crate) struct Answers {
    model: Arc<Model>,
    publisher: Arc<OnceLock<Publisher>>,
    /// Those that are being made, by their channels.
    speaking: Arc<Mutex<HashMap<String, AbortHandle>>>,
}

impl Answers {
    pub(crate) fn new(publisher: Arc<OnceLock<Publisher>>) -> Answers {
        Answers { model: Arc::new(Model::new()), publisher, speaking: Arc::default() }
    }

    /// Begins an answer, and says on which channel it comes.
    pub(crate) fn ask(&self, Ask { question }: Ask) -> Result<Begun, Problem> {
        let publisher = self.publisher.get().ok_or_else(|| Code::Overloaded.because("the server is starting"))?.clone();
        let mut speaking = self.speaking();
        if speaking.len() >= ANSWERS {
            return Err(Code::Overloaded.because(format!("{ANSWERS} answers are being made")));
        }
        let channel = format!("answers/{:08x}", fastrand::u32(..));
        let (model, answers, at) = (self.model.clone(), self.speaking.clone(), channel.clone());
        let task = tokio::spawn(async move {
            if let Err(problem) = speak(&model, &question, &publisher, &at).await {
                tracing::warn!("{at}: {problem}");
            }
            lock(&answers).remove(&at);
        });
        speaking.insert(channel.clone(), task.abort_handle());
        Ok(Begun { channel })
    }

    /// Stops making one: nothing more comes but the channel's end.
    pub(crate) fn stop(&self, Stop { channel }: &Stop) -> Result<Stopped, Problem> {
        let Some(task) = self.speaking().remove(channel) else { return Ok(Stopped { stopped: false }) };
        // It is held up wherever it waits, and a word is published whole or not at all.
        task.abort();
        tracing::info!("{channel}: stopped");
        let publisher = self.publisher.get().ok_or_else(|| Code::Overloaded.because("the server is starting"))?.clone();
        let channel = channel.clone();
        tokio::spawn(async move { publisher.end(&channel).await });
        Ok(Stopped { stopped: true })
    }

    fn speaking(&self) -> MutexGuard<'_, HashMap<String, AbortHandle>> {
        lock(&self.speaking)
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn speak(model: &Model, question: &str, publisher: &Publisher, channel: &str) -> Result<(), Problem> {
    let mut random = fastrand::Rng::new();
    for (at, word) in model.speak(question, random.fork()).enumerate() {
        tokio::time::sleep(Duration::from_millis(LEAST + random.u64(..=MORE))).await;
        let blank = if at == 0 { "" } else { " " };
        publisher.publish(channel, None, &format!("{blank}{word}")).await?;
    }
    publisher.end(channel).await
}
