//! The load generator's HTTP/2 against a server that rests on the crate `h2`. Nothing is timed.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a helper that fails fails the test")]

mod server;

use server::{Conduct, Server};
use std::time::Duration;
use switchboard_bench::client::connections::PATIENCE;
use switchboard_bench::scenario::fanout::{self, Pace};
use switchboard_bench::scenario::{Outcome, Setting, churn, million, resume, saturate, slow};
use switchboard_bench::targets::Transport;

const PACE: Pace = Pace { rate: 500.0, seconds: 0.04 };

fn setting(subscribers: usize, streams: usize, channels: usize) -> Setting {
    Setting {
        transport: Transport::SseH2,
        subscribers,
        streams,
        channels,
        prefix: "test".into(),
        size: 200,
        heartbeat: Duration::from_millis(5),
        patience: PATIENCE,
        cpu: None,
    }
}

#[track_caller]
fn assert_clean(outcome: &Outcome) {
    assert!(outcome.faults.is_empty(), "{outcome:?}");
}

#[test]
fn everyone_hears_everything_however_many_streams_a_connection_has() {
    let server = Server::start(Conduct::default());
    for streams in [1, 7, 50, 400] {
        let outcome = fanout::run(&server, &setting(100, streams, 1), PACE).unwrap();
        assert_clean(&outcome);
        assert_eq!(outcome.figure("delivered"), Some(100.0 * 20.0));
    }
    let outcome = fanout::run(&server, &setting(60, 25, 10), PACE).unwrap();
    assert_clean(&outcome);
    assert_eq!(outcome.figure("delivered"), Some(20.0 * 6.0), "each hears its own channel alone");
}

#[test]
fn frames_of_any_size_are_read() {
    // A frame of one byte ends within every line; a large one holds several events.
    for frame in [1, 17, 16 << 10] {
        let server = Server::start(Conduct { frame, ..Conduct::default() });
        let outcome = fanout::run(&server, &setting(10, 5, 1), PACE).unwrap();
        assert_clean(&outcome);
        assert_eq!(outcome.figure("delivered"), Some(10.0 * 20.0));
    }
    let outcome = saturate::run(&Server::start(Conduct::default()), &setting(10, 5, 1), 0.05).unwrap();
    assert_clean(&outcome);
    assert!(outcome.figure("delivered").unwrap() >= 160.0, "{outcome:?}");
}

#[test]
fn windows_are_opened_again_for_who_reads_and_stay_shut_for_who_does_not() {
    let server = Server::start(Conduct::default());
    // 400 events of 200 bytes are ten times the window that these readers have.
    let outcome = slow::run(&server, &setting(20, 10, 1), 2_000.0, 400, 0.2).unwrap();
    assert_clean(&outcome);
    assert_eq!(outcome.figure("delivered"), Some(20.0 * 400.0));
    let held = outcome.figure("held_by_kernel_share").unwrap();
    assert!(held > 0.0 && held < 0.2, "a window and no more is held for who does not read: {outcome:?}");
}

#[test]
fn storms_and_returns_leave_nobody_behind() {
    let server = Server::start(Conduct::default());
    assert_clean(&churn::run(&server, &setting(50, 20, 1), 0.1).unwrap());
    // All that this one has of a channel is what was missed.
    let server = Server::start(Conduct::default());
    let crowd = resume::Crowd { live: 10, alone: 0.1 };
    assert_clean(&resume::run(&server, &setting(30, 20, 1), 40, &crowd).unwrap());
}

#[test]
fn idle_streams_are_counted_and_woken() {
    let server = Server::start(Conduct::default());
    let outcome = million::run(&server, &setting(3_000, 100, 1), Duration::from_millis(50)).unwrap();
    assert_clean(&outcome);
    assert_eq!(outcome.figure("live"), Some(3_000.0));
    assert_eq!(outcome.figure("delivered"), Some(3_000.0));
}

#[test]
fn streams_that_the_server_does_not_allow_are_refused() {
    let server = Server::start(Conduct { streams: 10, ..Conduct::default() });
    let outcome = fanout::run(&server, &setting(24, 12, 1), PACE).unwrap();
    assert_eq!(outcome.faults.refused, 4);
    assert_eq!(outcome.figure("delivered"), Some(20.0 * 20.0), "the others hear everything");
    assert!(outcome.first_fault.unwrap().contains("allows 10 streams"));
}

#[test]
fn streams_that_are_reset_and_connections_that_are_left_are_faults() {
    let server = Server::start(Conduct { resets: true, ..Conduct::default() });
    let outcome = fanout::run(&server, &setting(20, 5, 1), PACE).unwrap();
    assert_eq!(outcome.faults.dropped, 4, "one stream of each connection: {outcome:?}");
    assert!(outcome.first_fault.unwrap().contains("INTERNAL_ERROR"));

    let server = Server::start(Conduct { leaves: true, ..Conduct::default() });
    let outcome = fanout::run(&server, &setting(20, 5, 1), PACE).unwrap();
    assert_eq!(outcome.faults.dropped, 20, "{outcome:?}");
    assert!(outcome.first_fault.unwrap().contains("goes away"));

    let server = Server::start(Conduct { status: 403, ..Conduct::default() });
    let outcome = fanout::run(&server, &setting(20, 5, 1), PACE).unwrap();
    assert_eq!(outcome.faults.refused, 20);
    assert!(outcome.first_fault.unwrap().contains("status 403"));
}

#[test]
fn what_is_lost_doubled_or_out_of_order_is_found() {
    for (conduct, expected) in [
        (Conduct { swaps: true, ..Conduct::default() }, [0, 0, 10]),
        (Conduct { doubles: true, ..Conduct::default() }, [0, 10, 0]),
        (Conduct { loses: true, ..Conduct::default() }, [10, 0, 0]),
    ] {
        let server = Server::start(conduct);
        // What is lost is waited for in vain, and longer than what comes takes on a busy machine.
        let patience = if conduct.loses { Duration::from_secs(4) } else { PATIENCE };
        let setting = Setting { patience, ..setting(10, 5, 1) };
        let outcome = fanout::run(&server, &setting, PACE).unwrap();
        let faults = outcome.faults;
        assert_eq!([faults.lost, faults.doubled, faults.disordered], expected, "{outcome:?}");
    }
}
