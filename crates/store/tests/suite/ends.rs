use super::*;

/// A log whose channel `a` has the events 1 and 2 and has ended; `b` has 4.
fn ended<S: Store>(make: impl Fn(Policy) -> S) -> S {
    let store = make(policy(2));
    put(&store, 0, "a", "1");
    let mut last = item("a", "2");
    last.end = true;
    append(&store, 0, last).unwrap();
    put(&store, 0, "b", "4");
    store
}

pub(crate) fn an_end_comes_after_the_last_event<S: Store>(make: impl Fn(Policy) -> S) {
    let store = ended(make);
    let piece = read(&store, 0, "a", Cursor::at(0));
    assert_eq!(words(&piece), ["a:1", "a:2", "a ends"]);
    assert!(piece.caught_up && piece.ended);
    assert_eq!(words(&read(&store, 0, "a b", Cursor::at(1))), ["a:2", "a ends", "b:4"]);
    let cut = store.read(0, &select("a"), Cursor::at(0), 4, Budget { items: 1, bytes: 100 });
    assert_eq!((words(&cut).len(), cut.caught_up, cut.ended), (1, false, false));
    let full = store.read(0, &select("a"), Cursor::at(0), 4, Budget { items: 2, bytes: 100 });
    assert_eq!((words(&full).len(), full.caught_up, full.ended), (3, true, true), "it is told with the last event");
}

pub(crate) fn a_cursor_at_the_last_event_is_finished<S: Store>(make: impl Fn(Policy) -> S) {
    let store = ended(make);
    for seq in [2, 3, 4] {
        assert!(open_at(&store, 0, "a", seq).finished, "{seq}");
    }
    for seq in [0, 1] {
        let opened = open_at(&store, 0, "a", seq);
        assert_eq!((opened.finished, opened.recovered), (false, Some(true)));
    }
    assert!(open(&store, 0, "a", Since::Latest).finished);
    assert!(!open(&store, 0, "b", Since::Latest).finished);
    // Once the last event has expired, a cursor before it is told so first.
    assert_eq!(gap_of(&open_at(&store, 200, "a", 1)), Some((Reason::Expired, 2, Some("a"))));
    assert!(open_at(&store, 200, "a", 2).finished);
}

pub(crate) fn without_a_cursor_an_ended_channel_is_read_from_the_earliest<S: Store>(make: impl Fn(Policy) -> S) {
    let store = ended(make);
    for since in [Since::Default, Since::Earliest] {
        assert!(!open(&store, 0, "a", since).finished);
        assert_eq!(told(&store, 0, "a", since), ["a:1", "a:2", "a ends"]);
    }
    assert_eq!(told(&store, 200, "a", Since::Default), ["a ends"], "the end outlives the events");
}

pub(crate) fn an_unusable_cursor_gets_its_gap_then_the_events_then_the_end<S: Store>(make: impl Fn(Policy) -> S) {
    let store = ended(make);
    let opened = open(&store, 0, "a", Since::At("garbage"));
    assert_eq!((gap_of(&opened), opened.finished), (Some((Reason::Unknown, 0, None)), false));
    assert_eq!(words(&read(&store, 0, "a", opened.cursor)), ["a:1", "a:2", "a ends"]);
    let opened = open(&store, 200, "a", Since::At("garbage"));
    assert_eq!(words(&read(&store, 200, "a", opened.cursor)), ["a ends"]);
}

pub(crate) fn of_several_channels_all_must_end<S: Store>(make: impl Fn(Policy) -> S) {
    let store = ended(make);
    assert!(!store.all_ended(&select("a b")) && !read(&store, 0, "a b", Cursor::at(0)).ended);
    assert!(!open(&store, 0, "a b", Since::Latest).finished);
    append(&store, 0, end_of("b")).unwrap();
    assert!(store.all_ended(&select("a b")) && !store.all_ended(&Selection::default()));
    let piece = read(&store, 0, "a b", Cursor::at(0));
    assert_eq!(
        (words(&piece), piece.ended),
        (["a:1", "a:2", "a ends", "b:4", "b ends"].map(String::from).into(), true)
    );
    assert!(open_at(&store, 0, "a b", 4).finished && !open_at(&store, 0, "a b", 3).finished);
}

pub(crate) fn a_pattern_never_ends<S: Store>(make: impl Fn(Policy) -> S) {
    let store = ended(make);
    let piece = read(&store, 0, "a/**", Cursor::at(0));
    assert_eq!((words(&piece), piece.ended), (["a:1", "a:2", "a ends"].map(String::from).into(), false));
    assert!(!open_at(&store, 0, "a/**", 4).finished && !store.all_ended(&select("a/**")));
}

pub(crate) fn a_named_channel_that_has_ended_is_told_beside_one_that_has_not<S: Store>(make: impl Fn(Policy) -> S) {
    let store = ended(make);
    assert_eq!(told(&store, 0, "a b", Since::Default), ["a ends"]);
    assert!(told(&store, 0, "a/** b", Since::Default).is_empty());
}
