//! Numbers that hold everywhere. What an operator may set is in the server's configuration, bounded by these.

/// Longest channel name or pattern, in bytes.
pub const NAME_MAX: usize = 255;
/// Longest event type, in bytes.
pub const EVENT_TYPE_MAX: usize = 255;
/// Longest content type kept with an event, in bytes.
pub const CONTENT_TYPE_MAX: usize = 255;
/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_MAX: usize = 255;
/// Longest position, in bytes: what [`LOGS_MAX`] marks and the separators between them come to.
pub const POSITION_MAX: usize = 255;
/// Most logs that one position can have a mark in.
pub const LOGS_MAX: usize = 10;
/// Longest position with a mark in a single log, in bytes.
pub const MARK_MAX: usize = 24;
/// Events that one batch over HTTP may append: each item counts once for each of its channels.
pub const APPENDS_MAX: usize = 10_000;
/// Channels and patterns one subscription may name.
pub const SELECTION_MAX: usize = 128;
/// Wildcards in one pattern: more than anybody has asked for. What an event costs does not hang on it.
pub const WILDCARDS_MAX: usize = 8;
/// Longest payload of a WebSocket control frame, in bytes (RFC 6455 section 5.5).
pub const CONTROL_FRAME_MAX: usize = 125;
/// Members of one JSON-RPC batch, so that few bytes cannot ask for many answers.
pub const BATCH_MAX: usize = 128;
/// How deep a JSON-RPC message may nest arrays and objects, its own outermost one counted. Common parsers give up at 100
/// or more, so what is taken here can be passed on.
pub const DEPTH_MAX: usize = 64;
/// Longest JSON-RPC id as it is written, in bytes: it is kept until its call is answered.
pub const ID_MAX: usize = 255;
/// What somebody may show of themselves to those they share a channel with, as JSON, in bytes: it is kept while they are
/// there, and sent to all who hear of it.
pub const INFO_MAX: usize = 1024;

const _: () = assert!(LOGS_MAX * MARK_MAX + (LOGS_MAX - 1) <= POSITION_MAX);
const _: () = assert!(MARK_MAX <= 32);
