//! Measures Switchboard, the floor beneath it, and its peers: a load generator, scenarios, figures, a report.
//!
//! - [`client`]: the load generator, one thread for up to 19,000 connections;
//! - [`floor`]: the smallest server that does the same sends;
//! - [`target`]: what can be measured, and how it is started, subscribed to and published to;
//! - [`scenario`]: what is done to it; [`figures`]: what is measured meanwhile;
//! - [`compare`]: runs in pairs, and their ratios; [`report`]: tables and records.

pub mod client;
pub mod compare;
pub mod figures;
pub mod floor;
pub mod payload;
pub mod report;
pub mod scenario;
pub mod target;
