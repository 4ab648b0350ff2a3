//! The fuzz targets under libFuzzer: what `fuzz/README.md` tells.

use crate::program::{ask, cargo, root, run};
use crate::steps::Failure;
use std::path::Path;

/// How long a target runs where nothing else is said, in seconds.
const SECONDS: &str = "600";

/// The longest input, in bytes: long enough for what the targets look for, and short inputs are tried more often.
const LONGEST: &str = "-max_len=2048";

/// The longest input that is kept, in bytes, so that a corpus can be read.
const LONGEST_KEPT: &str = "-max_len=400";

/// Runs one target, or each of them in turn.
pub(crate) fn fuzz(words: &[&str]) -> Result<(), Failure> {
    let (target, seconds) = match words {
        [] => (None, SECONDS),
        [target] => (Some(*target), SECONDS),
        [target, seconds, ..] => (Some(*target), *seconds),
    };
    if seconds.parse::<u32>().is_err() {
        return Err(Failure::new(format!("`{seconds}` is no number of seconds"), "cargo xtask fuzz TARGET SECONDS"));
    }
    for target in chosen(target)? {
        let folder = inputs(&target)?;
        let time = format!("-max_total_time={seconds}");
        let dictionary = format!("fuzz/dictionaries/{target}.dict");
        let words = format!("-dict={dictionary}");
        let mut arguments = vec![&*target, &folder, "--", &time, LONGEST, "-timeout=20", "-print_final_stats=1"];
        if root().join(&dictionary).is_file() {
            arguments.push(&words);
        }
        cargo_fuzz("run", &arguments, "replay the input that is named above; put it into fuzz/regressions, and mend")?;
    }
    Ok(())
}

/// Makes the corpora in the repository of what was found since: few inputs that reach all that the many reach.
pub(crate) fn keep(words: &[&str]) -> Result<(), Failure> {
    for target in chosen(words.first().copied())? {
        let (found, kept) = (inputs(&target)?, format!("fuzz/target/kept/{target}"));
        let failed = |error: std::io::Error| Failure::new(format!("{kept}: {error}"), "look at the folder");
        let folder = root().join(&kept);
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(failed)?;
        }
        std::fs::create_dir_all(&folder).map_err(failed)?;
        let arguments = [&*target, &kept, &found, "--", "-set_cover_merge=1", LONGEST_KEPT];
        cargo_fuzz("run", &arguments, "run the target alone: an input that is there fails")?;
        corpus("pack", &target, &kept)?;
    }
    Ok(())
}

/// The folder of a target's inputs, with those that the repository has laid out in it.
fn inputs(target: &str) -> Result<String, Failure> {
    let folder = format!("fuzz/target/corpus/{target}");
    corpus("unpack", target, &folder)?;
    Ok(folder)
}

fn corpus(what: &str, target: &str, folder: &str) -> Result<(), Failure> {
    let package = ["run", "--quiet", "--package", "switchboard-fuzzing", "--bin", "corpus", "--"];
    run(&cargo(), &[&package[..], &[what, target, folder]].concat(), "look at the corpus that is named above")
}

/// The target of this name, or all.
fn chosen(target: Option<&str>) -> Result<Vec<String>, Failure> {
    if ask("cargo", &["+nightly", "fuzz", "--version"]).is_none() {
        let hint = "rustup toolchain install nightly && cargo install --locked cargo-fuzz, then run this again";
        return Err(Failure::new("fuzzing takes a nightly compiler and cargo-fuzz, and they are not there", hint));
    }
    let all = targets(&root().join("fuzz/fuzz_targets"))?;
    match target {
        None => Ok(all),
        Some(target) if all.iter().any(|other| other == target) => Ok(vec![target.to_owned()]),
        Some(target) => {
            Err(Failure::new(format!("there is no target `{target}`"), format!("one of: {}", all.join(", "))))
        }
    }
}

/// The targets there are, in order.
fn targets(folder: &Path) -> Result<Vec<String>, Failure> {
    let listed = std::fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let paths: Vec<_> = listed
        .map_err(|error| Failure::new(format!("{} cannot be read: {error}", folder.display()), "look at the folder"))?;
    let mut names: Vec<String> =
        paths.iter().filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.sort();
    Ok(names)
}

fn cargo_fuzz(what: &str, arguments: &[&str], hint: &str) -> Result<(), Failure> {
    run("cargo", &[&["+nightly", "fuzz", what], arguments].concat(), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found_by_their_files() {
        let targets = targets(&root().join("fuzz/fuzz_targets")).unwrap();
        assert!(targets.iter().any(|target| target == "sse") && targets.is_sorted(), "{targets:?}");
    }

    #[test]
    fn what_is_no_number_of_seconds_is_refused_before_anything_runs() {
        assert!(fuzz(&["sse", "long"]).unwrap_err().what.contains("`long`"));
    }
}
