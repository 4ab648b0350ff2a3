//! What is done to a server, and what is measured meanwhile.

pub mod churn;
pub mod fanout;
pub mod hostile;
pub mod idle;
pub mod million;
pub mod publish;
pub mod resume;
pub mod saturate;
pub mod slow;
mod stage;

pub use stage::{Setting, Stage};

use crate::client::tally::Faults;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one run of one scenario on one target came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    pub scenario: String,
    pub target: String,
    pub transport: String,
    pub subscribers: usize,
    pub channels: usize,
    pub size: usize,
    /// Figures by name, in the units that the name ends with.
    pub figures: BTreeMap<String, f64>,
    pub faults: Faults,
    pub first_fault: Option<String>,
}

impl Outcome {
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.figures.get(name).copied()
    }
}

fn polling(error: std::io::Error) -> String {
    format!("polling: {error}")
}
