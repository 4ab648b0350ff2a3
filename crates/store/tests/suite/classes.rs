use super::*;

pub(crate) fn a_state_is_its_newest_event_and_never_a_gap<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    for text in ["1", "2", "3"] {
        put(&store, 0, "state/a", text);
        put(&store, 0, "b", text);
    }
    let much_later = 1_000_000;
    assert_eq!(told(&store, much_later, "state/a", Since::Earliest), ["state/a:3"]);
    for texts in ["state/a", "state/*"] {
        let opened = open_at(&store, 0, texts, 1);
        assert_eq!((opened.recovered, opened.cursor.seq), (Some(true), 1));
        assert_eq!(words(&read(&store, 0, texts, opened.cursor)), ["state/a:3"]);
    }
    assert_eq!(store.channels(much_later, None, 9)[1].events, 1);
}

pub(crate) fn a_stream_by_default_gives_the_state_but_no_history<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(2));
    put(&store, 0, "state/a", "here");
    for text in ["1", "2", "3"] {
        put(&store, 0, "b", text);
    }
    put(&store, 0, "state/c/d", "there");
    for (texts, state) in
        [("state/a b", "state/a:here"), ("b state/**", "state/a:here"), ("state/*/*", "state/c/d:there")]
    {
        let opened = open(&store, 0, texts, Since::Default);
        assert_eq!((opened.cursor.floor, &opened.gap, opened.recovered), (5, &None, None));
        assert_eq!(opened.position, position(&store, opened.cursor.seq));
        let piece = read(&store, 0, texts, opened.cursor);
        assert_eq!(words(&piece)[0], state);
        assert!(words(&piece).iter().all(|word| word.starts_with("state/")), "{:?}", words(&piece));
        assert_eq!(piece.cursor, Cursor::at(5));
    }
    let opened = open(&store, 0, "b", Since::Default);
    assert_eq!(opened.cursor, Cursor::at(5));
}

pub(crate) fn ephemeral_events_are_not_held<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    put(&store, 0, "ephemeral/x", "1");
    assert_eq!(open(&store, 0, "ephemeral/x", Since::Earliest).cursor, Cursor::at(1));
    let info = &store.channels(0, None, 9)[0];
    assert_eq!((info.events, info.bytes, info.newest), (0, 0, Some(at(&store, 1))));
}
