//! Server-Sent Events, as the HTML standard defines them (WHATWG HTML section 9.2).

pub mod decode;
pub mod encode;
