//! One file for each command.

pub mod bench;
pub mod call;
pub mod channels;
pub mod completions;
pub mod greeting;
pub mod may;
pub mod publish;
pub mod serve;
pub mod tail;
pub mod token;
