//! "Did you mean …?"

/// The candidate nearest to what was written, if one is near enough to be worth naming.
pub fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = written.to_ascii_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .map(|candidate| (closeness(&written, &candidate.to_ascii_lowercase()), candidate))
        .filter(|(closeness, _)| *closeness > 0.8)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// What to say of a word that is not among those that are known: the one that may be meant, or all.
pub fn known<const N: usize>(written: &str, words: [&str; N]) -> String {
    match nearest(written, words) {
        Some(near) => format!("; did you mean `{near}`?"),
        None => format!("; there are {}", words.join(", ")),
    }
}

/// From 0 to 1. A key in the wrong table is close to the same key in the right one, but not as close as a slip of
/// the finger in the right table.
fn closeness(written: &str, candidate: &str) -> f64 {
    let whole = similarity(written, candidate);
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let tail = similarity(&last(written), &last(candidate)) - 0.05;
    whole.max(tail)
}

fn similarity(a: &str, b: &str) -> f64 {
    // Jaro-Winkler alone finds distant words that merely begin alike.
    let edits = strsim::normalized_damerau_levenshtein(a, b);
    if edits < 0.6 { edits } else { edits.max(strsim::jaro_winkler(a, b)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_is_named_and_nothing_far() {
        let keys = ["heartbeat", "listen", "limits.message", "timeouts.wait", "history.bytes", "memory.bytes"];
        let cases = [
            ("hartbeat", Some("heartbeat")),
            ("heart-beat", Some("heartbeat")),
            ("Listen", Some("listen")),
            ("lisen", Some("listen")),
            ("message", Some("limits.message")),
            ("limits.mesage", Some("limits.message")),
            ("wiat", Some("timeouts.wait")),
            ("memory.byte", Some("memory.bytes")),
            ("tls_certificate", None),
            ("x", None),
            ("", None),
        ];
        for (written, expected) in cases {
            assert_eq!(nearest(written, keys), expected, "{written}");
        }
    }
}
