//! Notices: what the server says of a stream in the midst of its events. Their names begin with `$`, which no event
//! type may.

use crate::json;
use crate::name::ChannelName;
use crate::position::Position;

/// Why what lies in a gap is no longer held.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reason {
    /// Newer events took its place: a limit of count or bytes.
    Trimmed,
    /// It was older than the channel keeps.
    Expired,
    /// The channel was deleted.
    Deleted,
    /// The position was minted before the log was lost.
    Epoch,
    /// The position is beyond the head of the log.
    Ahead,
    /// The position cannot be read.
    Unknown,
    /// The channel is ephemeral, and the reader was too slow or away.
    Skipped,
    /// The record of a channel was itself dropped, so that events may be missing.
    Forgotten,
}

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Trimmed => "trimmed",
            Reason::Expired => "expired",
            Reason::Deleted => "deleted",
            Reason::Epoch => "epoch",
            Reason::Ahead => "ahead",
            Reason::Unknown => "unknown",
            Reason::Skipped => "skipped",
            Reason::Forgotten => "forgotten",
        }
    }
}

/// What lies after `from` and up to `to` is no longer held; reading goes on after `to`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gap {
    /// The channel that lost events; `None` where it is the whole stream.
    pub channel: Option<ChannelName>,
    /// Where the reader was: as it gave it, which may be any text.
    pub from: Box<str>,
    pub to: Position,
    pub reason: Reason,
}

impl Gap {
    /// Appends `{"channel"?,"from","to","reason"}`.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        if let Some(channel) = &self.channel {
            out.extend_from_slice(b"\"channel\":");
            json::string(channel.as_str(), out);
            out.push(b',');
        }
        out.extend_from_slice(b"\"from\":");
        json::string(&self.from, out);
        out.extend_from_slice(b",\"to\":\"");
        self.to.write_to(out);
        out.extend_from_slice(b"\",\"reason\":\"");
        out.extend_from_slice(self.reason.as_str().as_bytes());
        out.extend_from_slice(b"\"}");
    }
}

/// A stream that a token opened: by which name it is renewed, and until when it lasts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lease {
    pub connection: u64,
    /// Milliseconds since the Unix epoch; `None` for one that lasts until it is taken away.
    pub expires: Option<u64>,
}

/// Something the server says of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// The first thing said. `position` is where reading starts; `recovered` is there only if a position was given,
    /// and tells whether nothing was lost since; `lease` where the stream lasts as long as a token.
    Open {
        position: Position,
        recovered: Option<bool>,
        gap: Option<Gap>,
        lease: Option<Lease>,
    },
    Gap(Gap),
    /// A quiet stream's cursor: everything up to here was delivered.
    Position(Position),
    /// The channel has ended.
    End {
        channel: ChannelName,
    },
    /// The server closes the stream: the row's name, its sentence, and whether to reconnect.
    Closing(crate::code::Code),
}

impl Notice {
    /// The name, as SSE `event:` and as the key of the JSON message.
    pub fn name(&self) -> &'static str {
        match self {
            Notice::Open { .. } => "$open",
            Notice::Gap(_) => "$gap",
            Notice::Position(_) => "$position",
            Notice::End { .. } => "$end",
            Notice::Closing(_) => "$closing",
        }
    }

    /// The name as a method of JSON-RPC, in sessions.
    pub fn method(&self) -> &'static str {
        &self.name()[1..]
    }

    /// The cursor that a reader holds once it has read this notice, if the notice moves it. A `$open` with a gap
    /// does not: the `$gap` that follows does.
    pub fn cursor(&self) -> Option<&Position> {
        match self {
            Notice::Open { position, gap: None, .. } | Notice::Position(position) => Some(position),
            Notice::Gap(gap) => Some(&gap.to),
            Notice::Open { .. } | Notice::End { .. } | Notice::Closing(_) => None,
        }
    }

    /// Appends the notice's data: SSE `data:`, and the value in the JSON message.
    pub fn write_data(&self, out: &mut Vec<u8>) {
        match self {
            Notice::Open { position, recovered, gap, lease } => {
                write_position(position, out);
                if let Some(recovered) = recovered {
                    out.extend_from_slice(format!(",\"recovered\":{recovered}").as_bytes());
                }
                if let Some(gap) = gap {
                    out.extend_from_slice(b",\"gap\":");
                    gap.write_json(out);
                }
                if let Some(Lease { connection, expires }) = lease {
                    out.extend_from_slice(format!(",\"connection\":\"{connection:016x}\"").as_bytes());
                    if let Some(expires) = expires {
                        out.extend_from_slice(format!(",\"expires\":{expires}").as_bytes());
                    }
                }
                out.push(b'}');
            }
            Notice::Gap(gap) => gap.write_json(out),
            Notice::Position(position) => {
                write_position(position, out);
                out.push(b'}');
            }
            Notice::End { channel } => {
                out.extend_from_slice(b"{\"channel\":");
                json::string(channel.as_str(), out);
                out.push(b'}');
            }
            Notice::Closing(code) => {
                let row = code.row();
                out.extend_from_slice(format!("{{\"code\":\"{}\",\"reason\":", row.name).as_bytes());
                json::string(row.sentence, out);
                out.extend_from_slice(format!(",\"reconnect\":{}}}", row.reconnect).as_bytes());
            }
        }
    }

    /// Appends the JSON message: `{"$open":{…}}` and so on.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"");
        out.extend_from_slice(self.name().as_bytes());
        out.extend_from_slice(b"\":");
        self.write_data(out);
        out.push(b'}');
    }
}

/// Appends `{"position":"…"`, to be closed by the caller.
fn write_position(position: &Position, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"position\":\"");
    position.write_to(out);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Epoch, Mark};

    #[test]
    fn an_opening_names_its_lease() {
        let mut out = Vec::new();
        let lease = Some(Lease { connection: 0xab, expires: Some(1_795_197_600_000) });
        let position = Position::from(Mark { epoch: Epoch::new(1), seq: 7 });
        Notice::Open { position, recovered: Some(true), gap: None, lease }.write_data(&mut out);
        let text = String::from_utf8(out).unwrap();
        let end = ",\"recovered\":true,\"connection\":\"00000000000000ab\",\"expires\":1795197600000}";
        assert!(text.ends_with(end), "{text}");
    }
}
