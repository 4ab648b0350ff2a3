//! What the tests need of the machine besides Rust. What is absent is installed as Debian packages, so that a fresh
//! machine passes; where that is impossible the run stops and says what to install.

use crate::program::{ask, is_installed, run};
use crate::steps::{Failure, Outcome};

/// A program that tests run, and the Debian package that brings it.
const PROGRAMS: &[(&str, &str)] = &[("curl", "curl"), ("valgrind", "valgrind")];

/// Installs what is absent.
pub(crate) fn install() -> Result<Outcome, Failure> {
    let packages = absent(PROGRAMS, is_installed);
    if packages.is_empty() {
        println!("    there: {}", names(PROGRAMS.iter().map(|(program, _)| *program)));
        return Ok(Outcome::Passed);
    }
    let hint = format!("install {} in your system's way, then run this again", names(packages.iter().copied()));
    if !is_installed("apt-get") {
        return Err(Failure::new(format!("absent: {}", names(packages.iter().copied())), hint));
    }
    let is_root = ask("id", &["-u"]).as_deref() == Some("0");
    if !is_root && !is_installed("sudo") {
        return Err(Failure::new("installing packages takes root or sudo, and neither is to be had", hint));
    }
    apt_get(is_root, &["update"], &hint)?;
    let install = [&["install", "--yes", "--no-install-recommends"], &packages[..]].concat();
    apt_get(is_root, &install, &hint)?;
    match absent(PROGRAMS, is_installed).is_empty() {
        true => Ok(Outcome::Passed),
        false => Err(Failure::new("a program is absent even after its package was installed", hint)),
    }
}

fn apt_get(is_root: bool, arguments: &[&str], hint: &str) -> Result<(), Failure> {
    let line = [&["DEBIAN_FRONTEND=noninteractive", "apt-get"], arguments].concat();
    match is_root {
        true => run("env", &line, hint),
        // `--non-interactive`: a password cannot be typed here, so a prompt would hang.
        false => run("sudo", &[&["--non-interactive", "env"], &line[..]].concat(), hint),
    }
}

/// The packages of the programs that are not there.
fn absent<'a>(programs: &[(&'a str, &'a str)], is_there: impl Fn(&str) -> bool) -> Vec<&'a str> {
    programs.iter().filter(|(program, _)| !is_there(program)).map(|(_, package)| *package).collect()
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_absent_is_installed() {
        let programs = [("here", "a"), ("away", "b")];
        assert_eq!(absent(&programs, |program| program == "here"), ["b"]);
        assert!(absent(&programs, |_| true).is_empty());
    }
}
