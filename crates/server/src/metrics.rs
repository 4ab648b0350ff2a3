//! What the server counts, and `/metrics`.
//!
//! Each shard counts into a block of its own, so that counting is never shared between threads on the fast path; the
//! sums are made when they are asked for.

use crate::application::WAITING;
use crate::listen::tls::Failure;
use crate::node::Node;
use crate::presence::DUE_MAX;
use crate::shard::CONTROL_LIMIT;
use crate::site::{self, Site};
use crate::traffic::{COUNTED, Traffic, Way};
use crate::transport::Transport;
use http::header::ACCEPT;
use http::{HeaderMap, HeaderValue};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;
use switchboard_store::{Limits, Stats};

/// The two formats: what Prometheus has always read, and OpenMetrics for whoever asks for it.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Everything counted.
pub(crate) struct Figures {
    shards: Vec<ShardFigures>,
    pub(crate) accepted: AtomicU64,
    /// Connections whose clients speak HTTP/2.
    pub(crate) http2: AtomicU64,
    /// Writes to their sockets.
    pub(crate) http2_writes: Arc<AtomicU64>,
    pub(crate) refused: AtomicU64,
    pub(crate) accept_pauses: AtomicU64,
    pub(crate) requests: AtomicU64,
    pub(crate) paced: AtomicU64,
    pub(crate) problems: AtomicU64,
    pub(crate) denied: AtomicU64,
    pub(crate) handshakes: Handshakes,
}

/// Of TLS.
#[derive(Default)]
pub(crate) struct Handshakes {
    pub(crate) done: AtomicU64,
    failed: [AtomicU64; Failure::ALL.len()],
    /// What their arithmetic took, in nanoseconds.
    nanoseconds: AtomicU64,
}

impl Handshakes {
    pub(crate) fn failed(&self, why: Failure) {
        if let Some(index) = Failure::ALL.iter().position(|failure| *failure == why) {
            self.failed[index].fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn took(&self, time: Duration) {
        self.nanoseconds.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
    }
}

/// What one shard counts. Padded to cache lines of its own.
#[derive(Default)]
#[repr(align(128))]
pub(crate) struct ShardFigures {
    attends: AtomicBool,
    /// How far the shard has handed over the ring.
    position: AtomicU64,
    sse: AtomicI64,
    stream: AtomicI64,
    websocket: AtomicI64,
    waiting: AtomicI64,
    behind: AtomicI64,
    delivered: AtomicU64,
    recovered: AtomicU64,
    fell_behind: AtomicU64,
    overruns: AtomicU64,
    unresponsive: AtomicU64,
    paused: AtomicU64,
    sessions: AtomicI64,
    sessions_opened: AtomicU64,
    sessions_full: AtomicU64,
    session_calls_refused: AtomicU64,
    pub(crate) traffic: Traffic,
}

impl Figures {
    pub(crate) fn new(shards: usize) -> Figures {
        Figures {
            shards: (0..shards).map(|_| ShardFigures::default()).collect(),
            accepted: AtomicU64::new(0),
            http2: AtomicU64::new(0),
            http2_writes: Arc::default(),
            refused: AtomicU64::new(0),
            accept_pauses: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            paced: AtomicU64::new(0),
            problems: AtomicU64::new(0),
            denied: AtomicU64::new(0),
            handshakes: Handshakes::default(),
        }
    }

    pub(crate) fn shard(&self, index: usize) -> &ShardFigures {
        &self.shards[index]
    }

    fn sum(&self, of: impl Fn(&ShardFigures) -> &AtomicU64) -> u64 {
        self.shards.iter().map(|shard| of(shard).load(Ordering::Relaxed)).sum()
    }

    /// Sessions that are kept, with a connection or without.
    pub(crate) fn sessions(&self) -> usize {
        self.gauge(|shard| &shard.sessions).max(0) as usize
    }

    fn gauge(&self, of: impl Fn(&ShardFigures) -> &AtomicI64) -> i64 {
        self.shards.iter().map(|shard| of(shard).load(Ordering::Relaxed)).sum()
    }
}

impl ShardFigures {
    /// Whether appends ring the shard. Ordered with the log's head, see [`crate::shard::Shard`].
    pub(crate) fn attend(&self, attends: bool) {
        self.attends.store(attends, Ordering::SeqCst);
    }

    pub(crate) fn attends(&self) -> bool {
        self.attends.load(Ordering::SeqCst)
    }

    pub(crate) fn reached(&self, position: u64) {
        self.position.store(position, Ordering::Relaxed);
    }

    /// How far a shard that attends has come.
    pub(crate) fn attended(&self) -> Option<u64> {
        self.attends().then(|| self.position.load(Ordering::Relaxed))
    }

    pub(crate) fn opened(&self, transport: Transport) {
        self.held(transport).fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn closed(&self, transport: Transport) {
        self.held(transport).fetch_sub(1, Ordering::Relaxed);
    }

    fn held(&self, transport: Transport) -> &AtomicI64 {
        match transport.into() {
            Way::Sse => &self.sse,
            Way::Stream => &self.stream,
            Way::WebSocket => &self.websocket,
            Way::Poll | Way::LongPoll => &self.waiting,
        }
    }

    pub(crate) fn session_opened(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        self.sessions_opened.fetch_add(1, Ordering::Relaxed);
    }

    /// `full`: because more waited for its client than it may keep.
    pub(crate) fn session_ended(&self, full: bool) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
        self.sessions_full.fetch_add(u64::from(full), Ordering::Relaxed);
    }

    pub(crate) fn session_calls_refused(&self, more: u64) {
        if more > 0 {
            self.session_calls_refused.fetch_add(more, Ordering::Relaxed);
        }
    }

    pub(crate) fn waiting(&self, change: i64) {
        self.waiting.fetch_add(change, Ordering::Relaxed);
    }

    /// How many readers are behind now.
    pub(crate) fn behind(&self, readers: usize) {
        self.behind.store(readers as i64, Ordering::Relaxed);
    }

    pub(crate) fn delivered(&self, events: usize) {
        self.delivered.fetch_add(events as u64, Ordering::Relaxed);
    }

    pub(crate) fn recovered(&self, events: usize) {
        self.recovered.fetch_add(events as u64, Ordering::Relaxed);
    }

    pub(crate) fn fell_behind(&self) {
        self.fell_behind.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn overrun(&self) {
        self.overruns.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn paused(&self) {
        self.paused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn unresponsive(&self) {
        self.unresponsive.fetch_add(1, Ordering::Relaxed);
    }
}

/// The metrics and their content type, as `Accept` asks for them.
pub(crate) fn text(node: &Arc<Node>, headers: &HeaderMap) -> (&'static str, String) {
    let mut registry = Registry::with_prefix("switchboard");
    registry.register_collector(Box::new(Snapshot(node.clone())));
    let mut out = String::new();
    // Invariant: writing into a `String` has no way to fail.
    let _ = encode(&mut out, &registry);
    let accepts = |value: &HeaderValue| value.to_str().is_ok_and(|text| text.contains("application/openmetrics-text"));
    match headers.get_all(ACCEPT).iter().any(accepts) {
        true => (OPENMETRICS, out),
        false => (PROMETHEUS, as_prometheus(&out)),
    }
}

/// The older format calls a counter by the name of its sample, and has no mark at the end.
fn as_prometheus(openmetrics: &str) -> String {
    let counters: Vec<&str> =
        openmetrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut out = String::with_capacity(openmetrics.len() + counters.len() * 12);
    for line in openmetrics.lines().filter(|line| *line != "# EOF") {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some(kind), Some(name), Some(rest)) if counters.contains(&name) => {
                out.push_str(&format!("# {kind} {name}_total {rest}"));
            }
            _ => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

struct Snapshot(Arc<Node>);

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Snapshot")
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let node = &*self.0;
        let log = node.log.stats();
        for (name, help, value) in gauges(node, &log) {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        for (name, help, value) in counters(node, &log) {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
        }
        self.encode_handshakes(&mut encoder)?;
        for (name, help, field) in COUNTED {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for way in Way::ALL {
                let counter = ConstCounter::new(node.figures.sum(|shard| field(shard.traffic.of(way))));
                counter.encode(family.encode_family(&[("transport", way.label())])?)?;
            }
        }
        Ok(())
    }
}

impl Snapshot {
    fn encode_handshakes(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let handshakes = &self.0.figures.handshakes;
        let mut family = encoder.encode_descriptor(
            "tls_handshakes",
            "TLS handshakes, by what came of them",
            None,
            MetricType::Counter,
        )?;
        let failed = Failure::ALL.iter().zip(&handshakes.failed).map(|(failure, count)| (failure.label(), count));
        for (result, count) in std::iter::once(("done", &handshakes.done)).chain(failed) {
            let counter = ConstCounter::new(count.load(Ordering::Relaxed));
            counter.encode(family.encode_family(&[("result", result)])?)?;
        }
        let seconds = handshakes.nanoseconds.load(Ordering::Relaxed) as f64 / 1e9;
        let counter = ConstCounter::new(seconds);
        let help = "Time of the processor that TLS handshakes took";
        counter.encode(encoder.encode_descriptor("tls_handshake_seconds", help, None, counter.metric_type())?)
    }
}

/// What is so now: each by its name, with a sentence.
fn gauges(node: &Node, log: &Stats) -> Vec<(&'static str, &'static str, i64)> {
    let (figures, limits) = (&node.figures, Limits::of(&node.config.policy));
    let [addresses, users, publishers, channels] = node.limits.counted();
    let (application, presence) = (node.application.figures(), node.presence.totals());
    let (transfers, transfers_limit) = node.site.as_ref().map_or((0, 0), Site::transfers);
    vec![
        ("readers_sse", "Server-Sent Events streams held", figures.gauge(|s| &s.sse)),
        ("readers_stream", "HTTP streams held", figures.gauge(|s| &s.stream)),
        ("readers_websocket", "WebSockets held", figures.gauge(|s| &s.websocket)),
        ("readers_poll", "Long polls waiting", figures.gauge(|s| &s.waiting)),
        ("readers_behind", "Readers that are behind and read the log", figures.gauge(|s| &s.behind)),
        ("sessions", "Sessions kept, with a connection or without", figures.sessions() as i64),
        ("connections", "Connections open", node.connections.open() as i64),
        ("connections_limit", "Connections held at most", node.connections.limit() as i64),
        ("channels", "Channels kept", log.channels as i64),
        ("channels_limit", "Channels kept at most", node.config.policy.channels as i64),
        ("log_events", "Events held", log.events as i64),
        ("log_bytes", "Bytes held, encodings included", log.bytes as i64),
        ("idempotency_keys", "Idempotency keys remembered", log.keys as i64),
        ("idempotency_keys_limit", "Idempotency keys remembered at most", node.config.policy.keys as i64),
        ("log_bytes_limit", "Bytes held at most, encodings not included", node.config.policy.bytes as i64),
        ("encodings_bytes", "Bytes of encodings held", log.encodings as i64),
        ("encodings_bytes_limit", "Bytes of encodings held at most", limits.encodings as i64),
        ("loss_marks", "Places remembered where events were lost", log.marks as i64),
        ("loss_marks_limit", "Places remembered at most", limits.marks as i64),
        ("ring_items", "Recent items held for the shards", log.ring as i64),
        ("ring_items_limit", "Recent items held at most", node.config.policy.ring as i64),
        ("ring_bytes", "Bytes of recent items", log.ring_bytes as i64),
        ("ring_bytes_limit", "Bytes of recent items at most", limits.ring_bytes as i64),
        ("ring_lag", "Recent items that the slowest shard has yet to hand over", node.ring_lag() as i64),
        ("transit_bytes", "Bytes of what is on its way", node.limits.transit.taken() as i64),
        ("transit_bytes_limit", "Bytes of what is on its way at most", node.limits.transit.limit() as i64),
        ("control_bytes_limit", "Bytes of control that wait for one peer at most", CONTROL_LIMIT as i64),
        ("revocations", "Revocations kept", node.auth.revocations() as i64),
        ("revocations_limit", "Revocations kept at most", node.auth.settings().revocations as i64),
        ("limited_addresses", "Addresses whose connections are counted", addresses as i64),
        ("limited_users", "Users whose streams are counted", users as i64),
        ("limited_publishers", "Publishers who have not their whole allowance", publishers as i64),
        ("limited_channels", "Channels that take less than they may at once", channels as i64),
        ("application_calls", "Calls that the application works on, or that wait for it", application.calls as i64),
        ("application_calls_limit", "Such calls at most", application.calls_limit as i64),
        ("application_notices", "Notifications that wait for the application", application.notices as i64),
        ("application_notices_limit", "Such notifications at most", application.notices_limit as i64),
        ("occupancy_waiting", "Channels that may yet have a subscriber again", node.occupancy.waiting() as i64),
        ("occupancy_waiting_limit", "Such channels at most", WAITING as i64),
        ("application_resting", "Whether the application is given a rest", application.resting.into()),
        ("presence_channels", "Channels that somebody is known to be on", presence.channels as i64),
        ("presence_members", "Members of these channels", presence.members as i64),
        ("presence_due", "Changes of members that wait for their time", presence.due as i64),
        ("presence_due_limit", "Changes of members that wait at most", DUE_MAX as i64),
        ("site_transfers", "Long files of the site being sent", transfers as i64),
        ("site_transfers_limit", "Long files of the site sent at once at most", transfers_limit as i64),
    ]
}

/// What has been counted so far.
fn counters(node: &Node, log: &Stats) -> Vec<(&'static str, &'static str, u64)> {
    let (figures, refused, application) = (&node.figures, &node.limits.refused, node.application.figures());
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let site = |count: fn(&site::Figures) -> &AtomicU64| node.site.as_ref().map_or(0, |site| of(count(site.figures())));
    vec![
        ("appended", "Events appended to the log", log.appended),
        ("repeated", "Appends answered from an idempotency key", log.repeated),
        ("trimmed", "Events removed by a limit of count or bytes", log.trimmed),
        ("expired", "Events removed for their age", log.expired),
        ("forgotten", "Channels forgotten because there were too many", log.forgotten),
        ("shed", "Events whose encodings were dropped for want of room", log.shed),
        ("paced", "Publishes that waited for the shards", of(&figures.paced)),
        ("delivered", "Events sent to live readers", figures.sum(|s| &s.delivered)),
        ("recovered", "Events and notices sent to readers that were behind", figures.sum(|s| &s.recovered)),
        ("fell_behind", "Times a reader's socket was full", figures.sum(|s| &s.fell_behind)),
        ("ring_overruns", "Times a shard was too slow for the ring", figures.sum(|s| &s.overruns)),
        ("paused", "Times a peer was not read because it did not read", figures.sum(|s| &s.paused)),
        ("unresponsive", "WebSockets closed because no pong came", figures.sum(|s| &s.unresponsive)),
        ("sessions_opened", "Sessions opened", figures.sum(|s| &s.sessions_opened)),
        (
            "sessions_full",
            "Sessions ended because more waited for them than is kept",
            figures.sum(|s| &s.sessions_full),
        ),
        (
            "session_calls_refused",
            "Calls refused because too many were open",
            figures.sum(|s| &s.session_calls_refused),
        ),
        ("accepted", "Connections accepted", of(&figures.accepted)),
        ("http2", "Connections that went on in HTTP/2", of(&figures.http2)),
        ("http2_writes", "Writes to connections that speak HTTP/2", of(&figures.http2_writes)),
        ("refused", "Connections refused at the limit", of(&figures.refused)),
        ("accept_pauses", "Times accepting paused for want of descriptors", of(&figures.accept_pauses)),
        ("accepts_paced", "Times newcomers waited to be let in", of(&refused.accepts)),
        ("refused_address", "Connections and streams refused at the limit of an address", of(&refused.address)),
        ("refused_user", "Streams refused at the limit of a user", of(&refused.user)),
        ("refused_publishes", "Publishes refused for coming too fast", of(&refused.publishes)),
        ("refused_channel", "Publishes refused for coming faster than their channel takes", of(&refused.channel)),
        ("refused_transit", "Refused or cut because too much was on its way", node.limits.transit.refused()),
        ("application_requests", "Requests made to the application", application.requests),
        ("application_retried", "Requests made once more", application.retried),
        ("application_refused", "Calls refused because too many waited, or it was given a rest", application.refused),
        ("application_failed", "Requests to the application that came to nothing", application.failed),
        ("application_dropped", "Notifications that were dropped", application.dropped),
        (
            "site_answered",
            "Requests answered with a file, a part of one, or that it is unchanged",
            site(|s| &s.answered),
        ),
        (
            "site_refused",
            "Requests refused because too many long files were being sent, in all or to one address",
            site(|s| &s.refused),
        ),
        ("site_hinted", "Answers before which hints were sent", site(|s| &s.hinted)),
        ("site_pushed", "Files sent to clients that had not asked yet", site(|s| &s.pushed)),
        ("requests", "Requests read", of(&figures.requests)),
        ("denied", "Requests refused for who made them, or for the page that did", of(&figures.denied)),
        ("problems", "Requests answered with a problem", of(&figures.problems)),
    ]
}

#[cfg(test)]
mod tests {
    use super::as_prometheus;

    #[test]
    fn counters_are_called_by_their_samples_in_the_older_format() {
        let openmetrics =
            "# HELP a How many.\n# TYPE a counter\na_total 3\n# HELP b Now.\n# TYPE b gauge\nb 1\n# EOF\n";
        let expected =
            "# HELP a_total How many.\n# TYPE a_total counter\na_total 3\n# HELP b Now.\n# TYPE b gauge\nb 1\n";
        assert_eq!(as_prometheus(openmetrics), expected);
    }
}
