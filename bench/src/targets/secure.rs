//! Switchboard with TLS: the release binary with a certificate of its own, to which subscribers come over TLS and
//! publishers do not, so that what differs from the plain one is what TLS costs a delivery and a connection.

use super::switchboard::{Protocol, serve};
use super::{Running, Target, Transport, Wish};
use crate::client::Dialogue;
use crate::client::connections::Secure;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CipherSuite, ClientConfig, RootCertStore, SupportedProtocolVersion};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// What openssl is told of the certificate: it is a server's, and leads to itself.
const CERTIFICATE: &str = "\
[req]
distinguished_name = name
x509_extensions = extensions
prompt = no
[name]
CN = localhost
[extensions]
basicConstraints = critical,CA:FALSE
subjectAltName = DNS:localhost,IP:127.0.0.1
";

/// The binary `switchboard`, spoken to in one version of TLS.
#[derive(Debug)]
pub struct SecureSwitchboard {
    program: PathBuf,
    name: &'static str,
    files: Files,
    config: Arc<ClientConfig>,
}

/// The target of this name, if it is one of these. openssl makes its certificate.
pub fn by_name(name: &str, program: &Path) -> Option<Result<SecureSwitchboard, String>> {
    let (name, version) = match name {
        "switchboard-tls" => ("switchboard-tls", &rustls::version::TLS13),
        "switchboard-tls12" => ("switchboard-tls12", &rustls::version::TLS12),
        _ => return None,
    };
    let made = Files::make().and_then(|files| {
        let config = Arc::new(client(&files.certificate(), version)?);
        Ok(SecureSwitchboard { program: program.to_owned(), name, files, config })
    });
    Some(made)
}

impl Target for SecureSwitchboard {
    fn name(&self) -> String {
        self.name.into()
    }

    fn start(&self, wish: &Wish) -> Result<Running, String> {
        let mut command = serve(&self.program, wish);
        command.env("SWITCHBOARD_TLS_LISTEN", "127.0.0.1:0");
        command.env("SWITCHBOARD_TLS_CERTIFICATE", self.files.certificate());
        command.env("SWITCHBOARD_TLS_KEY", self.files.key());
        Running::announced_secure(command, wish.cpu)
    }

    fn subscription(&self, transport: Transport, channel: &str) -> Option<Dialogue> {
        Some(Protocol::local().subscription(transport, channel))
    }

    fn position(&self, running: &Running, channel: &str) -> Result<String, String> {
        Protocol::local().position(running, channel)
    }

    fn resumption(&self, transport: Transport, channel: &str, position: &str) -> Option<Dialogue> {
        Protocol::local().resumption(transport, channel, position)
    }

    fn publication(&self, channel: &str, payload: &[u8]) -> Vec<u8> {
        Protocol::local().publication(channel, payload)
    }

    fn publishing_address(&self, running: &Running) -> SocketAddr {
        running.plain
    }

    fn secure(&self, _: Transport) -> Option<Secure> {
        let name = ServerName::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
        Some(Secure { subscribers: Arc::clone(&self.config), publishers: None, name })
    }
}

/// A client that trusts this certificate alone, and likes best what browsers do: AES with keys of 128 bits.
fn client(certificate: &Path, version: &'static SupportedProtocolVersion) -> Result<ClientConfig, String> {
    let mut provider = rustls::crypto::ring::default_provider();
    let short = [CipherSuite::TLS13_AES_128_GCM_SHA256, CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256];
    provider.cipher_suites.sort_by_key(|suite| !short.contains(&suite.suite()));
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(certificate).map_err(|error| error.to_string())?;
    roots.add(certificate).map_err(|error| error.to_string())?;
    let builder = ClientConfig::builder_with_provider(Arc::new(provider)).with_protocol_versions(&[version]);
    let mut config = builder.map_err(|error| error.to_string())?.with_root_certificates(roots).with_no_client_auth();
    // Every connection is a new one's.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}

/// A certificate and its key, in a directory that goes with this.
#[derive(Debug)]
struct Files {
    directory: PathBuf,
}

impl Files {
    fn make() -> Result<Files, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("switchboard-bench-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let files = Files { directory: std::env::temp_dir().join(name) };
        let write = fs::create_dir_all(&files.directory).and_then(|()| fs::write(files.request(), CERTIFICATE));
        write.map_err(|error| format!("{}: {error}", files.directory.display()))?;
        let words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"];
        let mut command = Command::new("openssl");
        command.args(words).arg("-config").arg(files.request());
        command.arg("-keyout").arg(files.key()).arg("-out").arg(files.certificate());
        let output = command.output().map_err(|error| format!("openssl, which is to make a certificate: {error}"))?;
        match output.status.success() {
            true => Ok(files),
            false => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
        }
    }

    fn request(&self) -> PathBuf {
        self.directory.join("certificate.conf")
    }

    fn certificate(&self) -> PathBuf {
        self.directory.join("certificate.pem")
    }

    fn key(&self) -> PathBuf {
        self.directory.join("key.pem")
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
