//! What `--lines` knows to be published, and where.
//!
//! An id begins with the epoch of the log that named it. A server that lost its log begins another: what it had
//! acknowledged is gone with the old one, and so are the idempotency keys that keep lines from being doubled.

/// Characters of an id that name the log.
const EPOCH_CHARS: usize = 10;

/// What was published so far.
#[derive(Debug, Default)]
pub struct Tally {
    /// Lines that were acknowledged.
    pub lines: u64,
    /// Those of them that went with a log that the server has lost.
    gone: u64,
    /// The log of the newest acknowledgement, once there is one.
    epoch: Option<String>,
    /// The first and the last id in that log.
    first: Option<String>,
    last: Option<String>,
}

/// An acknowledgement, as far as it is counted.
#[derive(Debug)]
pub struct Acknowledged {
    pub lines: u64,
    pub first: Option<String>,
    pub last: Option<String>,
    /// A position that is no event's id.
    pub position: Option<String>,
}

/// How the lines were sent that are acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resent {
    /// Whether they were sent more than once.
    pub again: bool,
    /// How many at most a server may have taken before the last time.
    pub doubtful: u64,
}

impl Tally {
    /// Counts an acknowledgement; gives what is to be said about it.
    pub fn add(&mut self, what: Acknowledged, resent: Resent) -> Option<String> {
        let named = what.first.as_deref().or(what.last.as_deref()).or(what.position.as_deref());
        let epoch = named.and_then(|id| id.get(..EPOCH_CHARS)).map(str::to_owned);
        let known = self.epoch.is_some();
        let another = known && epoch.is_some() && epoch != self.epoch;
        let mut lost = 0;
        if another {
            lost = self.lines - self.gone;
            self.gone = self.lines;
            (self.first, self.last) = (None, None);
        }
        self.epoch = epoch.or(self.epoch.take());
        self.lines += what.lines;
        self.first = self.first.take().or(what.first);
        self.last = what.last.or(self.last.take());
        let Resent { again, doubtful } = resent;
        if another {
            let twice = match doubtful {
                0 => "none was sent twice".to_owned(),
                some => format!("up to {} may be seen twice", lines(some)),
            };
            return Some(format!(
                "the server has lost its log, by a restart most likely: it no longer holds {} that it had acknowledged, \
                 and {twice}",
                lines(lost)
            ));
        }
        again.then(|| match (known, doubtful) {
            (true, _) | (false, 0) => "connected again; nothing was lost or doubled".to_owned(),
            (false, some) => format!(
                "connected again; nothing was lost, and nothing doubled unless the server was restarted meanwhile: then \
                 up to {} may be seen twice",
                lines(some)
            ),
        })
    }

    /// What the command prints at its end.
    pub fn sum(&self) -> String {
        let range = match (&self.first, &self.last) {
            (Some(first), Some(last)) => format!(": {first} to {last}"),
            _ => String::new(),
        };
        match self.gone {
            0 => format!("{} events{range}", self.lines),
            gone => {
                format!("{} events; {} of them since the server lost its log{range}", self.lines, self.lines - gone)
            }
        }
    }

    /// What is known where the command fails; `None` where that is nothing.
    pub fn so_far(&self) -> Option<String> {
        let last = self.last.as_ref().map(|last| format!(", the last of them {last}")).unwrap_or_default();
        let gone = match self.gone {
            0 => String::new(),
            gone => format!("; the server no longer holds {gone} of them"),
        };
        (self.lines > 0).then(|| format!("events known to be published: {}{last}{gone}", self.lines))
    }
}

fn lines(count: u64) -> String {
    if count == 1 { "1 line".to_owned() } else { format!("{count} lines") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONCE: Resent = Resent { again: false, doubtful: 0 };

    fn ids(lines: u64, first: &str, last: &str) -> Acknowledged {
        Acknowledged { lines, first: Some(first.to_owned()), last: Some(last.to_owned()), position: None }
    }

    #[test]
    fn one_log_is_one_range_and_nothing_is_said() {
        let mut tally = Tally::default();
        assert_eq!(tally.so_far(), None);
        assert_eq!(tally.add(ids(3, "aaaaaaaaaa11", "aaaaaaaaaa13"), ONCE), None);
        assert_eq!(tally.add(ids(2, "aaaaaaaaaa14", "aaaaaaaaaa15"), ONCE), None);
        assert_eq!(tally.sum(), "5 events: aaaaaaaaaa11 to aaaaaaaaaa15");
        let said = tally.add(ids(1, "aaaaaaaaaa16", "aaaaaaaaaa16"), Resent { again: true, doubtful: 1 });
        assert_eq!(said.unwrap(), "connected again; nothing was lost or doubled");
    }

    #[test]
    fn before_the_first_acknowledgement_a_restart_cannot_be_told_from_a_cut() {
        let mut tally = Tally::default();
        let said = tally.add(ids(9, "aaaaaaaaaa11", "aaaaaaaaaa19"), Resent { again: true, doubtful: 4 });
        assert!(said.unwrap().ends_with("restarted meanwhile: then up to 4 lines may be seen twice"));
    }

    #[test]
    fn every_lost_log_is_counted_once() {
        let mut tally = Tally::default();
        tally.add(ids(10, "aaaaaaaaaa11", "aaaaaaaaaa1a"), ONCE);
        let said = tally.add(ids(5, "bbbbbbbbbb11", "bbbbbbbbbb15"), Resent { again: true, doubtful: 1 }).unwrap();
        assert!(
            said.contains("no longer holds 10 lines") && said.ends_with("up to 1 line may be seen twice"),
            "{said}"
        );
        let said = tally.add(ids(1, "cccccccccc11", "cccccccccc11"), ONCE).unwrap();
        assert!(said.contains("no longer holds 5 lines") && said.ends_with("none was sent twice"), "{said}");
        assert_eq!(tally.sum(), "16 events; 1 of them since the server lost its log: cccccccccc11 to cccccccccc11");
        assert!(tally.so_far().unwrap().ends_with("; the server no longer holds 15 of them"));
        let end = Acknowledged { lines: 0, first: None, last: None, position: Some("dddddddddd10".to_owned()) };
        assert!(tally.add(end, ONCE).unwrap().contains("no longer holds 1 line "));
        assert_eq!(tally.sum(), "16 events; 0 of them since the server lost its log");
    }
}
