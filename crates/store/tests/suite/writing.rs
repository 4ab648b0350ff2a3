use super::*;
use switchboard_store::{Item, Taken, What};

pub(crate) fn names_rise_across_channels<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    assert_eq!(store.head(), 0);
    assert_eq!(["a", "b", "ephemeral/x", "state/x", "a"].map(|channel| put(&store, 0, channel, "")), [1, 2, 3, 4, 5]);
    let mut both = item("b", "last");
    both.end = true;
    let answer = append(&store, 0, both).unwrap();
    assert_eq!((answer.id, answer.position, answer.repeated), (Some(at(&store, 6)), at(&store, 6), false));
    assert_eq!(store.head(), 7, "the end has a place of its own, which is not shown");
    assert_eq!(store.delete(0, &name("a")), Some(8));
}

pub(crate) fn time_never_goes_back<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    for now in [50, 20, 60] {
        put(&store, now, "a", "");
    }
    let piece = read(&store, 60, "a", Cursor::at(0));
    let times: Vec<u64> = piece
        .found
        .iter()
        .map(|found| match &found.what {
            Read::Event(entry) => entry.event().time,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(times, [50, 50, 60]);
}

pub(crate) fn a_batch_is_appended_whole_or_not_at_all<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    append(&store, 0, end_of("closed")).unwrap();
    let refused = store.append(0, &[item("a", "1"), item("b", "2"), item("closed", "3")]);
    assert_eq!(refused.unwrap_err(), (2, Refusal::Ended));
    let refused = store.append(0, &[item("a", "1"), end_of("a"), item("a", "2")]);
    assert_eq!(refused.unwrap_err(), (2, Refusal::Ended), "also where the batch itself ends it");
    assert_eq!(store.head(), 1);
    let answers = store.append(0, &[item("a", "1"), item("b", "2"), end_of("a")]).unwrap();
    assert_eq!(answers.iter().map(|answer| answer.position.seq).collect::<Vec<_>>(), [2, 3, 3]);
    assert!(store.append(0, &[]).unwrap().is_empty());
}

pub(crate) fn an_ended_channel_refuses_and_its_deletion_frees_the_name<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    append(&store, 0, end_of("a")).unwrap();
    assert_eq!(append(&store, 0, item("a", "1")).unwrap_err(), Refusal::Ended);
    assert_eq!(append(&store, 0, end_of("a")).unwrap_err(), Refusal::Ended);
    assert!(store.all_ended(&select("a")));
    store.delete(0, &name("a")).unwrap();
    assert!(!store.all_ended(&select("a")));
    put(&store, 0, "a", "1");
}

pub(crate) fn an_end_needs_no_last_event<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    put(&store, 0, "a", "1");
    let answer = append(&store, 0, end_of("a")).unwrap();
    assert_eq!((answer.id, answer.position), (None, at(&store, 1)));
    assert_eq!(told(&store, 0, "a", Since::Earliest), ["a:1", "a ends"]);
}

pub(crate) fn deleting_what_is_not_there_does_nothing<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    assert_eq!(store.delete(0, &name("a")), None);
    put(&store, 0, "a", "1");
    assert_eq!(store.delete(0, &name("a")), Some(2));
    assert_eq!(store.delete(0, &name("a")), None);
    assert_eq!(store.head(), 2);
}

pub(crate) fn channels_are_listed_by_name<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(2));
    for (channel, text) in [("b", "1"), ("a/b", "22"), ("b", "333"), ("b", "4444"), ("gone", ""), ("c", "")] {
        put(&store, 0, channel, text);
    }
    store.delete(0, &name("gone")).unwrap();
    append(&store, 0, end_of("c")).unwrap();
    let list = store.channels(0, None, 10);
    let facts: Vec<(&str, usize, usize, bool, u64)> = list
        .iter()
        .map(|info| (info.name.as_str(), info.events, info.bytes, info.ended, info.newest.unwrap().seq))
        .collect();
    assert_eq!(facts, [("a/b", 1, 2, false, 2), ("b", 2, 7, false, 4), ("c", 1, 0, true, 6)]);
    let names = |after, limit| -> Vec<String> {
        store.channels(0, after, limit).iter().map(|info| info.name.to_string()).collect()
    };
    assert_eq!(
        (names(Some("a/b"), 1), names(Some("b"), 9), names(Some("c"), 9)),
        (vec!["b".into()], vec!["c".into()], vec![])
    );
    assert_eq!(store.channels(100, Some("a/b"), 1)[0].events, 0, "what has expired is not counted");
}

pub(crate) fn the_ring_hands_over_everything_once_in_order<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(1));
    let mut last = item("a", "2");
    last.end = true;
    store.append(0, &[item("a", "1"), item("ephemeral/x", "e"), last]).unwrap();
    store.delete(0, &name("a")).unwrap();
    let mut out: Vec<Item> = Vec::new();
    assert_eq!(store.take(0, 2, &mut out), Taken::Upto(2));
    assert_eq!(store.take(2, 9, &mut out), Taken::Upto(5));
    assert_eq!(store.take(5, 9, &mut out), Taken::Upto(5));
    let said = out.iter().map(|item| match &item.what {
        What::Event(entry) => format!("{} {}:{}", item.seq, item.channel, entry.seq()),
        What::End => format!("{} {} ends", item.seq, item.channel),
        What::Deleted => format!("{} {} deleted", item.seq, item.channel),
    });
    assert_eq!(said.collect::<Vec<_>>(), ["1 a:1", "2 ephemeral/x:2", "3 a:3", "4 a ends", "5 a deleted"]);
}

pub(crate) fn a_taker_that_is_too_slow_is_overrun<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(Policy { ring: 3, ..policy(10) });
    for _ in 0..5 {
        put(&store, 0, "a", "");
    }
    let mut out = Vec::new();
    assert_eq!(store.take(1, 9, &mut out), Taken::Overrun { head: 5 });
    assert!(out.is_empty());
    assert_eq!(store.take(2, 9, &mut out), Taken::Upto(5));
    assert_eq!(out.len(), 3);
}
