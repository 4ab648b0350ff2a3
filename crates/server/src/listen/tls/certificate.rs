//! A certificate and its key, read from files.

use crate::config::{Unfit, plain};
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use std::path::Path;
use std::time::SystemTime;
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::{BasicConstraints, SubjectAltName};
use x509_cert::time::Time;

/// A certificate with those that lead to its root, and its key.
pub(super) struct Read {
    pub(super) certified: CertifiedKey,
    /// `None` where that cannot be read: clients may be able to.
    pub(super) facts: Option<Facts>,
    /// The file, as it is shown to people.
    shown: String,
}

/// What clients look at, who would refuse it, and TLS as such does not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Facts {
    pub(super) from: SystemTime,
    pub(super) until: SystemTime,
    is_authority: bool,
    has_names: bool,
}

/// Reads a certificate and its key. Why they are no good is said for people.
pub(super) fn read(certificate: &Path, key: &Path) -> Result<Read, Unfit> {
    let chain = read_chain(certificate).map_err(Unfit::Certificate)?;
    let read = read_key(key).map_err(Unfit::Key)?;
    let parsed = chain.first().and_then(|own| Certificate::from_der(own).ok());
    let shown = certificate.display().to_string();
    if parsed.as_ref().is_some_and(|own| own.tbs_certificate().version() != Version::V3) {
        return Err(Unfit::Certificate(format!(
            "the first certificate in {shown} is not of version 3 of X.509, which is the one that clients take: with openssl, \
             -addext subjectAltName=DNS:example.com makes one"
        )));
    }
    let signing = any_supported_type(&read).map_err(|_| {
        Unfit::Key(format!(
            "the key in {} is of a kind that is not taken here: RSA of 2048 to 4096 bits, ECDSA (P-256, P-384) and Ed25519 are",
            key.display()
        ))
    })?;
    let certified = CertifiedKey::new(chain, signing);
    match certified.keys_match() {
        // Where that cannot be told, clients will.
        Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
            Ok(Read { certified, facts: parsed.as_ref().map(Facts::of), shown })
        }
        Err(Error::InconsistentKeys(_)) => Err(Unfit::Key(format!(
            "the key in {} is not that of the first certificate in {shown}: the server's own comes first there, and its issuers \
             follow",
            key.display(),
        ))),
        Err(error) => Err(Unfit::Certificate(format!("the first certificate in {shown} is damaged: {error}"))),
    }
}

impl Read {
    /// Why clients refuse it at this time for its dates, if they do.
    pub(super) fn why_refused(&self, now: SystemTime) -> Option<String> {
        let Facts { from, until, .. } = self.facts?;
        let Read { shown, .. } = self;
        if now > until {
            return Some(format!("the certificate in {shown} expired on {}: clients refuse it", date(until)));
        }
        (now < from)
            .then(|| format!("the certificate in {shown} is not valid before {}: clients refuse it", date(from)))
    }

    /// What clients will complain of, for people.
    pub(super) fn doubts(&self, now: SystemTime) -> Vec<String> {
        let Some(facts) = self.facts else { return Vec::new() };
        let mut doubts: Vec<String> = self.why_refused(now).into_iter().collect();
        let shown = &self.shown;
        if facts.is_authority {
            doubts.push(format!(
                "the certificate in {shown} is that of an authority (CA:TRUE), which many clients do not take for a server's: \
                 with openssl, -addext basicConstraints=critical,CA:FALSE makes one that is not"
            ));
        }
        if !facts.has_names {
            doubts.push(format!(
                "the certificate in {shown} has no subjectAltName, and clients go by no other name: with openssl, \
                 -addext subjectAltName=DNS:example.com gives it one"
            ));
        }
        doubts
    }
}

impl Facts {
    fn of(certificate: &Certificate) -> Facts {
        let own = certificate.tbs_certificate();
        let constraints = own.get_extension::<BasicConstraints>().ok().flatten();
        Facts {
            from: own.validity().not_before.to_system_time(),
            until: own.validity().not_after.to_system_time(),
            is_authority: constraints.is_some_and(|(_, constraints)| constraints.ca),
            has_names: own.get_extension::<SubjectAltName>().is_ok_and(|names| names.is_some()),
        }
    }

    pub(super) fn is_valid(&self, now: SystemTime) -> bool {
        (self.from..=self.until).contains(&now)
    }
}

/// `2026-11-26T10:00:00Z`
fn date(time: SystemTime) -> String {
    Time::try_from(time).map_or_else(|_| "a day beyond all calendars".to_owned(), |time| time.to_string())
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

pub(super) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
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
