//! Two publishers and many subscribers on two shards: order, loss and doubling over a million deliveries.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "the helpers of tests fail as tests do: by panicking"
)]

use std::cell::Cell;
use switchboard_testkit::crowd::{Crowd, Kind, all_files, publish_on_a_thread};
use switchboard_testkit::{Server, config, seed};

const SUBSCRIBERS: usize = 250;
const EVENTS: usize = 4000;
const PUBLISHERS: usize = 2;

/// What one subscriber has heard.
#[derive(Clone)]
struct Ear {
    /// The number that each publisher's next event has.
    next: [usize; PUBLISHERS],
    /// A fingerprint of everything heard, in its order.
    order: u64,
}

/// The publisher and the number of an event: `p:n`, in raw form as it is and in a JSON event as its data.
fn parse(data: &[u8]) -> (usize, usize) {
    let text = std::str::from_utf8(data).unwrap();
    let text = match text.split_once("\"data\":\"") {
        Some((_, rest)) => rest.split('"').next().unwrap(),
        None => text,
    };
    let (publisher, n) = text.split_once(':').unwrap_or_else(|| panic!("not what was published: {text:?}"));
    (publisher.parse().unwrap(), n.parse().unwrap())
}

#[test]
fn a_million_deliveries_on_two_shards_keep_one_order_without_loss_or_doubling() {
    let _files = all_files();
    let mut random = fastrand::Rng::with_seed(seed("a_million_deliveries"));
    let mut config = config();
    config.shards = Some(2);
    let server = Server::start(config);
    let members: Vec<(Kind, String)> = (0..SUBSCRIBERS)
        .map(|_| match random.u8(0..5) {
            0 => (Kind::Sse, "/channels/a"),
            1 => (Kind::Sse, "/channels?channel=*"),
            2 => (Kind::Lines, "/channels/a"),
            3 => (Kind::WebSocket, "/channels/a"),
            _ => (Kind::WebSocket, "/channels?channel=a"),
        })
        .map(|(kind, target)| (kind, target.to_owned()))
        .collect();
    let mut crowd = Crowd::gather(server.address(), &members);
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|p| {
            let items = (0..EVENTS / PUBLISHERS).map(move |n| ("a".to_owned(), format!("{p}:{n}")));
            publish_on_a_thread(server.address(), items)
        })
        .collect();

    let mut ears = vec![Ear { next: [0; PUBLISHERS], order: 0 }; SUBSCRIBERS];
    let deliveries = Cell::new(0);
    crowd.run(
        "a million deliveries",
        |who, data| {
            let (publisher, n) = parse(data);
            let ear = &mut ears[who];
            assert_eq!(ear.next[publisher], n, "subscriber {who} ({:?}) of publisher {publisher}", members[who]);
            ear.next[publisher] += 1;
            let word = (publisher as u64) << 32 | n as u64;
            ear.order = (ear.order ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23);
            deliveries.set(deliveries.get() + 1);
        },
        |_| deliveries.get() == SUBSCRIBERS * EVENTS,
    );
    assert!(ears.iter().all(|ear| ear.order == ears[0].order), "everyone hears one order");
    assert_eq!(crowd.closed(), 0);
    let mut told: Vec<String> = publishers.into_iter().flat_map(|publisher| publisher.join().unwrap()).collect();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), EVENTS, "every event has a name of its own");
}

#[test]
fn many_channels_and_patterns_on_two_shards_keep_apart() {
    const CHANNELS: usize = 20;
    let server = Server::new();
    let members: Vec<(Kind, String)> = (0..CHANNELS * 2)
        .map(|i| match i % 4 {
            0 => (Kind::Sse, format!("/channels/c/{}", i / 2)),
            1 => (Kind::WebSocket, format!("/channels/c/{}", i / 2)),
            2 => (Kind::Lines, format!("/channels?channel=c/{}", i / 2)),
            _ => (Kind::WebSocket, "/channels?channel=c/*".to_owned()),
        })
        .collect();
    let mut crowd = Crowd::gather(server.address(), &members);
    let items =
        (0..100 * CHANNELS).map(|n| (format!("c/{}", n % CHANNELS), format!("{}:{}", n % CHANNELS, n / CHANNELS)));
    let publisher = publish_on_a_thread(server.address(), items);
    let mut heard = vec![vec![0; CHANNELS]; members.len()];
    let expected: usize = (0..members.len()).map(|i| if i % 4 == 3 { 100 * CHANNELS } else { 100 }).sum();
    let deliveries = Cell::new(0);
    crowd.run(
        "all channels",
        |who, data| {
            let (channel, n) = parse(data);
            assert!(who % 4 == 3 || channel == who / 2, "{:?} heard channel {channel}", members[who]);
            assert_eq!(heard[who][channel], n, "{:?}", members[who]);
            heard[who][channel] += 1;
            deliveries.set(deliveries.get() + 1);
        },
        |_| deliveries.get() == expected,
    );
    publisher.join().unwrap();
}
