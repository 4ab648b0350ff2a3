use super::*;
use serde_json::json;

fn post(node: &Node, items: &Value) -> Answer {
    ask(node, "POST /api/publish", &[("Content-Type", "application/json")], &mut Body::of(items.to_string()))
}

#[test]
fn a_batch_answers_ids_for_each_item_and_channel() {
    let node = node();
    let answer = post(
        &node,
        &json!([
            {"channels": ["b", "a"], "data": "one", "event": "e"},
            {"channels": ["a"], "data": {"n": 2}},
            {"channels": ["a"], "base64": "AP8="},
        ]),
    );
    let (a, b) = (held(&node, "a"), held(&node, "b"));
    assert_eq!(answer.status, 201);
    let ids = json!([
        {"ids": {"b": b[0]["id"], "a": a[0]["id"]}},
        {"ids": {"a": a[1]["id"]}},
        {"ids": {"a": a[2]["id"]}},
    ]);
    assert_eq!(answer.json, json!({"items": ids}));
    assert_eq!((&b[0]["event"], &a[1]["data"], &a[2]["base64"]), (&json!("e"), &json!({"n": 2}), &json!("AP8=")));
    assert_eq!(post(&node, &json!([])).json, json!({"items": []}));
}

#[test]
fn a_batch_is_checked_as_a_whole() {
    let node = node();
    ask(&node, "POST /channels/ended?end=true", &[], &mut Body::default());
    let head = node.log.head();
    let good = json!({"channels": ["a", "b"], "data": 1});
    let cases = [
        (json!({"channels": ["a"]}), 400, "invalid_item"),
        (json!({"channels": [], "data": 1}), 400, "invalid_item"),
        (json!({"channels": ["a"], "data": 1, "end": true}), 400, "invalid_item"),
        (json!({"channels": ["a"], "data": 1, "event": "$end"}), 400, "event_type"),
        (json!({"channels": ["$a"], "data": 1}), 400, "channel_name"),
        (json!({"channels": ["a/*"], "data": 1}), 400, "channel_name"),
        (json!({"channels": ["a"], "data": 1, "key": ""}), 400, "invalid_parameter"),
        (json!({"channels": ["a"], "data": "x".repeat(101)}), 413, "too_large"),
        (json!({"channels": ["a", "ended"], "data": 1}), 409, "channel_ended"),
    ];
    for (bad, status, code) in cases {
        let answer = post(&node, &json!([good, good, bad, good]));
        assert_eq!(answer.code(), (status, code), "{bad}");
        assert_eq!(answer.json["item"], 2, "{bad}");
    }
    let many: Vec<String> = (0..100).map(|n| n.to_string()).collect();
    let item = json!({"channels": many, "data": 1});
    let answer = post(&node, &Value::from(vec![item; 101]));
    assert_eq!((answer.code(), &answer.json["item"]), ((413, "too_large"), &json!(100)));
    for (whole, code) in
        [("{}", "invalid_item"), ("[", "invalid_json"), ("1", "invalid_item"), ("[{}]]", "invalid_json")]
    {
        let answer = ask(&node, "POST /api/publish", &[], &mut Body::of(whole));
        assert_eq!(answer.code(), (400, code), "{whole}");
    }
    // In the words of JSON.
    let answer = post(&node, &json!([{"channels": "a", "data": 1}]));
    assert!(answer.text("detail").contains("string \"a\", expected an array"), "{}", answer.json);
    let key = [("Idempotency-Key", "k")];
    assert_eq!(ask(&node, "POST /api/publish", &key, &mut Body::of("[]")).code(), (400, "invalid_parameter"));
    assert_eq!(node.log.head(), head);
}

#[test]
fn a_batch_has_its_own_limit() {
    let mut config = Config::default();
    config.limits.batch = 50;
    let node = Node::new(config, None, 1).unwrap();
    let long = json!([{"channels": ["a"], "data": "x".repeat(50)}]);
    assert_eq!(post(&node, &long).code(), (413, "too_large"));
}

#[test]
fn items_with_keys_count_once() {
    let node = node();
    let items = json!([{"channels": ["a", "b"], "data": 1, "key": "k"}, {"channels": ["a"], "data": 2}]);
    let (first, again) = (post(&node, &items), post(&node, &items));
    assert_eq!(again.json["items"][0], first.json["items"][0]);
    assert_ne!(again.json["items"][1], first.json["items"][1]);
    assert_eq!(data(&node, "a"), [1, 2, 2]);
    let single = ask(
        &node,
        "POST /channels/a",
        &[("Idempotency-Key", "k"), ("Content-Type", "application/json")],
        &mut Body::of("1"),
    );
    assert_eq!(single.json["id"], first.json["items"][0]["ids"]["a"]);
    let other = json!([{"channels": ["c"], "data": 3}, {"channels": ["c", "b"], "data": 3, "key": "k"}]);
    let reused = post(&node, &other);
    assert_eq!((reused.code(), &reused.json["item"]), ((422, "idempotency_key_reused"), &json!(1)));
    assert!(held(&node, "c").is_empty());
}

/// Counts the turns that others had.
#[derive(Default)]
struct Counting(std::cell::Cell<usize>);

impl Pause for Counting {
    async fn pause(&self) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn others_have_a_turn_after_every_64_kib_of_a_batch() {
    let node = node_with(|_| {});
    let turns = |items: usize, channels: usize, data: &str| {
        let channels: Vec<String> = (0..channels).map(|n| n.to_string()).collect();
        let text = Value::from(vec![json!({"channels": channels, "data": data}); items]).to_string();
        let (turns, mut body) = (Counting::default(), Body::of(&text));
        let asker = Asker { identity: Identity::default(), allowance: Allowance::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let answer = runtime.block_on(crate::api::batch::publish(&node, &turns, &asker, &HeaderMap::new(), &mut body));
        assert_eq!(answer.unwrap().status(), StatusCode::CREATED);
        (turns.0.get(), text.len())
    };
    assert_eq!(turns(20, 1, &"x".repeat(1000)).0, 0);
    // It is cut into items first, and then these are read.
    let (had, length) = turns(1000, 1, &"x".repeat(2000));
    assert!(had >= 2 * length / (64 << 10), "{had} turns in {length} bytes");
    // Each item and each of its channels counts for 64 bytes.
    let (had, length) = turns(100, 100, "");
    assert!(had >= (2 * length + 100 * 100 * 64) / (64 << 10), "{had} turns in {length} bytes");
}
