//! Cutting a body into lines, however it arrives.

/// Cuts a body into lines as it arrives. Lines end in LF; those that are blank are counted and passed over.
#[derive(Debug)]
pub struct Lines {
    buf: Vec<u8>,
    /// Where the next line begins in `buf`.
    start: usize,
    /// Up to where `buf` was searched for a line's end in vain.
    searched: usize,
    /// Up to where the line that begins at `start` is known to be blank.
    blank: usize,
    /// Lines found.
    count: u64,
    limit: usize,
}

/// A line has more bytes than the limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooLong {
    /// The line's number, from 1.
    pub line: u64,
}

impl Lines {
    /// `limit`: the longest line, in bytes.
    pub fn new(limit: usize) -> Lines {
        Lines { buf: Vec::new(), start: 0, searched: 0, blank: 0, count: 0, limit }
    }

    /// Takes the next bytes of the body. All lines are to be taken off with [`Lines::next_line`] before more is fed.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buf.drain(..self.start);
        self.searched -= self.start;
        self.blank = self.blank.saturating_sub(self.start);
        self.start = 0;
        self.buf.extend_from_slice(bytes);
    }

    /// Bytes held of a line that is not whole.
    pub fn held(&self) -> usize {
        self.buf.capacity()
    }

    /// The next whole line that is not blank, without its end, and its number from 1.
    pub fn next_line(&mut self) -> Result<Option<(u64, &[u8])>, TooLong> {
        loop {
            let Some(at) = self.buf[self.searched..].iter().position(|b| *b == b'\n') else {
                if self.start == self.buf.len() {
                    // Between lines, which may be for long, there is nothing to keep.
                    (self.buf, self.start) = (Vec::new(), 0);
                }
                self.searched = self.buf.len();
                // Each byte is looked at once, however many pieces a line of blanks comes in.
                let from = if self.buf.is_empty() { 0 } else { self.blank.max(self.start) };
                self.blank = from + self.buf[from..].iter().take_while(|b| is_blank(&[**b])).count();
                let is_long = self.buf.len() - self.start > self.limit;
                return if is_long { Err(TooLong { line: self.count + 1 }) } else { Ok(None) };
            };
            let (start, end) = (self.start, self.searched + at);
            (self.start, self.searched) = (end + 1, end + 1);
            self.count += 1;
            if end - start > self.limit {
                return Err(TooLong { line: self.count });
            }
            if !is_blank(&self.buf[start..end]) {
                return Ok(Some((self.count, &self.buf[start..end])));
            }
        }
    }

    /// What is left at the clean end of the body: a last line that nothing ended, unless it is blank.
    pub fn last_line(&mut self) -> Option<(u64, &[u8])> {
        let start = std::mem::replace(&mut self.start, self.buf.len());
        (self.searched, self.blank) = (self.buf.len(), self.buf.len());
        let rest = &self.buf[start..];
        (!is_blank(rest)).then_some((self.count + 1, rest))
    }

    /// The number of the line that is being read, from 1.
    pub fn line(&self) -> u64 {
        self.count + 1
    }

    /// Whether the body is in the midst of a line, once all whole lines are taken off.
    pub fn is_within_line(&self) -> bool {
        self.blank < self.buf.len()
    }
}

fn is_blank(line: &[u8]) -> bool {
    line.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(body: &[u8], cuts: &[usize], limit: usize) -> (Vec<(u64, Vec<u8>)>, Option<TooLong>) {
        let mut lines = Lines::new(limit);
        let mut found = Vec::new();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (body.len() + 1)).chain([0, body.len()]).collect();
        cuts.sort_unstable();
        for piece in cuts.windows(2) {
            lines.feed(&body[piece[0]..piece[1]]);
            loop {
                match lines.next_line() {
                    Ok(Some((number, line))) => found.push((number, line.to_vec())),
                    Ok(None) => break,
                    Err(long) => return (found, Some(long)),
                }
            }
        }
        found.extend(lines.last_line().map(|(number, line)| (number, line.to_vec())));
        assert!(!lines.is_within_line());
        (found, None)
    }

    /// To look at all of it with each byte that comes would take minutes.
    #[test]
    fn a_line_of_blanks_is_looked_at_once_however_it_comes() {
        let mut lines = Lines::new(1 << 20);
        for _ in 0..300_000 {
            lines.feed(b" ");
            assert_eq!(lines.next_line(), Ok(None));
            assert!(!lines.is_within_line());
        }
        lines.feed(b"x");
        assert_eq!(lines.next_line(), Ok(None));
        assert!(lines.is_within_line());
        lines.feed(b"\n");
        assert_eq!(lines.next_line().unwrap().map(|(number, line)| (number, line.len())), Some((1, 300_001)));
        assert_eq!(lines.next_line(), Ok(None));
        assert!(!lines.is_within_line());
    }

    #[test]
    fn blank_lines_count_and_are_passed_over() {
        let line = |number, text: &str| (number, text.as_bytes().to_vec());
        let (found, long) = lines(b"\n1\r\n \t\n2\n\n3", &[], 9);
        assert_eq!((found, long), (vec![line(2, "1\r"), line(4, "2"), line(6, "3")], None));
        assert_eq!(lines(b"", &[], 9), (vec![], None));
        let (found, long) = lines(b"12345\n123456\n1", &[], 5);
        assert_eq!((found, long), (vec![line(1, "12345")], Some(TooLong { line: 2 })));
        assert_eq!(lines(b"1\n123456", &[], 5).1, Some(TooLong { line: 2 }));
    }

    #[test]
    fn a_line_that_has_begun_is_known() {
        let mut lines = Lines::new(9);
        for (bytes, within) in [(&b" "[..], false), (b"\n{", true), (b"}", true), (b"\n", false)] {
            lines.feed(bytes);
            while lines.next_line().unwrap().is_some() {}
            assert_eq!(lines.is_within_line(), within);
        }
    }

    proptest! {
        #[test]
        fn however_it_is_cut_the_lines_are_the_same(
            body in "([a-c ]{0,6}\r?\n){0,8}[a-c ]{0,6}",
            cuts in prop::collection::vec(any::<usize>(), 0..12),
            limit in 0..8usize,
        ) {
            prop_assert_eq!(lines(body.as_bytes(), &cuts, limit), lines(body.as_bytes(), &[], limit));
        }
    }
}
