//! TLS towards the server.

use crate::http::plain;
use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{AlertDescription, CertificateError, ClientConfig, Error, PeerIncompatible, RootCertStore};
use std::io;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// A connection, with TLS or without.
pub(crate) type Socket = Box<dyn Duplex>;

/// What is read and written.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// Agrees on TLS over a socket, with whoever shows a certificate for this host. It leads to a root of Mozilla's, which are
/// built in, or to one of this file, which is read each time.
pub(crate) async fn agree(socket: TcpStream, host: &str, roots: Option<&Path>) -> Result<Socket, Disagreed> {
    let name = name(host)?;
    let connector = TlsConnector::from(Arc::new(config(roots)?));
    match connector.connect(name, socket).await {
        Ok(socket) => Ok(Box::new(socket)),
        Err(error) => Err(Disagreed::of(&error)),
    }
}

/// Whom a certificate is to be for.
///
/// # Errors
/// If no certificate can be.
pub fn name(host: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(host.to_owned()).map_err(|_| format!("`{host}` is no name of a host"))
}

/// How a client of HTTP/1.1 speaks TLS: with whoever leads to a root of Mozilla's, or to one of this file.
///
/// # Errors
/// What is wrong with the file, in words.
pub fn config(file: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = file {
        add_roots(path, &mut roots)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let versions = versions.map_err(|error| error.to_string())?;
    let mut config = versions.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A connection is made seldom, and each is to look at the certificate anew.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn add_roots(path: &Path, roots: &mut RootCertStore) -> Result<(), String> {
    let shown = path.display();
    let text = std::fs::read(path).map_err(|error| format!("{shown} cannot be read: {}", plain(&error)))?;
    let before = roots.len();
    for certificate in CertificateDer::pem_slice_iter(&text) {
        let certificate = certificate.map_err(|_| format!("{shown} is damaged: it is not PEM throughout"))?;
        let place = roots.len() - before + 1;
        roots.add(certificate).map_err(|_| format!("certificate {place} of {shown} cannot be a root"))?;
    }
    if roots.len() == before { Err(format!("{shown} holds no certificate in PEM")) } else { Ok(()) }
}

/// Why TLS was not agreed on, for people.
#[derive(Debug)]
pub(crate) struct Disagreed {
    /// Whether a file of further roots may help.
    pub(crate) distrusted: bool,
    pub(crate) sentence: String,
}

impl From<String> for Disagreed {
    fn from(sentence: String) -> Disagreed {
        Disagreed { distrusted: false, sentence }
    }
}

impl Disagreed {
    fn of(error: &io::Error) -> Disagreed {
        let Some(inner) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
            return format!("the TLS handshake was cut off: {}", plain(error)).into();
        };
        let distrusted = matches!(
            inner,
            Error::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature)
        );
        Disagreed { distrusted, sentence: explain(inner) }
    }
}

fn explain(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => distrust(why),
        Error::InvalidMessage(_) => "what answers there does not speak TLS".into(),
        Error::AlertReceived(AlertDescription::ProtocolVersion)
        | Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => {
            "it speaks neither TLS 1.3 nor TLS 1.2, and nothing older is spoken here".into()
        }
        Error::AlertReceived(alert) => format!("the TLS handshake was refused there: {alert:?}"),
        other => format!("TLS failed: {other}"),
    }
}

// The server says the same of those whom it asks, in its `outward::trust`.
fn distrust(why: &CertificateError) -> String {
    use CertificateError::{
        BadSignature, Expired, ExpiredContext, InvalidPurpose, InvalidPurposeContext, NotValidForName,
        NotValidForNameContext, NotValidYet, NotValidYetContext, Other, UnknownIssuer,
    };
    match why {
        Expired | ExpiredContext { .. } => "its certificate has expired".into(),
        NotValidYet | NotValidYetContext { .. } => {
            "its certificate is not valid yet, by the clock of this machine".into()
        }
        NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "its certificate names no host: that is what a `subjectAltName` in it is for".into()
        }
        NotValidForName | NotValidForNameContext { .. } => "its certificate is for another name".into(),
        InvalidPurpose | InvalidPurposeContext { .. } => "its certificate is not one for servers".into(),
        UnknownIssuer | BadSignature => "its certificate is from an issuer that is not trusted here".into(),
        // The library that looks at certificates names these, and hides the type.
        Other(why) => match why.to_string().as_str() {
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
