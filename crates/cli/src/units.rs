//! Sizes and durations as people write them: `8MiB`, `8 MB`, `500ms`, `15s`.
//!
//! What is printed is read back as the same value. A decimal fraction is taken where it comes to a whole number of
//! bytes or milliseconds.

use std::time::Duration;

/// Names of units with what they come to; the first of a kind that divides a value is the one it is printed with.
type Units = &'static [(&'static str, u64)];

const BYTES: Units = &[
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

const MILLISECONDS: Units = &[("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Reads a size in bytes. A number alone is bytes; `KiB`, `MiB` and `GiB` are powers of 1024; `KB`, `MB` and `GB` of
/// 1000.
pub fn size(text: &str) -> Result<usize, String> {
    let (number, unit) = split(text);
    let factor = if unit.is_empty() { Some(1) } else { factor(unit, BYTES) };
    let Some(factor) = factor else {
        return Err(match unit.to_ascii_uppercase().as_str() {
            short @ ("K" | "M" | "G") => {
                format!(
                    "`{text}` could be two sizes: write `{number}{short}iB` for powers of 1024 or `{number}{short}B` for powers of 1000"
                )
            }
            _ => {
                format!("`{text}` is not a size: write bytes alone or with a unit, such as `65536`, `64KiB` or `8MiB`")
            }
        });
    };
    let bytes = product(number, factor).map_err(|why| why.say(text, "size", "bytes", "`65536`, `64KiB` or `8MiB`"))?;
    usize::try_from(bytes).map_err(|_| format!("`{text}` is more bytes than this machine can count"))
}

/// Reads a duration, to the millisecond: a number with `ms`, `s`, `m` or `h`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    if unit.is_empty() && !number.is_empty() {
        return Err(format!("`{text}` has no unit: write `{number}s` for seconds, or `ms`, `m` or `h`"));
    }
    let Some(factor) = factor(unit, MILLISECONDS) else {
        return Err(format!("`{text}` is not a duration: write a number with `ms`, `s`, `m` or `h`, such as `15s`"));
    };
    let milliseconds =
        product(number, factor).map_err(|why| why.say(text, "duration", "milliseconds", "`500ms`, `15s` or `10m`"))?;
    Ok(Duration::from_millis(milliseconds))
}

/// Reads a count; `_` may separate digits.
pub fn count(text: &str) -> Result<usize, String> {
    text.trim().replace('_', "").parse().map_err(|_| format!("`{text}` is not a whole number"))
}

/// A size in the largest unit that says it exactly.
pub fn show_size(bytes: usize) -> String {
    let bytes = bytes as u64;
    let (name, factor) = largest(bytes, &BYTES[..3]).unwrap_or(("", 1));
    format!("{}{name}", bytes / factor)
}

/// A duration in the largest unit that says it exactly; what is below a millisecond is dropped.
pub fn show_duration(duration: Duration) -> String {
    let milliseconds = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let (name, factor) = match milliseconds {
        0 => ("s", 1),
        some => largest(some, MILLISECONDS).unwrap_or(("ms", 1)),
    };
    format!("{}{name}", milliseconds / factor)
}

/// A size for people's eyes, to three digits or so: `1.5 MiB`.
pub fn about(bytes: u64) -> String {
    match BYTES[..3].iter().find(|(_, factor)| bytes >= *factor) {
        Some((name, factor)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(*factor);
            if tenths >= 1000 || tenths % 10 == 0 {
                format!("{} {name}", tenths / 10)
            } else {
                format!("{}.{} {name}", tenths / 10, tenths % 10)
            }
        }
        None => format!("{bytes} B"),
    }
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '_')).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

fn factor(unit: &str, units: Units) -> Option<u64> {
    units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, factor)| *factor)
}

fn largest(value: u64, units: Units) -> Option<(&'static str, u64)> {
    units.iter().find(|(_, factor)| value > 0 && value.is_multiple_of(*factor)).copied()
}

enum Why {
    NotANumber,
    Fraction,
    TooLarge,
}

impl Why {
    fn say(self, text: &str, what: &str, unit: &str, such: &str) -> String {
        match self {
            Why::NotANumber => format!("`{text}` is not a {what}: write it such as {such}"),
            Why::Fraction => format!("`{text}` does not come to a whole number of {unit}"),
            Why::TooLarge => format!("`{text}` is too large a {what}"),
        }
    }
}

/// `number`, which may have a fraction, times `factor`, exactly.
fn product(number: &str, factor: u64) -> Result<u64, Why> {
    let number = number.replace('_', "");
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || (number.contains('.') && !digits(fraction)) {
        return Err(Why::NotANumber);
    }
    let whole: u64 = whole.parse().map_err(|_| Why::TooLarge)?;
    let mut total = whole.checked_mul(factor).ok_or(Why::TooLarge)?;
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        // Eighteen digits are as many as fit; more than that never comes to a whole number with these factors.
        let scale = u32::try_from(fraction.len()).ok().filter(|n| *n <= 18).ok_or(Why::Fraction)?;
        let part = fraction.parse::<u128>().map_err(|_| Why::Fraction)? * u128::from(factor);
        let scale = 10u128.pow(scale);
        if !part.is_multiple_of(scale) {
            return Err(Why::Fraction);
        }
        let part = u64::try_from(part / scale).map_err(|_| Why::TooLarge)?;
        total = total.checked_add(part).ok_or(Why::TooLarge)?;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("65536", 65536),
            ("65_536", 65536),
            ("8MiB", 8 << 20),
            ("8 MB", 8_000_000),
            ("8mib", 8 << 20),
            (" 64 KiB ", 64 << 10),
            ("1.5MiB", 3 << 19),
            ("2GB", 2_000_000_000),
            ("7B", 7),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (text, hint) in [
            ("", "not a size"),
            ("8M", "`8MiB`"),
            ("eight", "not a size"),
            ("8 MiBs", "not a size"),
            ("-1", "not a size"),
            ("1.2.3MiB", "not a size"),
            ("1.B", "not a size"),
            ("0.5", "whole number of bytes"),
            ("99999999999999999999", "too large"),
            ("18446744073709551615GiB", "too large"),
        ] {
            assert!(size(text).unwrap_err().contains(hint), "{text}: {:?}", size(text));
        }
    }

    #[test]
    fn durations_need_a_unit() {
        for (text, ms) in
            [("500ms", 500), ("15s", 15_000), ("10 m", 600_000), ("1h", 3_600_000), ("1.5s", 1500), ("0s", 0)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for (text, hint) in [
            ("15", "`15s`"),
            ("", "not a duration"),
            ("s", "not a duration"),
            ("1.5ms", "whole number of milliseconds"),
            ("1d", "not a duration"),
        ] {
            assert!(duration(text).unwrap_err().contains(hint), "{text}: {:?}", duration(text));
        }
    }

    #[test]
    fn sizes_are_shown_short() {
        assert_eq!(about(0), "0 B");
        assert_eq!(about(1023), "1023 B");
        assert_eq!(about(1536), "1.5 KiB");
        assert_eq!(about(8 << 20), "8 MiB");
        assert_eq!(about(u64::MAX), "17179869183 GiB");
        assert_eq!(show_size(8 << 20), "8MiB");
        assert_eq!(show_size(1_000_000), "1000000");
        assert_eq!(show_duration(Duration::from_secs(90)), "90s");
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(bytes in any::<usize>(), ms in any::<u64>(), small in 0..100_000_000usize) {
            prop_assert_eq!(size(&show_size(bytes)), Ok(bytes));
            prop_assert_eq!(size(&show_size(small)), Ok(small));
            prop_assert_eq!(duration(&show_duration(Duration::from_millis(ms))), Ok(Duration::from_millis(ms)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let _ = (size(&text), duration(&text), count(&text));
        }
    }
}
