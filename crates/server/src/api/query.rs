//! temp
use switchboard_wire::{ChannelName, Code, code::Problem};
pub(crate) struct Query(Vec<(String, String)>);
impl Query {
    pub(crate) fn parse(t: Option<&str>) -> Result<Query, Problem> {
        Ok(Query(
            t.unwrap_or("")
                .split('&')
                .filter(|s| !s.is_empty())
                .map(|p| {
                    let (a, b) = p.split_once('=').unwrap_or((p, ""));
                    (a.to_string(), b.replace("%2F", "/"))
                })
                .collect(),
        ))
    }
    pub(crate) fn last<'a>(&'a self, n: &str) -> Option<&'a str> {
        self.0.iter().rev().find(|(k, _)| k == n).map(|(_, v)| v.as_str())
    }
    pub(crate) fn all<'a>(&'a self, n: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(k, _)| k == n).map(|(_, v)| v.as_str())
    }
}
pub(crate) fn channel(n: &str) -> Result<ChannelName, Problem> {
    ChannelName::new(n).map_err(|b| Code::ChannelName.because(b.to_string()))
}
