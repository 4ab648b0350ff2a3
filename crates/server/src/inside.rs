//! What the fuzz targets look at and nobody else needs to: pure functions that a request goes through.

use crate::api::query::{self, Query};
use crate::config::Config;
use crate::listen::http1::Head;
use crate::reading::Reading;
use switchboard_wire::ChannelName;
use switchboard_wire::code::Problem;
use switchboard_wire::name::Selection;

/// The parameters of a query, in their order.
pub fn query(text: &str) -> Result<Vec<(String, String)>, Problem> {
    Query::parse(Some(text)).map(Query::into_pairs)
}

/// The channel that a path names, behind `/channels/`.
pub fn channel(path: &str) -> Result<ChannelName, Problem> {
    query::channel(path)
}

/// What a `GET` reads, and where it says to begin, if it does.
pub fn reading(head: &Head) -> Result<(Selection, Option<String>), Problem> {
    let query = Query::parse(head.query.as_deref())?;
    let channel = head.path.strip_prefix("/channels/").map(query::channel).transpose()?;
    let reading = Reading::of(head, &query, channel, &Config::default())?;
    let since = reading.since_text().map(str::to_owned);
    Ok((Selection::clone(&reading.selection), since))
}
