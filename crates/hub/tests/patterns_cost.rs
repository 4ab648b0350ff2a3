//! Found in review: what one event costs where readers ask for patterns made of wildcards.

use std::sync::Arc;
use std::time::{Duration, Instant};
use switchboard_hub::{Place, Readers};
use switchboard_wire::ChannelName;
use switchboard_wire::name::Selection;

#[test]
fn no_set_of_patterns_makes_one_event_take_long() {
    let mut readers = Readers::new(0);
    let mut bits = 0x9e37_79b9_7f4a_7c15u64;
    for reader in 0..2 {
        let mut selection = Selection::default();
        for _ in 0..100 {
            let segments: Vec<&str> = (0..60)
                .map(|_| {
                    bits ^= bits << 13;
                    bits ^= bits >> 7;
                    bits ^= bits << 17;
                    if bits & 1 == 0 { "*" } else { "**" }
                })
                .collect();
            selection.add(&segments.join("/")).unwrap();
        }
        readers.add(reader, Arc::new(selection), Place::at(0));
    }
    let channel = ChannelName::new(&vec!["x"; 120].join("/")).unwrap();
    let begun = Instant::now();
    let mut due = 0;
    readers.fan_out(&channel, 1, |_| due += 1);
    assert_eq!(due, 2);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}
