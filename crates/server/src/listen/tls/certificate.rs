//! A certificate and its key, read from files.

use crate::config::{Unfit, plain};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use std::path::Path;

/// Reads a certificate with those that lead to its root, and its key. Why they are no good is said for people.
pub(super) fn read(certificate: &Path, key: &Path) -> Result<CertifiedKey, Unfit> {
    let chain = read_chain(certificate).map_err(Unfit::Certificate)?;
    let read = read_key(key).map_err(Unfit::Key)?;
    let signing = any_supported_type(&read).map_err(|_| {
        Unfit::Key(format!(
            "the key in {} is of a kind that is not known here: RSA, ECDSA (P-256, P-384) and Ed25519 are",
            key.display()
        ))
    })?;
    let certified = CertifiedKey::new(chain, signing);
    match certified.keys_match() {
        // Where that cannot be told, clients will.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
        Err(Error::InconsistentKeys(_)) => Err(Unfit::Key(format!(
            "the key in {} is not that of the first certificate in {}: the server's own comes first there, and its issuers \
             follow",
            key.display(),
            certificate.display()
        ))),
        Err(error) => {
            let why = format!("the first certificate in {} is damaged: {error}", certificate.display());
            Err(Unfit::Certificate(why))
        }
    }
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let (text, shown) = (read_file(path)?, path.display());
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|_| format!("{shown} is damaged: it is not PEM throughout"))?;
    match chain.is_empty() {
        false => Ok(chain),
        true if PrivateKeyDer::from_pem_slice(&text).is_ok() => {
            Err(format!("{shown} holds a key and no certificate: were the two files mixed up?"))
        }
        true => Err(format!("{shown} holds no certificate in PEM, which begins -----BEGIN CERTIFICATE-----")),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let (text, shown) = (read_file(path)?, path.display());
    let holds = |mark: &str| text.windows(mark.len()).any(|window| window == mark.as_bytes());
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok(key),
        Err(_) if holds("-----BEGIN ENCRYPTED PRIVATE KEY-----") || holds("Proc-Type: 4,ENCRYPTED") => {
            Err(format!("the key in {shown} is encrypted: write it without a passphrase (openssl pkey -in … -out …)"))
        }
        Err(pem::Error::NoItemsFound) if holds("-----BEGIN CERTIFICATE-----") => {
            Err(format!("{shown} holds a certificate and no key: were the two files mixed up?"))
        }
        Err(pem::Error::NoItemsFound) => {
            Err(format!("{shown} holds no key in PEM, which begins -----BEGIN PRIVATE KEY-----"))
        }
        Err(_) => Err(format!("{shown} is damaged: it is not PEM throughout")),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{} cannot be read: {}", path.display(), plain(&error)))
}
