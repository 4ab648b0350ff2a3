//! Measures Switchboard, the floor beneath it, and its peers: a load generator, scenarios, figures, a report.
//!
//! - [`client`]: the load generator, one thread for up to 19,000 connections;
//! - [`floor`]: the smallest server that does the same sends;
//! - [`target`]: what can be measured, and how it is started, subscribed to and published to;
//! - [`scenario`]: what is done to it; [`figures`]: what is measured meanwhile;
//! - [`compare`]: runs in pairs, and their ratios; [`report`]: tables and records; [`plot`]: pictures of records.

#[cfg(target_os = "linux")]
pub mod awake;
pub mod client;
pub mod compare;
pub mod figures;
#[cfg(target_os = "linux")]
pub mod floor;
pub mod payload;
pub mod plot;
pub mod report;
pub mod scenario;
pub mod targets;

/// Raises the limit of open files as far as this process may: a connection is one.
pub fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Where it is refused, connections beyond the limit are, and are counted.
    let _ = setrlimit(Resource::Nofile, limit);
}
