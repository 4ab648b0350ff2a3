//! "Words": channel, event, position, order.

use std::time::{SystemTime, UNIX_EPOCH};
use switchboard_testkit::{Server, Value};

fn ids(page: &Value) -> Vec<String> {
    page["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

fn channels(page: &Value) -> Vec<String> {
    page["events"].as_array().unwrap().iter().map(|event| event["channel"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_channel_is_a_slash_separated_name_of_1_to_255_bytes() {
    let server = Server::new();
    let (long, split) = ("x".repeat(255), format!("{}/{}", "x".repeat(127), "y".repeat(127)));
    for name in ["a", "chat/room-1", "a/b/c/d/e/f", &long, &split] {
        let told = server.post(&format!("/channels/{name}"), &[], "hello").expect(201).json();
        assert_eq!(told["channel"], name);
        assert_eq!(channels(&server.page(&format!("/channels/{name}"))), [name]);
    }
    // 85 characters of three bytes each.
    let name = "%E2%82%AC".repeat(85);
    assert_eq!(server.post(&format!("/channels/{name}"), &[], "x").expect(201).json()["channel"], "€".repeat(85));
    for name in ["", &"x".repeat(256), &format!("{name}x")] {
        server.post(&format!("/channels/{name}"), &[], "hello").expect_problem(400, "channel_name");
        server.get(&format!("/channels/{name}")).expect_problem(400, "channel_name");
        server.delete(&format!("/channels/{name}")).expect_problem(400, "channel_name");
    }
}

#[test]
fn segments_are_not_empty_nor_dots_nor_wildcards_and_hold_no_control_characters() {
    let server = Server::new();
    let bad = [
        "a//b",
        "a/",
        "/a",
        ".",
        "..",
        "a/..",
        "../a",
        "a/./b",
        "%2e",
        "%2e%2e",
        "a/%2E%2e/b",
        "*",
        "**",
        "a/*",
        "a/**/b",
        "%2a",
        "a/%2A%2a",
        "a%00",
        "a%0Ab",
        "a%0d",
        "%1f",
        "a%7f",
        "a%C2%85",
        "a%2F%2Fb",
        "a%2f..%2fb",
        "%ff",
        "a%C3",
    ];
    for name in bad {
        server.post(&format!("/channels/{name}"), &[], "hello").expect_problem(400, "channel_name");
        server.get(&format!("/channels/{name}")).expect_problem(400, "channel_name");
        server.delete(&format!("/channels/{name}")).expect_problem(400, "channel_name");
    }
    for name in ["a*", "*a", "a**b", "...", ".a", "a.", "a..b", "a-b_c~d", "a%20b", "a:b@c", "a+b", "x/$y", "%E2%82%AC"]
    {
        server.post(&format!("/channels/{name}"), &[], "hello").expect(201);
        assert_eq!(ids(&server.page(&format!("/channels/{name}"))).len(), 1, "{name}");
    }
    server.is_alive();
}

#[test]
fn an_encoded_slash_in_a_path_is_a_slash() {
    let server = Server::new();
    let told = server.post("/channels/a%2Fb", &[], "hello").expect(201).json();
    assert_eq!(told["channel"], "a/b");
    assert_eq!(ids(&server.page("/channels/a/b")), ids(&server.page("/channels/a%2fb")));
}

#[test]
fn a_first_segment_beginning_with_a_dollar_is_the_systems_own() {
    let server = Server::new();
    for name in ["$", "$sys", "$a/b", "%24a", "$presence/a", "%24presence%2Fa"] {
        server.post(&format!("/channels/{name}"), &[], "hello").expect_problem(400, "channel_name");
        server.get(&format!("/channels/{name}")).expect_problem(400, "channel_name");
        server.request("DELETE", &format!("/channels/{name}"), &[], None).expect_problem(400, "channel_name");
    }
    for pattern in ["$presence/a", "$presence/*", "$presence/**", "$*/a", "a&channel=$presence/a"] {
        let fields = [("Accept", "text/event-stream")];
        server.get(&format!("/channels?channel={pattern}")).expect_problem(400, "channel_name");
        server.get_with(&format!("/channels?channel={pattern}"), &fields).expect_problem(400, "channel_name");
    }
    let batch = r#"[{"channels":["a","$presence/a"],"data":1}]"#;
    server.post("/api/publish", &[], batch).expect_problem(400, "channel_name");
}

#[test]
fn in_patterns_a_star_is_one_segment_and_two_stars_are_any_number() {
    let server = Server::new();
    for name in ["a", "a/b", "a/b/c", "x/b", "x/b/c/d"] {
        server.publish(name, "1");
    }
    let selected = |pattern: &str| channels(&server.page(&format!("/channels?channel={pattern}")));
    assert_eq!(selected("*"), ["a"]);
    assert_eq!(selected("a/*"), ["a/b"]);
    assert_eq!(selected("*/b"), ["a/b", "x/b"]);
    assert_eq!(selected("a/**"), ["a", "a/b", "a/b/c"]);
    assert_eq!(selected("**"), ["a", "a/b", "a/b/c", "x/b", "x/b/c/d"]);
    assert_eq!(selected("**/c"), ["a/b/c"]);
    assert_eq!(selected("x/**/d"), ["x/b/c/d"]);
    assert_eq!(selected("*/*/*"), ["a/b/c"]);
    assert_eq!(selected("%2A/b"), ["a/b", "x/b"]);
    assert_eq!(selected("a&channel=x/*&channel=a"), ["a", "x/b"]);
    assert_eq!(selected("a/b&channel=a/*&channel=**/b"), ["a/b", "x/b"], "a channel selected thrice is read once");
}

#[test]
fn a_pattern_selects_channels_that_come_later() {
    let server = Server::new();
    let mut reader = server.lines("/channels?channel=a/*");
    reader.notice("$open");
    server.publish("a", "no");
    server.publish("a/new", "yes");
    assert_eq!(reader.event()["channel"], "a/new");
}

#[test]
fn reading_a_channel_never_published_to_answers_200() {
    let server = Server::new();
    let page = server.page("/channels/never");
    assert_eq!(ids(&page), [""; 0]);
    assert!(page.get("gap").is_none() && page.get("ended").is_none(), "{page}");
    server.sse("/channels/never").notice("$open");
    server.lines("/channels/never").notice("$open");
    drop(server.websocket("/channels/never"));
    server.lines("/channels?channel=never/**").notice("$open");
}

#[test]
fn an_event_has_an_id_a_channel_a_type_data_with_its_content_type_and_the_servers_time() {
    let server = Server::new();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let before = now();
    let id =
        server.post("/channels/a?event=x%20y", &[("Content-Type", "text/css")], "b").expect(201).json()["id"].clone();
    let after = now();
    let page = server.page("/channels/a");
    let event = &page["events"][0];
    assert_eq!(event["id"], id);
    assert_eq!(event["channel"], "a");
    assert_eq!(event["event"], "x y");
    assert_eq!(event["data"], "b");
    assert_eq!(event["type"], "text/css");
    assert!((before..=after).contains(&event["time"].as_u64().unwrap()), "{before} {event} {after}");
}

#[test]
fn types_beginning_with_a_dollar_are_refused() {
    let server = Server::new();
    for kind in ["$open", "$", "%24gap", "$anything"] {
        server.post(&format!("/channels/a?event={kind}"), &[], "b").expect_problem(400, "event_type");
    }
    for kind in ["a%0Ab", "a%0Db", "a%00b"] {
        server.post(&format!("/channels/a?event={kind}"), &[], "b").expect_problem(400, "event_type");
    }
    assert_eq!(ids(&server.page("/channels/a")), [""; 0]);
    server.post("/channels/a?event=a$", &[], "b").expect(201);
}

#[test]
fn the_id_names_an_event_for_ever_on_every_transport() {
    let server = Server::new();
    let id = server.publish("a", "1");
    server.publish("a", "2");
    assert_eq!(ids(&server.page("/channels/a"))[0], id);
    assert_eq!(ids(&server.page("/channels?channel=**"))[0], id);
    let mut sse = server.sse("/channels/a?since=earliest");
    sse.notice("$open");
    assert_eq!(sse.event().id.as_deref(), Some(id.as_str()));
    let mut lines = server.lines("/channels/a?since=earliest");
    lines.notice("$open");
    assert_eq!(lines.event()["id"], id.as_str());
    let mut socket = server.websocket("/channels?channel=a&since=earliest");
    socket.notice("$open");
    assert_eq!(socket.event()["id"], id.as_str());
}

#[test]
fn a_position_is_at_most_32_bytes_url_safe_and_equal_to_the_events_id() {
    let server = Server::new();
    let told = server.post("/channels/a", &[], "1").expect(201).json();
    let position = told["position"].as_str().unwrap();
    assert_eq!(told["id"], position);
    assert!((1..=32).contains(&position.len()), "{position}");
    let safe = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    assert!(position.bytes().all(safe), "{position}");
    assert!(!["earliest", "latest"].contains(&position));
    let page = server.page("/channels/a");
    assert_eq!(page["position"], position);
    assert!(page["events"][0].get("position").is_none(), "with one log it does not differ from the id: {page}");
}

#[test]
fn positions_sort_as_bytes_in_the_order_of_the_log_across_channels() {
    let server = Server::new();
    let mut conn = server.connect();
    let told: Vec<String> = (0..1200).map(|i| conn.publish(&format!("c/{}", i % 7), i.to_string())).collect();
    assert!(told.windows(2).all(|pair| pair[0] < pair[1]));
    let all = ids(&server.page("/channels?channel=c/*&limit=1000"));
    assert_eq!(all, told[..1000]);
    let rest = ids(&server.page(&format!("/channels?channel=c/*&since={}", told[999])));
    assert_eq!(rest.len(), 100, "the default limit");
    assert_eq!(rest, told[1000..1100]);
}

#[test]
fn one_position_resumes_any_set_of_channels() {
    let server = Server::new();
    let told: Vec<String> = (0..9).map(|i| server.publish(["a", "b", "c/d"][i % 3], i.to_string())).collect();
    for (i, position) in told.iter().enumerate() {
        for (selection, of) in [("a", vec![0]), ("a&channel=b", vec![0, 1]), ("c/*", vec![2]), ("**", vec![0, 1, 2])] {
            let page = server.page(&format!("/channels?channel={selection}&since={position}"));
            let rest = told.iter().enumerate().skip(i + 1).filter(|(n, _)| of.contains(&(n % 3)));
            let rest: Vec<String> = rest.map(|(_, id)| id.clone()).collect();
            assert_eq!(ids(&page), rest, "{selection} after {i}");
            assert!(page.get("gap").is_none(), "a position of another channel loses nothing: {page}");
        }
    }
}

#[test]
fn a_position_serves_as_sse_id_last_event_id_since_and_etag() {
    let server = Server::new();
    let first = server.publish("a", "1");
    let second = server.publish("a", "2");
    let mut sse = server.connect().sse("/channels/a", &[("Last-Event-ID", &first)]);
    sse.notice("$open");
    assert_eq!(sse.event().id.as_deref(), Some(second.as_str()));
    let page = server.get(&format!("/channels/a?since={first}")).expect(200);
    assert_eq!(page.json()["events"][0]["id"], second.as_str());
    let etag = page.field("etag").expect("a page has an ETag");
    assert!(etag.starts_with("W/\"") && etag.ends_with('"') && etag.contains(&second), "{etag}");
}

#[test]
fn earliest_and_latest_are_accepted_words_and_never_minted() {
    let server = Server::new();
    for channel in ["a", "b"] {
        for word in ["earliest", "latest"] {
            let position = server.page(&format!("/channels/{channel}?since={word}"))["position"].clone();
            assert!(!["earliest", "latest"].contains(&position.as_str().unwrap()), "{word}: {position}");
            let open = server.lines(&format!("/channels/{channel}?since={word}")).notice("$open");
            assert!(!["earliest", "latest"].contains(&open["position"].as_str().unwrap()), "{word}: {open}");
        }
        server.publish("b", "1");
    }
    assert_eq!(ids(&server.page("/channels/b?since=latest")), [""; 0]);
    assert_eq!(ids(&server.page("/channels/b?since=earliest")).len(), 2);
}
