//! A server that runs, subscribers that are live and a publisher: where most scenarios begin.

use super::Outcome;
use crate::client::Load;
use crate::figures::cpu::Cpu;
use crate::figures::memory::Memory;
use crate::payload::Payloads;
use crate::target::{Running, Target, Transport, Wish};
use std::collections::BTreeMap;
use std::time::Duration;

/// How large a scenario is, and on which transport.
#[derive(Clone, Debug)]
pub struct Setting {
    pub transport: Transport,
    pub subscribers: usize,
    pub channels: usize,
    /// Bytes of one event's data.
    pub size: usize,
    pub heartbeat: Duration,
    /// The CPU of the server, if it is held to one.
    pub cpu: Option<usize>,
}

/// Everything is live.
pub struct Stage<'t> {
    target: &'t dyn Target,
    setting: Setting,
    names: Vec<String>,
    publisher: usize,
    // Before the server, so that connections are closed from this side.
    pub load: Load,
    pub server: Running,
    /// Of the server before anyone subscribed.
    pub empty: Memory,
}

impl<'t> Stage<'t> {
    /// Starts a server, subscribes everyone, connects a publisher.
    pub fn set(target: &'t dyn Target, setting: &Setting) -> Result<Stage<'t>, String> {
        let wish = Wish { transport: setting.transport, heartbeat: setting.heartbeat, cpu: setting.cpu };
        let server = target.start(&wish)?;
        let empty = server.memory();
        let payloads = Payloads::new(setting.size);
        let mut load = Load::new(server.address, payloads).map_err(|error| format!("polling: {error}"))?;
        let names: Vec<String> = (0..setting.channels).map(|index| format!("bench/{index}")).collect();
        for name in &names {
            target.prepare(&server, name)?;
            let dialogue = target.subscription(setting.transport, name);
            load.channel(dialogue.ok_or_else(|| format!("{} does not speak {}", target.name(), setting.transport))?);
        }
        load.subscribe(setting.subscribers).map_err(|error| format!("subscribing: {error}"))?;
        let address = target.publishing_address(&server);
        let publisher = load
            .publisher(address, target.answers(), &target.greeting())
            .map_err(|error| format!("connecting a publisher: {error}"))?;
        Ok(Stage { target, setting: setting.clone(), names, publisher, load, server, empty })
    }

    /// Publishes the next event of a channel, stamped with the time it was due.
    pub fn publish(&mut self, channel: usize, due: u64) {
        let (target, name) = (self.target, &self.names[channel]);
        self.load.publish(self.publisher, channel, due, |payload| target.publication(name, payload));
    }

    /// Whether the publisher can take another event.
    pub fn is_free(&self) -> bool {
        self.load.is_free(self.publisher)
    }

    /// Publishes `count` events, one in `every` nanoseconds, to the channels in turn, and waits until all were
    /// received. An event that is late carries the time it was due, so that waiting counts as latency.
    pub fn publish_evenly(&mut self, count: u64, every: u64) -> Result<(), String> {
        let start = self.load.clock.nanos();
        for event in 0..count {
            let due = start + event * every;
            loop {
                let now = self.load.clock.nanos();
                if now >= due && self.is_free() {
                    break;
                }
                let wait = Duration::from_nanos(due.saturating_sub(now)).min(Duration::from_millis(100));
                self.load.turn(wait).map_err(|error| format!("polling: {error}"))?;
                if now > due + 20_000_000_000 {
                    return Err("a publish was not answered for 20 s".into());
                }
            }
            self.publish(event as usize % self.names.len(), due);
        }
        self.load.settle().map_err(|error| format!("polling: {error}"))
    }

    /// Publishes a few events to every channel, so that what is made at first need has been made.
    pub fn warm_up(&mut self) -> Result<(), String> {
        let channels = self.names.len() as u64;
        self.publish_evenly(channels.max(3), 1_000_000)?;
        self.load.tally.begin(self.load.clock.nanos());
        Ok(())
    }

    /// What the server used of CPUs since.
    pub fn cpu_since(&self, before: Cpu) -> Cpu {
        self.server.cpu().since(before)
    }

    /// The outcome, with the figures that every scenario has.
    pub fn outcome(self, scenario: &str, mut figures: BTreeMap<&'static str, f64>) -> Outcome {
        let tally = &self.load.tally;
        figures.insert("delivered", tally.delivered as f64);
        if tally.latency.count() > 0 {
            figures.insert("latency_p50_us", tally.latency.micros(0.5));
            figures.insert("latency_p99_us", tally.latency.micros(0.99));
            figures.insert("latency_p999_us", tally.latency.micros(0.999));
        }
        Outcome {
            scenario: scenario.into(),
            target: self.target.name(),
            transport: self.setting.transport.to_string(),
            subscribers: self.setting.subscribers,
            channels: self.setting.channels,
            size: self.setting.size,
            figures,
            faults: tally.faults,
            first_fault: tally.first_fault.clone(),
        }
    }
}
