//! `--transport stream`: a line of JSON for each event and notice; an empty line is a heartbeat.

use super::follow::{Audience, Follow, Next};
use super::{Cut, Link, MESSAGE_MAX, cut};

pub async fn read(link: &Link<'_>, follow: &mut Follow, audience: &mut dyn Audience) -> Result<(), Cut> {
    let Some(response) = link.open("application/x-ndjson", follow.position()).await? else { return Ok(()) };
    let mut body = response.into_body();
    let mut lines = Lines::default();
    while let Some(bytes) = link.bytes(&mut body).await? {
        lines.push(&bytes);
        while let Some(line) = lines.next() {
            let line = std::str::from_utf8(line).map_err(|_| cut("the server sent what is not UTF-8"))?;
            if line.trim().is_empty() {
                continue;
            }
            match follow.json(line, audience)? {
                Next::Read => {}
                Next::Stop => return Ok(audience.pause().map_err(crate::failure::Failure::from)?),
                Next::Again(why) => return Err(cut(why)),
            }
        }
        if lines.held() > MESSAGE_MAX {
            return Err(cut("the server sent a line that is longer than all reason"));
        }
        audience.pause().map_err(crate::failure::Failure::from)?;
    }
    // Streams of patterns have no end of their own, and one whose channels have all ended was stopped above.
    Err(cut("the server ended the stream"))
}

/// Cuts what arrives into lines.
#[derive(Debug, Default)]
struct Lines {
    buffer: Vec<u8>,
    /// Where the first line that was not given out begins,
    start: usize,
    /// and how far no line feed was found.
    searched: usize,
}

impl Lines {
    fn push(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole line, without its line feed.
    fn next(&mut self) -> Option<&[u8]> {
        let Some(at) = self.buffer[self.searched..].iter().position(|b| *b == b'\n') else {
            self.searched = self.buffer.len();
            return None;
        };
        let (start, end) = (self.start, self.searched + at);
        (self.start, self.searched) = (end + 1, end + 1);
        Some(&self.buffer[start..end])
    }

    fn held(&self) -> usize {
        self.buffer.len() - self.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lines_are_the_same_however_they_arrive(
            text in "[ab\n]{0,40}",
            cuts in prop::collection::vec(1..5usize, 1..40),
        ) {
            let mut lines = Lines::default();
            let mut found = Vec::new();
            let (mut rest, mut cuts) = (text.as_bytes(), cuts.into_iter().cycle());
            while !rest.is_empty() {
                let (piece, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
                lines.push(piece);
                rest = later;
                while let Some(line) = lines.next() {
                    found.push(String::from_utf8(line.to_vec()).unwrap());
                }
            }
            let mut expected: Vec<&str> = text.split('\n').collect();
            let unfinished = expected.pop().unwrap();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(lines.held(), unfinished.len());
        }
    }
}
