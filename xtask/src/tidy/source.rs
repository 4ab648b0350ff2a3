//! Takes Rust source apart by lines: code with comments and the insides of literals blanked, comments, and whether a
//! line belongs to a test. Enough of a lexer for rules about words; it does not parse.

use super::File;

/// A Rust file, by lines.
#[derive(Debug)]
pub(crate) struct Source {
    pub path: String,
    pub lines: Vec<Line>,
    /// Modules that are declared for tests only and live in files of their own.
    pub test_modules: Vec<String>,
}

/// One line of it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Line {
    /// Without comments; strings and characters are empty but keep their quotes.
    pub code: String,
    pub comment: String,
    /// Inside an item that is compiled for tests only.
    pub is_test: bool,
}

impl Source {
    pub(crate) fn read(file: &File) -> Source {
        let mut lexer = Lexer { chars: file.text.chars().collect(), at: 0, lines: vec![Line::default()] };
        while lexer.step() {}
        let mut source = Source { path: file.path.clone(), lines: lexer.lines, test_modules: Vec::new() };
        source.mark_tests();
        source
    }

    /// Marks the items under `#[cfg(test)]` and `#[test]`, up to the brace or semicolon that ends them.
    fn mark_tests(&mut self) {
        if self.lines.iter().any(|line| line.code.trim() == "#![cfg(test)]") {
            self.lines.iter_mut().for_each(|line| line.is_test = true);
        }
        let mut at = 0;
        while at < self.lines.len() {
            let code: String = self.lines[at].code.split_whitespace().collect();
            if !code.contains("#[cfg(test)]") && !code.contains("#[test]") && !code.contains("#[cfg(all(test,") {
                at += 1;
                continue;
            }
            let end = self.end_of_item(at);
            let item: Vec<&str> = self.lines[at..=end].iter().map(|line| line.code.trim()).collect();
            self.test_modules.extend(module_in_its_own_file(&item.join(" ")));
            self.lines[at..=end].iter_mut().for_each(|line| line.is_test = true);
            at = end + 1;
        }
    }

    /// The line on which the item that begins after the attributes of line `from` ends.
    fn end_of_item(&self, from: usize) -> usize {
        let (mut brackets, mut braces) = (0_i32, 0_i32);
        for (at, line) in self.lines.iter().enumerate().skip(from) {
            for c in line.code.chars() {
                match c {
                    '(' | '[' => brackets += 1,
                    ')' | ']' => brackets -= 1,
                    '{' => braces += 1,
                    '}' => braces -= 1,
                    _ => {}
                }
                // Below zero the item was the last part of something larger, such as a field.
                if (brackets == 0 && braces == 0 && matches!(c, ';' | '}')) || brackets < 0 || braces < 0 {
                    return at;
                }
            }
        }
        self.lines.len() - 1
    }
}

/// The name in `… mod name;`.
fn module_in_its_own_file(item: &str) -> Option<String> {
    let mut words = item.strip_suffix(';')?.split_whitespace().rev();
    let (name, keyword) = (words.next()?, words.next()?);
    (keyword == "mod").then(|| name.to_owned())
}

struct Lexer {
    chars: Vec<char>,
    at: usize,
    lines: Vec<Line>,
}

impl Lexer {
    /// Takes one token; false at the end.
    fn step(&mut self) -> bool {
        let Some(c) = self.peek(0) else { return false };
        match (c, self.peek(1)) {
            ('/', Some('/')) => self.line_comment(),
            ('/', Some('*')) => self.block_comment(),
            ('"', _) => self.string(),
            ('\'', _) => self.character_or_lifetime(),
            ('r', Some('"' | '#')) if self.begins_word() => self.raw_string_or_word(),
            ('b' | 'c', Some('r')) if self.begins_word() && matches!(self.peek(2), Some('"' | '#')) => {
                self.code();
                self.raw_string_or_word();
            }
            _ => self.code(),
        }
        true
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn begins_word(&self) -> bool {
        self.at == 0 || !is_word(self.chars[self.at - 1])
    }

    /// Takes one character, into the code if it `shows`. Lines are told apart here and nowhere else.
    fn take(&mut self, shows: bool) {
        let Some(c) = self.peek(0) else { return };
        self.at += 1;
        if c == '\n' {
            self.lines.push(Line::default());
        } else if shows && let Some(line) = self.lines.last_mut() {
            line.code.push(c);
        }
    }

    fn code(&mut self) {
        self.take(true);
    }

    fn comment(&mut self) {
        if let (Some(c), Some(line)) = (self.peek(0).filter(|c| *c != '\n'), self.lines.last_mut()) {
            line.comment.push(c);
        }
        self.take(false);
    }

    fn line_comment(&mut self) {
        while self.peek(0).is_some_and(|c| c != '\n') {
            self.comment();
        }
    }

    fn block_comment(&mut self) {
        let mut depth = 0;
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some('/'), Some('*')) => depth += 1,
                (Some('*'), Some('/')) => depth -= 1,
                (None, _) => return,
                _ => {
                    self.comment();
                    continue;
                }
            }
            self.comment();
            self.comment();
            if depth == 0 {
                return;
            }
        }
    }

    fn string(&mut self) {
        self.take(true);
        while let Some(c) = self.peek(0) {
            match c {
                '"' => return self.take(true),
                '\\' => {
                    self.take(false);
                    self.take(false);
                }
                _ => self.take(false),
            }
        }
    }

    /// `r"…"`, `r#"…"#`; or a raw identifier, which is code.
    fn raw_string_or_word(&mut self) {
        let hashes = self.chars[self.at + 1..].iter().take_while(|c| **c == '#').count();
        if self.peek(1 + hashes) != Some('"') {
            return self.code();
        }
        (0..hashes + 2).for_each(|_| self.take(true));
        while self.peek(0).is_some() {
            if self.peek(0) == Some('"') && (1..=hashes).all(|i| self.peek(i) == Some('#')) {
                (0..=hashes).for_each(|_| self.take(true));
                return;
            }
            self.take(false);
        }
    }

    fn character_or_lifetime(&mut self) {
        let is_lifetime = self.peek(1).is_some_and(is_word) && self.peek(2) != Some('\'');
        self.take(true);
        if is_lifetime {
            return;
        }
        loop {
            match self.peek(0) {
                Some('\\') => {
                    self.take(false);
                    self.take(false);
                }
                Some('\'') => return self.take(true),
                None => return,
                Some(_) => self.take(false),
            }
        }
    }
}

/// Whether a character can stand in an identifier.
pub(crate) fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
pub(crate) fn read(path: &str, text: &str) -> Source {
    Source::read(&File { path: path.into(), text: text.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Vec<String> {
        read("x.rs", text).lines.into_iter().map(|line| line.code).collect()
    }

    #[test]
    fn comments_and_literals_are_no_code() {
        assert_eq!(code("a; // b"), ["a; "]);
        assert_eq!(code("a /* b /* c */ d */ e"), ["a  e"]);
        assert_eq!(code("a(\"// no \\\" {\", '{', '\\'', '\"')"), ["a(\"\", '', '', '')"]);
        assert_eq!(code("f(br##\"x\"# {\"##, r\"y\\\")"), ["f(br##\"\"##, r\"\")"]);
        assert_eq!(code("fn f<'a>(r#in: &'a str, b: B)"), ["fn f<'a>(r#in: &'a str, b: B)"]);
        assert_eq!(code("\"one\n{two\" b"), ["\"", "\" b"]);
    }

    #[test]
    fn comments_are_kept_by_line() {
        let source = read("x.rs", "/* one\ntwo */ a // three\n\"// four\"");
        let comments: Vec<&str> = source.lines.iter().map(|line| line.comment.as_str()).collect();
        assert_eq!(comments, ["/* one", "two */// three", ""]);
    }

    #[test]
    fn items_for_tests_are_known_to_their_end() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n  fn b() {}\n}\nfn c() {}\n#[test]\nfn d(x: [u8; 2]) {\n}\n";
        let source = read("x.rs", text);
        let marked: Vec<bool> = source.lines.iter().map(|line| line.is_test).collect();
        assert_eq!(marked, [false, true, true, true, true, false, true, true, true, false]);
    }

    #[test]
    fn a_field_for_tests_does_not_make_the_rest_of_the_file_one() {
        let source = read("x.rs", "struct A {\n  #[cfg(test)]\n  x: u8,\n}\nfn f() {}\n");
        assert!(source.lines[2].is_test && !source.lines[4].is_test);
        assert!(read("x.rs", "#![cfg(test)]\nfn f() {}").lines.iter().all(|line| line.is_test));
    }

    #[test]
    fn modules_for_tests_in_files_of_their_own_are_named() {
        let source = read("x.rs", "#[cfg(test)]\nmod twin;\n#[cfg(test)]\npub(crate) mod oracle;\nmod other;\n");
        assert_eq!(source.test_modules, ["twin", "oracle"]);
        assert!(!source.lines[4].is_test);
    }

    #[test]
    fn any_text_is_read_to_its_end() {
        for text in ["", "\"", "'", "'\\", "r#\"", "/*", "b", "br", "r#", "#[cfg(test)]", "{{{"] {
            assert!(!read("x.rs", text).lines.is_empty(), "{text:?}");
        }
    }
}
