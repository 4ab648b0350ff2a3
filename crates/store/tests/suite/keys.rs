use super::*;
use switchboard_store::{Key, StreamKey};

fn keyed(channel: &str, text: &str, key: &str) -> Append {
    Append { key: Some(Key::whole("me", key)), ..item(channel, text) }
}

pub(crate) fn a_repeat_is_answered_as_the_first_was<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    let first = append(&store, 0, keyed("a", "x", "k")).unwrap();
    put(&store, 0, "a", "between");
    let again = append(&store, 0, keyed("a", "x", "k")).unwrap();
    assert_eq!(again, Appended { repeated: true, ..first });
    assert_eq!(store.head(), 2);
    let end = Append { key: Some(Key::whole("me", "e")), ..end_of("a") };
    let first = append(&store, 0, end.clone()).unwrap();
    assert_eq!(append(&store, 0, end).unwrap(), Appended { repeated: true, ..first });
}

pub(crate) fn another_body_is_refused<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    append(&store, 0, keyed("a", "1", "k")).unwrap();
    let other = |draft, end| Append { channel: name("a"), draft: Some(draft), end, key: Some(Key::whole("me", "k")) };
    for item in [
        other(draft("2"), false),
        other(draft("1"), true),
        other(Draft::new(Some("type"), Kind::Text, None, "1".into()).unwrap(), false),
        other(Draft::new(None, Kind::Json, None, "1".into()).unwrap(), false),
        other(Draft::new(None, Kind::Text, Some("text/html"), "1".into()).unwrap(), false),
        Append { draft: None, ..other(draft("1"), true) },
    ] {
        assert_eq!(append(&store, 0, item).unwrap_err(), Refusal::KeyReused);
    }
    assert_eq!(store.head(), 1);
}

pub(crate) fn a_key_is_looked_at_before_the_end<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    append(&store, 0, keyed("a", "x", "k")).unwrap();
    append(&store, 0, end_of("a")).unwrap();
    assert!(append(&store, 0, keyed("a", "x", "k")).unwrap().repeated);
    assert_eq!(append(&store, 0, keyed("a", "y", "k")).unwrap_err(), Refusal::KeyReused);
    assert_eq!(append(&store, 0, keyed("a", "x", "other")).unwrap_err(), Refusal::Ended);
    store.delete(0, &name("a")).unwrap();
    assert!(append(&store, 0, keyed("a", "x", "k")).unwrap().repeated);
    assert!(!append(&store, 0, keyed("a", "x", "other")).unwrap().repeated, "only what was appended is kept");
}

pub(crate) fn a_key_holds_within_publisher_and_channel<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    append(&store, 0, keyed("a", "x", "k")).unwrap();
    assert!(!append(&store, 0, keyed("b", "y", "k")).unwrap().repeated);
    let yours = Append { key: Some(Key::whole("you", "k")), ..item("a", "y") };
    assert!(!append(&store, 0, yours).unwrap().repeated);
}

pub(crate) fn a_key_is_kept_for_its_age<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(Policy { key_age: 1000, ..policy(10) });
    append(&store, 0, keyed("a", "x", "k")).unwrap();
    assert!(append(&store, 999, keyed("a", "x", "k")).unwrap().repeated);
    assert!(!append(&store, 1000, keyed("a", "x", "k")).unwrap().repeated, "counted from its first use");
    assert!(append(&store, 1999, keyed("a", "x", "k")).unwrap().repeated);
    store.tick(2000);
    assert!(!append(&store, 2000, keyed("a", "y", "k")).unwrap().repeated);
}

pub(crate) fn a_new_key_is_refused_when_all_are_young<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(Policy { keys: 2, key_age: 1000, ..policy(10) });
    append(&store, 0, keyed("a", "x", "1")).unwrap();
    append(&store, 500, keyed("a", "x", "2")).unwrap();
    assert_eq!(append(&store, 999, keyed("a", "x", "3")).unwrap_err(), Refusal::KeysFull);
    assert!(append(&store, 999, keyed("a", "x", "2")).unwrap().repeated);
    assert_eq!(store.append(1000, &[keyed("a", "x", "3"), keyed("a", "x", "4")]).unwrap_err(), (1, Refusal::KeysFull));
    append(&store, 1000, keyed("a", "x", "3")).unwrap();
    put(&store, 1000, "a", "without a key");
}

pub(crate) fn a_stream_that_is_old_makes_place_for_its_own_key<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(Policy { keys: 1, key_age: 10, ..policy(10) });
    assert_eq!(send(&store, 0, &["1"], false), (vec![true], Ok(None)));
    assert_eq!(send(&store, 5, &["1", "2"], false), (vec![false, true], Ok(None)));
    // It has gone on since it was begun, and is looked at again when it surely is old.
    store.tick(10);
    assert!(!append(&store, 15, keyed("a", "x", "k")).unwrap().repeated);
    assert_eq!(append(&store, 15, keyed("a", "x", "other")).unwrap_err(), Refusal::KeysFull);
}

pub(crate) fn a_batch_repeats_itself<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    let answers = store.append(0, &[keyed("a", "x", "k"), item("a", "y"), keyed("a", "x", "k")]).unwrap();
    assert_eq!(answers[2], Appended { repeated: true, ..answers[0] });
    let refused = store.append(0, &[keyed("a", "x", "l"), keyed("a", "y", "l")]).unwrap_err();
    assert_eq!(refused, (1, Refusal::KeyReused));
    assert_eq!(store.head(), 2);
    let mut last = keyed("a", "z", "m");
    last.end = true;
    let answers = store.append(0, &[last.clone(), last]).unwrap();
    assert!(answers[1].repeated, "its own end does not refuse the repeat");
}

/// What a stream came to: how many events, the first and the last.
type Total = Option<(u64, u64, u64)>;

/// Sends lines as one body would: which of them were appended, and what the whole came to.
fn send<S: Store>(store: &S, now: u64, lines: &[&str], clean: bool) -> (Vec<bool>, Result<Total, Refusal>) {
    let mut stream = StreamKey::new("me", "k");
    let mut fresh = Vec::new();
    for line in lines {
        let key = stream.line(Some(&draft(line)), false);
        match append(store, now, Append { key: Some(key), ..item("a", line) }) {
            Ok(answer) => fresh.push(!answer.repeated),
            Err(refusal) => return (fresh, Err(refusal)),
        }
    }
    let sum = if clean { store.finish(now, &name("a"), &stream) } else { Ok(None) };
    (fresh, sum.map(|sum| sum.map(|sum| (sum.count, sum.first.unwrap().seq, sum.last.unwrap().seq))))
}

pub(crate) fn a_stream_goes_on_where_it_stopped<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    assert_eq!(send(&store, 0, &["1", "2"], false), (vec![true, true], Ok(None)));
    put(&store, 0, "a", "between");
    let all = ["1", "2", "3"];
    assert_eq!(send(&store, 0, &all, true), (vec![false, false, true], Ok(Some((3, 1, 4)))));
    assert_eq!(send(&store, 0, &all, true), (vec![false, false, false], Ok(Some((3, 1, 4)))));
    assert_eq!(told(&store, 0, "a", Since::Earliest), ["a:1", "a:2", "a:between", "a:3"]);
    let lines = ["1", "2", "3"].map(draft);
    let mut stream = StreamKey::new("me", "batch");
    let mut batch: Vec<Append> = Vec::new();
    for draft in &lines {
        let key = Some(stream.line(Some(draft), false));
        batch.push(Append { channel: name("b"), draft: Some(draft.clone()), end: false, key });
    }
    assert!(store.append(0, &batch).unwrap().iter().all(|answer| !answer.repeated));
    let again = store.append(0, &batch).unwrap();
    assert!(again.iter().all(|answer| answer.repeated));
    assert_eq!(again.iter().map(|answer| answer.id.is_some()).collect::<Vec<_>>(), [false, false, true]);
}

pub(crate) fn a_stream_that_differs_is_refused<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    send(&store, 0, &["1", "2", "3"], false).1.unwrap();
    assert_eq!(send(&store, 0, &["1", "2", "other"], true), (vec![false, false], Err(Refusal::KeyReused)));
    assert_eq!(send(&store, 0, &["other", "2", "3"], true), (vec![false, false], Err(Refusal::KeyReused)));
    assert_eq!(send(&store, 0, &["1", "2"], true), (vec![false, false], Err(Refusal::KeyReused)), "shorter");
    assert_eq!(store.head(), 3);
}

pub(crate) fn a_stream_and_a_body_share_no_key<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    append(&store, 0, keyed("a", "1", "k")).unwrap();
    assert_eq!(send(&store, 0, &["1"], true).1, Err(Refusal::KeyReused));
    assert_eq!(store.finish(0, &name("a"), &StreamKey::new("me", "k")), Err(Refusal::KeyReused));
    let store = make(policy(10));
    send(&store, 0, &["1"], true).1.unwrap();
    assert_eq!(append(&store, 0, keyed("a", "1", "k")).unwrap_err(), Refusal::KeyReused);
}

pub(crate) fn a_finished_stream_takes_no_more_lines<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(Policy { key_age: 1000, ..policy(10) });
    send(&store, 0, &["1"], true).1.unwrap();
    assert_eq!(send(&store, 900, &["1", "2"], true), (vec![false], Err(Refusal::KeyReused)));
    // A stream is kept from its latest line, and one that outlives its key goes on.
    let store = make(Policy { key_age: 1000, ..policy(10) });
    let mut stream = StreamKey::new("me", "k");
    for (now, line) in [(0, "1"), (900, "2"), (1800, "3"), (5000, "4")] {
        let key = stream.line(Some(&draft(line)), false);
        assert!(!append(&store, now, Append { key: Some(key), ..item("a", line) }).unwrap().repeated);
        store.tick(now + 950);
    }
    assert_eq!(store.finish(9000, &name("a"), &stream), Ok(None), "not remembered");
}

pub(crate) fn the_end_of_a_stream_repeats_as_it_was_answered<S: Store>(make: impl Fn(Policy) -> S) {
    let store = make(policy(10));
    let end = |stream: &mut StreamKey| {
        let key = Some(stream.line(None, true));
        append(&store, 0, Append { channel: name("a"), draft: None, end: true, key }).unwrap()
    };
    let mut stream = StreamKey::new("me", "k");
    let key = Some(stream.line(Some(&draft("1")), false));
    append(&store, 0, Append { key, ..item("a", "1") }).unwrap();
    put(&store, 0, "a", "between");
    let first = end(&mut stream);
    assert_eq!((first.id, first.position.seq), (None, 2));
    let mut again = StreamKey::new("me", "k");
    again.line(Some(&draft("1")), false);
    assert_eq!(end(&mut again), Appended { repeated: true, ..first });
    assert_eq!(store.finish(0, &name("a"), &again).unwrap().unwrap().last.unwrap().seq, 1);
}
