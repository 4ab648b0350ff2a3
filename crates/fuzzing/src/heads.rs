//! HTTP heads: one head is the same however it arrives, and what is taken can be read in one way only.

use crate::choices::{Choices, prefixes};
use http::Version;
use switchboard::listen::http1::head;
use switchboard::listen::{Framing, Head};
use switchboard_wire::Code;
use switchboard_wire::code::Problem;

pub(crate) fn run(input: &[u8]) {
    let mut choices = Choices::new(input);
    let max = choices.pick(&[16 << 10, 200, 60]);
    let bytes = choices.rest();
    match head::parse(bytes, max) {
        Ok(Some((head, length))) => {
            assert!(length <= max && length <= bytes.len());
            for end in prefixes(length) {
                assert!(matches!(head::parse(&bytes[..end], max), Ok(None)), "{end} bytes of {length} are not enough");
            }
            let (again, alone) = head::parse(&bytes[..length], max).unwrap().unwrap();
            assert_eq!((alone, describe(&again)), (length, describe(&head)), "what follows does not matter");
            unambiguous(&bytes[..length], &head);
        }
        Ok(None) => {
            assert!(bytes.len() < max);
            for end in prefixes(bytes.len()) {
                assert!(matches!(head::parse(&bytes[..end], max), Ok(None)), "{end} bytes");
            }
        }
        Err(problem) => refused(bytes, max, &problem),
    }
}

/// What is refused when it is whole is refused when it comes in pieces, and never taken before.
fn refused(bytes: &[u8], max: usize, problem: &Problem) {
    let codes = [
        Code::BadRequest,
        Code::HeadTooLarge,
        Code::NotImplemented,
        Code::VersionNotSupported,
        Code::ExpectationFailed,
    ];
    assert!(codes.contains(&problem.code), "{problem}");
    let mut first = None;
    for end in prefixes(bytes.len()).chain([bytes.len()]) {
        match (head::parse(&bytes[..end], max), &first) {
            (Ok(None), None) => {}
            (Err(problem), _) => first = first.or(Some(problem.code)),
            (outcome, first) => panic!("{end} bytes: {outcome:?} after {first:?}"),
        }
    }
    assert!(first.is_some());
}

/// A head with everything that was understood, to compare.
fn describe(head: &Head) -> String {
    format!("{head:?}")
}

/// Looks at the bytes of a head that was taken, on its own: RFC 9112 without any of its leniencies.
fn unambiguous(bytes: &[u8], head: &Head) {
    let text: String = bytes.iter().map(|b| char::from(*b)).collect();
    let lines = text.trim_start_matches("\r\n").strip_suffix("\r\n\r\n").expect("an empty line ends the head");
    let lines: Vec<&str> = lines.split("\r\n").collect();
    assert!(lines.iter().all(|line| !line.contains(['\r', '\n', '\0'])), "no bare CR, LF or NUL");
    let [method, target, version] = lines[0].split(' ').collect::<Vec<_>>()[..] else { panic!("{:?}", lines[0]) };
    assert!(is_token(method) && method == head.method.as_str());
    let http_11 = version == "HTTP/1.1";
    assert!(http_11 || version == "HTTP/1.0", "{version}");
    assert_eq!(head.version, if http_11 { Version::HTTP_11 } else { Version::HTTP_10 });
    assert!(target.chars().all(|c| matches!(c, '!'..='~') && c != '#'), "{target}");
    let fields: Vec<(String, &str)> = lines[1..].iter().map(|line| field(line)).collect();
    let taken: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().iter().map(|b| char::from(*b)).collect()))
        .collect();
    assert_eq!(taken.len(), fields.len());
    for (name, _) in &fields {
        let all = |fields: &[(String, String)]| -> Vec<String> {
            fields.iter().filter(|(other, _)| other == name).map(|(_, value)| value.clone()).collect()
        };
        let written: Vec<(String, String)> =
            fields.iter().map(|(name, value)| (name.clone(), (*value).to_owned())).collect();
        assert_eq!(all(&taken), all(&written), "{name}");
    }
    let values = |name: &str| -> Vec<&str> {
        fields.iter().filter(|(other, _)| other == name).map(|(_, value)| *value).collect()
    };
    delimited(head, http_11, &values("content-length"), &values("transfer-encoding"));
    addressed(head, http_11, target, &values("host"));
    let closes = list(&values("connection")).iter().any(|option| option == "close");
    let stays = list(&values("connection")).iter().any(|option| option == "keep-alive");
    assert_eq!(head.keep_alive, !closes && (http_11 || stays));
    let expected = list(&values("expect"));
    assert!(!http_11 || expected.iter().all(|expectation| expectation == "100-continue"));
    assert_eq!(head.expect_continue, http_11 && !expected.is_empty());
}

/// Where the body ends is said once, or in the same words each time.
fn delimited(head: &Head, http_11: bool, lengths: &[&str], codings: &[&str]) {
    assert!(lengths.is_empty() || codings.is_empty(), "both a length and a coding");
    if !codings.is_empty() {
        assert!(http_11 && head.framing == Framing::Chunked);
        assert_eq!(list(codings), ["chunked"]);
        return;
    }
    let mut said: Vec<&str> =
        lengths.iter().flat_map(|value| value.split(',')).map(|value| value.trim_matches([' ', '\t'])).collect();
    assert!(said.iter().all(|length| !length.is_empty() && length.bytes().all(|b| b.is_ascii_digit())), "{said:?}");
    said.dedup();
    match said[..] {
        [] => assert_eq!(head.framing, Framing::None),
        [length] => assert_eq!(head.framing, Framing::Length(length.parse().unwrap())),
        _ => panic!("unlike lengths: {said:?}"),
    }
}

/// Who is asked for what is said once.
fn addressed(head: &Head, http_11: bool, target: &str, hosts: &[&str]) {
    assert!(hosts.len() <= 1 && (hosts.len() == 1 || !http_11), "{hosts:?}");
    let (authority, path) = match target.split_once("://") {
        Some((scheme, rest)) if !target.starts_with('/') => {
            assert!(["http", "https"].contains(&&*scheme.to_ascii_lowercase()), "{scheme}");
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            (Some(&rest[..end]), &rest[end..])
        }
        _ => (None, target),
    };
    assert_eq!(head.host.as_deref(), authority.or(hosts.first().copied()));
    for host in authority.iter().chain(hosts) {
        assert!(!host.is_empty() && !host.contains(['/', '?', '#', '@', ' ', '\\', ',']), "{host}");
    }
    let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
    let path = if path.is_empty() && authority.is_some() { "/" } else { path };
    assert_eq!((&*head.path, head.query.as_deref()), (path, query));
    assert!(path.starts_with('/') || (path == "*" && head.method == "OPTIONS"));
    assert_ne!(head.method, "CONNECT");
}

/// Name in lower case and value of a field line.
fn field(line: &str) -> (String, &str) {
    let (name, value) = line.split_once(':').expect("a field has a colon");
    assert!(is_token(name), "{name:?}");
    let value = value.trim_matches([' ', '\t']);
    assert!(value.chars().all(|c| c == '\t' || (c >= ' ' && c != '\x7f')), "{value:?}");
    (name.to_ascii_lowercase(), value)
}

/// The elements of a list, in lower case.
fn list(values: &[&str]) -> Vec<String> {
    let elements = values.iter().flat_map(|value| value.split(',')).map(|element| element.trim_matches([' ', '\t']));
    elements.filter(|element| !element.is_empty()).map(str::to_ascii_lowercase).collect()
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c))
}
