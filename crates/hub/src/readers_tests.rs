use super::*;
use proptest::prelude::*;
use switchboard_wire::Pattern;

fn name(text: &str) -> ChannelName {
    ChannelName::new(text).unwrap()
}

fn selection(texts: &[&str]) -> Arc<Selection> {
    let mut selection = Selection::default();
    for text in texts {
        selection.add(text).unwrap();
    }
    Arc::new(selection)
}

fn at(cursor: u64) -> Place {
    Place::at(cursor)
}

fn due(readers: &mut Readers, channel: &str, seq: u64) -> Vec<Token> {
    let mut tokens = Vec::new();
    readers.fan_out(&name(channel), seq, |token| tokens.push(token));
    tokens
}

#[test]
fn a_reader_ahead_of_its_shard_hears_nothing_twice() {
    let mut readers = Readers::new(5);
    assert!(readers.add(0, selection(&["a"]), at(7)));
    assert!(due(&mut readers, "a", 6).is_empty());
    assert!(due(&mut readers, "a", 7).is_empty());
    assert_eq!(due(&mut readers, "a", 8), [0]);
    readers.advance(8);
    assert_eq!(readers.cursor(0), Some(8));
}

#[test]
fn a_reader_selected_by_name_and_by_two_patterns_hears_once() {
    let mut readers = Readers::new(0);
    readers.add(3, selection(&["a/b", "a/*", "**"]), at(0));
    assert_eq!(due(&mut readers, "a/b", 1), [3]);
    assert_eq!(readers.count_of(&name("a/b")), 1);
    readers.remove(3);
    assert!(due(&mut readers, "a/b", 2).is_empty());
    assert!(readers.is_empty() && readers.channels().next().is_none());
}

#[test]
fn a_laggard_is_live_again_at_the_shards_position() {
    let mut readers = Readers::new(0);
    readers.add(0, selection(&["a"]), at(0));
    assert_eq!(due(&mut readers, "a", 1), [0]);
    readers.fall_behind(0, at(0));
    readers.advance(1);
    assert!(due(&mut readers, "a", 2).is_empty());
    readers.advance(2);
    assert_eq!(readers.behind(0), Some(at(0)));
    assert!(!readers.catch_up(0, at(1)));
    assert!(readers.catch_up(0, at(2)));
    assert_eq!(due(&mut readers, "a", 3), [0]);
}

#[test]
fn when_the_ring_overruns_a_shard_its_live_readers_fall_behind_where_it_was() {
    let mut readers = Readers::new(10);
    readers.add(0, selection(&["a"]), at(10));
    readers.add(1, selection(&["a"]), at(50));
    readers.add(2, selection(&["a"]), at(4));
    let mut fallen = Vec::new();
    readers.overrun(40, |token| fallen.push(token));
    assert_eq!(fallen, [0]);
    assert_eq!(readers.behind(0), Some(at(10)));
    assert_eq!(readers.behind(1), None);
    assert_eq!(readers.behind(2), Some(at(4)));
    assert_eq!(readers.position(), 40);
}

/// What a reader of the simulation has been handed, in order.
type Heard = Vec<u64>;

proptest! {
    /// A shard, its ring and its log, in miniature: readers come, block, catch up in pieces and go on, in any order,
    /// and each hears every item of its channels after its start, once and in order.
    #[test]
    fn every_reader_hears_every_item_once_in_order(
        steps in prop::collection::vec((0u8..6, any::<u8>(), any::<u8>()), 1..200),
    ) {
        const CHANNELS: [&str; 3] = ["a", "b/x", "b/y"];
        let selections = [selection(&["a"]), selection(&["b/*"]), selection(&["a", "**"])];
        let mut log: Vec<&str> = Vec::new();
        let mut readers = Readers::new(0);
        let mut heard: Vec<(u64, usize, Heard)> = Vec::new();
        let selects = |kind: usize, channel: &str| selections[kind].selects(&name(channel));
        for (step, x, y) in steps {
            let token = usize::from(x) % heard.len().max(1);
            match step {
                0 | 1 => log.push(CHANNELS[usize::from(x) % 3]),
                2 => {
                    let start = u64::from(y) % (log.len() as u64 + 1);
                    let kind = usize::from(x) % 3;
                    readers.add(heard.len() as Token, selections[kind].clone(), at(start));
                    heard.push((start, kind, Vec::new()));
                }
                3 => {
                    // The ring's next item; every reader whose number is odd blocks now and then.
                    let seq = readers.position() + 1;
                    if let Some(channel) = log.get(seq as usize - 1) {
                        for token in due(&mut readers, channel, seq) {
                            if token % 2 == 1 && y % 3 == 0 {
                                readers.fall_behind(token, at(seq - 1));
                            } else {
                                heard[token as usize].2.push(seq);
                            }
                        }
                        readers.advance(seq);
                    }
                }
                4 => {
                    // A bounded piece for a reader that is behind.
                    if let Some(place) = readers.behind(token as Token) {
                        let upto = readers.position().min(place.cursor + 1 + u64::from(y % 4));
                        for seq in place.cursor + 1..=upto {
                            if selects(heard[token].1, log[seq as usize - 1]) {
                                heard[token].2.push(seq);
                            }
                        }
                        readers.catch_up(token as Token, at(upto));
                    }
                }
                _ => {
                    if y % 4 == 0 {
                        readers.overrun(log.len() as u64, |_| {});
                    }
                }
            }
        }
        for (token, (start, kind, heard)) in heard.iter().enumerate() {
            let upto = readers.cursor(token as Token).unwrap();
            let expected: Heard =
                (start + 1..=upto).filter(|seq| selects(*kind, log[*seq as usize - 1])).collect();
            prop_assert_eq!(heard, &expected, "reader {}", token);
        }
    }
}

#[test]
fn a_pattern_without_wildcards_selects_one_name() {
    let mut readers = Readers::new(0);
    let one = Selection { channels: Vec::new(), patterns: vec![Pattern::new("a/b").unwrap()] };
    readers.add(0, Arc::new(one), at(0));
    assert_eq!(due(&mut readers, "a/b", 1), [0]);
    assert!(due(&mut readers, "a", 2).is_empty());
}
