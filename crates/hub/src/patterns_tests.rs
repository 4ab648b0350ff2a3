use super::*;
use proptest::prelude::*;

fn joined(alphabet: &'static [&'static str], longest: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(alphabet), 1..longest).prop_map(|segments| segments.join("/"))
}

/// Patterns as long as a name may be, with few wildcards: literals in which some are replaced.
fn long() -> impl Strategy<Value = String> {
    let wildcards = prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(&["*", "**"][..])), 0..8);
    (prop::collection::vec(prop::sample::select(&["a", "a", "a", "b"][..]), 1..128), wildcards).prop_map(
        |(mut segments, wildcards)| {
            // The longer ones would be too long a text.
            let count = segments.len().min(120);
            segments.truncate(count);
            wildcards.into_iter().for_each(|(at, wildcard)| segments[at.index(count)] = wildcard);
            segments.join("/")
        },
    )
}

/// What a node and all below it take: segments, and bytes as far as they can be told.
fn measure(node: &Node) -> (usize, usize) {
    let mut sum = (node.rest.matches('/').count(), node.rest.len() + 4 * node.readers.capacity());
    // Eleven places in each node of a tree, and it is half full or more.
    let places = if node.below.is_empty() { 0 } else { 11.max(2 * node.below.len()) };
    sum.1 += places * size_of::<(Box<str>, Box<Node>)>();
    for (first, below) in &node.below {
        assert!(!below.readers.is_empty() || below.below.len() > 1, "a node without an end or a branch");
        let (segments, bytes) = measure(below);
        sum = (sum.0 + 1 + segments, sum.1 + first.len() + size_of::<Node>() + bytes);
    }
    sum
}

fn selected(patterns: &[Pattern]) -> Selection {
    Selection { patterns: patterns.to_vec(), ..Selection::default() }
}

/// Holds a trie, out of which some patterns were taken again, against trying each pattern.
fn agrees(patterns: &[String], names: &[String], removed: &[prop::sample::Index]) -> Result<(), TestCaseError> {
    let patterns: Vec<Pattern> = patterns.iter().map(|text| Pattern::new(text).unwrap()).collect();
    let mut trie = Patterns::default();
    for (token, pattern) in patterns.iter().enumerate() {
        trie.add(pattern, token as Token);
    }
    let (segments, bytes) = measure(&trie.root);
    prop_assert!(bytes <= cost(&selected(&patterns)), "{bytes} bytes of {patterns:?}");
    let mut live = vec![true; patterns.len()];
    for index in removed {
        let token = index.index(patterns.len());
        live[token] = false;
        trie.remove(&patterns[token], token as Token);
    }
    measure(&trie.root);
    for name in names {
        let name = ChannelName::new(name).unwrap();
        let mut found = Vec::new();
        let work = trie.each_match(&name, |token| found.push(token as usize));
        prop_assert!(work <= segments + found.len(), "{work} steps of {segments} segments");
        found.sort_unstable();
        let expected: Vec<usize> =
            (0..patterns.len()).filter(|token| live[*token] && patterns[*token].matches(&name)).collect();
        prop_assert_eq!(found, expected, "{} {:?}", name, patterns);
    }
    for (token, pattern) in patterns.iter().enumerate() {
        trie.remove(pattern, token as Token);
    }
    prop_assert!(trie.is_empty(), "a node outlived its patterns");
    Ok(())
}

proptest! {
    #[test]
    fn the_trie_agrees_with_trying_each_pattern(
        patterns in prop::collection::vec(joined(&["a", "b", "c", "$s", "*", "**"], 6), 1..24),
        names in prop::collection::vec(joined(&["a", "b", "c", "$s"], 6), 1..6),
        removed in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        agrees(&patterns, &names, &removed)?;
    }

    #[test]
    fn the_trie_agrees_with_trying_each_long_pattern(
        patterns in prop::collection::vec(long(), 1..8),
        names in prop::collection::vec(joined(&["a", "a", "a", "b"], 129), 1..6),
        removed in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        agrees(&patterns, &names, &removed)?;
    }
}

/// Matches a name in pieces of so many steps, in between which patterns come and go. Those that were there all along are found
/// as in one piece, once each.
fn agrees_in_pieces(patterns: &[String], name: &str, steps: usize, changes: &[usize]) -> Result<(), TestCaseError> {
    let patterns: Vec<Pattern> = patterns.iter().map(|text| Pattern::new(text).unwrap()).collect();
    let name = ChannelName::new(name).unwrap();
    // The first half is there throughout.
    let (stay, come) = patterns.split_at(patterns.len().div_ceil(2));
    let mut trie = Patterns::default();
    (0..).zip(stay).for_each(|(token, pattern)| trie.add(pattern, token));
    let mut there = vec![false; come.len()];
    let (mut found, mut rest) = (Vec::new(), None);
    let longest = patterns.iter().map(|pattern| pattern.as_str().split('/').count()).sum::<usize>();
    for turn in 0.. {
        let before = found.len();
        let matched = trie.match_some(&name, rest.as_ref(), steps, |token| found.push(token as usize));
        prop_assert!(matched.work <= steps + 2 * 128 + found.len() - before, "{} steps", matched.work);
        prop_assert!(turn <= longest, "it comes further each time");
        prop_assert!(matched.rest.is_none() || matched.rest != rest, "it comes further");
        rest = matched.rest;
        if rest.is_none() {
            break;
        }
        if let Some(at) = changes.get(turn % changes.len().max(1)).filter(|_| !come.is_empty()) {
            let at = at % come.len();
            let token = (stay.len() + at) as Token;
            there[at] = !there[at];
            match there[at] {
                true => trie.add(&come[at], token),
                false => trie.remove(&come[at], token),
            }
        }
    }
    let mut stayed: Vec<usize> = found.into_iter().filter(|token| *token < stay.len()).collect();
    stayed.sort_unstable();
    let expected: Vec<usize> = (0..stay.len()).filter(|token| stay[*token].matches(&name)).collect();
    prop_assert_eq!(stayed, expected, "{} {:?}", name, patterns);
    Ok(())
}

proptest! {
    #[test]
    fn a_match_in_pieces_finds_what_one_in_a_piece_does(
        patterns in prop::collection::vec(joined(&["a", "b", "!", "$s", "*", "**"], 6), 1..24),
        name in joined(&["a", "b", "!", "$s"], 6),
        steps in 1_usize..8,
        changes in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        agrees_in_pieces(&patterns, &name, steps, &changes)?;
    }

    #[test]
    fn a_match_with_long_patterns_in_pieces_finds_what_one_in_a_piece_does(
        patterns in prop::collection::vec(long(), 1..8),
        name in joined(&["a", "a", "a", "b"], 129),
        steps in 1_usize..8,
        changes in prop::collection::vec(any::<usize>(), 0..4),
    ) {
        agrees_in_pieces(&patterns, &name, steps, &changes)?;
    }
}

#[test]
fn a_name_of_as_many_segments_as_there_can_be_is_selected_by_patterns_that_reach_its_end() {
    let name = ChannelName::new(&["a"; 128].join("/")).unwrap();
    let mut trie = Patterns::default();
    let short = ["a"; 127].join("/");
    let patterns = ["**", "a/**", "**/a", "**/a/*", name.as_str(), &short, "**/b", "*/**/a/b"];
    for (token, text) in (0..).zip(patterns) {
        trie.add(&Pattern::new(text).unwrap(), token);
    }
    let mut found = Vec::new();
    trie.each_match(&name, |token| found.push(token));
    found.sort_unstable();
    assert_eq!(found, [0, 1, 2, 3, 4]);
}

/// A step for each place of the name that each pattern may have come to would be 120 times as many.
#[test]
fn patterns_that_fit_a_name_at_each_of_its_places_cost_a_step_for_each_of_their_segments() {
    let mut trie = Patterns::default();
    let patterns: Vec<String> = (0..128_u32)
        .map(|i| {
            let middle = (0..24).map(|at| if at % 7 == 0 && i >> (at / 7) & 1 == 1 { "*" } else { "a" });
            format!("**/{}/x{i}/**/zz", middle.collect::<Vec<_>>().join("/"))
        })
        .collect();
    for text in &patterns {
        trie.add(&Pattern::new(text).unwrap(), 0);
    }
    let segments: usize = patterns.iter().map(|text| text.split('/').count()).sum();
    let work = trie.each_match(&ChannelName::new(&["a"; 120].join("/")).unwrap(), |_| panic!("none ends so"));
    assert!(work <= segments && measure(&trie.root).0 <= segments, "{work} steps of {segments} segments");
}
