//! `wire` and `hub` decide and touch nothing: no clock, no thread, no socket, no file. That is what lets whole
//! conversations run in tests with a virtual clock, and the crates build for the browser.

use super::Finding;
use super::source::{Source, is_word};

const PURE: &[&str] = &["crates/wire/src/", "crates/hub/src/"];

/// What the pure crates may not name, and what to do instead.
const FORBIDDEN: &[(&str, &str)] = &[
    ("std::time::Instant", "time is an argument: take `now` in milliseconds"),
    ("std::time::SystemTime", "time is an argument: take `now` in milliseconds"),
    ("std::time::*", "name what is imported: `Duration` is allowed, clocks are not"),
    ("std::net", "sockets belong to crates/server: take and give bytes"),
    ("std::os", "the operating system belongs to crates/server"),
    ("std::fs", "files belong to crates/store"),
    ("std::env", "settings arrive resolved, as arguments"),
    ("std::process", "processes belong to the cli and to tests"),
    ("std::thread", "threads belong to crates/server: a caller drives, and owns what it drives"),
    ("std::io::stdin", "input belongs to the cli: take bytes"),
    ("std::io::stdout", "output belongs to the cli: give bytes"),
    ("std::io::stderr", "return an error value; the server logs"),
    ("tokio", "no runtime here: `handle` what arrives and return what to do; crates/server drives"),
    ("mio", "no sockets here: crates/server drives"),
    ("socket2", "no sockets here: crates/server drives"),
    ("rustix", "the operating system belongs to crates/server"),
];

/// What of the above is plain data, and may be named.
const ALLOWED: &[&str] = &["std::net::IpAddr", "std::net::Ipv4Addr", "std::net::Ipv6Addr", "std::net::SocketAddr"];

/// Appends what a file of the pure crates names and may not.
pub(crate) fn check(source: &Source, findings: &mut Vec<Finding>) {
    if !PURE.iter().any(|folder| source.path.starts_with(folder)) {
        return;
    }
    for (line, path) in named_paths(source) {
        if ALLOWED.iter().any(|allowed| is_within(&path, allowed)) {
            continue;
        }
        if let Some((forbidden, instead)) = FORBIDDEN.iter().find(|(forbidden, _)| is_within(&path, forbidden)) {
            let what = format!("`{forbidden}` in a pure crate: {instead}");
            findings.push(Finding { path: source.path.clone(), line, what });
        }
    }
    findings.dedup();
}

/// Whether a path is the forbidden one or leads on from it. `core` has what `std` has of these.
fn is_within(path: &str, forbidden: &str) -> bool {
    let path = path.strip_prefix("core::").map_or(path.to_owned(), |rest| format!("std::{rest}"));
    path.strip_prefix(forbidden).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Every path that code outside tests names, with its line.
fn named_paths(source: &Source) -> Vec<(usize, String)> {
    let mut paths = Vec::new();
    let mut import: Option<(usize, String)> = None;
    for (at, line) in source.lines.iter().enumerate().filter(|(_, line)| !line.is_test) {
        if import.is_none() && begins_import(&line.code) {
            import = Some((at + 1, String::new()));
        }
        let Some((start, tree)) = &mut import else {
            paths.extend(inline_paths(&line.code).map(|path| (at + 1, path)));
            continue;
        };
        tree.push_str(&line.code);
        tree.push(' ');
        if line.code.contains(';') {
            let tree = tree.split(';').next().unwrap_or_default();
            let tree = tree.split_once("use ").map_or(tree, |(_, tree)| tree);
            let mut expanded = Vec::new();
            expand("", tree, &mut expanded);
            paths.extend(expanded.into_iter().map(|path| (*start, path)));
            import = None;
        }
    }
    paths
}

fn begins_import(code: &str) -> bool {
    let code = code.trim_start();
    code.starts_with("use ") || (code.starts_with("pub") && code.contains(" use "))
}

/// Appends each path of an import tree: `a::{b, c::{d, self}}` is `a::b`, `a::c::d`, `a::c`.
fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let tree = tree.trim().trim_start_matches("::");
    if let Some((head, rest)) = tree.split_once('{') {
        let inner = rest.trim_end().strip_suffix('}').unwrap_or(rest);
        let prefix = format!("{prefix}{}", head.replace(' ', ""));
        top_level_parts(inner).for_each(|part| expand(&prefix, part, paths));
        return;
    }
    let leaf = tree.split(" as ").next().unwrap_or_default().trim();
    match leaf {
        "" => {}
        "self" => paths.push(prefix.trim_end_matches("::").to_owned()),
        leaf => paths.push(format!("{prefix}{leaf}")),
    }
}

/// The parts between commas that stand in no braces.
fn top_level_parts(tree: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    tree.split(move |c| {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
}

/// The paths written out in a line of code: what has `::` in it.
fn inline_paths(code: &str) -> impl Iterator<Item = String> + '_ {
    code.split(|c| !is_word(c) && c != ':')
        .filter(|word| word.contains("::"))
        .map(|word| word.trim_start_matches(':').to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::source::read;
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check(&read(path, text), &mut findings);
        findings.iter().map(|f| f.what.split('`').nth(1).unwrap().to_owned()).collect()
    }

    #[test]
    fn clocks_sockets_files_and_runtimes_are_refused_however_they_are_named() {
        let hub = |text| found("crates/hub/src/x.rs", text);
        assert_eq!(hub("use std::time::Instant;"), ["std::time::Instant"]);
        assert_eq!(hub("use std::{fmt, time::{Duration, SystemTime as T}};"), ["std::time::SystemTime"]);
        assert_eq!(hub("pub(crate) use std::{\n    net,\n    fs::{self, File},\n};")[..1], ["std::net"]);
        assert_eq!(hub("fn f() { let t = std::time::Instant::now(); }"), ["std::time::Instant"]);
        assert_eq!(hub("fn f() -> ::core::net::TcpStream {}"), ["std::net"]);
        assert_eq!(hub("use std::net::*;"), ["std::net"]);
        assert_eq!(hub("use tokio::sync::mpsc;"), ["tokio"]);
        assert_eq!(hub("use std::time::*;"), ["std::time::*"]);
    }

    #[test]
    fn what_only_looks_alike_passes() {
        let hub = |text| found("crates/hub/src/x.rs", text);
        assert!(hub("use std::time::Duration;\nuse std::network::X;\nuse crate::tokio_like::Y;").is_empty());
        assert!(hub("use std::net::{IpAddr, Ipv4Addr};").is_empty());
        assert!(hub("// use std::net::X;\nlet s = \"tokio::spawn\";").is_empty());
        assert!(hub("#[cfg(test)]\nmod tests {\n    use std::thread;\n}").is_empty());
        assert!(found("crates/server/src/x.rs", "use std::net::TcpStream;").is_empty());
    }

    #[test]
    fn trees_expand_to_their_leaves() {
        let mut paths = Vec::new();
        expand("", "a::{b, c::{d, self}, e::{f::{g}, h}}", &mut paths);
        assert_eq!(paths, ["a::b", "a::c::d", "a::c", "a::e::f::g", "a::e::h"]);
    }
}
