//! The load generator against the real program, and the command `bench`. Nothing is timed.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails the test")]

mod support;

use std::time::Duration;
use support::run;
use switchboard_bench::client::connections::PATIENCE;
use switchboard_bench::scenario::fanout::{self, Pace};
use switchboard_bench::scenario::{Setting, hostile, idle, million, resume, saturate, slow};
use switchboard_bench::targets::switchboard::Switchboard;
use switchboard_bench::targets::{Transport, secure};
use switchboard_testkit::Server;

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchboard");

fn setting(transport: Transport, subscribers: usize) -> Setting {
    Setting {
        transport,
        subscribers,
        streams: 8,
        channels: 1,
        prefix: "test".into(),
        size: 200,
        heartbeat: Duration::from_secs(15),
        patience: PATIENCE,
        cpu: None,
    }
}

#[test]
fn everyone_hears_everything_on_every_transport() {
    let target = Switchboard { program: PROGRAM.into() };
    for transport in [
        Transport::Sse,
        Transport::SseH2,
        Transport::Websocket,
        Transport::WebsocketEvent,
        Transport::WebsocketDeflate,
        Transport::Stream,
        Transport::Poll,
    ] {
        let outcome = fanout::run(&target, &setting(transport, 50), Pace { rate: 500.0, seconds: 0.04 }).unwrap();
        assert!(outcome.faults.is_empty(), "{outcome:?}");
        assert_eq!(outcome.figure("delivered"), Some(50.0 * 20.0), "{transport}");
    }
}

#[test]
fn over_tls_everyone_hears_everything_as_well() {
    for name in ["switchboard-tls", "switchboard-tls12"] {
        let target = secure::by_name(name, PROGRAM.as_ref()).unwrap().unwrap();
        for transport in [Transport::Sse, Transport::SseH2, Transport::Websocket, Transport::Poll] {
            let outcome = fanout::run(&target, &setting(transport, 50), Pace { rate: 500.0, seconds: 0.04 }).unwrap();
            assert!(outcome.faults.is_empty(), "{outcome:?}");
            assert_eq!(outcome.figure("delivered"), Some(50.0 * 20.0), "{name}, {transport}");
        }
        let idle = idle::run(&target, &setting(Transport::Sse, 200), Duration::from_millis(100)).unwrap();
        assert!(idle.faults.is_empty() && idle.figure("bytes_per_connection").is_some(), "{idle:?}");
    }
}

#[test]
fn a_backlog_a_return_and_a_stall_lose_nothing() {
    let target = Switchboard { program: PROGRAM.into() };
    let outcome = saturate::run(&target, &setting(Transport::Websocket, 60), 0.1).unwrap();
    assert!(outcome.faults.is_empty(), "{outcome:?}");
    for transport in [Transport::Sse, Transport::SseH2, Transport::Websocket, Transport::Stream] {
        let outcome =
            resume::run(&target, &setting(transport, 30), 40, &resume::Crowd { live: 10, alone: 0.1 }).unwrap();
        assert!(outcome.faults.is_empty(), "{outcome:?}");
        assert!(outcome.figure("cpu_us_per_recovered").is_some());
    }
    for transport in [Transport::Sse, Transport::SseH2] {
        let outcome = slow::run(&target, &setting(transport, 20), 2_000.0, 400, 0.2).unwrap();
        assert!(outcome.faults.is_empty(), "{outcome:?}");
        assert_eq!(outcome.figure("delivered"), Some(20.0 * 400.0));
    }
}

#[test]
fn those_who_mean_harm_are_held_beside_those_who_read() {
    let target = Switchboard { program: PROGRAM.into() };
    let outcome = hostile::run(&target, &setting(Transport::Sse, 20), 1_000.0, 100, 10).unwrap();
    assert!(outcome.faults.is_empty(), "{outcome:?}");
    assert_eq!(outcome.figure("hostile"), Some(30.0));
    assert_eq!(outcome.figure("delivered"), Some(20.0 * 100.0));
}

#[test]
fn idle_streams_are_counted_and_woken() {
    let target = Switchboard { program: PROGRAM.into() };
    let setting = Setting { heartbeat: Duration::from_millis(100), ..setting(Transport::SseH2, 2_000) };
    let outcome = million::run(&target, &Setting { streams: 100, ..setting }, Duration::from_millis(300)).unwrap();
    assert!(outcome.faults.is_empty(), "{outcome:?}");
    assert_eq!(outcome.figure("delivered"), Some(2_000.0));
}

#[test]
fn the_command_loads_a_deployment_and_tells_what_arrived() {
    let server = Server::process(PROGRAM, &["serve", "--listen", "127.0.0.1:0", "--connections", "60"]);
    let url = format!("http://{}", server.address());
    let load = |more: &[&str]| {
        let words = ["bench", "load test", "--rate", "200", "--seconds", "0.1", "--server", &url];
        run(&[&words, more].concat())
    };
    let said = load(&["--subscribers", "40", "--channels", "4", "--transport", "websocket"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    assert!(said.out.contains("delivered      200\n") && said.out.contains("faults         none\n"), "{}", said.out);
    // More than the server takes.
    let said = load(&["--subscribers", "100"]);
    assert_eq!(said.code, Some(1), "{}", said.out);
    assert!(said.err.contains("refused"), "{}", said.err);
    let said = run(&["bench", "a//b", "--server", &url]);
    assert_eq!(said.code, Some(2), "{}", said.err);
    drop(server);
    let said = run(&["bench", "--server", &url]);
    assert_eq!(said.code, Some(3), "{}", said.err);
    assert!(said.err.contains("nothing listens at") && said.err.contains("`switchboard serve`"), "{}", said.err);
}
