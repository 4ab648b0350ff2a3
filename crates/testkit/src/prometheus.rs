//! A reader of the Prometheus text format 0.0.4 (and of what OpenMetrics adds to it).

use std::collections::BTreeMap;

/// Reads samples: each name with its labels as written, and its value.
///
/// # Panics
/// At any line that is not of the format, or a sample that stands twice.
#[track_caller]
pub fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    assert!(text.ends_with('\n'), "the last line ends");
    for line in text.lines() {
        if line.is_empty() || line == "# EOF" {
            continue;
        }
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            match (words.next(), words.next(), words.next()) {
                (Some("HELP" | "UNIT"), Some(name), Some(_)) => check_name(name, line),
                (Some("TYPE"), Some(name), Some(kind)) => {
                    check_name(name, line);
                    let kinds = ["counter", "gauge", "histogram", "summary", "untyped", "unknown", "info"];
                    assert!(kinds.contains(&kind), "{line}");
                }
                _ => panic!("a comment of no known kind: {line}"),
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("a sample: {line}"));
        let name = series.split('{').next().unwrap_or_default();
        check_name(name, line);
        assert!(!series.contains('{') || series.ends_with('}'), "{line}");
        let value = match value {
            "+Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            _ => value.parse().unwrap_or_else(|_| panic!("a value: {line}")),
        };
        assert!(samples.insert(series.to_owned(), value).is_none(), "it stands twice: {line}");
    }
    samples
}

#[track_caller]
fn check_name(name: &str, line: &str) {
    let ok = |(i, b): (usize, u8)| b.is_ascii_alphabetic() || b == b'_' || b == b':' || (i > 0 && b.is_ascii_digit());
    assert!(!name.is_empty() && name.bytes().enumerate().all(ok), "a metric name: {line}");
}
