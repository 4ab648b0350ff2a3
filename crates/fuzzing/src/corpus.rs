//! Corpora as text: an input a line, with what is not printable ASCII escaped, so that a change can be read.
//!
//! ```text
//! # a line that is a comment, such as why the input below is here
//! data: a\r\n\r\n
//! \x00\xff
//! ```

/// The input as a line, without its end.
pub fn escape(input: &[u8]) -> String {
    let line = input.escape_ascii().to_string();
    // A line that begins with `#` is a comment, and one that is empty is nothing.
    match line.strip_prefix('#') {
        Some(rest) => format!("\\x23{rest}"),
        None if line.is_empty() => "\\".to_owned(),
        None => line,
    }
}

/// The inputs of a corpus, in order, with the comment above each.
///
/// # Panics
///
/// If a line is not what [`escape`] writes.
pub fn read(text: &str) -> Vec<(Option<&str>, Vec<u8>)> {
    let (mut inputs, mut comment) = (Vec::new(), None);
    for line in text.lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix('#') {
            Some(text) => comment = Some(text.trim()),
            None => inputs.push((comment.take(), unescape(line))),
        }
    }
    inputs
}

/// The bytes of a line.
fn unescape(line: &str) -> Vec<u8> {
    let (mut input, mut rest) = (Vec::new(), line.as_bytes());
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            input.push(*byte);
            continue;
        }
        let Some((escaped, after)) = rest.split_first() else { break };
        rest = after;
        input.push(match escaped {
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'x' => {
                let (digits, after) = rest.split_at(2);
                rest = after;
                u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
            }
            b'\\' | b'\'' | b'"' => *escaped,
            other => panic!("`\\{}` is no escape, in the line {line:?}", char::from(*other)),
        });
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let all: Vec<u8> = (0..=255).collect();
        for input in [&b""[..], b"#", b"\\", b"a # b", b"\n\r\t\"'", &all] {
            let line = escape(input);
            assert!(line.is_ascii() && !line.contains('\n'));
            assert_eq!(read(&line), [(None, input.to_vec())], "{line}");
        }
        assert_eq!(
            read("# why\na\n\n# one\n# two\nb\nc\n"),
            [(Some("why"), b"a".to_vec()), (Some("two"), b"b".to_vec()), (None, b"c".to_vec())]
        );
    }
}
