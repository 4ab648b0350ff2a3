//! Requests that could be read in two ways: `vectors/http1`.

use serde::Deserialize;
use switchboard_testkit::{Conn, Server};

#[derive(Deserialize)]
struct Vectors {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    rfc: String,
    send: OneOrSeveral,
    /// The statuses of the answers, in order.
    answers: Vec<u16>,
    /// What is published.
    #[serde(default)]
    events: Vec<String>,
    /// Whether the connection serves another request.
    #[serde(default)]
    open: bool,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrSeveral {
    One(String),
    Several(Vec<Part>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    Once(String),
    Often { repeat: String, times: usize },
}

/// Each character is a byte.
fn bytes(text: &str) -> impl Iterator<Item = u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap())
}

impl Case {
    fn bytes(&self) -> Vec<u8> {
        let parts = match &self.send {
            OneOrSeveral::One(text) => return bytes(text).collect(),
            OneOrSeveral::Several(parts) => parts,
        };
        let part = |part: &Part| match part {
            Part::Once(text) => bytes(text).collect(),
            Part::Often { repeat, times } => bytes(repeat).collect::<Vec<u8>>().repeat(*times),
        };
        parts.iter().flat_map(part).collect()
    }
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(switchboard_vectors::folder().join("http1/requests.json")).unwrap();
    serde_json::from_str::<Vectors>(&text).unwrap().cases
}

/// The method of each answer's request matters for its body alone, and none of the cases asks with HEAD.
fn statuses(conn: &mut Conn, count: usize) -> Vec<u16> {
    (0..count).map(|_| conn.response_to("POST").status()).collect()
}

#[test]
fn what_could_be_read_in_two_ways_is_read_in_one_or_refused() {
    let mut wrong = Vec::new();
    for case in cases() {
        let what = format!("{} (RFC {})", case.name, case.rfc);
        let server = Server::new();
        let mut conn = server.connect();
        // What is refused may be closed while it is sent.
        let _ = conn.try_send(case.bytes());
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            assert_eq!(statuses(&mut conn, case.answers.len()), case.answers, "{what}: {}", conn.seen());
            match case.open {
                true => {
                    conn.get("/healthz").expect(200);
                }
                false => conn.expect_close(),
            }
            let page = server.page("/channels/a");
            let events: Vec<&str> = page["events"]
                .as_array()
                .unwrap()
                .iter()
                .map(|event| &event["data"])
                .map(|data| data.as_str().unwrap())
                .collect();
            assert_eq!(events, case.events, "{what}");
            assert_eq!(server.page("/channels/smuggled")["events"].as_array().unwrap().len(), 0, "{what}");
        }));
        if checked.is_err() {
            wrong.push(what);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// However the bytes arrive, they mean the same.
#[test]
fn what_could_be_read_in_two_ways_is_read_the_same_byte_by_byte() {
    let server = Server::new();
    for case in cases().into_iter().filter(|case| case.bytes().len() < 1000) {
        let mut conn = server.connect();
        for byte in case.bytes() {
            if conn.try_send([byte]).is_err() {
                break;
            }
        }
        assert_eq!(statuses(&mut conn, case.answers.len()), case.answers, "{}: {}", case.name, conn.seen());
    }
    assert_eq!(server.page("/channels/smuggled")["events"].as_array().unwrap().len(), 0);
}
