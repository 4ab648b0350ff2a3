//! "Writing": `POST /api/publish`.

use switchboard_testkit::{Field, Response, Server, Value, config, json};

const JSON: Field<'static> = ("Content-Type", "application/json");

fn batch(server: &Server, body: impl AsRef<[u8]>) -> Response {
    server.post("/api/publish", &[JSON], body)
}

fn events(server: &Server, channel: &str) -> Vec<Value> {
    server.page(&format!("/channels?channel={channel}"))["events"].as_array().unwrap().clone()
}

#[test]
fn a_batch_appends_every_item_to_its_channels_and_answers_ids_per_item_and_channel() {
    let server = Server::new();
    let body = r#"[
        {"channels":["a","b/c"],"data":{"n":1.50},"event":"x"},
        {"channels":["b/c"],"data":"text"},
        {"channels":["a"],"base64":"/wA="},
        {"channels":["d"],"data":"<b>","type":"text/html"}
    ]"#;
    let answer = batch(&server, body);
    assert!(matches!(answer.status(), 200 | 201), "{answer}");
    let all = events(&server, "**");
    let told: Vec<(&str, &Value)> =
        all.iter().map(|event| (event["channel"].as_str().unwrap(), &event["data"])).collect();
    let n = json!({"n": 1.5});
    assert_eq!(
        told,
        [("a", &n), ("b/c", &n), ("b/c", &json!("text")), ("a", &Value::Null), ("d", &json!("<b>"))],
        "in the order of the items"
    );
    assert_eq!((&all[0]["event"], &all[1]["event"]), (&json!("x"), &json!("x")));
    assert_eq!((&all[3]["base64"], &all[4]["type"]), (&json!("/wA="), &json!("text/html")));
    let text = answer.text();
    let places: Vec<usize> = all
        .iter()
        .map(|event| {
            let id = event["id"].as_str().unwrap();
            text.find(&format!("\"{id}\"")).unwrap_or_else(|| panic!("{id} is not told: {text}"))
        })
        .collect();
    let items = [places[0].min(places[1])..=places[0].max(places[1])];
    assert!(*items[0].end() < places[2] && places[2] < places[3] && places[3] < places[4], "item by item: {text}");
}

#[test]
fn readers_get_what_a_batch_appends() {
    let server = Server::new();
    let mut sse = server.sse("/channels/a");
    sse.notice("$open");
    batch(&server, r#"[{"channels":["a"],"data":"1"},{"channels":["b","a"],"data":"2"}]"#);
    assert_eq!([sse.event().data, sse.event().data], ["1", "2"]);
}

#[test]
fn a_batch_is_checked_as_a_whole_before_anything_is_appended() {
    let mut config = config();
    config.limits.message = 1000;
    let server = Server::start(config);
    server.end("ended");
    let big = format!(r#"{{"channels":["a"],"data":"{}"}}"#, "x".repeat(1001));
    for (bad, status) in [
        (r#"{"channels":["a/../b"],"data":1}"#, 400),
        (r#"{"channels":["a","*"],"data":1}"#, 400),
        (r#"{"channels":["$sys"],"data":1}"#, 400),
        (r#"{"channels":[],"data":1}"#, 400),
        (r#"{"channels":"a","data":1}"#, 400),
        (r#"{"data":1}"#, 400),
        (r#"{"channels":["a"]}"#, 400),
        (r#"{"channels":["a"],"data":1,"base64":""}"#, 400),
        (r#"{"channels":["a"],"base64":"?"}"#, 400),
        (r#"{"channels":["a"],"data":1,"event":"$open"}"#, 400),
        (r#"{"channels":["a"],"data":1,"event":7}"#, 400),
        ("7", 400),
        ("null", 400),
        (r#"{"channels":["ended"],"data":1}"#, 409),
        (&big, 413),
    ] {
        let refusal = batch(&server, format!(r#"[{{"channels":["a","b"],"data":"first"}},{bad}]"#));
        refusal.expect_refusal(status);
        assert!(events(&server, "**").is_empty(), "{bad}");
    }
    server.is_alive();
}

#[test]
fn a_body_that_is_no_array_is_400() {
    let server = Server::new();
    for bad in ["", "{", "{}", "7", "[", "[{}", "null", "\"x\"", "[1] x"] {
        batch(&server, bad).expect_refusal(400);
    }
    batch(&server, b"[\"\xff\"]").expect_refusal(400);
    server.is_alive();
}

#[test]
fn a_key_makes_a_repeated_item_append_nothing() {
    let server = Server::new();
    let body = r#"[{"channels":["a","b"],"data":"1","key":"k"},{"channels":["a"],"data":"2"}]"#;
    let first = batch(&server, body);
    let again = batch(&server, body);
    assert_eq!(again.status(), first.status());
    let count = |channel, data: &str| events(&server, channel).iter().filter(|event| event["data"] == data).count();
    assert_eq!((count("a", "1"), count("b", "1")), (1, 1), "with the key once");
    assert_eq!(count("a", "2"), 2, "without a key each time");
    let id = events(&server, "b")[0]["id"].as_str().unwrap().to_owned();
    assert!(again.text().contains(&id), "a repeat answers the first's id: {again}");
    // Scoped to publisher and channel: the same key as with a single publish.
    let keyed = [("Idempotency-Key", "k")];
    assert_eq!(server.post("/channels/b", &keyed, "1").expect(201).json()["id"], id);
    let other = batch(&server, r#"[{"channels":["c"],"data":"3"},{"channels":["a"],"data":"other","key":"k"}]"#);
    other.expect_problem(422, "idempotency_key_reused");
    assert!(events(&server, "c").is_empty());
}

#[test]
fn a_batch_too_large_is_413() {
    let mut config = config();
    config.limits.batch = 10_000;
    let server = Server::start(config);
    let item = r#"{"channels":["a"],"data":"0123456789"}"#;
    let body = format!("[{}]", vec![item; 500].join(","));
    let mut conn = server.connect();
    conn.ask("POST", "/api/publish", &[JSON, ("Content-Length", &body.len().to_string())], None);
    let _ = conn.try_send(&body);
    conn.response_to("POST").expect_problem(413, "too_large");
    assert!(events(&server, "**").is_empty());
    batch(&server, format!("[{}]", vec![item; 200].join(",")));
    assert_eq!(events(&server, "**").len(), 100, "a page's worth of 200");
}

#[test]
fn an_empty_batch_is_fine() {
    let server = Server::new();
    assert!(matches!(batch(&server, "[]").status(), 200 | 201));
}

#[test]
fn a_batch_is_posted() {
    let server = Server::new();
    let refusal = server.get("/api/publish").expect_problem(405, "method_not_allowed");
    assert!(refusal.head.lists("allow", "POST"), "{refusal}");
}
