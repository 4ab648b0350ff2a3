//! Making tokens, which the server itself never does: for the command line, and for whoever embeds the server.

use super::keys::Algorithm;
use super::settings::Secret;
use jsonwebtoken::{AlgorithmFamily, EncodingKey, Header, encode};
use serde_json::Value;

/// A key that signs, for one algorithm.
pub struct SigningKey {
    id: Option<String>,
    algorithm: Algorithm,
    inner: EncodingKey,
}

impl SigningKey {
    /// A secret, for `HS256` and its like.
    pub fn secret(id: Option<&str>, algorithm: Algorithm, secret: &Secret) -> Result<SigningKey, String> {
        // What could not be checked is not made.
        super::keys::Key::secret(id, algorithm, secret)?;
        Ok(SigningKey { id: id.map(Into::into), algorithm, inner: EncodingKey::from_secret(secret.bytes()) })
    }

    /// A private key in PEM.
    pub fn pem(id: Option<&str>, algorithm: Algorithm, pem: &[u8]) -> Result<SigningKey, String> {
        let read = match algorithm.inner().family() {
            AlgorithmFamily::Hmac => return Err(format!("{} signs with a secret", algorithm.name())),
            AlgorithmFamily::Rsa => EncodingKey::from_rsa_pem(pem),
            AlgorithmFamily::Ec => EncodingKey::from_ec_pem(pem),
            AlgorithmFamily::Ed => EncodingKey::from_ed_pem(pem),
        };
        let inner = read.map_err(|_| format!("this is no private key in PEM for {}", algorithm.name()))?;
        Ok(SigningKey { id: id.map(Into::into), algorithm, inner })
    }

    /// A token of these claims.
    pub fn sign(&self, claims: &Value) -> Result<String, String> {
        let header = Header { kid: self.id.clone(), ..Header::new(self.algorithm.inner()) };
        encode(&header, claims, &self.inner)
            .map_err(|_| format!("this key does not sign with {}", self.algorithm.name()))
    }
}
