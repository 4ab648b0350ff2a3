//! Gets a peer onto this machine, into a folder under `target`. Nothing is installed on the system.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::description::{Described, Values};

/// A peer that can be started.
#[derive(Clone, Debug)]
pub struct Installed {
    pub peer: Described,
    /// What was installed is here.
    pub out: PathBuf,
    pub version: String,
}

/// Written last, so that an install that was cut off is made again.
const STAMP: &str = "installed";

/// Gets the peer, unless the same was got before. An error is the reason why it cannot be had here.
pub(super) fn install(peer: Described, folder: &Path) -> Result<Installed, String> {
    let out = folder.join(peer.key());
    let recipe = recipe(&peer.folder)?;
    if fs::read_to_string(out.join(STAMP)).is_ok_and(|done| done == recipe) {
        return installed(peer, out);
    }
    // What an older recipe left would be taken for this one's.
    let _ = fs::remove_dir_all(&out);
    fs::create_dir_all(&out).map_err(|error| format!("{}: {error}", out.display()))?;
    // npm installs nothing into a folder that it is told by way of a link.
    let out = out.canonicalize().map_err(|error| format!("{}: {error}", out.display()))?;
    for package in &peer.description.install.debian {
        unpack(package, &out)?;
    }
    for file in &peer.description.install.copy {
        fs::copy(peer.folder.join(file), out.join(file)).map_err(|error| format!("{file}: {error}"))?;
    }
    let values = Values::default().with("here", peer.folder.display()).with("out", out.display());
    for step in &peer.description.install.steps {
        let step: Vec<String> = step.iter().map(|word| values.fill(word)).collect();
        run(&step, &peer.folder)?;
    }
    fs::write(out.join(STAMP), recipe).map_err(|error| format!("{}: {error}", out.display()))?;
    installed(peer, out)
}

fn installed(peer: Described, out: PathBuf) -> Result<Installed, String> {
    let version = match (&peer.description.version, peer.description.install.debian.last()) {
        (Some(version), _) => version.clone(),
        (None, Some(package)) => {
            let archive = archive(package, &out).ok_or_else(|| format!("the archive of {package} is gone"))?;
            let version =
                run(&["dpkg-deb".as_ref(), "--field".as_ref(), archive.as_os_str(), "Version".as_ref()], &out)?;
            format!("{} (Debian)", version.trim())
        }
        (None, None) => return Err("its description names no version".into()),
    };
    Ok(Installed { peer, out, version })
}

/// All that decides what is installed: the texts of the folder.
fn recipe(folder: &Path) -> Result<String, String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            match path.is_dir() {
                true => folders.push(path),
                false => files.push(path),
            }
        }
    }
    files.sort();
    let texts =
        files.iter().map(|file| fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display())));
    texts.collect()
}

/// Downloads a Debian package and unpacks it, without asking for root and without starting what it brings.
fn unpack(package: &str, out: &Path) -> Result<(), String> {
    run(&["apt-get", "download", package], out)?;
    let archive = archive(package, out).ok_or_else(|| format!("`apt-get download {package}` brought nothing"))?;
    run(&["dpkg-deb".as_ref(), "--extract".as_ref(), archive.as_os_str(), out.as_os_str()], out).map(drop)
}

fn archive(package: &str, out: &Path) -> Option<PathBuf> {
    let mut paths = fs::read_dir(out).ok()?.flatten().map(|entry| entry.path());
    let begins = format!("{package}_");
    paths.find(|path| path.extension() == Some(OsStr::new("deb")) && name(path).starts_with(&begins))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Runs a command to its end and gives what it printed; an error names the command and the gist of what it said.
fn run<S: AsRef<OsStr>>(words: &[S], folder: &Path) -> Result<String, String> {
    let line = words.iter().map(|word| word.as_ref().to_string_lossy()).collect::<Vec<_>>().join(" ");
    let (program, arguments) = words.split_first().ok_or("an empty command")?;
    let output = Command::new(program).args(arguments).current_dir(folder).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("`{line}` could not be started: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("`{line}` failed: {}", gist(&said)))
}

/// The first line that tells more than that there is an error, else the last.
fn gist(said: &str) -> &str {
    let mut lines = said.lines().map(str::trim);
    let telling = |line: &&str| {
        let words: Vec<_> = line.split_whitespace().collect();
        words.len() > 4 && words.iter().take(2).any(|word| word.to_lowercase().trim_end_matches(':').ends_with("error"))
    };
    lines.find(telling).or_else(|| said.lines().rfind(|line| !line.trim().is_empty())).unwrap_or("it said nothing")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_fails_gives_its_reason() {
        let here = Path::new(".");
        assert_eq!(run(&["echo", "here"], here).unwrap(), "here\n");
        let reason = run(&["sh", "-c", "echo first >&2; echo last >&2; exit 1"], here).unwrap_err();
        assert!(reason.ends_with("failed: last"), "{reason}");
        assert_eq!(
            gist("npm error code EUSAGE\nnpm error\nnpm error the lock file does not fit\nhelp\n"),
            "npm error the lock file does not fit"
        );
        assert_eq!(gist("warning: x\nerror: could not find `y` anywhere\n"), "error: could not find `y` anywhere");
        assert!(run(&["no-such-program"], here).unwrap_err().contains("could not be started"));
    }
}
