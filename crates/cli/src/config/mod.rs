//! Configuration in two steps: as [`written`] by flags, environment and file, and as [`meant`].

pub mod access;
mod application;
pub mod environment;
mod file;
mod listening;
pub mod meant;
mod presence;
mod print;
pub mod restart;
mod site;
mod suggest;
pub mod value;
mod warnings;
pub mod written;

pub use print::print;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use written::{Problem, Written};

/// What was written by everyone, merged, and what it means, or all that is wrong with it.
pub fn read(
    flags: (Written, Vec<Problem>),
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    path: Option<&Path>,
) -> (Written, Result<meant::Meant, Vec<Problem>>) {
    let (flags, mut problems) = flags;
    let (environment, wrong) = environment::read(variables);
    problems.extend(wrong);
    let (file, wrong) = path.map(read_file).unwrap_or_default();
    problems.extend(wrong);
    let written = flags.over(environment).over(file).over(meant::defaults());
    let meant = match meant::resolve(&written) {
        Ok(meant) if problems.is_empty() => Ok(meant),
        Ok(_) => Err(problems),
        Err(wrong) => {
            problems.extend(wrong);
            Err(problems)
        }
    };
    (written, meant)
}

fn read_file(path: &Path) -> (Written, Vec<Problem>) {
    let shown = path.display().to_string();
    match std::fs::read(path).map(String::from_utf8) {
        Ok(Ok(text)) => file::read(&shown, &text),
        Ok(Err(_)) => (Written::default(), vec![Problem::anywhere(format!("{shown} is not UTF-8, and TOML must be"))]),
        Err(error) => (
            Written::default(),
            vec![Problem::anywhere(format!("{shown} cannot be read: {}", crate::failure::plain(&error)))],
        ),
    }
}

/// Why an address is refused in open mode, and what to do.
pub fn public_address(address: SocketAddr) -> String {
    let port = address.port();
    format!(
        "{address} can be reached from other machines, and nothing about authentication is configured: whoever reaches it \
         could read and publish everything. Listen on 127.0.0.1:{port}, or say --insecure (key `insecure`) if that is meant"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use written::{Origin, SETTINGS};

    #[test]
    fn flags_go_before_the_environment_before_the_file_before_defaults() {
        let dir = std::env::temp_dir().join(format!("switchboard-config-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("s.toml");
        std::fs::write(&path, "drain = \"3s\"\nretry = \"3s\"\nheartbeat = \"3s\"\n").unwrap();
        let mut flags = Written::default();
        let setting = |key: &str| SETTINGS.iter().find(|setting| setting.key == key).unwrap();
        (setting("drain").read_text)(&mut flags, "1s", Origin::Flag("--drain")).unwrap();
        let variables = [("SWITCHBOARD_DRAIN", "2s"), ("SWITCHBOARD_RETRY", "2s")].map(|(n, v)| (n.into(), v.into()));
        let (written, meant) = read((flags, Vec::new()), variables, Some(&path));
        let meant = meant.unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
        let seconds = |span: std::time::Duration| span.as_secs();
        let server = &meant.server;
        assert_eq!([seconds(server.drain), seconds(server.retry), seconds(server.heartbeat)], [1, 2, 3]);
        assert_eq!(server.timeouts.wait, switchboard::Config::default().timeouts.wait);
        assert_eq!(written.heartbeat.unwrap().origin, Origin::File(path.display().to_string().into(), 3));
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let variables = [("SWITCHBOARD_DRAIN".into(), "2".into())];
        let problems =
            read((Written::default(), Vec::new()), variables, Some(Path::new("/none/such.toml"))).1.unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
    }
}
