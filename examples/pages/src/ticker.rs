//! Prices that wander, each on a channel of class `state`: who comes gets the newest of each, and no history.

use serde::Serialize;
use std::time::Duration;
use switchboard::Publisher;

const PAUSE: Duration = Duration::from_millis(120);

/// A good, what it costs at the beginning, and how far it strays in a step, as a part of its price.
const GOODS: [(&str, f64, f64); 8] = [
    ("cocoa", 7.42, 0.004),
    ("coffee", 4.18, 0.003),
    ("copper", 9.71, 0.001),
    ("cotton", 1.66, 0.002),
    ("nickel", 16.05, 0.002),
    ("sugar", 0.48, 0.004),
    ("tin", 31.2, 0.001),
    ("wheat", 0.21, 0.003),
];

#[derive(Serialize)]
struct Quote {
    price: f64,
    /// The first price of this run.
    open: f64,
}

/// Publishes a new price of one good after the other, in no order, until the program ends.
pub(crate) async fn run(publisher: Publisher) {
    let mut prices = GOODS.map(|(_, price, _)| price);
    for (at, price) in prices.into_iter().enumerate() {
        publish(&publisher, at, price).await;
    }
    loop {
        tokio::time::sleep(PAUSE).await;
        let at = fastrand::usize(..GOODS.len());
        let (_, open, stray) = GOODS[at];
        // A drift back keeps a price from wandering off for good.
        let drift = (open - prices[at]) / open * stray;
        prices[at] *= 1.0 + drift + stray * (fastrand::f64() * 2.0 - 1.0);
        publish(&publisher, at, prices[at]).await;
    }
}

async fn publish(publisher: &Publisher, at: usize, price: f64) {
    let (good, open, _) = GOODS[at];
    let quote = Quote { price: (price * 1e4).round() / 1e4, open };
    if let Err(problem) = publisher.publish(&format!("price/{good}"), None, &quote).await {
        tracing::warn!("price/{good}: {problem}");
    }
}
