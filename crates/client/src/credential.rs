//! What is shown of who one is: a token or an API key. It is in no message and no log of ours.

use http::HeaderValue;
use std::fmt;

/// What goes into `Authorization`.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(HeaderValue);

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Credential {
    /// Blanks and line breaks around it do not count. What is wrong is said without it.
    pub fn of(text: &str) -> Result<Credential, &'static str> {
        let text = text.trim();
        if text.is_empty() {
            return Err("there is no token in it");
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("this is no token: it holds a blank, a line break or a character beyond ASCII");
        }
        let mut value =
            HeaderValue::try_from(format!("Bearer {text}")).map_err(|_| "no header can carry this token")?;
        value.set_sensitive(true);
        Ok(Credential(value))
    }

    /// The value of `Authorization`.
    pub fn header(&self) -> &HeaderValue {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_text_without_blanks_and_is_not_printed() {
        let token = Credential::of(" swk_a.b-c_d= \n").unwrap();
        assert_eq!(token.header(), "Bearer swk_a.b-c_d=");
        assert!(!format!("{token:?}").contains("swk_"));
        for foul in ["", " \n", "a b", "a\nb", "ä", "a\u{0}b"] {
            assert!(Credential::of(foul).is_err(), "{foul:?}");
        }
    }
}
