//! The floor, as a process, under the load generator: every transport, every policy. Nothing is timed.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a helper that fails fails the test")]

use std::time::Duration;
use switchboard_bench::client::connections::PATIENCE;
use switchboard_bench::floor::Policy;
use switchboard_bench::scenario::fanout::{self, Pace};
use switchboard_bench::scenario::{Outcome, Setting, churn, saturate, slow};
use switchboard_bench::targets::Transport;
use switchboard_bench::targets::floor::Floor;

const TRANSPORTS: [Transport; 6] = [
    Transport::Sse,
    Transport::Websocket,
    Transport::WebsocketEvent,
    Transport::WebsocketDeflate,
    Transport::Stream,
    Transport::Poll,
];

fn floor(policy: Policy) -> Floor {
    Floor { program: env!("CARGO_BIN_EXE_switchboard-bench").into(), policy }
}

fn setting(transport: Transport, subscribers: usize, channels: usize) -> Setting {
    Setting {
        transport,
        subscribers,
        streams: 1,
        channels,
        prefix: "test".into(),
        size: 200,
        heartbeat: Duration::from_secs(15),
        patience: PATIENCE,
        cpu: None,
    }
}

#[track_caller]
fn assert_clean(outcome: &Outcome) {
    assert!(outcome.faults.is_empty(), "{outcome:?}");
}

#[test]
fn everyone_hears_everything_on_every_transport() {
    for transport in TRANSPORTS {
        for policy in [Policy::Each, Policy::Four, Policy::Sweep] {
            let pace = Pace { rate: 500.0, seconds: 0.04 };
            let outcome = fanout::run(&floor(policy), &setting(transport, 50, 1), pace).unwrap();
            assert_clean(&outcome);
            assert_eq!(outcome.figure("delivered"), Some(50.0 * 20.0), "{transport} {policy:?}");
        }
    }
}

#[test]
fn subscribers_hear_their_own_channel_alone() {
    let pace = Pace { rate: 500.0, seconds: 0.06 };
    let outcome = fanout::run(&floor(Policy::Each), &setting(Transport::Sse, 40, 10), pace).unwrap();
    assert_clean(&outcome);
    assert_eq!(outcome.figure("delivered"), Some(30.0 * 4.0));
}

#[test]
fn a_backlog_is_delivered_whole() {
    for policy in [Policy::Each, Policy::Four, Policy::Sweep] {
        let outcome = saturate::run(&floor(policy), &setting(Transport::Websocket, 60, 1), 0.1).unwrap();
        assert_clean(&outcome);
        assert!(outcome.figure("delivered").unwrap() >= 60.0 * 16.0, "{outcome:?}");
    }
}

#[test]
fn who_stalls_catches_up_and_storms_leave_nobody_behind() {
    let outcome = slow::run(&floor(Policy::Each), &setting(Transport::Sse, 20, 1), 2_000.0, 400, 0.2).unwrap();
    assert_clean(&outcome);
    assert_eq!(outcome.figure("delivered"), Some(20.0 * 400.0));
    assert!(outcome.figure("held_by_kernel_share").unwrap() < 0.9, "they lagged: {outcome:?}");
    assert_clean(&churn::run(&floor(Policy::Each), &setting(Transport::Websocket, 50, 1), 0.1).unwrap());
}
