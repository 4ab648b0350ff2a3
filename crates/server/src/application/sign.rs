//! Signatures of requests to the webhook: who knows the secret knows that a request is the server's, says of whom, and is
//! of now.

use crate::auth::settings::Secret;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// The field that carries it.
pub const SIGNATURE: &str = "Switchboard-Signature";

/// The value of [`SIGNATURE`]: `t=<seconds since the Unix epoch>`, then for each secret
/// `v1=<HMAC-SHA256 in hexadecimal>`. What is signed are the time, the fields `Switchboard-Session` and
/// `Switchboard-User` as they are sent (empty where they are not), and the body, with a line break after each but the last.
pub fn sign(secrets: &[Secret], seconds: u64, session: &str, user: &str, body: &[u8]) -> String {
    let mut value = format!("t={seconds}");
    for secret in secrets {
        value.push_str(",v1=");
        for byte in digest(secret, seconds, session, user, body).finalize().into_bytes() {
            value.push_str(&format!("{byte:02x}"));
        }
    }
    value
}

/// Whether a signature is by this secret and of at most `tolerance` seconds ago or ahead: what a receiver asks.
pub fn verify(
    secret: &Secret,
    signature: &str,
    (session, user, body): (&str, &str, &[u8]),
    now: u64,
    tolerance: u64,
) -> bool {
    let mut parts = signature.split(',');
    let seconds = parts.next().and_then(|part| part.strip_prefix("t=")?.parse::<u64>().ok());
    let Some(seconds) = seconds.filter(|seconds| seconds.abs_diff(now) <= tolerance) else { return false };
    parts.filter_map(|part| bytes(part.strip_prefix("v1=")?)).any(|told| {
        // Compared in a time that says nothing of where they differ.
        digest(secret, seconds, session, user, body).verify_slice(&told).is_ok()
    })
}

fn digest(secret: &Secret, seconds: u64, session: &str, user: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = keyed(secret);
    mac.update(format!("{seconds}\n{session}\n{user}\n").as_bytes());
    mac.update(body);
    mac
}

fn keyed(secret: &Secret) -> Hmac<Sha256> {
    // Invariant: HMAC takes keys of any length (RFC 2104 section 2).
    #[expect(clippy::expect_used, reason = "see the invariant")]
    Hmac::new_from_slice(secret.bytes()).expect("any length is a key")
}

/// What hexadecimal digits say.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

/// A user's name as a field's value: visible ASCII as it is, all else and `%` as `%` and two hexadecimal digits of UTF-8.
pub(crate) fn in_a_field(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'%' => out.push_str("%25"),
            0x21..=0x7e => out.push(byte.into()),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes())
    }

    const BODY: &[u8] = br#"{"jsonrpc":"2.0","id":"5f3a9c-1","method":"move","params":{"to":"e4"}}"#;

    /// Computed with Python's `hmac`.
    #[test]
    fn a_signature_is_an_hmac_of_the_time_the_session_the_user_and_the_body() {
        let one = secret("0123456789abcdef0123456789abcdef");
        let signed = sign(&[one], 1_795_200_000, "0001c4f09b3a771e52", "ann", BODY);
        assert_eq!(signed, "t=1795200000,v1=83bd993db1dd830070ffd72c82a67ad4a07598bb3c0bbf349485ed904f6c23db");
        assert_eq!(
            sign(&[secret("k")], 0, "", "", b""),
            "t=0,v1=78946caf5506db00b291faed9578d1856a45d093a714cfc6daa70e9e6b0eac01"
        );
    }

    #[test]
    fn it_is_verified_by_each_of_its_secrets_for_a_while() {
        let (old, new) = (secret("old"), secret("new"));
        let signed = sign(&[new.clone(), old.clone()], 1000, "s", "u", b"body");
        let said: (&str, &str, &[u8]) = ("s", "u", b"body");
        for known in [&old, &new] {
            assert!(verify(known, &signed, said, 1300, 300) && verify(known, &signed, said, 700, 300));
            assert!(!verify(known, &signed, said, 1301, 300) && !verify(known, &signed, said, 699, 300));
        }
        assert!(!verify(&secret("other"), &signed, said, 1000, 300));
        for other in [("t", "u", &b"body"[..]), ("s", "v", b"body"), ("s", "u", b"Body"), ("s\nu", "", b"body")] {
            assert!(!verify(&new, &signed, other, 1000, 300), "{other:?}");
        }
        for foul in ["", "t=", "t=1000", "v1=00", "t=1000,v1=0", "t=1000,v1=zz", "t=1000,v1=", &signed[..20]] {
            assert!(!verify(&new, foul, said, 1000, 300), "{foul}");
        }
    }

    #[test]
    fn a_user_of_any_name_goes_into_a_field() {
        assert_eq!(in_a_field("ann"), "ann");
        assert_eq!(in_a_field("ä 1%\r\n"), "%C3%A4%201%25%0D%0A");
    }
}
