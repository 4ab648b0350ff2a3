//! What is said in a chat. Who said it is this program's word, so that nobody speaks in another's name.

use serde::{Deserialize, Serialize};
use switchboard::application::answers::Taken;
use switchboard::application::{Caller, Code, Json, Problem, Publishing};

/// Characters of a message.
const MOST: usize = 2000;

/// As a page publishes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Words {
    text: String,
}

/// As everybody hears it.
#[derive(Serialize)]
struct Said<'a> {
    from: &'a str,
    text: &'a str,
}

/// What becomes of something that a client publishes: in a chat it is signed, elsewhere it stays as it is.
pub(crate) fn signed(caller: &Caller, publishing: &Publishing) -> Result<Taken, Problem> {
    if !publishing.channel.starts_with("chat/") {
        return Ok(Taken::AsItIs);
    }
    let words = publishing.data.as_ref().and_then(|data| serde_json::from_str::<Words>(data.as_str()).ok());
    let Some(Words { text }) = words else { return Err(Code::InvalidParams.because("`data` is `{\"text\":\"…\"}`")) };
    let text = text.trim();
    if text.is_empty() || text.chars().count() > MOST {
        return Err(Code::InvalidParams.because(format!("a message has 1 to {MOST} characters")));
    }
    let from = caller.user.as_deref().ok_or_else(|| Code::Forbidden.because("only who has a name may speak"))?;
    let said = Json::of(&Said { from, text }).map_err(|error| Code::InvalidJson.because(error.to_string()))?;
    Ok(Taken::Data(said))
}
