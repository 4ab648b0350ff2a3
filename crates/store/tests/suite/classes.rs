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

pub(crate) fn the_systems_own_channels_hold_nothing_and_take_the_room_of_one<S: Store>(make: impl Fn(Policy) -> S) {
    // Whatever the rules say.
    let rules = vec![(Pattern::new("$own/**").unwrap(), Class::History(Retention::default()))];
    let store = make(Policy { channels: 2, rules, ..policy(10) });
    put(&store, 0, "a", "1");
    for i in 2..20 {
        put(&store, 0, &format!("$own/{i}"), "x");
    }
    assert_eq!(words(&read(&store, 0, "a", Cursor::at(0))), ["a:1"], "the channel was not forgotten");
    let listed: Vec<ChannelName> = store.channels(0, None, 9).into_iter().map(|info| info.name).collect();
    assert_eq!(listed, [name("a")]);
    let mut items = Vec::new();
    store.take(1, 2, &mut items);
    let told = |item: &Item| match &item.what {
        What::Event(entry) => (item.channel.to_string(), entry.event().channel.to_string(), entry.event().resumable),
        other => panic!("{other:?}"),
    };
    let own = |i: usize| (format!("$own/{i}"), format!("$own/{i}"), false);
    assert_eq!([told(&items[0]), told(&items[1])], [own(2), own(3)]);
    // A loss is told, if need be in excess, and only to those who read any of these.
    put(&store, 0, "a", "20");
    for (texts, gap) in [("a $own/7", "$own/7"), ("a $own/*", "$own"), ("a $own/7/**", "$own")] {
        let expected = [format!("{gap} gap skipped 1..19"), "a:20".to_owned()];
        assert_eq!(words(&read(&store, 0, texts, Cursor::at(1))), expected, "{texts}");
    }
    for texts in ["a", "**", "a $other/**", "a $other/7"] {
        assert_eq!(words(&read(&store, 0, texts, Cursor::at(1))), ["a:20"], "{texts}");
    }
}
