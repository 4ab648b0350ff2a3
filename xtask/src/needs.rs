//! What the tests need of the machine besides Rust. What is absent is installed as Debian packages, so that a fresh
//! machine passes; where that is impossible the run stops and says what to install.

use crate::program::{ask, is_installed, run};
use crate::steps::{Failure, Outcome};
use std::path::Path;

/// Something that tests run, how to see that it is there, and the Debian packages that bring it.
struct Need {
    name: &'static str,
    is_there: fn() -> bool,
    packages: &'static [&'static str],
}

/// Versions are the lowest for which the clients under `conformance` are made.
const NEEDS: &[Need] = &[
    Need { name: "curl", is_there: || is_installed("curl"), packages: &["curl"] },
    Need { name: "openssl", is_there: || is_installed("openssl"), packages: &["openssl"] },
    Need { name: "sslscan", is_there: || is_installed("sslscan"), packages: &["sslscan"] },
    Need { name: "nghttp", is_there: || is_installed("nghttp"), packages: &["nghttp2-client"] },
    Need { name: "nghttpx", is_there: || is_installed("nghttpx"), packages: &["nghttp2-proxy"] },
    Need { name: "valgrind", is_there: || is_installed("valgrind"), packages: &["valgrind"] },
    Need { name: "Node.js 20.18.1 or newer", is_there: node, packages: &["nodejs"] },
    Need { name: "npm", is_there: || is_installed("npm"), packages: &["npm"] },
    Need { name: "Python 3.11 or newer with venv", is_there: python, packages: &["python3", "python3-venv"] },
    Need { name: "Chromium", is_there: chromium, packages: &["chromium"] },
    // With the configurations that Debian's packages bring, which are what the tests add to.
    Need { name: "nginx", is_there: || is_service("nginx", "/etc/nginx/nginx.conf"), packages: &["nginx"] },
    Need { name: "HAProxy", is_there: || is_service("haproxy", "/etc/haproxy/haproxy.cfg"), packages: &["haproxy"] },
    Need { name: "OpenSSL's command", is_there: || is_installed("openssl"), packages: &["openssl"] },
    Need { name: "slowhttptest", is_there: || is_installed("slowhttptest"), packages: &["slowhttptest"] },
];

fn node() -> bool {
    ask("node", &["-p", "process.versions.node"]).is_some_and(|version| is_enough(&version))
}

/// Whether a version of Node.js is 20.18.1 or newer.
fn is_enough(version: &str) -> bool {
    let numbers: Vec<u32> = version.split('.').map_while(|number| number.parse().ok()).collect();
    numbers >= vec![20, 18, 1]
}

fn python() -> bool {
    ask("python3", &["-c", "import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))"]).is_some()
}

fn chromium() -> bool {
    std::env::var_os("CHROMIUM").is_some()
        || ["chromium", "chromium-browser", "google-chrome"].map(is_installed).contains(&true)
}

/// Whether a program is there that Debian puts where only root's `PATH` leads, and its configuration.
fn is_service(program: &str, configuration: &str) -> bool {
    let is_there = is_installed(program) || Path::new("/usr/sbin").join(program).is_file();
    is_there && Path::new(configuration).is_file()
}

/// Installs what is absent.
pub(crate) fn install() -> Result<Outcome, Failure> {
    let wanted = absent(NEEDS);
    if wanted.is_empty() {
        println!("    there: {}", names(NEEDS));
        return Ok(Outcome::Passed);
    }
    let hint = format!("install {} in your system's way, then run this again", names(wanted.iter().copied()));
    if !is_installed("apt-get") {
        return Err(Failure::new(format!("absent: {}", names(wanted.iter().copied())), hint));
    }
    let packages: Vec<&str> = wanted.iter().flat_map(|need| need.packages).copied().collect();
    let is_root = ask("id", &["-u"]).as_deref() == Some("0");
    if !is_root && !is_installed("sudo") {
        return Err(Failure::new("installing packages takes root or sudo, and neither is to be had", hint));
    }
    apt_get(is_root, &["update"], &hint)?;
    let install = [&["install", "--yes", "--no-install-recommends"], &packages[..]].concat();
    apt_get(is_root, &install, &hint)?;
    match absent(NEEDS)[..] {
        [] => Ok(Outcome::Passed),
        ref wanted => {
            let names = names(wanted.iter().copied());
            Err(Failure::new(format!("absent even after its Debian package was installed: {names}"), hint))
        }
    }
}

fn apt_get(is_root: bool, arguments: &[&str], hint: &str) -> Result<(), Failure> {
    // A mirror may be slow, and a system that has just started may be installing something itself.
    let options = ["-o", "Acquire::Retries=5", "-o", "DPkg::Lock::Timeout=300"];
    let line = [&["DEBIAN_FRONTEND=noninteractive", "apt-get"], &options[..], arguments].concat();
    match is_root {
        true => run("env", &line, hint),
        // `--non-interactive`: a password cannot be typed here, so a prompt would hang.
        false => run("sudo", &[&["--non-interactive", "env"], &line[..]].concat(), hint),
    }
}

fn absent(needs: &[Need]) -> Vec<&Need> {
    needs.iter().filter(|need| !(need.is_there)()).collect()
}

fn names<'a>(needs: impl IntoIterator<Item = &'a Need>) -> String {
    needs.into_iter().map(|need| need.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_absent_is_installed() {
        let here = Need { name: "here", is_there: || true, packages: &["a"] };
        let away = Need { name: "away", is_there: || false, packages: &["b"] };
        assert_eq!(names(absent(&[here, away])), "away");
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        assert!(["20.18.1", "20.19.0", "22.1.0", "100.0.0"].map(is_enough).iter().all(|enough| *enough));
        assert!(!["18.20.4", "20.18.0", "9.11.2", ""].map(is_enough).contains(&true));
    }
}
