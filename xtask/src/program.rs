//! Other programs: whether they are there, and running them in the project's folder.

use crate::steps::Failure;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The top folder of the project.
pub(crate) fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or(here.clone(), PathBuf::from)
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".into())
}

/// Runs a program to its end with its output shown as it comes; a refusal carries the hint.
pub(crate) fn run(program: &str, arguments: &[&str], hint: &str) -> Result<(), Failure> {
    run_in(".", &[], program, arguments, hint)
}

/// The same in a folder of the project, with these variables in the program's environment.
pub(crate) fn run_in(
    folder: &str,
    variables: &[(&str, &Path)],
    program: &str,
    arguments: &[&str],
    hint: &str,
) -> Result<(), Failure> {
    let line = format!("{} {}", short(program), arguments.join(" "));
    match folder {
        "." => println!("    $ {line}"),
        _ => println!("    {folder}$ {line}"),
    }
    let mut command = Command::new(program);
    command.args(arguments).envs(variables.iter().copied()).current_dir(root().join(folder)).stdin(Stdio::null());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("`{line}` ended with {status}"), hint)),
        Err(error) => Err(Failure::new(format!("`{line}` could not be started: {error}"), hint)),
    }
}

/// What a program says when asked, without line breaks around it; `None` if it is absent or refuses.
pub(crate) fn ask(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(root()).stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What a program says on its standard error, whatever comes of it; `None` if it cannot be started.
pub(crate) fn ask_stderr(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).current_dir(root()).stdin(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Where cargo puts what it builds.
pub(crate) fn target_directory() -> PathBuf {
    let metadata = ask(&cargo(), &["metadata", "--format-version", "1", "--no-deps"]);
    let named = metadata
        .as_deref()
        .and_then(|metadata| metadata.split_once("\"target_directory\":\"")?.1.split('"').next())
        .map(PathBuf::from);
    named.unwrap_or_else(|| root().join("target"))
}

/// Whether a program of this name can be found in `PATH`.
pub(crate) fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

fn short(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_absent_or_refuses_is_an_error_with_the_hint() {
        assert!(is_installed("sh") && !is_installed("no-such-program"));
        assert_eq!(ask("sh", &["-c", "echo hello"]).as_deref(), Some("hello"));
        assert_eq!(ask("sh", &["-c", "exit 3"]), None);
        let failure = run("sh", &["-c", "exit 3"], "the hint").unwrap_err();
        assert!(failure.what.contains("exit status: 3") && failure.hint == "the hint", "{failure}");
        assert!(run("no-such-program", &[], "x").unwrap_err().what.contains("could not be started"));
    }

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("rust-toolchain.toml").is_file());
    }
}
