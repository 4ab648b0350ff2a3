//! What is done to a server, and what is measured meanwhile.

pub mod fanout;
pub mod idle;
pub mod saturate;
mod stage;

pub use stage::{Setting, Stage};

use crate::client::tally::Faults;
use serde::Serialize;
use std::collections::BTreeMap;

/// What one run of one scenario on one target came to.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    pub scenario: String,
    pub target: String,
    pub transport: String,
    pub subscribers: usize,
    pub channels: usize,
    pub size: usize,
    /// Figures by name, in the units that the name ends with.
    pub figures: BTreeMap<&'static str, f64>,
    pub faults: Faults,
    pub first_fault: Option<String>,
}

impl Outcome {
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figures.get(name).copied()
    }
}
