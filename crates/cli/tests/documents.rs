//! What the documents say of the command and its configuration is true.
#![allow(clippy::unwrap_used, reason = "a helper that fails fails the test")]

mod support;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use support::{finish, run, switchboard};
use switchboard::application::{sign, verify};
use switchboard::auth::settings::Secret;

fn document(name: &str) -> String {
    std::fs::read_to_string(format!("{}/../../{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The code blocks of a language.
fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    text.split(&*fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// The configuration that holds without any, key by key.
fn printed() -> BTreeMap<String, String> {
    let mut table = String::new();
    let mut values = BTreeMap::new();
    for line in run(&["serve", "--print-config"]).out.lines() {
        if let Some(name) = line.strip_prefix('[') {
            table = format!("{}.", name.trim_end_matches(']'));
        } else if let Some((key, value)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            values.insert(format!("{table}{key}"), value.split("  # ").next().unwrap().to_owned());
        }
    }
    values
}

#[test]
fn the_examples_of_a_configuration_are_fine() {
    for name in ["README.md", "docs/configuration.md"] {
        let text = document(name);
        let examples = blocks(&text, "toml");
        assert!(!examples.is_empty(), "{name}");
        for example in examples {
            let mut child =
                switchboard(&["serve", "--config", "/dev/stdin", "--check"]).stdin(Stdio::piped()).spawn().unwrap();
            child.stdin.take().unwrap().write_all(example.as_bytes()).unwrap();
            let said = finish(child);
            assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{name}: {example}");
        }
    }
}

/// A list of one and the one alone mean the same, and so do 60 s and 1 m.
fn plain(value: &str) -> String {
    value.trim_matches(['[', ']']).replace("\"60s\"", "\"1m\"")
}

#[test]
fn every_key_is_documented_with_its_default_and_no_other() {
    let mut documented = BTreeMap::new();
    let mut table = String::new();
    for line in document("docs/configuration.md").lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            let name = heading.strip_prefix("`[").and_then(|rest| rest.split(']').next());
            table = name.map(|name| format!("{name}.")).unwrap_or_default();
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let ["", key, default, ..] = cells[..]
            && let (Some(key), Some(default)) = (key.strip_prefix('`'), default.strip_prefix('`'))
            && !table.starts_with('[')
        {
            documented.insert(format!("{table}{}", key.trim_end_matches('`')), plain(default.trim_end_matches('`')));
        }
    }
    let printed: BTreeMap<String, String> = printed().into_iter().map(|(key, value)| (key, plain(&value))).collect();
    assert_eq!(documented, printed);
}

#[test]
fn every_flag_that_is_named_exists() {
    let help: String = ["serve", "publish", "tail", "channels", "call", "token", "may"]
        .map(|command| run(&[command, "--help"]).out)
        .concat();
    for name in ["README.md", "docs/configuration.md", "docs/protocol.md", "docs/access.md"] {
        let text = document(name);
        // Flags stand between backticks or on a line of a command; those of curl and cargo have a command of their own.
        let ours = text.lines().filter(|line| !line.contains("curl ") && !line.contains("cargo "));
        for word in ours.flat_map(|line| line.split(['`', ' ', ',', ';', ':', '.', '|', ')', '('])) {
            if word.len() > 2 && word.starts_with("--") && word[2..].starts_with(|c: char| c.is_ascii_lowercase()) {
                assert!(help.contains(&format!("{word} ")) || help.contains(&format!("{word}\n")), "{name}: {word}");
            }
        }
    }
}

#[test]
fn the_readme_asks_whether_a_token_may_as_it_can_be_asked() {
    let english = document("README.md");
    let example = blocks(&english, "toml").into_iter().find(|example| example.contains("[[auth.key]]")).unwrap();
    let file = std::env::temp_dir().join(format!("switchboard-readme-may-{}.toml", std::process::id()));
    std::fs::write(&file, example).unwrap();
    let config = file.to_str().unwrap();
    let token = run(&["token", "--config", config, "--sub", "ann", "--subscribe", "user/{sub}/**"]);
    assert_eq!(token.code, Some(0), "{token:?}");
    for text in [&english, &document("README.zh-CN.md")] {
        let line = text.split('`').find(|code| code.starts_with("switchboard may ")).unwrap();
        let word = |word| match word {
            "FILE" => config,
            "TOKEN" => token.out.trim(),
            other => other,
        };
        let said = run(&line.split_whitespace().skip(1).map(word).collect::<Vec<_>>());
        assert!(said.code == Some(0) && said.out.starts_with("yes: "), "{line}: {said:?}");
    }
    std::fs::remove_file(&file).unwrap();
}

#[test]
fn the_variables_of_the_commands_are_documented_and_serve_leaves_them_alone() {
    let text = document("docs/configuration.md");
    for variable in ["SWITCHBOARD_URL", "SWITCHBOARD_TOKEN", "SWITCHBOARD_CA"] {
        let child = switchboard(&["serve", "--check"]).env(variable, "anything").spawn().unwrap();
        assert_eq!(finish(child).code, Some(0), "{variable}");
        assert!(text.contains(&format!("`{variable}`")), "{variable}");
    }
}

#[test]
fn the_recipe_that_checks_a_webhooks_signature_agrees_with_the_server() {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let text = document("docs/sessions.md");
    let [recipe] = blocks(&text, "python")[..] else { panic!("one recipe") };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let body = "{\"jsonrpc\":\"2.0\",\"method\":\"x\"}";
    let secrets = ["another secret, of more bytes than that", SECRET].map(|text| Secret::new(text.as_bytes()));
    let signed = |seconds| sign(&secrets, seconds, "0001c4f0", "%C3%A4nn", body.as_bytes());
    for (signature, said) in [
        (signed(now), body),
        (signed(now - 200), body),
        (signed(now - 400), body),
        (signed(now), "{}"),
        (sign(&secrets[..1], now, "0001c4f0", "%C3%A4nn", body.as_bytes()), body),
        (sign(&secrets, now, "0001c4f0", "", body.as_bytes()), body),
    ] {
        let headers = format!(
            "{{'Switchboard-Signature': '{signature}', 'Switchboard-Session': '0001c4f0', 'Switchboard-User': '%C3%A4nn'}}"
        );
        let program = format!("{recipe}\nprint(is_ours(b'{SECRET}', {headers}, b'{said}'))");
        let output = Command::new("python3").args(["-c", &program]).output().unwrap();
        let ours = verify(&secrets[1], &signature, ("0001c4f0", "%C3%A4nn", said.as_bytes()), now, 300);
        let expected = if ours { "True\n" } else { "False\n" };
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(ours, said == body && (signature == signed(now) || signature == signed(now - 200)), "{signature}");
    }
}
