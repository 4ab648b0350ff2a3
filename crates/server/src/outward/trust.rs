//! Whom we take for the host of an `https://` address: whoever shows a certificate for its name that leads to a root which
//! is trusted. These are Mozilla's, built in, so that they are there in an image that holds nothing but the server, and
//! those of a file besides.

use crate::config::plain;
use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, PeerIncompatible, RootCertStore};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// The roots that are built in.
fn built_in() -> RootCertStore {
    RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() }
}

/// The built-in roots and those of a file of certificates in PEM.
fn roots(file: Option<&Path>) -> Result<RootCertStore, String> {
    let mut store = built_in();
    let Some(path) = file else { return Ok(store) };
    let shown = path.display();
    let text = std::fs::read(path).map_err(|error| format!("{shown} cannot be read: {}", plain(&error)))?;
    let mut count = 0;
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|_| format!("{shown} is damaged: it is not PEM throughout"))?;
        count += 1;
        store.add(certificate).map_err(|_| format!("certificate {count} of {shown} cannot be a root"))?;
    }
    if count == 0 { Err(format!("{shown} holds no certificate in PEM")) } else { Ok(store) }
}

/// Says what is wrong with a file of roots, if anything is.
pub fn check_roots(file: &Path) -> Result<(), String> {
    roots(Some(file)).map(|_| ())
}

/// How to speak TLS, with the roots of a file besides the built-in ones.
pub(crate) fn client(file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(|error| error.to_string())?;
    let mut config = versions.with_root_certificates(roots(file)?).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A session that is taken up again shows no certificate, and each connection is to look at it anew.
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// Why a connection came to nothing, for people. `setting` names the file of further roots in the configuration.
pub(crate) fn explain(error: &io::Error, setting: &str) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(why)) => distrust(why, setting),
        Some(Error::InvalidMessage(_)) => "what answers there does not speak TLS".into(),
        Some(
            Error::AlertReceived(AlertDescription::ProtocolVersion)
            | Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13),
        ) => "it speaks neither TLS 1.3 nor TLS 1.2, and nothing older is spoken here".into(),
        Some(Error::AlertReceived(alert)) => format!("the TLS handshake was refused there: {alert:?}"),
        Some(other) => format!("TLS failed: {other}"),
        None if error.kind() == io::ErrorKind::UnexpectedEof => "the connection was cut off".into(),
        None => error.to_string(),
    }
}

// The client crate, which depends on nothing of the server, says the same in its `tls`.
fn distrust(why: &CertificateError, setting: &str) -> String {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired".into(),
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet, by the clock of this machine".into()
        }
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "its certificate names no host: that is what a `subjectAltName` in it is for".into()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another name".into()
        }
        CertificateError::UnknownIssuer => {
            format!(
                "its certificate is from an issuer that is not trusted here: `{setting}` names a file with further ones"
            )
        }
        // An issuer that was set up anew under its old name.
        CertificateError::BadSignature => format!(
            "its certificate is signed with another key than that of the issuer of this name which is trusted here: \
             look whether `{setting}` is of today"
        ),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "its certificate is not one for servers".into()
        }
        // The library that looks at certificates names these, and hides the type.
        CertificateError::Other(why) => match why.to_string().as_str() {
            "CaUsedAsEndEntity" => {
                "its certificate is one that signs others (CA:TRUE), and a server is to show one that \
                does not: openssl makes it with `-addext basicConstraints=critical,CA:FALSE`"
                    .into()
            }
            "UnsupportedCertVersion" => {
                "its certificate is of an old version of X.509, and has to be of version 3".into()
            }
            other => format!("its certificate is no good: {other}"),
        },
        other => format!("its certificate is no good: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, text: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("switchboard-roots-{name}-{}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_file_of_roots_has_certificates_and_nothing_damaged() {
        let begin = "-----BEGIN CERTIFICATE-----\n";
        for (name, text, expected) in [
            ("empty", "", "holds no certificate"),
            ("key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "holds no certificate"),
            ("cut", begin, "is damaged"),
            ("foul", &format!("{begin}AAAA\n-----END CERTIFICATE-----\n"), "certificate 1 of"),
        ] {
            let path = written(name, text);
            let why = check_roots(&path).unwrap_err();
            std::fs::remove_file(&path).unwrap();
            assert!(why.contains(expected), "{name}: {why}");
            assert!(check_roots(&path).unwrap_err().contains("cannot be read"), "{name}");
        }
    }

    #[test]
    fn mozillas_roots_are_there_without_a_file() {
        assert!(roots(None).unwrap().len() > 100);
        assert!(client(None).is_ok());
    }
}
