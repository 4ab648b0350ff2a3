//! API keys: what backends show. The configuration has their hashes alone.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;
use switchboard_hub::access::Grants;

/// What API keys begin with, so that they can be told from tokens, and found where they were left lying.
pub const PREFIX: &str = "swk_";
/// Random bytes of a key that is made here.
const RANDOM: usize = 32;

/// A key that is known by its hash, and what its holder may do.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// What it is called in logs, and what its idempotency keys are kept apart by. Several may share one, for rotation.
    pub name: Box<str>,
    pub hash: Hash,
    pub scope: Grants,
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("name", &self.name).field("scope", &self.scope).finish_non_exhaustive()
    }
}

/// SHA-256 of a key. What is hashed has 256 random bits, so that a slow hash would add nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[hash]")
    }
}

impl Hash {
    pub fn of(key: &str) -> Hash {
        Hash(Sha256::digest(key.as_bytes()).into())
    }

    /// Compares without telling by the time taken where two hashes differ.
    pub(crate) fn is(&self, other: &Hash) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// Reads `sha256:` and 64 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Hash> {
        let digits = text.strip_prefix("sha256:")?;
        if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(digits.get(2 * i..2 * i + 2)?, 16).ok()?;
        }
        Some(Hash(bytes))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A new key, to be shown once.
pub fn generate() -> std::io::Result<String> {
    let mut bytes = [0; RANDOM];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes)))
}

/// The key among those known. All are compared, so that the time taken does not tell which it was.
pub(crate) fn find<'a>(known: &'a [ApiKey], shown: &str) -> Option<&'a ApiKey> {
    let hash = Hash::of(shown);
    known.iter().fold(None, |found, key| if key.hash.is(&hash) { Some(key) } else { found })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_hash_alone() {
        let (one, two) = (generate().unwrap(), generate().unwrap());
        assert!(one.starts_with(PREFIX) && one.len() == PREFIX.len() + 43 && one != two);
        let key = |name: &str, text: &str| ApiKey { name: name.into(), hash: Hash::of(text), scope: Grants::default() };
        let known = [key("a", &one), key("b", &two)];
        assert_eq!(find(&known, &two).unwrap().name, "b".into());
        for foul in ["", PREFIX, &one[1..], &format!("{one} ")] {
            assert!(find(&known, foul).is_none(), "{foul}");
        }
        assert!(!format!("{known:?}").contains(&Hash::of(&one).to_string()[7..]));
    }

    #[test]
    fn a_hash_is_written_and_read() {
        // FIPS 180-2, appendix B.1.
        let abc = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Hash::of("abc").to_string(), abc);
        assert_eq!(Hash::parse(abc), Some(Hash::of("abc")));
        for foul in ["", "sha256:", &abc[7..], &abc[..70], &format!("{abc}0"), &abc.replace('b', "x"), "sha256:é"] {
            assert_eq!(Hash::parse(foul), None, "{foul}");
        }
    }
}
