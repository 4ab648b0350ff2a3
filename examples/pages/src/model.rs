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
    /// Reads the documents.
    pub(crate) fn new() -> Model {
        let mut model = Model { next: HashMap::new(), begins: Vec::new() };
        for paragraph in DOCUMENTS.iter().flat_map(|document| prose(document)) {
            let words: Vec<&'static str> = paragraph.iter().flat_map(|line| line.split_whitespace()).collect();
            for three in words.windows(3) {
                model.next.entry((three[0], three[1])).or_default().push(three[2]);
            }
            for (at, two) in words.windows(2).enumerate() {
                let is_first = at == 0 || ends_sentence(words[at - 1]);
                if is_first && two[0].starts_with(char::is_uppercase) {
                    model.begins.push((two[0], two[1]));
                }
            }
        }
        model
    }

    /// Begins a text that has to do with the question, if a word of it begins one.
    pub(crate) fn speak(&self, question: &str, random: fastrand::Rng) -> Speech<'_> {
        let mut random = random;
        let asked: Vec<String> = question.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).collect();
        let is_about = |word: &str| word.len() > 3 && asked.contains(&bare(word));
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
        self.pair = if is_over || following.is_empty() { None } else { Some((following, self.after(word, following))) };
        Some(word)
    }
}

impl Speech<'_> {
    /// What follows two words; where nothing does, a new sentence or, at the end of the last, nothing.
    fn after(&mut self, word: &'static str, following: &'static str) -> &'static str {
        let known = self.model.next.get(&(word, following));
        let next = known.and_then(|next| self.random.choice(next).copied());
        next.or_else(|| self.random.choice(&self.model.begins).map(|(first, _)| *first)).unwrap_or("")
    }
}

/// The paragraphs of a document that are sentences: no code, tables, headings or lists.
fn prose(document: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    let mut in_code = false;
    let mut paragraphs = vec![Vec::new()];
    for line in document.lines() {
        in_code ^= line.starts_with("```");
        let is_prose = !in_code && line.starts_with(|c: char| c.is_alphabetic() || c == '`' || c == '*');
        match paragraphs.last_mut() {
            Some(paragraph) if is_prose => paragraph.push(line),
            _ => paragraphs.push(Vec::new()),
        }
    }
    paragraphs.into_iter().filter(|paragraph| !paragraph.is_empty())
}

fn ends_sentence(word: &str) -> bool {
    word.trim_end_matches(['*', '`', ')', '"']).ends_with(['.', '!', '?'])
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
            assert!(words[..2].iter().any(|word| bare(word) == "session"), "seed {seed}: {words:?}");
            assert!((ENOUGH..=MOST).contains(&words.len()), "seed {seed}: {words:?}");
        }
    }

    #[test]
    fn the_same_seed_says_the_same() {
        let model = Model::new();
        let speak = || model.speak("nothing it knows", fastrand::Rng::with_seed(7)).collect::<Vec<_>>();
        assert_eq!(speak(), speak());
    }
}
