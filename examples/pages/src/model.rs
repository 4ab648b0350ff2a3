//! A language model, if a small one: which word follows which two, counted in this project's own documents. It stands where
//! a large one would: it yields words one by one, takes a while for each, and does not know when it talks nonsense.

use std::collections::HashMap;

const DOCUMENTS: [&str; 6] = [
    include_str!("../../../README.md"),
    include_str!("../../../ARCHITECTURE.md"),
    include_str!("../../../docs/access.md"),
    include_str!("../../../docs/protocol.md"),
    include_str!("../../../docs/sessions.md"),
    include_str!("../../../docs/transports.md"),
];

/// A text is over at the first end of a sentence after so many words, or at this many.
const ENOUGH: usize = 45;
const MOST: usize = 110;

type Pair = (&'static str, &'static str);

pub(crate) struct Model {
    next: HashMap<Pair, Vec<&'static str>>,
    /// Pairs of words that begin a sentence.
    begins: Vec<Pair>,
}

impl Model {
    /// Reads the documents as one text. Its end is followed by its beginning, so that there is always a next word.
    pub(crate) fn new() -> Model {
        let mut model = Model { next: HashMap::new(), begins: Vec::new() };
        let mut words: Vec<&'static str> = DOCUMENTS.iter().flat_map(|document| prose(document)).collect();
        words.extend_from_within(..2);
        for three in words.windows(3) {
            model.next.entry((three[0], three[1])).or_default().push(three[2]);
            if ends_sentence(three[0]) && three[1].starts_with(char::is_uppercase) {
                model.begins.push((three[1], three[2]));
            }
        }
        model
    }

    /// Begins a text that has to do with the question, if a word of it begins one.
    pub(crate) fn speak(&self, question: &str, random: fastrand::Rng) -> Speech<'_> {
        let mut random = random;
        let asked: Vec<String> = question.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).collect();
        let is_about = |word: &str| asked.iter().any(|asked| asked.len() > 4 && bare(word).starts_with(asked.as_str()));
        let about: Vec<Pair> = self.begins.iter().filter(|(a, b)| is_about(a) || is_about(b)).copied().collect();
        let begins = if about.is_empty() { &self.begins } else { &about };
        let pair = random.choice(begins).copied();
        Speech { model: self, pair, random, said: 0 }
    }
}

/// A text that is being said.
pub(crate) struct Speech<'a> {
    model: &'a Model,
    /// The next word, and the one after it.
    pair: Option<Pair>,
    random: fastrand::Rng,
    said: usize,
}

impl Iterator for Speech<'_> {
    type Item = &'static str;

    fn next(&mut self) -> Option<&'static str> {
        let (word, following) = self.pair?;
        self.said += 1;
        let is_over = self.said >= MOST || (self.said >= ENOUGH && ends_sentence(word));
        let next = self.model.next.get(&(word, following)).filter(|_| !is_over);
        self.pair = next.and_then(|next| Some((following, *self.random.choice(next)?)));
        Some(word)
    }
}

/// The words of a document's sentences: of no code, table, heading or list.
fn prose(document: &'static str) -> impl Iterator<Item = &'static str> {
    let mut in_code = false;
    let is_prose = move |line: &&str| {
        in_code ^= line.starts_with("```");
        !in_code && line.starts_with(|c: char| c.is_alphabetic() || c == '`' || c == '*')
    };
    // What only a reader of Markdown understands is passed over: where links lead, and what sets words off.
    let words = |line: &'static str| line.split_whitespace().map(|word| word.split("](").next().unwrap_or_default());
    let is_plain = |word: &&str| word.contains(char::is_alphanumeric);
    let bare = |word: &'static str| word.trim_matches(['*', '`', '_', '"', '[']);
    document.lines().filter(is_prose).flat_map(words).filter(is_plain).map(bare)
}

fn ends_sentence(word: &str) -> bool {
    word.trim_end_matches([')', '"']).ends_with(['.', '!', '?'])
}

fn bare(word: &str) -> String {
    word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_speaks_of_what_was_asked_and_comes_to_an_end() {
        let model = Model::new();
        for seed in 0..200 {
            let words: Vec<&str> = model.speak("What is a session?", fastrand::Rng::with_seed(seed)).collect();
            assert!(words[..2].iter().any(|word| bare(word).starts_with("session")), "seed {seed}: {words:?}");
            assert!((ENOUGH..=MOST).contains(&words.len()), "seed {seed}: {words:?}");
        }
    }

    #[test]
    fn no_word_of_it_is_markdown() {
        let marks: Vec<&str> = DOCUMENTS
            .iter()
            .flat_map(|document| prose(document))
            .filter(|word| word.starts_with('[') || word.contains("]("))
            .collect();
        assert!(marks.is_empty(), "{marks:?}");
    }

    #[test]
    fn the_same_seed_says_the_same() {
        let model = Model::new();
        let speak = || model.speak("nothing it knows", fastrand::Rng::with_seed(7)).collect::<Vec<_>>();
        assert_eq!(speak(), speak());
    }
}
