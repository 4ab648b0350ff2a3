//! Keys that tokens are checked with. Each is bound to one algorithm: what a token says of its algorithm only has to agree,
//! and never chooses how a key is used (RFC 8725 section 3.1).

use super::settings::Secret;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{DecodingKey, crypto};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Smallest modulus of an RSA key, in bytes (RFC 7518 section 3.3).
const RSA_MIN: usize = 256;
/// Keys taken from one set.
const SET_MAX: usize = 256;

/// An algorithm of RFC 7518 or 8037 that signs tokens. There is no `none`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Algorithm(jsonwebtoken::Algorithm);

impl Algorithm {
    /// HMAC with SHA-256, under a secret that the issuer shares.
    pub const HS256: Algorithm = Algorithm(jsonwebtoken::Algorithm::HS256);
    /// ECDSA on P-256 with SHA-256.
    pub const ES256: Algorithm = Algorithm(jsonwebtoken::Algorithm::ES256);

    /// The name, as in the header of a token.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, algorithm)| *algorithm == self.0).map_or("", |(name, _)| name)
    }

    /// Whether signing and checking take the same key, which is then secret.
    pub fn is_symmetric(self) -> bool {
        self.0.family() == jsonwebtoken::AlgorithmFamily::Hmac
    }

    pub(super) fn inner(self) -> jsonwebtoken::Algorithm {
        self.0
    }

    /// Bytes that a secret needs at least (RFC 7518 section 3.2).
    fn secret_min(self) -> usize {
        match self.0 {
            jsonwebtoken::Algorithm::HS512 => 64,
            jsonwebtoken::Algorithm::HS384 => 48,
            _ => 32,
        }
    }
}

const NAMES: [(&str, jsonwebtoken::Algorithm); 12] = [
    ("HS256", jsonwebtoken::Algorithm::HS256),
    ("HS384", jsonwebtoken::Algorithm::HS384),
    ("HS512", jsonwebtoken::Algorithm::HS512),
    ("RS256", jsonwebtoken::Algorithm::RS256),
    ("RS384", jsonwebtoken::Algorithm::RS384),
    ("RS512", jsonwebtoken::Algorithm::RS512),
    ("PS256", jsonwebtoken::Algorithm::PS256),
    ("PS384", jsonwebtoken::Algorithm::PS384),
    ("PS512", jsonwebtoken::Algorithm::PS512),
    ("ES256", jsonwebtoken::Algorithm::ES256),
    ("ES384", jsonwebtoken::Algorithm::ES384),
    ("EdDSA", jsonwebtoken::Algorithm::EdDSA),
];

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(text: &str) -> Result<Algorithm, String> {
        match NAMES.iter().find(|(name, _)| *name == text) {
            Some((_, algorithm)) => Ok(Algorithm(*algorithm)),
            None => Err(format!("`{text}` is none of {}", NAMES.map(|(name, _)| name).join(", "))),
        }
    }
}

/// A key, with the one algorithm that it is for.
#[derive(Clone)]
pub struct Key {
    id: Option<Box<str>>,
    algorithm: Algorithm,
    inner: Arc<DecodingKey>,
    /// Names the key itself, whatever its id: so that it can be told whether it is still there.
    print: [u8; 32],
    /// Whether it is one of a set that is fetched.
    fetched: bool,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("id", &self.id).field("algorithm", &self.algorithm.name()).finish_non_exhaustive()
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        (&self.id, self.algorithm, self.print) == (&other.id, other.algorithm, other.print)
    }
}

impl Key {
    /// A key for `HS256` and its like.
    pub fn secret(id: Option<&str>, algorithm: Algorithm, secret: &Secret) -> Result<Key, String> {
        if !algorithm.is_symmetric() {
            return Err(format!("{} is checked with a public key, not with a secret", algorithm.name()));
        }
        let least = algorithm.secret_min();
        if secret.bytes().len() < least {
            return Err(format!("a secret for {} has at least {least} bytes", algorithm.name()));
        }
        Key::new(id, algorithm, DecodingKey::from_secret(secret.bytes()), secret.bytes())
    }

    /// A public key in PEM: `-----BEGIN PUBLIC KEY-----`.
    pub fn pem(id: Option<&str>, algorithm: Algorithm, pem: &[u8]) -> Result<Key, String> {
        use jsonwebtoken::AlgorithmFamily as Family;
        if pem.windows(7).any(|word| word == b"PRIVATE") {
            return Err("this is a private key, and the server is to have the public one alone".into());
        }
        let read = match algorithm.0.family() {
            Family::Hmac => {
                return Err(format!("{} is checked with a secret, not with a public key", algorithm.name()));
            }
            Family::Rsa => DecodingKey::from_rsa_pem(pem),
            Family::Ec => DecodingKey::from_ec_pem(pem),
            Family::Ed => DecodingKey::from_ed_pem(pem),
        };
        let key = read.map_err(|_| format!("this is no public key in PEM for {}", algorithm.name()))?;
        Key::new(id, algorithm, key, pem)
    }

    /// A key of a set. Those that are no public key for signatures are none for us, and are an error that says why.
    pub fn jwk(jwk: &Jwk) -> Result<Key, String> {
        let signs = jwk.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
        let operations = jwk.common.key_operations.as_ref();
        if !signs || operations.is_some_and(|operations| !operations.contains(&KeyOperations::Verify)) {
            return Err("it is not for checking signatures".into());
        }
        let named = match jwk.common.key_algorithm {
            Some(named) => Some(algorithm_of(named)?),
            None => None,
        };
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
                EllipticCurve::P256 => "ES256",
                EllipticCurve::P384 => "ES384",
                _ => return Err("its curve is not known here".into()),
            },
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => "EdDSA",
            AlgorithmParameters::RSA(_) => match named.map_or("RS256", Algorithm::name) {
                rsa if rsa.starts_with("RS") || rsa.starts_with("PS") => rsa,
                _ => return Err("its `alg` is not for its `kty`".into()),
            },
            AlgorithmParameters::OctetKey(_) => return Err("it is a secret, and a set is public".into()),
            _ => return Err("its kind is not known here".into()),
        };
        if named.is_some_and(|named| named.name() != algorithm) {
            return Err("its `alg` is not for its `kty`".into());
        }
        let key = DecodingKey::from_jwk(jwk).map_err(|_| "its numbers cannot be read".to_owned())?;
        let text = serde_json::to_vec(jwk).unwrap_or_default();
        let key = Key::new(jwk.common.key_id.as_deref(), algorithm.parse()?, key, &text)?;
        Ok(Key { fetched: true, ..key })
    }

    fn new(id: Option<&str>, algorithm: Algorithm, inner: DecodingKey, material: &[u8]) -> Result<Key, String> {
        check_strength(&inner)?;
        // A key that cannot be used at all says so at the first use: let that be now.
        crypto::verify("", b"", &inner, algorithm.0)
            .map_err(|_| format!("this is no key for {}", algorithm.name()))
            .and_then(|verified| if verified { Err("this key takes an empty signature".into()) } else { Ok(()) })?;
        let print = Sha256::new().chain_update(algorithm.name()).chain_update([0]).chain_update(material).finalize();
        Ok(Key { id: id.map(Into::into), algorithm, inner: Arc::new(inner), print: print.into(), fetched: false })
    }

    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(crate) fn is_fetched(&self) -> bool {
        self.fetched
    }

    pub(crate) fn print(&self) -> [u8; 32] {
        self.print
    }

    /// Whether the signature over the message was made with this key and its algorithm.
    pub(crate) fn verifies(&self, message: &str, signature: &str) -> bool {
        crypto::verify(signature, message.as_bytes(), &self.inner, self.algorithm.0).unwrap_or(false)
    }
}

fn algorithm_of(named: KeyAlgorithm) -> Result<Algorithm, String> {
    let text = named.to_string();
    text.parse().map_err(|_| format!("its `alg` is {text}"))
}

fn check_strength(key: &DecodingKey) -> Result<(), String> {
    use jsonwebtoken::DecodingKeyKind;
    let bytes = match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, .. } => n.iter().skip_while(|b| **b == 0).count(),
        // PKCS#1: the modulus is all but some 20 bytes of it.
        DecodingKeyKind::SecretOrDer(der) if key.family() == jsonwebtoken::AlgorithmFamily::Rsa => der.len(),
        _ => return Ok(()),
    };
    if bytes < RSA_MIN { Err("an RSA key has at least 2048 bits".into()) } else { Ok(()) }
}

/// Reads a set, and says of what it leaves out why.
pub fn read_set(text: &[u8]) -> Result<(Vec<Key>, Vec<String>), String> {
    let set: JwkSet = serde_json::from_slice(text).map_err(|error| format!("it is no JSON Web Key Set: {error}"))?;
    let (mut keys, mut left) = (Vec::new(), Vec::new());
    for jwk in set.keys.iter().take(SET_MAX) {
        match Key::jwk(jwk) {
            Ok(key) => keys.push(key),
            Err(why) => left.push(format!("key {:?}: {why}", jwk.common.key_id.as_deref().unwrap_or(""))),
        }
    }
    Ok((keys, left))
}
