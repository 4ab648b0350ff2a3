//! `switchboard bench`: opens subscribers, publishes to them, and says what arrived and how fast.

use crate::arguments::ServerFlag;
use crate::failure::Failure;
use crate::http::{self, Problem};
use ::http::Request;
use bytes::Bytes;
use clap::Args;
use http_body_util::Empty;
use std::net::ToSocketAddrs as _;
use std::sync::Arc;
use std::time::Duration;
use switchboard_bench::client::connections::{PATIENCE, Secure};
use switchboard_bench::scenario::fanout::{self, Pace};
use switchboard_bench::scenario::{Outcome, Setting};
use switchboard_bench::targets::Transport;
use switchboard_bench::targets::deployment::Deployment;
use switchboard_bench::targets::switchboard::Protocol;
use switchboard_client::tls;
use switchboard_client::url::{Server, channel_path, query};
use switchboard_wire::ChannelName;

const MORE: &str = "\
It really publishes: to PREFIX/0, and with --channels to PREFIX/1 and so on. Choose a prefix that nobody else uses. Every \
subscriber checks that it received every event, once, in order and undamaged.

Latency is from the time an event was due to its receipt, by the clock of this machine. What the server's CPUs and memory \
did is for the server's own machine to tell.

Subscribers each take an open file of this process (ulimit -n) and of the server. The server's limit on connections holds.

Exit codes: 0 all was received; 1 a connection was refused or dropped, or an event lost, doubled, damaged or out of order; \
2 wrong usage; 3 no server answered.

Examples:
  switchboard bench
  switchboard bench load-test --subscribers 5000 --rate 10 --transport websocket
  switchboard bench load-test --subscribers 5000 --channels 500 --size 1024 --server http://10.0.0.5:8000";

/// Load a deployment: open subscribers, publish to them, and report what arrived
#[derive(Debug, Args)]
#[command(after_help = MORE)]
pub struct Arguments {
    /// What the names of the channels begin with
    #[arg(default_value = "bench")]
    prefix: String,
    /// How events come down: sse, sse-h2, websocket, websocket-event, websocket-deflate, session, stream or poll
    #[arg(long, value_enum, default_value_t = Transport::Sse, hide_possible_values = true)]
    transport: Transport,
    /// Subscribers in all
    #[arg(long, short = 'c', value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    subscribers: u32,
    /// Subscribers on one connection, with sse-h2
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    streams: u32,
    /// Channels that they are spread over
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    channels: u32,
    /// Events a second over all channels
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    rate: f64,
    /// How long to publish, in seconds
    #[arg(long, value_name = "N", default_value_t = 10.0)]
    seconds: f64,
    /// Bytes of one event's data, at least 38
    #[arg(long, value_name = "BYTES", default_value_t = 128)]
    size: usize,
    #[command(flatten)]
    server: ServerFlag,
}

pub fn run(arguments: &Arguments) -> Result<(), Failure> {
    let server = arguments.server.resolve()?;
    if !(arguments.rate > 0.0 && arguments.seconds > 0.0) {
        return Err(Failure::Usage("--rate and --seconds are above zero".into()));
    }
    if let Err(bad) = ChannelName::new(&format!("{}/0", arguments.prefix)) {
        return Err(Failure::Usage(format!("`{}` cannot begin a channel's name: {bad}", arguments.prefix)));
    }
    http::run(ask(&server, &arguments.prefix))?;
    let deployment = reach(&server)?;
    switchboard_bench::raise_file_limit();
    let setting = Setting {
        transport: arguments.transport,
        subscribers: arguments.subscribers as usize,
        streams: arguments.streams as usize,
        channels: arguments.channels as usize,
        // Encoded once, here: the load generator puts it into a request's line as it is.
        prefix: channel_path(&arguments.prefix).trim_start_matches("/channels/").to_owned(),
        size: arguments.size,
        heartbeat: Duration::ZERO,
        patience: PATIENCE,
        cpu: None,
    };
    let pace = Pace { rate: arguments.rate, seconds: arguments.seconds };
    let outcome = fanout::run(&deployment, &setting, pace).map_err(Failure::Refused)?;
    tell(&outcome, pace);
    if outcome.faults.is_empty() {
        return Ok(());
    }
    let first = outcome.first_fault.map(|fault| format!(" (the first: {fault})")).unwrap_or_default();
    Err(Failure::Refused(format!("not all is well: {}{first}", outcome.faults)))
}

/// Finds the address that the server answers at.
fn reach(server: &Server) -> Result<Deployment, Failure> {
    let unreachable = |error: std::io::Error| Failure::Unreachable(format!("{server}: {error}"));
    let mut last = None;
    for address in (server.host.as_str(), server.port).to_socket_addrs().map_err(unreachable)? {
        match std::net::TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
            Ok(_) => {
                let shown = server.credential.as_ref().and_then(|shown| shown.header().to_str().ok());
                let protocol = Protocol {
                    host: server.authority(),
                    prefix: server.target(""),
                    authorization: shown.map(str::to_owned),
                };
                return Ok(Deployment { address, protocol, secure: secure(server)? });
            }
            Err(error) => last = Some(error),
        }
    }
    Err(unreachable(last.unwrap_or_else(|| std::io::ErrorKind::NotFound.into())))
}

/// How it speaks TLS, where its address says that it does.
fn secure(server: &Server) -> Result<Option<Secure>, Failure> {
    if !server.secure {
        return Ok(None);
    }
    let config = Arc::new(tls::config(server.ca.as_deref()).map_err(Failure::Usage)?);
    let name = tls::name(&server.host).map_err(Failure::Usage)?;
    Ok(Some(Secure { subscribers: Arc::clone(&config), publishers: Some(config), name }))
}

/// Whether it lets this be read: what it says if not is better than a thousand subscriptions that fail.
async fn ask(server: &Server, prefix: &str) -> Result<(), Failure> {
    let target = server.target(&format!("{}{}", channel_path(&format!("{prefix}/0")), query([("transport", "poll")])));
    let request = Request::get(target)
        .body(Empty::<Bytes>::new())
        .map_err(|error| Failure::Usage(format!("the request cannot be written: {error}")))?;
    let response = http::send(server, request).await?;
    match response.status().as_u16() {
        200..=299 => Ok(()),
        _ => Err(Failure::Refused(http::told(&Problem::read(server, response).await))),
    }
}

fn tell(outcome: &Outcome, pace: Pace) {
    let figure = |name| outcome.figure(name).unwrap_or(0.0);
    let plural = if outcome.channels == 1 { "" } else { "s" };
    println!("subscribers    {} on {}, {} channel{plural}", outcome.subscribers, outcome.transport, outcome.channels);
    println!("published      {} events/s of {} bytes for {} s", pace.rate, outcome.size, pace.seconds);
    println!("delivered      {}", figure("delivered"));
    for (name, share) in [("latency_p50_us", "p50"), ("latency_p99_us", "p99"), ("latency_p999_us", "p99.9")] {
        println!("latency {share:<6} {:.2} ms", figure(name) / 1000.0);
    }
    println!("faults         {}", outcome.faults);
}
