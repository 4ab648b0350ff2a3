//! A server that runs, subscribers that are live and a publisher: where scenarios begin.

use super::{Outcome, polling};
use crate::client::Load;
use crate::figures::cpu::Cpu;
use crate::figures::memory::Memory;
use crate::payload::Payloads;
use crate::targets::{Running, Target, Transport, Wish};
use std::time::Duration;

/// How large a scenario is, and on which transport.
#[derive(Clone, Debug)]
pub struct Setting {
    pub transport: Transport,
    pub subscribers: usize,
    /// Subscribers on a connection, where they are streams of HTTP/2.
    pub streams: usize,
    pub channels: usize,
    /// What the channels' names begin with; a number follows.
    pub prefix: String,
    /// Bytes of one event's data.
    pub size: usize,
    pub heartbeat: Duration,
    /// How long nothing may come while something is waited for.
    pub patience: Duration,
    /// The CPU of the server, if it is held to one.
    pub cpu: Option<usize>,
}

/// What was used of CPUs at some moment.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    server: Cpu,
    load: Cpu,
    nanos: u64,
}

/// What was used of CPUs in a while.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    /// By the server.
    pub cpu: Cpu,
    /// By the load generator.
    pub load: Cpu,
    pub seconds: f64,
}

impl Usage {
    /// The figures of a while in which so much was delivered; none where the server's CPUs are not seen.
    pub fn figures(&self, delivered: u64) -> impl Iterator<Item = (&'static str, f64)> + use<> {
        let (seen, each) = (self.cpu.micros() > 0.0, delivered.max(1) as f64);
        let share = |cpu: Cpu| cpu.micros() / 1e6 / self.seconds;
        let figures = [
            ("cpu_us_per_delivery", self.cpu.micros() / each),
            ("ticked_us_per_delivery", self.cpu.ticked() / each),
            ("cpu_share", share(self.cpu)),
        ];
        figures.into_iter().filter(move |_| seen).chain([("load_share", share(self.load))])
    }
}

/// A server and its load.
pub struct Stage<'t> {
    pub target: &'t dyn Target,
    pub setting: Setting,
    names: Vec<String>,
    /// How many of the channels are published to in turn.
    pub active: usize,
    publisher: usize,
    // Before the server, so that connections are closed from this side.
    pub load: Load,
    pub server: Running,
    /// Of the server before anyone subscribed.
    pub empty: Memory,
}

/// How long a publish may wait for its answer.
const PUBLISHING: u64 = 20_000_000_000;

impl<'t> Stage<'t> {
    /// Starts a server, names the channels, connects a publisher; nobody subscribes yet.
    pub fn bare(target: &'t dyn Target, setting: &Setting) -> Result<Stage<'t>, String> {
        let wish = Wish { transport: setting.transport, heartbeat: setting.heartbeat, cpu: setting.cpu };
        let server = target.start(&wish)?;
        let empty = server.memory();
        let mut load = Load::new(server.address, Payloads::new(setting.size)).map_err(polling)?;
        (load.streams, load.patience) = (setting.streams, setting.patience);
        load.secure = target.secure(setting.transport);
        let names: Vec<String> = (0..setting.channels).map(|index| format!("{}/{index}", setting.prefix)).collect();
        for name in &names {
            target.prepare(&server, name)?;
            let dialogue = target.subscription(setting.transport, name);
            load.channel(dialogue.ok_or_else(|| format!("{} does not speak {}", target.name(), setting.transport))?);
        }
        let publisher = publisher(target, &server, &mut load)?;
        Ok(Stage { target, setting: setting.clone(), active: setting.channels, names, publisher, load, server, empty })
    }

    /// The same, with everyone subscribed.
    pub fn set(target: &'t dyn Target, setting: &Setting) -> Result<Stage<'t>, String> {
        let mut stage = Stage::bare(target, setting)?;
        stage.load.subscribe(0..setting.channels, setting.subscribers).map_err(polling)?;
        Ok(stage)
    }

    /// Connects another publisher, and gives its index.
    pub fn another_publisher(&mut self) -> Result<usize, String> {
        publisher(self.target, &self.server, &mut self.load)
    }

    /// The name of a channel.
    pub fn name(&self, channel: usize) -> &str {
        &self.names[channel]
    }

    /// Publishes the next event of a channel, stamped with the time it was due.
    pub fn publish(&mut self, channel: usize, due: u64) {
        self.publish_by(self.publisher, channel, due);
    }

    /// The same, by a publisher of one's choice.
    pub fn publish_by(&mut self, publisher: usize, channel: usize, due: u64) {
        let (target, name) = (self.target, &self.names[channel]);
        self.load.publish(publisher, channel, due, |payload| target.publication(name, payload));
    }

    /// Whether the publisher can take another event.
    pub fn is_free(&self) -> bool {
        self.load.is_free(self.publisher)
    }

    /// Publishes events to the channels in turn as long as they are due, one in `every` nanoseconds, while `go_on`. An
    /// event that is late carries the time it was due, so that waiting counts as latency.
    pub fn publish_while(
        &mut self,
        every: u64,
        mut go_on: impl FnMut(&mut Stage<'t>, u64) -> bool,
    ) -> Result<(), String> {
        let start = self.load.clock.nanos();
        let mut event = 0;
        // Who refused a publish is asked for no more: the run has failed, and says why.
        while self.load.tally.faults.unpublished == 0 && go_on(self, event) {
            let due = start + event * every;
            let now = self.load.clock.nanos();
            // However late it was sent: where the machine is slow, each is later than the one before.
            if self.load.waits(self.publisher) > PUBLISHING {
                return Err("a publish was not answered for 20 s".into());
            }
            if now >= due && self.is_free() {
                self.publish(event as usize % self.active, due);
                event += 1;
                continue;
            }
            let wait = Duration::from_nanos(due.saturating_sub(now)).clamp(Duration::ZERO, Duration::from_millis(50));
            self.load.turn(if wait.is_zero() { Duration::from_millis(50) } else { wait }).map_err(polling)?;
        }
        Ok(())
    }

    /// Publishes `count` events, and waits until all were received.
    pub fn publish_evenly(&mut self, count: u64, every: u64) -> Result<(), String> {
        self.publish_while(every, |_, event| event < count)?;
        self.load.settle().map_err(polling)
    }

    /// Publishes a few events to every channel, so that what is made at first need has been made.
    pub fn warm_up(&mut self) -> Result<(), String> {
        let channels = self.active as u64;
        self.publish_evenly(channels.max(3), 100_000)?;
        self.load.tally.begin(self.load.clock.nanos());
        Ok(())
    }

    /// Publishes nothing for a while.
    pub fn rest(&mut self, time: Duration) -> Result<(), String> {
        let end = self.load.clock.nanos() + time.as_nanos() as u64;
        while self.load.clock.nanos() < end {
            self.load.turn(Duration::from_millis(100)).map_err(polling)?;
        }
        Ok(())
    }

    /// What was used of CPUs until now.
    pub fn used(&self) -> Used {
        let load = Cpu::of(&[std::process::id()]);
        Used { server: self.server.cpu(), load, nanos: self.load.clock.nanos() }
    }

    /// What was used since.
    pub fn usage(&self, since: Used) -> Usage {
        let now = self.used();
        let seconds = ((now.nanos - since.nanos) as f64 / 1e9).max(1e-9);
        Usage { cpu: now.server.since(since.server), load: now.load.since(since.load), seconds }
    }

    /// The outcome, with the figures that every scenario has.
    pub fn outcome(self, scenario: &str, figures: impl IntoIterator<Item = (&'static str, f64)>) -> Outcome {
        let tally = &self.load.tally;
        let latency = [("latency_p50_us", 0.5), ("latency_p99_us", 0.99), ("latency_p999_us", 0.999)];
        let latency = latency.into_iter().filter(|_| tally.latency.count() > 0);
        let common = latency.map(|(name, share)| (name, tally.latency.micros(share)));
        let reads = (tally.reads > 0).then(|| ("events_per_read", tally.delivered as f64 / tally.reads as f64));
        let common = common.chain(reads).chain([("delivered", tally.delivered as f64)]);
        Outcome {
            scenario: scenario.into(),
            target: self.target.name(),
            transport: self.setting.transport.to_string(),
            subscribers: self.setting.subscribers,
            channels: self.setting.channels,
            size: self.setting.size,
            // A scenario's own figures win over the common ones.
            figures: common.chain(figures).map(|(name, value)| (name.to_owned(), value)).collect(),
            faults: tally.faults,
            first_fault: tally.first_fault.clone(),
        }
    }
}

fn publisher(target: &dyn Target, server: &Running, load: &mut Load) -> Result<usize, String> {
    let address = target.publishing_address(server);
    load.publisher(address, target.answers(), &target.greeting())
        .map_err(|error| format!("connecting a publisher: {error}"))
}
