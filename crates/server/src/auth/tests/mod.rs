//! Tokens and keys: the vectors of the RFCs, and what attackers have tried on others.

mod attacks;
mod claims;
mod vectors;

use super::keys::{Algorithm, Key};
use super::settings::{Secret, Settings};
use super::token::{Fault, check};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, crypto};
use serde_json::{Value, json};
use switchboard_wire::Code;

/// Seconds since the Unix epoch, in these tests.
const NOW: u64 = 1_795_000_000;
const SECRET: &[u8] = b"a secret of at least thirty-two bytes";

fn hs256(id: Option<&str>) -> Key {
    Key::secret(id, Algorithm::HS256, &Secret::new(SECRET)).unwrap()
}

fn encode(json: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(json.to_string())
}

/// A token with this header and these claims, signed with HMAC and SHA-256.
fn mint_with(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let key = EncodingKey::from_secret(secret);
    let signature = crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn mint(claims: &Value) -> String {
    mint_with(&json!({"alg": "HS256", "typ": "JWT"}), claims, SECRET)
}

/// Claims that are fine, with others over them.
fn claims(over: &Value) -> Value {
    let mut claims = json!({"sub": "ann", "exp": NOW + 60});
    for (name, value) in over.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
}

/// What becomes of a token: `Ok`, or the code of the refusal with its detail.
fn verdict(token: &str, settings: &Settings, keys: &[Key]) -> Result<(), (Code, String)> {
    match check(token, settings, keys, NOW * 1000) {
        Ok(_) => Ok(()),
        Err(Fault::UnknownKey) => Err((Code::Unauthorized, "unknown key".into())),
        Err(Fault::Refused(problem)) => Err((problem.code, problem.detail.into())),
    }
}

#[test]
fn a_set_gives_its_keys_for_signatures_and_says_why_not_the_others() {
    let p256 = json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"});
    let with = |over: Value| {
        let mut jwk = p256.clone();
        over.as_object().unwrap().iter().for_each(|(name, value)| jwk[name] = value.clone());
        jwk
    };
    let set = json!({"keys": [
        with(json!({"kid": "good", "use": "sig"})),
        with(json!({"kid": "for encryption", "use": "enc"})),
        with(json!({"kid": "for signing", "key_ops": ["sign"]})),
        with(json!({"kid": "another algorithm", "alg": "RS256"})),
        with(json!({"kid": "not on the curve", "x": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"})),
        with(json!({"kid": "another curve", "crv": "P-521"})),
        {"kty": "oct", "kid": "a secret", "k": BASE64_URL_SAFE_NO_PAD.encode(SECRET)},
        {"kty": "RSA", "kid": "short", "n": BASE64_URL_SAFE_NO_PAD.encode([0x81; 128]), "e": "AQAB"},
        {"kty": "new", "kid": "unknown"},
    ]});
    let (keys, left) = super::keys::read_set(set.to_string().as_bytes()).unwrap();
    assert_eq!(keys.iter().map(|key| key.id()).collect::<Vec<_>>(), [Some("good")]);
    assert_eq!(left.len(), 8, "{left:#?}");
    assert!(!format!("{left:?}").contains(&BASE64_URL_SAFE_NO_PAD.encode(SECRET)));
    assert!(super::keys::read_set(b"{}").is_err() && super::keys::read_set(b"[").is_err());
}

#[test]
fn keys_are_for_one_algorithm_and_strong_enough_for_it() {
    let secret = |name: &str, bytes: &[u8]| Key::secret(None, name.parse().unwrap(), &Secret::new(bytes));
    assert!(secret("HS256", &[1; 32]).is_ok() && secret("HS256", &[1; 31]).is_err());
    assert!(secret("HS384", &[1; 48]).is_ok() && secret("HS384", &[1; 47]).is_err());
    assert!(secret("HS512", &[1; 64]).is_ok() && secret("HS512", &[1; 63]).is_err());
    assert!(secret("RS256", &[1; 64]).is_err(), "a public key is no secret");
    for foul in ["none", "None", "", "hs256", "HS1", "ES512", "RSA-OAEP"] {
        assert!(foul.parse::<Algorithm>().is_err(), "{foul}");
    }
    let pem = |name: &str, text: &str| Key::pem(None, name.parse().unwrap(), text.as_bytes());
    assert!(pem("ES256", P256).is_ok() && pem("EdDSA", ED25519).is_ok());
    for (name, text) in
        [("HS256", P256), ("ES384", P256), ("RS256", P256), ("ES256", ED25519), ("EdDSA", P256), ("RS256", "")]
    {
        assert!(pem(name, text).is_err(), "{name} {text}");
    }
    let private = P256.replace("PUBLIC", "PRIVATE");
    assert!(pem("ES256", &private).unwrap_err().contains("private"));
    let shown = format!("{:?} {:?}", hs256(Some("k")), Secret::new(SECRET));
    assert!(!shown.contains("secret of"), "{shown}");
}

/// The public key of RFC 7515 A.3, in PEM.
const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7
6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==
-----END PUBLIC KEY-----
";

/// The public key of RFC 8037 A.2, in PEM.
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
";
