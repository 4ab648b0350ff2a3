//! What a Markdown document consists of, as far as the rules ask: headings, links, tables and code. It knows the
//! Markdown that this project writes, not all there is.

/// A document, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Document<'a> {
    pub headings: Vec<Heading<'a>>,
    /// Links and pictures with their lines, from 1, in order.
    pub links: Vec<(usize, &'a str)>,
    /// The cells of each row of a table.
    pub rows: Vec<usize>,
    /// Fenced code, with its language on the first line.
    pub code: Vec<String>,
}

#[derive(Debug)]
pub(crate) struct Heading<'a> {
    pub level: usize,
    pub text: &'a str,
}

impl<'a> Document<'a> {
    pub(crate) fn read(text: &'a str) -> Document<'a> {
        let mut document = Document::default();
        let mut fence: Option<String> = None;
        for (at, line) in text.lines().enumerate() {
            let trimmed = line.trim_start();
            match (&mut fence, trimmed.strip_prefix("```")) {
                (None, Some(language)) => fence = Some(format!("{language}\n")),
                (Some(_), Some("")) => document.code.extend(fence.take()),
                (Some(code), _) => code.extend([line, "\n"]),
                // Indented code has no links either. What belongs to a list is indented by less.
                (None, None) if line.starts_with("    ") => {}
                (None, None) => document.line(at + 1, line),
            }
        }
        document
    }

    fn line(&mut self, number: usize, line: &'a str) {
        let level = line.bytes().take_while(|byte| *byte == b'#').count();
        if (1..=6).contains(&level)
            && let Some(text) = line[level..].strip_prefix(' ')
        {
            self.headings.push(Heading { level, text: text.trim() });
        }
        if line.starts_with('|') {
            self.rows.push(line.matches('|').count() - line.matches("\\|").count() - 1);
        }
        let mut rest = line;
        while let Some((before, after)) = rest.split_once("](") {
            let Some((target, behind)) = after.split_once(')') else { return };
            if !is_in_code(&line[..line.len() - rest.len() + before.len()]) {
                self.links.push((number, target));
            }
            rest = behind;
        }
    }

    /// The anchors of the headings, as the common renderers make them: a repeated one gets a number.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        for heading in &self.headings {
            let plain = anchor(heading.text);
            let again = (1..).map(|number| format!("{plain}-{number}"));
            let mut names = std::iter::once(plain.clone()).chain(again);
            anchors.extend(names.find(|name| !anchors.contains(name)));
        }
        anchors
    }
}

/// Whether what follows stands between backticks.
fn is_in_code(before: &str) -> bool {
    before.matches('`').count() % 2 == 1
}

/// Lower case, blanks as hyphens, and no punctuation but hyphens and underscores.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# One `x`: yes\n\n[a](b.md#c) and ![d](e.svg), `[no](no)`\n\n```sh\n# no [f](g)\n```\n\n| a | b |\n|---|---|\n\n## Two\n## Two\n    [h](i)\n";

    #[test]
    fn a_document_is_taken_apart() {
        let document = Document::read(TEXT);
        assert_eq!(document.headings.iter().map(|heading| heading.level).collect::<Vec<_>>(), [1, 2, 2]);
        assert_eq!(document.links, [(3, "b.md#c"), (3, "e.svg")]);
        assert_eq!(
            (document.rows.as_slice(), document.code.as_slice()),
            (&[2, 2][..], &["sh\n# no [f](g)\n".into()][..])
        );
        assert_eq!(document.anchors(), ["one-x-yes", "two", "two-1"]);
        assert_eq!(anchor("`[limits]`: what_a peer 或许"), "limits-what_a-peer-或许");
    }
}
