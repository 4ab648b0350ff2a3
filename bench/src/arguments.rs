//! The command line.

use clap::{Args, Parser, Subcommand};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use switchboard_bench::client::connections::{PATIENCE, STREAMS};
use switchboard_bench::floor::Policy;
use switchboard_bench::scenario::Setting;
use switchboard_bench::targets::Transport;

/// Measures Switchboard against the floor and its peers
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Without a command: every scenario, small and once, in some minutes
    #[arg(long)]
    pub quick: bool,
    /// Without a command: takes all peers in
    #[arg(long)]
    pub peers: bool,
    /// Without a command: appends each run to this file as a line of JSON
    #[arg(long)]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Events at an even rate, each to all subscribers of one channel
    Fanout(Options),
    /// The same with subscribers spread over many channels
    Many(Options),
    /// One publisher keeps 16 events on their way
    Saturate(Options),
    /// Events at half the rate at which the floor is saturated: latency
    Half(Options),
    /// Nothing but heartbeats: memory of a connection
    Idle(Options),
    /// Very many streams over HTTP/2, idle, and then one event for all of them: memory and CPU of a stream
    Million {
        #[command(flatten)]
        options: Options,
        /// How long nothing is published, in seconds
        #[arg(long, default_value_t = 300.0)]
        idle: f64,
    },
    /// Publishing as fast as answers come, a publisher for each channel, with few subscribers
    Publish(Options),
    /// All connect at once, hear a few events and are gone at once, again and again
    Churn(Options),
    /// All come back at once for what they missed, while a thousand others are live
    Resume {
        #[command(flatten)]
        options: Options,
        /// Events that each has missed
        #[arg(long, default_value_t = 100)]
        missed: u64,
    },
    /// A share of the readers does not read for the whole run
    Slow {
        #[command(flatten)]
        options: Options,
        /// The share that stalls
        #[arg(long, default_value_t = 0.1)]
        share: f64,
        /// Events published while they do
        #[arg(long, default_value_t = 200)]
        events: u64,
    },
    /// Connections with slow heads, with slow bodies, and readers that never read, beside those who read: of Switchboard alone
    Hostile {
        #[command(flatten)]
        options: Options,
        /// How many of each
        #[arg(long, default_value_t = 2000)]
        each: usize,
        /// Events published without them, and with them
        #[arg(long, default_value_t = 1000)]
        events: u64,
    },
    /// Fan-out with 100 to 19,000 subscribers, and 10,000 subscribers over 1 to 10,000 channels
    Curve(Options),
    /// Draws the curves of a file of records
    Plot {
        /// What --out wrote
        records: PathBuf,
        /// The folder for the pictures
        folder: PathBuf,
    },
    /// The floor, as a server: runs until it is killed
    Floor {
        /// When and how much is sent
        #[arg(long, default_value = "each")]
        policy: Policy,
        /// Address to listen on
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
}

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// What is measured, in the order of each round: switchboard, switchboard-tls, switchboard-tls12, floor, floor-four,
    /// floor-sweep
    #[arg(long, value_delimiter = ',', default_value = "switchboard,floor")]
    pub targets: Vec<String>,
    /// Takes peers in, after the targets: those named, or all of them
    #[arg(long, value_delimiter = ',', num_args = 0..)]
    pub peers: Option<Vec<String>>,
    /// Transports, one after the other [default: sse,websocket]
    #[arg(long, value_delimiter = ',')]
    pub transport: Vec<Transport>,
    /// Takes the transports in turn within each round, and compares them with the first
    #[arg(long)]
    pub paired: bool,
    /// Subscribers on a connection, with sse-h2
    #[arg(long, default_value_t = STREAMS)]
    pub streams: usize,
    /// Subscribers in all
    #[arg(long, short = 'c')]
    pub subscribers: Option<usize>,
    /// Channels they are spread over
    #[arg(long)]
    pub channels: Option<usize>,
    /// Bytes of one event's data
    #[arg(long)]
    pub size: Option<usize>,
    /// Events a second over all channels [default: so many that 60,000 deliveries a second are due]
    #[arg(long)]
    pub rate: Option<f64>,
    /// How long a run measures, in seconds
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Rounds: in each, every target runs once [default: 3]
    #[arg(long)]
    pub runs: Option<usize>,
    /// The server's heartbeat, in seconds
    #[arg(long, default_value_t = 15.0)]
    pub heartbeat: f64,
    /// The priority of the load and of what it starts, from -20 (first) to 19, on a machine that does something else too
    #[arg(long, allow_negative_numbers = true)]
    pub nice: Option<i32>,
    /// Keeps the CPUs from halting, by programs that do nothing and give way to everything: in a virtual machine to wake a
    /// halted CPU costs more than a send. Takes `chrt`
    #[arg(long)]
    pub awake: bool,
    /// Appends each run to this file as a line of JSON
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// The program `switchboard` [default: the one beside this program]
    #[arg(long)]
    pub switchboard: Option<PathBuf>,
}

impl Options {
    /// The same with a scenario's own sizes where none are said.
    pub fn or(&self, subscribers: usize, channels: usize, size: usize) -> Options {
        Options {
            subscribers: self.subscribers.or(Some(subscribers)),
            channels: self.channels.or(Some(channels)),
            size: self.size.or(Some(size)),
            ..self.clone()
        }
        .on(&[Transport::Sse, Transport::Websocket], 3)
    }

    /// The same with transports and a number of rounds where none are said.
    pub fn on(&self, transports: &[Transport], runs: usize) -> Options {
        let transport = if self.transport.is_empty() { transports.to_vec() } else { self.transport.clone() };
        Options { transport, runs: self.runs.or(Some(runs)), ..self.clone() }
    }

    /// What holds for one transport.
    pub fn setting(&self, transport: Transport, cpu: Option<usize>) -> Setting {
        Setting {
            transport,
            subscribers: self.subscribers.unwrap_or(1),
            streams: self.streams.max(1),
            channels: self.channels.unwrap_or(1).max(1),
            prefix: "bench".into(),
            size: self.size.unwrap_or(128),
            heartbeat: Duration::from_secs_f64(self.heartbeat),
            patience: PATIENCE,
            cpu,
        }
    }
}

/// What `--quick` runs.
pub const QUICK: &[&str] = &[
    "fanout -c 1000 --seconds 3 --runs 1 --transport sse,websocket,websocket-event,websocket-deflate,stream,poll",
    "many -c 1000 --channels 100 --seconds 3 --runs 1 --transport sse",
    "saturate -c 500 --seconds 2 --runs 1 --targets switchboard,floor,floor-four,floor-sweep",
    "half -c 500 --seconds 2 --runs 1 --transport sse",
    "idle -c 2000 --heartbeat 2 --runs 1",
    "fanout -c 2000 --seconds 3 --runs 1 --targets switchboard --transport sse,sse-h2 --paired",
    "fanout -c 1000 --seconds 3 --runs 1 --targets switchboard,switchboard-tls,switchboard-tls12 --transport sse",
    "idle -c 2000 --heartbeat 2 --runs 1 --targets switchboard,switchboard-tls,switchboard-tls12 --transport sse",
    "million -c 20000 --heartbeat 2 --idle 3",
    "publish --seconds 2 --runs 1 --transport sse",
    "churn -c 1000 --seconds 3 --runs 1",
    "resume -c 1000 --runs 1 --targets switchboard --transport sse",
    "slow -c 1000 --rate 40 --runs 1 --transport sse",
    "hostile -c 200 --each 200 --events 200 --runs 1 --transport sse",
];

/// What a run without a command does: the sizes of docs/performance.md.
pub const FULL: &[&str] = &[
    "fanout -c 10000",
    "fanout -c 10000 --size 1024",
    "fanout -c 10000 --transport websocket-event,websocket-deflate,stream,poll",
    "many -c 10000 --channels 1000",
    "saturate -c 1000 --targets switchboard,floor,floor-four,floor-sweep",
    "half -c 1000",
    "idle -c 19000",
    "fanout -c 10000 --targets switchboard --transport sse,sse-h2 --paired",
    "fanout -c 10000 --targets switchboard,switchboard-tls,switchboard-tls12",
    "idle -c 19000 --targets switchboard,switchboard-tls,switchboard-tls12",
    "million",
    "publish",
    "churn",
    "resume --targets switchboard",
    "slow",
    "hostile",
];
