use super::*;

pub(crate) fn a_channel_never_published_to_is_empty<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    put(&store, 0, "other", "");
    for since in [Since::Default, Since::Earliest, Since::Latest] {
        let opened = open(&store, 0, "a", since);
        assert_eq!((opened.cursor.seq, opened.gap, opened.recovered, opened.finished), (1, None, None, false));
    }
    let opened = open_at(&store, 0, "a", 0);
    assert_eq!((opened.cursor.seq, opened.gap, opened.recovered, opened.finished), (0, None, Some(true), false));
    let piece = read(&store, 0, "a", opened.cursor);
    assert!(piece.found.is_empty() && piece.caught_up && !piece.ended);
    assert_eq!(piece.cursor, Cursor::at(1));
}

pub(crate) fn latest_is_followed_by_everything_published_after<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    put(&store, 0, "a", "before");
    let opened = open(&store, 0, "a", Since::Latest);
    put(&store, 0, "b", "beside");
    put(&store, 0, "a", "after");
    assert_eq!(words(&read(&store, 0, "a", opened.cursor)), ["a:after"]);
}

pub(crate) fn several_channels_are_one_stream_of_rising_positions<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    for (channel, text) in [("a", "1"), ("b", "2"), ("c", "3"), ("a", "4"), ("b", "5")] {
        put(&store, 0, channel, text);
    }
    let piece = read(&store, 0, "b a", Cursor::at(0));
    assert_eq!(words(&piece), ["a:1", "b:2", "a:4", "b:5"]);
    assert_eq!(piece.found.iter().map(|found| found.cursor.seq).collect::<Vec<_>>(), [1, 2, 4, 5]);
    assert_eq!(piece.cursor, Cursor::at(5));
}

pub(crate) fn patterns_select_what_they_match<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    for channel in ["a/1", "b", "a/2", "$x/y", "a/b/c", "state/a"] {
        put(&store, 0, channel, "");
    }
    assert_eq!(told(&store, 0, "a/*", Since::Earliest), ["a/1:", "a/2:"]);
    assert_eq!(told(&store, 0, "a/** b", Since::Earliest), ["a/1:", "b:", "a/2:", "a/b/c:"]);
    assert_eq!(told(&store, 0, "**", Since::Earliest), ["a/1:", "b:", "a/2:", "a/b/c:", "state/a:"]);
    assert_eq!(told(&store, 0, "b a/1", Since::Earliest), told(&store, 0, "b a/1/**", Since::Earliest));
}

pub(crate) fn one_position_resumes_any_set_of_channels<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    for (channel, text) in [("a", "1"), ("b", "2"), ("a", "3"), ("b", "4")] {
        put(&store, 0, channel, text);
    }
    for (texts, expected) in [("a", vec!["a:3"]), ("b", vec!["b:4"]), ("a b", vec!["a:3", "b:4"]), ("c", vec![])] {
        let opened = open_at(&store, 0, texts, 2);
        assert_eq!((opened.recovered, &opened.position), (Some(true), &position(&store, 2)));
        assert_eq!(words(&read(&store, 0, texts, opened.cursor)), expected);
    }
}

pub(crate) fn a_quiet_channel_beside_a_busy_one_resumes_without_a_gap<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(3));
    put(&store, 0, "quiet", "1");
    for _ in 0..100 {
        put(&store, 0, "busy", "");
    }
    let opened = open_at(&store, 0, "quiet", 1);
    assert_eq!((opened.recovered, opened.gap), (Some(true), None));
    put(&store, 0, "quiet", "2");
    assert_eq!(words(&read(&store, 0, "quiet", opened.cursor)), ["quiet:2"]);
}

pub(crate) fn a_piece_keeps_to_its_budget_and_gives_at_least_one<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    for text in ["1111", "2222", "3333"] {
        put(&store, 0, "a", text);
    }
    for (items, bytes, count) in [(2, 100, 2), (9, 8, 2), (9, 7, 1), (0, 0, 1), (3, 12, 3)] {
        for texts in ["a", "a/**"] {
            let piece = store.read(0, &select(texts), Cursor::at(0), 3, Budget { items, bytes });
            assert_eq!((piece.found.len(), piece.caught_up), (count, count == 3), "{items} {bytes}");
            assert_eq!(piece.cursor, Cursor::at(count as u64));
        }
    }
}

pub(crate) fn a_page_begins_at_the_earliest<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(2));
    for text in ["1", "2", "3"] {
        put(&store, 0, "a", text);
    }
    let opened = store.open(0, &select("a"), Since::Default, true);
    assert_eq!((opened.cursor, opened.gap, opened.recovered), (Cursor::at(1), None, None));
    assert_eq!(words(&read(&store, 0, "a", opened.cursor)), ["a:2", "a:3"]);
}

pub(crate) fn a_reading_stops_where_the_shard_is<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    for text in ["1", "2", "3"] {
        put(&store, 0, "a", text);
    }
    append(&store, 0, end_of("a")).unwrap();
    for texts in ["a", "a/**"] {
        let piece = store.read(0, &select(texts), Cursor::at(0), 2, PLENTY);
        assert_eq!(words(&piece), ["a:1", "a:2"]);
        assert_eq!((piece.caught_up, piece.ended, piece.cursor), (true, false, Cursor::at(2)));
        let ahead = store.read(0, &select(texts), Cursor::at(3), 2, PLENTY);
        assert_eq!((ahead.found.len(), ahead.caught_up, ahead.cursor.seq), (0, true, 3));
    }
}

pub(crate) fn a_gap_reaches_past_the_shard_where_the_loss_does<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(2));
    for text in ["1", "2", "3", "4", "5"] {
        put(&store, 0, "a", text);
        put(&store, 0, "b/c", text);
    }
    // 3 of `a` was lost before the shard's place and 5 after it, so that no gap up to 4 would be the whole truth.
    let piece = store.read(0, &select("a"), Cursor::at(2), 4, PLENTY);
    assert_eq!(words(&piece), ["a gap trimmed 2..5"]);
    assert!(piece.caught_up);
    assert_eq!(words(&read(&store, 0, "a", piece.cursor)), ["a:4", "a:5"]);
    let piece = store.read(0, &select("b/*"), Cursor::at(2), 4, PLENTY);
    assert_eq!(words(&piece), ["b/c gap trimmed 2..6"]);
    // Who is there already has nothing to read.
    assert!(store.read(0, &select("a"), Cursor::at(4), 4, PLENTY).found.is_empty());
}

pub(crate) fn a_sparse_pattern_is_found_in_a_long_log<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(30_000));
    let batch: Vec<Append> = (0..30_000).map(|i| item(if i % 9_999 == 5 { "x/y" } else { "busy" }, "")).collect();
    store.append(0, &batch).unwrap();
    let batch: Vec<Append> = (0..30_000).map(|_| item("busy", "")).collect();
    store.append(0, &batch).unwrap();
    let piece = read(&store, 0, "x/*", Cursor::at(0));
    assert_eq!(piece.found.iter().map(|found| found.cursor.seq).collect::<Vec<_>>(), [6, 10_005, 20_004]);
    assert!(piece.caught_up);
    assert_eq!(open_at(&store, 0, "x/*", 0).recovered, Some(true));
    let opened = open_at(&store, 0, "** x/y", 7);
    assert_eq!((opened.recovered, gap_of(&opened)), (Some(false), Some((Reason::Trimmed, 10_004, Some("busy")))));
    let piece = read(&store, 0, "**", Cursor::at(10_004));
    let expected = ["x/y:", "busy gap trimmed 10005..20003", "x/y:", "busy gap trimmed 20004..30000"];
    assert_eq!(words(&piece)[..4], expected);
}
