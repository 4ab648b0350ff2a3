use super::*;
use switchboard_wire::Epoch;

pub(crate) fn trimming_by_count_is_told_exactly<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(3));
    for _ in 0..10 {
        put(&store, 0, "a", "x");
        put(&store, 0, "b", "x");
    }
    // The events of `a` have the odd numbers to 19, of which 15, 17 and 19 are held.
    for (texts, seq) in [("a", 1), ("a", 5), ("a", 12), ("a/**", 5)] {
        let opened = open_at(&store, 0, texts, seq);
        assert_eq!(gap_of(&opened), Some((Reason::Trimmed, 14, Some("a"))));
        assert_eq!((opened.cursor, opened.recovered), (Cursor::at(14), Some(false)));
        assert_eq!(*opened.gap.as_ref().unwrap().from, *position(&store, seq).to_string());
        let piece = read(&store, 0, texts, opened.cursor);
        assert_eq!(piece.found.iter().map(|found| found.cursor.seq).collect::<Vec<_>>(), [15, 17, 19]);
    }
    for seq in [13, 14, 15, 19] {
        assert_eq!(open_at(&store, 0, "a", seq).recovered, Some(true), "nothing after {seq} is lost");
    }
    assert_eq!(words(&read(&store, 0, "a", Cursor::at(3)))[0], "a gap trimmed 3..14");
}

pub(crate) fn trimming_by_bytes_keeps_a_single_large_event<S: Store>(make: impl Fn(Policy) -> S) {
    let retention = Retention { events: 10, age: 100, bytes: 6 };
    let store = make(Policy { default: Class::History(retention), ..Policy::default() });
    for text in ["aaa", "bbb", "c"] {
        put(&store, 0, "a", text);
    }
    assert_eq!(told(&store, 0, "a", Since::Earliest), ["a:bbb", "a:c"]);
    assert_eq!(gap_of(&open_at(&store, 0, "a", 0)), Some((Reason::Trimmed, 1, Some("a"))));
    put(&store, 0, "a", "larger than the limit");
    assert_eq!(told(&store, 0, "a", Since::Earliest), ["a:larger than the limit"]);
}

pub(crate) fn an_event_expires_to_the_millisecond<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    put(&store, 1000, "a", "1");
    put(&store, 1050, "a", "2");
    put(&store, 1050, "b", "3");
    assert_eq!(told(&store, 1099, "a", Since::Earliest), ["a:1", "a:2"]);
    for texts in ["a", "a/**"] {
        let opened = open_at(&store, 1100, texts, 0);
        assert_eq!(gap_of(&opened), Some((Reason::Expired, 1, Some("a"))));
        assert_eq!(words(&read(&store, 1100, texts, opened.cursor)), ["a:2"]);
    }
    store.tick(1150);
    let opened = open_at(&store, 1150, "a", 0);
    assert_eq!(gap_of(&opened), Some((Reason::Expired, 3, Some("a"))), "nothing is held: up to the head");
    assert_eq!(open_at(&store, 1150, "a", 2).recovered, Some(true));
}

pub(crate) fn the_oldest_of_all_goes_first<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(Policy { bytes: 10_000, ..policy(1000) });
    put(&store, 0, "state/old", &"x".repeat(1000));
    for i in 0..100 {
        put(&store, 0, if i % 2 == 0 { "a" } else { "b" }, &"x".repeat(800));
    }
    let held = read(&store, 0, "a b", open(&store, 0, "a b", Since::Earliest).cursor).found;
    assert!((2..=12).contains(&held.len()), "{}", held.len());
    let newest: Vec<u64> = (102 - held.len() as u64..=101).collect();
    assert_eq!(held.iter().map(|found| found.cursor.seq).collect::<Vec<_>>(), newest);
    let opened = open_at(&store, 0, "a", 2);
    assert_eq!(gap_of(&opened).unwrap().0, Reason::Trimmed);
    // That a state keeps its newest event is a promise, and one that is broken is told.
    assert_eq!(gap_of(&open_at(&store, 0, "state/old", 0)).unwrap().0, Reason::Trimmed);
    put(&store, 0, "a", &"x".repeat(20_000));
    assert_eq!(told(&store, 0, "**", Since::Earliest).len(), 1, "the newest stays");
}

pub(crate) fn a_forgotten_channel_is_told<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(Policy { channels: 2, ..policy(10) });
    put(&store, 0, "a", "1");
    put(&store, 0, "b", "2");
    put(&store, 0, "a", "3");
    put(&store, 0, "c", "4");
    // `b` was not published to for longest.
    assert_eq!(gap_of(&open_at(&store, 0, "b", 0)), Some((Reason::Forgotten, 4, Some("b"))));
    assert_eq!(gap_of(&open_at(&store, 0, "a", 0)), None);
    assert_eq!(words(&read(&store, 0, "*", Cursor::at(0))), ["a:1", "* gap forgotten 0..2", "a:3", "c:4"]);
    assert_eq!(open_at(&store, 0, "b", 2).recovered, Some(true));
    assert_eq!(gap_of(&open_at(&store, 0, "never", 1)), Some((Reason::Forgotten, 4, Some("never"))), "in excess");
    put(&store, 0, "b", "5");
    assert_eq!(gap_of(&open_at(&store, 0, "b", 0)), Some((Reason::Forgotten, 4, Some("b"))));
    assert_eq!(told(&store, 0, "b", Since::Earliest), ["b:5"]);
}

pub(crate) fn channels_forgotten_together_are_one_gap<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(Policy { channels: 1, ..policy(10) });
    for channel in ["a", "b", "c"] {
        put(&store, 0, channel, "x");
    }
    // A reader that was told of one and then cut off could not be told of the other.
    let piece = store.read(0, &select("a b"), Cursor::at(0), 3, Budget { items: 1, bytes: 0 });
    assert_eq!((words(&piece), piece.caught_up), (vec!["* gap forgotten 0..3".into()], true));
    assert_eq!(words(&read(&store, 0, "a a", Cursor::at(0))), ["a gap forgotten 0..3"]);
}

pub(crate) fn a_deletion_is_told<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    put(&store, 0, "a", "1");
    put(&store, 0, "state/a", "2");
    store.delete(0, &name("a")).unwrap();
    store.delete(0, &name("state/a")).unwrap();
    put(&store, 0, "b", "5");
    assert_eq!(gap_of(&open_at(&store, 0, "a", 0)), Some((Reason::Deleted, 5, Some("a"))));
    assert_eq!(gap_of(&open_at(&store, 0, "a", 1)), Some((Reason::Deleted, 5, Some("a"))), "also to who read it all");
    // Nothing is held between the two, so they are one gap, of the whole stream.
    let expected = ["* gap deleted 0..4", "b:5"];
    assert_eq!(words(&read(&store, 0, "a b state/a", Cursor::at(0))), expected);
    assert_eq!(words(&read(&store, 0, "**", Cursor::at(0))), expected);
    assert_eq!(open_at(&store, 0, "a", 3).recovered, Some(true));
    put(&store, 0, "a", "again");
    assert_eq!(words(&read(&store, 0, "a", Cursor::at(0))), ["a gap deleted 0..5", "a:again"]);
}

/// One that cannot be used: what its gap says, and where reading goes on.
fn unusable<S: Store>(make: impl Fn(Policy) -> S, text: &str, from: &str, reason: Reason) {
    let store = make(policy(2));
    let empty = open(&store, 0, "a", Since::At(text));
    assert_eq!(gap_of(&empty), Some((reason, 0, None)));
    for text in ["1", "2", "3"] {
        put(&store, 0, "a", text);
    }
    put(&store, 0, "b", "4");
    for texts in ["a", "a b", "a/**"] {
        let opened = open(&store, 0, texts, Since::At(text));
        assert_eq!(gap_of(&opened), Some((reason, 1, None)), "just before the oldest event held");
        assert_eq!(&*opened.gap.as_ref().unwrap().from, from);
        assert_eq!((opened.recovered, opened.finished), (Some(false), false));
        assert_eq!(words(&read(&store, 0, texts, opened.cursor))[..2], ["a:2", "a:3"]);
    }
    assert_eq!(gap_of(&open(&store, 0, "c", Since::At(text))), Some((reason, 4, None)), "else the head");
}

pub(crate) fn a_foreign_position_is_a_gap_of_reason_epoch<S: Store>(make: impl Fn(Policy) -> S) {
    let foreign = Position::from(Mark { epoch: Epoch::new(7), seq: 2 }).to_string();
    unusable(make, &foreign, &foreign, Reason::Epoch);
}

pub(crate) fn a_position_beyond_the_head_is_a_gap_of_reason_ahead<S: Store>(make: impl Fn(Policy) -> S) {
    let ahead = position(&make(policy(1)), 1000).to_string();
    unusable(make, &ahead, &ahead, Reason::Ahead);
}

pub(crate) fn garbage_is_a_gap_of_reason_unknown<S: Store>(make: impl Fn(Policy) -> S) {
    for text in ["", "0", "latest ", "\0", "%", "00000000", "\u{1F600}"] {
        unusable(&make, text, text, Reason::Unknown);
    }
    unusable(&make, &"\u{e9}".repeat(300), &"\u{e9}".repeat(127), Reason::Unknown);
}

pub(crate) fn a_position_of_several_logs_is_read_by_its_own_mark<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    put(&store, 0, "a", "1");
    put(&store, 0, "a", "2");
    let text = Position::of(&[Mark { epoch: Epoch::new(7), seq: 99 }, at(&store, 1)]).unwrap().to_string();
    let opened = open(&store, 0, "a", Since::At(&text));
    assert_eq!((opened.cursor, opened.recovered), (Cursor::at(1), Some(true)));
}

pub(crate) fn a_loss_of_one_channel_is_told_in_its_place_among_what_another_still_holds<S: Store>(
    make: impl Fn(Policy) -> S,
) {
    let store = make(policy(2));
    for channel in ["a", "b", "a", "a", "b", "a", "a"] {
        put(&store, 0, channel, "x");
    }
    // `a` has lost 1, 3 and 4.
    let expected = ["a gap trimmed 0..1", "b:x", "a gap trimmed 2..4", "b:x", "a:x", "a:x"];
    for texts in ["a b", "*"] {
        assert_eq!(words(&read(&store, 0, texts, Cursor::at(0))), expected);
        // Whoever is cut after anything that was said, and comes back with no more than a position, is told the rest.
        let (mut cursor, mut said) = (Cursor::at(0), Vec::new());
        while cursor.seq < store.head() {
            let piece = store.read(0, &select(texts), cursor, store.head(), Budget { items: 1, bytes: 0 });
            cursor = Cursor::at(piece.cursor.seq);
            said.extend(words(&piece));
        }
        assert_eq!(said, expected);
        assert_eq!(cursor, Cursor::at(7));
    }
}

pub(crate) fn an_ephemeral_event_is_skipped<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    put(&store, 0, "ephemeral/x", "1");
    put(&store, 0, "a", "2");
    put(&store, 0, "ephemeral/x", "3");
    put(&store, 0, "a", "4");
    assert_eq!(gap_of(&open_at(&store, 0, "ephemeral/x", 1)), Some((Reason::Skipped, 4, Some("ephemeral/x"))));
    assert_eq!(open_at(&store, 0, "ephemeral/x", 3).recovered, Some(true));
    for texts in ["a ephemeral/x", "**"] {
        assert_eq!(
            words(&read(&store, 0, texts, Cursor::at(0))),
            ["ephemeral/x gap skipped 0..1", "a:2", "ephemeral/x gap skipped 2..3", "a:4"]
        );
    }
}
