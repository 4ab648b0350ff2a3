//! Idempotency keys as they are given.

use http::{HeaderMap, HeaderName};
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use switchboard_wire::limits::IDEMPOTENCY_KEY_MAX;

const NAME: HeaderName = HeaderName::from_static("idempotency-key");

/// The `Idempotency-Key` of a request, written bare or as a string (RFC 8941 section 3.3.3): its content counts.
pub(super) fn from_headers(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut fields = headers.get_all(NAME).iter();
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(Code::InvalidParameter.because("the request has more than one Idempotency-Key"));
    }
    let text = field.to_str().unwrap_or_default();
    let content = match text.strip_prefix('"') {
        Some(quoted) => unquoted(quoted).unwrap_or_default(),
        None => text.to_owned(),
    };
    check(&content)?;
    Ok(Some(content))
}

/// A key is 1..=255 bytes of visible ASCII.
pub(crate) fn check(key: &str) -> Result<(), Problem> {
    if (1..=IDEMPOTENCY_KEY_MAX).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()) {
        return Ok(());
    }
    Err(Code::InvalidParameter.because("an idempotency key is 1 to 255 characters of visible ASCII"))
}

/// The content of a string whose opening quote is taken off; `None` if it does not end where the text does.
fn unquoted(quoted: &str) -> Option<String> {
    let mut content = String::with_capacity(quoted.len());
    let mut chars = quoted.chars();
    loop {
        match chars.next()? {
            '"' => return chars.as_str().is_empty().then_some(content),
            '\\' => content.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            c => content.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_key_is_its_content() {
        let read = |values: &[&[u8]]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(NAME, HeaderValue::from_bytes(value).unwrap());
            }
            from_headers(&headers)
        };
        let long = "x".repeat(255);
        let quoted = format!("\"{long}\"");
        assert_eq!(read(&[]), Ok(None));
        for (given, key) in [
            ("k-1", "k-1"),
            ("\"k-1\"", "k-1"),
            ("\"a\\\"b\\\\\"", "a\"b\\"),
            ("a\"b", "a\"b"),
            (&*long, &*long),
            (&*quoted, &*long),
        ] {
            assert_eq!(read(&[given.as_bytes()]), Ok(Some(key.to_owned())), "{given}");
        }
        let too_long = "x".repeat(256);
        for bad in ["", "a b", "\"a b\"", "\"\"", "\"a", "\"a\"b", "\"a\\b\"", "\u{e9}", "a\tb", &*too_long] {
            assert_eq!(read(&[bad.as_bytes()]).unwrap_err().code, Code::InvalidParameter, "{bad}");
        }
        assert!(read(&[b"a", b"a"]).is_err());
    }
}
