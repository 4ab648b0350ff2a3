//! `serve --check` and `--print-config`: the configuration as a user meets it.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails the test")]

mod support;

use std::path::PathBuf;
use support::{Said, run, switchboard};

/// A file that is removed when dropped.
struct File(PathBuf);

impl File {
    fn new(name: &str, text: &str) -> File {
        let path = std::env::temp_dir().join(format!("switchboard-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        File(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn a_fine_configuration_is_said_to_be_fine() {
    let file = File::new("fine.toml", "listen = [\"127.0.0.1:0\", \"[::1]:0\"]\n[limits]\nmessage = \"2 MiB\"\n");
    let said = run(&["serve", "--config", file.path(), "--check"]);
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(0), "configuration is fine\n", ""));
}

#[test]
fn a_warning_is_told_and_the_configuration_is_fine() {
    let said = run(&["serve", "--message-limit", "9MiB", "--heartbeat", "50ms", "--check"]);
    assert_eq!((said.code, said.out.as_str()), (Some(0), "configuration is fine\n"));
    for warning in ["warning: --message-limit: `limits.message` is 9MiB", "warning: --heartbeat: `heartbeat` is 50ms"] {
        assert!(said.err.contains(warning), "{}", said.err);
    }
    let said = run(&["serve", "--message-limit", "1GiB", "--check"]);
    assert_eq!(said.code, Some(2));
    assert!(said.err.contains("more than `memory.bytes` with 256MiB"), "{}", said.err);
}

#[test]
fn all_that_is_wrong_is_told_at_once_with_its_place() {
    let file = File::new(
        "wrong.toml",
        "hartbeat = \"1s\"\n\n[[channel]]\npattern = \"orders/**\"\nclass = \"durable\"\n\n[limits]\nmessage = \"8M\"\n",
    );
    let mut command = switchboard(&["serve", "--config", file.path(), "--listen", "0.0.0.0:80", "--check"]);
    let said: Said = command.env("SWITCHBOARD_DRIAN", "3s").output().unwrap().into();
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    for problem in [
        format!("{}:1: unknown key `hartbeat`; did you mean `heartbeat`?", file.path()),
        format!("{}:5: class `durable` does not exist yet", file.path()),
        format!("{}:8: `limits.message`: `8M` could be two sizes", file.path()),
        "SWITCHBOARD_DRIAN: no setting has this name; did you mean `SWITCHBOARD_DRAIN`?".to_owned(),
        "--listen: 0.0.0.0:80 can be reached from other machines".to_owned(),
    ] {
        assert!(said.err.contains(&problem), "{problem}\n{}", said.err);
    }
    assert!(said.err.starts_with("switchboard: 5 problems"), "{}", said.err);
    assert!(said.err.contains("--insecure"), "{}", said.err);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let said = run(&["serve", "--config", "/none/such.toml", "--check"]);
    assert_eq!(said.code, Some(2));
    assert_eq!(said.err, "switchboard: /none/such.toml cannot be read: no such file or directory\n");
}

#[test]
fn what_is_printed_can_be_read_and_prints_the_same() {
    let mut command = switchboard(&["serve", "--drain", "3s", "--print-config"]);
    let first: Said = command.env("SWITCHBOARD_LIMITS_MESSAGE", "3MiB").output().unwrap().into();
    assert_eq!((first.code, first.err.as_str()), (Some(0), ""));
    assert!(first.out.contains("drain = \"3s\"  # flag --drain\n"), "{}", first.out);
    assert!(first.out.contains("message = \"3MiB\"  # environment SWITCHBOARD_LIMITS_MESSAGE\n"), "{}", first.out);
    let file = File::new("printed.toml", &first.out);
    let second = run(&["serve", "--config", file.path(), "--print-config"]);
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  # ").next().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(values(&first.out), values(&second.out));
    assert!(second.out.contains(&format!("# file {}:", file.path())), "{}", second.out);
}

#[test]
fn the_surroundings_of_a_container_are_no_settings() {
    let mut command = switchboard(&["--check"]);
    command.env("SWITCHBOARD_PORT", "tcp://10.0.0.1:8000").env("SWITCHBOARD_SERVICE_HOST", "10.0.0.1");
    let said: Said = command.output().unwrap().into();
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[test]
fn the_version_and_the_completions_are_printed() {
    let said = run(&["--version"]);
    assert_eq!((said.code, said.out), (Some(0), format!("switchboard {}\n", env!("CARGO_PKG_VERSION"))));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = run(&["completions", shell]);
        assert!(said.code == Some(0) && said.out.contains("print-config"), "{shell}");
    }
}
