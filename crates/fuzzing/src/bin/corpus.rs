//! Lays a target's inputs out as the files that libFuzzer reads, and writes them back as text.
#![allow(clippy::print_stderr, reason = "a command speaks to the person who ran it")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use switchboard_fuzzing::corpus;

/// Most bytes of text that one target's corpus takes in the repository. Shorter inputs come first.
const MOST: usize = 64 << 10;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["unpack", target, folder] => unpack(target, Path::new(folder)),
        ["pack", target, folder] => pack(target, Path::new(folder)),
        _ => Err("say `unpack TARGET FOLDER` or `pack TARGET FOLDER`".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

fn file(kind: &str, target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz").join(kind).join(format!("{target}.txt"))
}

/// Writes each input of the corpus and of the regressions to a file of its own; what is in the folder stays.
fn unpack(target: &str, folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    for kind in ["corpus", "regressions"] {
        let path = file(kind, target);
        // A target that is new has no corpus, and most have no regressions.
        let text = if path.exists() { std::fs::read_to_string(&path) } else { Ok(String::new()) };
        let text = text.map_err(|error| failed(&path, &error))?;
        for (at, (_, input)) in corpus::read(&text).into_iter().enumerate() {
            let path = folder.join(format!("{kind}-{at:04}"));
            std::fs::write(&path, input).map_err(|error| failed(&path, &error))?;
        }
    }
    Ok(())
}

/// Writes the files of a folder as the target's corpus.
fn pack(target: &str, folder: &Path) -> Result<(), String> {
    let inputs: Result<Vec<Vec<u8>>, std::io::Error> =
        std::fs::read_dir(folder).and_then(|entries| entries.map(|entry| std::fs::read(entry?.path())).collect());
    let inputs = inputs.map_err(|error| failed(folder, &error))?;
    let mut lines: Vec<String> = inputs.iter().map(|input| corpus::escape(input)).collect();
    lines.sort_by_key(|line| (line.len(), line.clone()));
    lines.dedup();
    let mut room = MOST;
    let kept = lines.iter().take_while(|line| {
        let fits = line.len() < room;
        room = room.saturating_sub(line.len() + 1);
        fits
    });
    let text: String = kept.map(|line| format!("{line}\n")).collect();
    let path = file("corpus", target);
    std::fs::write(&path, text).map_err(|error| failed(&path, &error))
}

fn failed(path: &Path, error: &std::io::Error) -> String {
    format!("{}: {error}", path.display())
}
