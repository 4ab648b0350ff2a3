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

/// Takes items of a log on: those after the position, each of its channel.
fn begin(readers: &mut Readers, channels: &[&str]) {
    let from = readers.position();
    let items: Vec<(ChannelName, u64)> =
        channels.iter().zip(from + 1..).map(|(channel, seq)| (name(channel), seq)).collect();
    readers.begin(items.len(), from + items.len() as u64, |i| (&items[i as usize].0, items[i as usize].1));
}

/// For passes of which nothing is yet to be matched.
fn no_item<'a>(_: u16) -> (&'a ChannelName, u64) {
    panic!("all was matched")
}

/// Takes items of a log on for one reader alone, ahead of the others: those after its cursor. The pass that stands aside.
fn begin_ahead(readers: &mut Readers, token: Token, channels: &[&str]) -> Pass {
    let from = readers.cursor(token).unwrap();
    let items: Vec<(ChannelName, u64)> =
        channels.iter().zip(from + 1..).map(|(channel, seq)| (name(channel), seq)).collect();
    let upto = from + items.len() as u64;
    readers.begin_ahead(token, items.len(), upto, |i| (&items[i as usize].0, items[i as usize].1))
}

/// What is left of the pass: whom it is due to, as numbers of items, and whether others are due the same.
fn rest(readers: &mut Readers) -> Vec<(Token, Vec<u16>, bool)> {
    let mut all = Vec::new();
    while let Some(due) = readers.next_due() {
        all.push((due.token, readers.pass().items(due.run).to_vec(), readers.pass().is_shared(due.run)));
    }
    all
}

/// Who is due the next item, if it is of this channel.
fn due(readers: &mut Readers, channel: &str) -> Vec<Token> {
    begin(readers, &[channel]);
    rest(readers).into_iter().map(|(token, ..)| token).collect()
}

#[test]
fn readers_of_one_channel_share_a_run_unless_the_seam_cuts_it() {
    let mut readers = Readers::new(2);
    readers.add(0, selection(&["a"]), at(2));
    readers.add(1, selection(&["a"]), at(3));
    readers.add(2, selection(&["a", "b"]), at(2));
    readers.add(3, selection(&["*"]), at(4));
    readers.add(4, selection(&["b"]), at(9));
    begin(&mut readers, &["a", "b", "a"]);
    let expected = [(0, vec![0, 2], true), (1, vec![2], false), (2, vec![0, 1, 2], false), (3, vec![2], false)];
    assert_eq!(rest(&mut readers), expected);
    assert_eq!(readers.position(), 5);
}

#[test]
fn who_leaves_in_the_midst_of_a_pass_is_passed_over_and_so_is_who_takes_the_place() {
    let mut readers = Readers::new(0);
    readers.add(0, selection(&["a"]), at(0));
    readers.add(1, selection(&["a"]), at(0));
    begin(&mut readers, &["a", "a"]);
    assert_eq!(readers.next_due().map(|due| due.token), Some(0));
    readers.remove(1);
    assert!(!readers.add(1, selection(&["a"]), at(1)), "it has yet to read what the pass brings");
    assert!(rest(&mut readers).is_empty() && !readers.pass().is_on());
    assert!(readers.catch_up(1, at(2)));
    assert_eq!(due(&mut readers, "a"), [0, 1]);
}

#[test]
fn a_pass_may_go_in_another_order_and_tells_who_comes_next() {
    let mut readers = Readers::new(0);
    for token in 0..6 {
        readers.add(token, selection(&["a"]), at(0));
    }
    begin(&mut readers, &["a", "a"]);
    readers.arrange(|token| token % 2);
    let mut order = Vec::new();
    while let Some(due) = readers.next_due() {
        assert_eq!(readers.pass().items(due.run), [0, 1]);
        order.push((due.token, readers.pass().peek().map(|next| next.token)));
    }
    let expected = [(0, Some(2)), (2, Some(4)), (4, Some(1)), (1, Some(3)), (3, Some(5)), (5, None)];
    assert_eq!(order, expected);
}

#[test]
fn a_reader_ahead_of_its_shard_hears_nothing_twice() {
    let mut readers = Readers::new(5);
    assert!(readers.add(0, selection(&["a"]), at(7)));
    assert!(due(&mut readers, "a").is_empty());
    assert!(due(&mut readers, "a").is_empty());
    assert_eq!(due(&mut readers, "a"), [0]);
    assert_eq!(readers.cursor(0), Some(8));
}

#[test]
fn a_reader_is_handed_what_it_is_due_ahead_and_all_others_are_where_they_were() {
    let mut readers = Readers::new(0);
    for token in 0..1000 {
        readers.add(token, selection(&["a"]), at(0));
    }
    readers.add(1000, selection(&["a", "b/*"]), at(0));
    begin(&mut readers, &["a"]);
    assert_eq!(readers.next_due().map(|due| due.token), Some(0));
    assert_eq!(readers.take_due(1000, no_item).len(), 1);
    let aside = begin_ahead(&mut readers, 1000, &["b/x", "a", "c", "a"]);
    assert_eq!(rest(&mut readers), [(1000, vec![0, 1, 3], false)]);
    assert_eq!((readers.position(), readers.cursor(1000), readers.cursor(1)), (1, Some(5), Some(1)));
    readers.resume(aside);
    assert_eq!(rest(&mut readers).len(), 999, "the pass goes on where it was");
    begin(&mut readers, &["b/x", "a", "c", "a", "b/y"]);
    let due = rest(&mut readers);
    assert!(due[..1000].iter().all(|(token, items, shared)| *token < 1000 && items[..] == [1, 3] && *shared));
    assert_eq!(due[1000..], [(1000, vec![4], false)]);
}

#[test]
fn a_reader_that_is_behind_is_due_nothing_ahead() {
    let mut readers = Readers::new(3);
    readers.add(0, selection(&["a"]), at(1));
    let aside = begin_ahead(&mut readers, 0, &["a", "a", "a"]);
    assert!(rest(&mut readers).is_empty());
    readers.resume(aside);
    assert_eq!(readers.behind(0), Some(at(1)));
}

#[test]
fn a_reader_selected_by_name_and_by_two_patterns_hears_once() {
    let mut readers = Readers::new(0);
    readers.add(3, selection(&["a/b", "a/*", "**"]), at(0));
    assert_eq!(due(&mut readers, "a/b"), [3]);
    assert_eq!(readers.count_of(&name("a/b")), 1);
    readers.remove(3);
    assert!(due(&mut readers, "a/b").is_empty());
    assert!(readers.is_empty() && readers.channels().next().is_none());
}

#[test]
fn a_laggard_is_live_again_at_the_shards_position() {
    let mut readers = Readers::new(0);
    readers.add(0, selection(&["a"]), at(0));
    assert_eq!(due(&mut readers, "a"), [0]);
    readers.fall_behind(0, at(0));
    assert!(due(&mut readers, "a").is_empty());
    assert_eq!(readers.behind(0), Some(at(0)));
    assert!(!readers.catch_up(0, at(1)));
    assert!(readers.catch_up(0, at(2)));
    assert_eq!(due(&mut readers, "a"), [0]);
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

const CHANNELS: [&str; 3] = ["a", "b/x", "b/y"];
const KINDS: [&[&str]; 6] = [&["a"], &["b/*"], &["a", "**"], &["b/x"], &["**/x", "a/*", "b/**"], &["*/y", "b/x", "*"]];

/// A reader of the simulation.
struct Simulated {
    start: u64,
    kind: usize,
    /// What it was handed, in order.
    heard: Vec<u64>,
    gone: bool,
}

/// A shard, its ring and its log, in miniature.
struct World {
    log: Vec<&'static str>,
    readers: Readers,
    /// Everyone there ever was, and who has which token now.
    everyone: Vec<Simulated>,
    tokens: Vec<usize>,
    /// The items of the present pass.
    items: Vec<(ChannelName, u64)>,
}

/// The channel of an item, and its number.
fn place(items: &[(ChannelName, u64)], i: u16) -> (&ChannelName, u64) {
    let (channel, seq) = &items[usize::from(i)];
    (channel, *seq)
}

impl World {
    fn selects(&self, kind: usize, seq: u64) -> bool {
        selection(KINDS[kind]).selects(&name(self.log[seq as usize - 1]))
    }

    fn add(&mut self, token: usize, kind: usize, start: u64) {
        self.readers.add(token as Token, selection(KINDS[kind]), at(start));
        self.everyone.push(Simulated { start, kind, heard: Vec::new(), gone: false });
        match self.tokens.get_mut(token) {
            Some(holder) => *holder = self.everyone.len() - 1,
            None => self.tokens.push(self.everyone.len() - 1),
        }
    }

    fn hand(&mut self, token: usize, seq: u64) {
        self.everyone[self.tokens[token]].heard.push(seq);
    }

    /// The ring's next items.
    fn begin(&mut self, count: usize) {
        let from = self.readers.position();
        let items = self.log.iter().zip(1..).skip(from as usize).take(count);
        self.items = items.map(|(channel, seq)| (name(channel), seq)).collect();
        let (items, upto) = (&self.items, from + self.items.len() as u64);
        let begun = self.readers.begin(items.len(), upto, |i| place(items, i));
        self.items.truncate(begun.items);
    }

    /// The next one who is due something takes all of it, or blocks after `takes` items. `false` if the pass is over.
    fn deliver(&mut self, takes: usize) -> bool {
        loop {
            if let Some(due) = self.readers.next_due() {
                let items = self.items.clone();
                self.hand_over(due, |i| place(&items, i).1, takes);
                return true;
            }
            let items = &self.items;
            if self.readers.go_on(|i| place(items, i)).is_none() {
                return false;
            }
        }
    }

    /// The same for one who is due something of items with these numbers.
    fn hand_over(&mut self, due: Due, seq: impl Fn(u16) -> u64, takes: usize) {
        let seqs: Vec<u64> = self.readers.pass().items(due.run).iter().map(|item| seq(*item)).collect();
        for &seq in seqs.iter().take(takes) {
            self.hand(due.token as usize, seq);
        }
        if let Some(missed) = seqs.get(takes) {
            self.readers.fall_behind(due.token, at(missed - 1));
        }
    }

    /// All there is, or so many items of it, for one live reader ahead of the others; it takes all or blocks after some.
    fn deliver_ahead(&mut self, token: usize, most: usize, takes: usize) {
        let items = self.items.clone();
        for due in self.readers.take_due(token as Token, |i| place(&items, i)) {
            self.hand_over(due, |i| place(&items, i).1, usize::MAX);
        }
        let Some(from) = self.readers.cursor(token as Token) else { return };
        let items: Vec<&str> = self.log.iter().skip(from as usize).take(most).copied().collect();
        let aside = begin_ahead(&mut self.readers, token as Token, &items);
        while let Some(due) = self.readers.next_due() {
            self.hand_over(due, |i| from + 1 + u64::from(i), takes);
        }
        self.readers.resume(aside);
    }

    /// A bounded piece of the log for a reader that is behind.
    fn catch_up(&mut self, token: usize, most: u64) {
        let Some(place) = self.readers.behind(token as Token) else { return };
        let upto = self.readers.position().min(place.cursor + most);
        let kind = self.everyone[self.tokens[token]].kind;
        for seq in place.cursor + 1..=upto {
            if self.selects(kind, seq) {
                self.hand(token, seq);
            }
        }
        self.readers.catch_up(token as Token, at(upto));
    }

    fn step(&mut self, (step, x, y): (u8, u8, u8)) {
        let token = usize::from(x) % self.tokens.len().max(1);
        let (kind, start) = (usize::from(x) % KINDS.len(), u64::from(y) % (self.log.len() as u64 + 1));
        match step {
            0 | 1 => self.log.push(CHANNELS[usize::from(x) % 3]),
            2 => self.add(self.tokens.len(), kind, start),
            3 if !self.readers.pass().is_on() => self.begin(1 + usize::from(y % 5)),
            3 | 4 => drop(self.deliver(if x % 3 == 0 { usize::from(y % 3) } else { usize::MAX })),
            5 => self.catch_up(token, 1 + u64::from(y % 4)),
            6 if !self.tokens.is_empty() => {
                // One leaves, and another takes its place at once.
                self.readers.remove(token as Token);
                self.everyone[self.tokens[token]].gone = true;
                self.add(token, kind, start);
            }
            7 if !self.tokens.is_empty() && x % 2 == 0 => {
                let takes = if x % 3 == 0 { usize::from(y % 3) } else { usize::MAX };
                self.deliver_ahead(token, 1 + usize::from(y % 8), takes);
            }
            _ if y % 4 == 0 && !self.readers.pass().is_on() => self.readers.overrun(self.log.len() as u64, |_| {}),
            _ => {}
        }
    }
}

proptest! {
    /// Readers come, go, block, catch up in pieces, go ahead of others and go on, in any order and in the midst of passes and
    /// of matches that are cut anywhere, and each hears every item of its channels after its start, once and in order.
    #[test]
    fn every_reader_hears_every_item_once_in_order(
        steps in prop::collection::vec((0u8..8, any::<u8>(), any::<u8>()), 1..200),
        at_once in prop::sample::select(&[1, 2, 3, 5, 9, WORK][..]),
    ) {
        let (log, everyone, tokens, items) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let readers = Readers::new(0).matching_at_once(at_once);
        let mut world = World { log, readers, everyone, tokens, items };
        for step in steps {
            world.step(step);
        }
        while world.deliver(usize::MAX) {}
        let behind = (0..world.tokens.len()).filter(|token| world.readers.behind(*token as Token).is_some()).count();
        prop_assert_eq!(world.readers.behind_count(), behind);
        for (token, holder) in world.tokens.iter().enumerate() {
            let reader = &world.everyone[*holder];
            let upto = world.readers.cursor(token as Token).unwrap();
            let expected: Vec<u64> = (reader.start + 1..=upto).filter(|seq| world.selects(reader.kind, *seq)).collect();
            prop_assert_eq!(&reader.heard, &expected, "reader {}", token);
        }
        for reader in world.everyone.iter().filter(|reader| reader.gone) {
            let upto = reader.heard.last().copied().unwrap_or(0);
            let expected: Vec<u64> = (reader.start + 1..=upto).filter(|seq| world.selects(reader.kind, *seq)).collect();
            prop_assert_eq!(&reader.heard, &expected, "one that left");
        }
    }
}

#[test]
fn a_pattern_without_wildcards_selects_one_name() {
    let mut readers = Readers::new(0);
    let one = Selection { channels: Vec::new(), patterns: vec![Pattern::new("a/b").unwrap()] };
    readers.add(0, Arc::new(one), at(0));
    assert_eq!(due(&mut readers, "a/b"), [0]);
    assert!(due(&mut readers, "a").is_empty());
}

#[test]
fn names_are_kept_and_counted_once_however_many_read_them() {
    let mut readers = Readers::new(0);
    let several = selection(&["a", "b", "room/1"]);
    assert_eq!(readers.cost_of_names(&several), 3 * NAME + 8);
    readers.add(0, several, at(0));
    assert_eq!((readers.names(), readers.cost_of_names(&selection(&["a", "b", "c"]))), (3 * NAME + 8, NAME + 1));
    for token in 1..4 {
        readers.add(token, selection(&["b", "room/1", "*"]), at(0));
        let kept = &readers.selection(token).unwrap().channels;
        let first = &readers.selection(0).unwrap().channels;
        assert!(std::ptr::eq(kept[1].as_str(), first[2].as_str()), "its text is that of the other");
    }
    readers.add(4, selection(&["c"]), at(0));
    assert_eq!(readers.names(), 4 * NAME + 9);
    readers.remove(0);
    assert_eq!(readers.names(), 3 * NAME + 8, "whoever brought it, it is kept for those who read it");
    (1..5).for_each(|token| readers.remove(token));
    assert_eq!(readers.names(), 0);
}

#[test]
fn a_channel_turns_with_its_first_reader_by_name_and_its_last() {
    let mut readers = Readers::new(0);
    readers.add(0, selection(&["a"]), at(0));
    assert_eq!(readers.take_turns(), [], "nobody has asked for them");
    readers.note_turns();
    readers.add(1, selection(&["a", "b"]), at(0));
    readers.add(2, selection(&["*", "c/**"]), at(0));
    assert_eq!(readers.take_turns(), [Turn::First(name("b"))]);
    readers.remove(0);
    assert_eq!(readers.take_turns(), []);
    readers.remove(2);
    readers.remove(1);
    assert_eq!(readers.take_turns(), [Turn::Last(name("a")), Turn::Last(name("b"))]);
}

/// Patterns that a name of sixty times `a` may fit up to their last segment, each on a path of its own for most of it; and
/// one that it fits.
fn wide() -> Arc<Selection> {
    let mut selection = Selection::default();
    selection.add("a/**").unwrap();
    for i in (0..512_u32).filter(|i| i.count_ones() <= 7) {
        let segment = |at: u32| if at < 9 && i >> at & 1 == 1 { "*" } else { "a" };
        let segments: Vec<&str> = (0..60).map(segment).collect();
        selection.add(&format!("{}/**/z", segments.join("/"))).unwrap();
    }
    Arc::new(selection)
}

#[test]
fn a_pass_is_over_fewer_items_where_patterns_make_much_work_and_a_match_that_is_much_is_cut() {
    let mut readers = Readers::new(0);
    readers.add(0, wide(), at(0));
    readers.add(1, selection(&["b"]), at(0));
    readers.add(2, selection(&["**/a", "b"]), at(0));
    let long = ["a"; 60].join("/");
    let items = [name("b"), name(&long), name(&long), name("b")];
    let mut heard = [Vec::new(), Vec::new(), Vec::new()];
    let mut passes = Vec::new();
    while readers.position() < 4 {
        let from = readers.position();
        let left = &items[from as usize..];
        let item = |i: u16| (&left[usize::from(i)], from + 1 + u64::from(i));
        let begun = readers.begin(left.len(), 4, item);
        assert_eq!(readers.position(), from + begun.items as u64);
        let mut works = vec![begun.work];
        while readers.pass().is_on() {
            for (token, items, _) in rest(&mut readers) {
                heard[token as usize].extend(items.iter().map(|i| from + 1 + u64::from(*i)));
            }
            works.extend(readers.go_on(item));
        }
        // Beyond what is enough there are at most the segments from one branch to the next, and those up to where it goes on.
        assert!(works.iter().all(|work| *work < WORK + 2 * 62), "{works:?}");
        passes.push((begun.items, works.len()));
    }
    assert_eq!(passes, [(2, 2), (1, 2), (1, 1)], "each of the two long names is more than is matched at once");
    assert_eq!(heard, [vec![2, 3], vec![1, 4], vec![1, 2, 3, 4]]);
}

/// A reader of a pattern that a match which was cut has not come to yet.
fn waiting_for_the_rest() -> (Readers, ChannelName) {
    let mut readers = Readers::new(0).matching_at_once(1);
    readers.add(0, selection(&["a/*"]), at(0));
    readers.add(1, selection(&["a/x/**", "a/*"]), at(0));
    readers.add(2, selection(&["a/**"]), at(0));
    begin(&mut readers, &["a/x"]);
    assert!(rest(&mut readers).is_empty() && readers.pass().is_on(), "it was cut before the first branch");
    (readers, name("a/x"))
}

#[test]
fn what_is_yet_to_be_matched_is_given_to_a_reader_out_of_turn_and_once() {
    let (mut readers, channel) = waiting_for_the_rest();
    let due = readers.take_due(1, |_| (&channel, 1));
    assert_eq!(due.iter().map(|due| readers.pass().items(due.run)).collect::<Vec<_>>(), [[0]]);
    assert!(readers.take_due(1, |_| (&channel, 1)).is_empty());
    let mut heard = Vec::new();
    while readers.go_on(|_| (&channel, 1)).is_some() {
        heard.extend(rest(&mut readers).into_iter().map(|(token, ..)| token));
    }
    heard.sort_unstable();
    assert_eq!((heard, readers.pass().is_on()), (vec![0, 2], false));
}

#[test]
fn who_comes_while_a_match_is_cut_reads_the_log_and_who_leaves_is_not_looked_for() {
    let (mut readers, channel) = waiting_for_the_rest();
    assert!(!readers.add(3, selection(&["a/x/**"]), at(0)), "it has yet to read what the pass brings");
    assert!(readers.add(4, selection(&["a/x/**"]), at(1)));
    readers.remove(2);
    assert!(!readers.add(2, selection(&["a/**"]), at(0)));
    let mut heard = Vec::new();
    while readers.go_on(|_| (&channel, 1)).is_some() {
        heard.extend(rest(&mut readers).into_iter().map(|(token, ..)| token));
    }
    heard.sort_unstable();
    assert_eq!(heard, [0, 1]);
    assert_eq!((readers.behind(2), readers.behind(3), readers.cursor(4)), (Some(at(0)), Some(at(0)), Some(1)));
}
