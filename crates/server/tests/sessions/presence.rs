//! Who is on a channel: who comes and goes is heard, and who is there is told.

use crate::talk::{Talk, Way};
use serde_json::{Value, json};
use std::time::Duration;
use switchboard::Config;
use switchboard_hub::presence::{Track, Tracking};
use switchboard_testkit::identity::{MASTER_KEY, SECRET, bearer, claims, now, settings, sign, token_for};
use switchboard_testkit::{Pattern, Server, config, eventually};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(30);

fn configured(debounce: Duration) -> Config {
    let rule = |pattern, track| (Pattern::new(pattern).unwrap(), Some(track));
    let mut config = config();
    config.auth = settings();
    config.presence.debounce = debounce;
    config.presence.tracking = Tracking { rules: vec![rule("room/*", Track::Members), rule("crowd", Track::Count)] };
    config
}

fn server(debounce: Duration) -> Server {
    Server::start(configured(debounce))
}

/// A session with a token that lasts so long that nothing is said of its end.
fn open(server: &Server, way: Way, user: &str) -> Talk {
    Talk::open_with(server, way, &[("Authorization", &bearer(&token_for(LONG, user, &["**"])))])
}

/// A session of a user that is on a channel.
fn on(server: &Server, user: &str, channel: &str) -> Talk {
    let mut talk = open(server, Way::WebSocket, user);
    talk.call("subscribe", &json!({ "channel": channel })).unwrap();
    talk
}

fn watch(talk: &mut Talk, channel: &str) {
    talk.call("subscribe", &json!({ "channel": channel, "presence": true })).unwrap();
}

/// Ends a session.
fn end(server: &Server, talk: &Talk) {
    server.request("DELETE", &talk.kept.location, &[], None).expect(204);
}

/// The next message, which says who comes or goes: `room/1 join ann`.
fn heard(talk: &mut Talk) -> String {
    let notice = talk.notice("presence");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    format!("{} {} {}", text(&notice["channel"]), text(&notice["event"]), text(&notice["member"]["user"]))
}

/// The users that a client is told are there.
fn there(talk: &mut Talk, channel: &str) -> Vec<String> {
    let answer = talk.call("presence", &json!({ "channel": channel })).unwrap();
    let members = answer["members"].as_array().unwrap();
    assert_eq!(answer["count"], members.len());
    members.iter().map(|member| member["user"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn who_comes_and_goes_is_heard_on_each_stream_and_who_is_there_is_told() {
    for way in [Way::WebSocket, Way::Sse, Way::Stream] {
        let server = server(SHORT);
        let mut ann = open(&server, way, "ann");
        watch(&mut ann, "room/1");
        assert_eq!(heard(&mut ann), "room/1 join ann", "{way:?}");
        let ben = on(&server, "ben", "room/1");
        let _elsewhere = on(&server, "carl", "room/2");
        let notice = ann.notice("presence");
        let member = json!({ "session": ben.id(), "user": "ben" });
        assert_eq!(notice, json!({ "channel": "room/1", "event": "join", "member": member }), "{way:?}");
        assert_eq!(there(&mut ann, "room/1"), ["ann", "ben"]);
        end(&server, &ben);
        assert_eq!(heard(&mut ann), "room/1 leave ben", "{way:?}");
        assert_eq!(there(&mut ann, "room/1"), ["ann"]);
    }
}

/// A session that is polled is no reader between two polls, and notices are held for nobody.
#[test]
fn a_session_that_polls_hears_of_it_or_of_a_gap_and_asks_again() {
    let server = server(SHORT);
    let mut ann = open(&server, Way::Poll, "ann");
    watch(&mut ann, "room/1");
    let is_told = |ann: &mut Talk, event: &str, user: &str, all: &[&str]| loop {
        let message = ann.next();
        match message["method"].as_str() {
            Some("presence") => {
                let (told, member) = (&message["params"]["event"], &message["params"]["member"]["user"]);
                if told == event && member == user {
                    return;
                }
            }
            Some("gap") => {
                assert_eq!(message["params"]["channel"], "$presence/room/1", "{message}");
                if there(ann, "room/1") == all {
                    return;
                }
            }
            _ => panic!("{message}"),
        }
    };
    is_told(&mut ann, "join", "ann", &["ann"]);
    let ben = on(&server, "ben", "room/1");
    is_told(&mut ann, "join", "ben", &["ann", "ben"]);
    std::thread::scope(|scope| {
        scope.spawn(|| end(&server, &ben));
        is_told(&mut ann, "leave", "ben", &["ann"]);
    });
    assert_eq!(there(&mut ann, "room/1"), ["ann"]);
}

#[test]
fn what_a_member_shows_is_the_info_of_its_token_and_a_new_token_may_change_it() {
    let server = server(SHORT);
    let with = |info: Value| {
        let mut claims = claims("ben", &["**"]);
        (claims["info"], claims["exp"]) = (info, json!(now() + LONG.as_secs_f64()));
        sign(&claims, SECRET)
    };
    let mut ann = open(&server, Way::Sse, "ann");
    watch(&mut ann, "room/1");
    assert_eq!(heard(&mut ann), "room/1 join ann");
    let shown = bearer(&with(json!({ "name": "Ben" })));
    let mut ben = Talk::open_with(&server, Way::WebSocket, &[("Authorization", &shown)]);
    ben.call("subscribe", &json!({ "channel": "room/1" })).unwrap();
    let shown = |ann: &mut Talk| {
        let notice = ann.notice("presence");
        assert_eq!((&notice["event"], &notice["member"]["user"]), (&json!("join"), &json!("ben")));
        notice["member"]["info"].clone()
    };
    assert_eq!(shown(&mut ann), json!({ "name": "Ben" }));
    ben.call("refresh", &json!({ "token": with(json!({ "name": "Benjamin" })) })).unwrap();
    assert_eq!(shown(&mut ann), json!({ "name": "Benjamin" }));
    let members = ann.call("presence", &json!({ "channel": "room/1" })).unwrap()["members"].clone();
    assert_eq!(members[1]["info"], json!({ "name": "Benjamin" }));
}

#[test]
fn who_comes_back_in_time_has_not_left() {
    let server = server(LONG);
    let mut ann = open(&server, Way::Sse, "ann");
    watch(&mut ann, "room/1");
    let ben = on(&server, "ben", "room/1");
    end(&server, &ben);
    assert_eq!(there(&mut ann, "room/1"), ["ann", "ben"], "who has just left is still there");
    let mut again = on(&server, "ben", "room/1");
    again.call("unsubscribe", &json!({ "channel": "room/1" })).unwrap();
    again.call("subscribe", &json!({ "channel": "room/1" })).unwrap();
    let _carl = on(&server, "carl", "room/1");
    let all = [heard(&mut ann), heard(&mut ann), heard(&mut ann)];
    assert_eq!(all, ["room/1 join ann", "room/1 join ben", "room/1 join carl"]);
    assert_eq!(there(&mut ann, "room/1"), ["ann", "ben", "carl"]);
}

#[test]
fn a_user_with_several_sessions_is_one_member() {
    let server = server(SHORT);
    let mut ann = open(&server, Way::Stream, "ann");
    watch(&mut ann, "room/1");
    let (first, second) = (on(&server, "ben", "room/1"), on(&server, "ben", "room/1"));
    assert_eq!(there(&mut ann, "room/1"), ["ann", "ben"]);
    end(&server, &first);
    let carl = on(&server, "carl", "room/1");
    end(&server, &carl);
    let all = [heard(&mut ann), heard(&mut ann), heard(&mut ann), heard(&mut ann)];
    assert_eq!(all, ["room/1 join ann", "room/1 join ben", "room/1 join carl", "room/1 leave carl"]);
    end(&server, &second);
    assert_eq!(heard(&mut ann), "room/1 leave ben");
}

#[test]
fn a_session_without_a_connection_is_there_until_it_ends() {
    let mut config = configured(SHORT);
    // Long enough to come back, also where the machine is busy.
    config.session.linger = Duration::from_secs(3);
    let server = Server::start(config);
    let mut ann = open(&server, Way::WebSocket, "ann");
    watch(&mut ann, "room/1");
    heard(&mut ann);
    let kept = on(&server, "ben", "room/1").cut();
    let back = Talk::resume(&server, Way::Sse, kept);
    assert_eq!(heard(&mut ann), "room/1 join ben");
    assert_eq!(there(&mut ann, "room/1"), ["ann", "ben"]);
    drop(back);
    assert_eq!(heard(&mut ann), "room/1 leave ben");
}

#[test]
fn a_pattern_hears_of_all_its_channels_and_is_on_none() {
    let server = server(LONG);
    let mut ann = open(&server, Way::WebSocket, "ann");
    watch(&mut ann, "room/*");
    let (_ben, _carl) = (on(&server, "ben", "room/2"), on(&server, "carl", "room/3"));
    assert_eq!([heard(&mut ann), heard(&mut ann)], ["room/2 join ben", "room/3 join carl"]);
    assert_eq!(there(&mut ann, "room/2"), ["ben"]);
}

#[test]
fn nothing_is_heard_after_the_answer_to_unsubscribe() {
    for way in Way::ALL {
        let server = server(LONG);
        let mut ann = open(&server, way, "ann");
        ann.call("subscribe", &json!({ "channel": "a" })).unwrap();
        watch(&mut ann, "room/1");
        ann.call("unsubscribe", &json!({ "channel": "room/1" })).unwrap();
        let _ben = on(&server, "ben", "room/1");
        ann.call("publish", &json!({ "channel": "a", "data": 1 })).unwrap();
        let mut rest = std::iter::from_fn(|| Some(ann.next()));
        let last = rest
            .find(|message| message["params"].get("data").is_some() || message["params"]["member"]["user"] == "ben");
        assert_eq!(last.unwrap()["method"], "event", "{way:?}");
    }
}

#[test]
fn what_was_missed_without_a_connection_is_a_gap() {
    let server = server(LONG);
    let mut ann = open(&server, Way::WebSocket, "ann");
    watch(&mut ann, "room/1");
    heard(&mut ann);
    let kept = ann.cut();
    let _ben = on(&server, "ben", "room/1");
    let mut ann = Talk::resume(&server, Way::Sse, kept);
    let gap = ann.notice("gap");
    assert_eq!((&gap["channel"], &gap["reason"]), (&json!("$presence/room/1"), &json!("skipped")));
    assert_eq!(there(&mut ann, "room/1"), ["ann", "ben"]);
    let _carl = on(&server, "carl", "room/1");
    assert_eq!(heard(&mut ann), "room/1 join carl");
}

#[test]
fn where_members_are_counted_alone_nobody_is_named() {
    let server = server(SHORT);
    let mut ann = on(&server, "ann", "crowd");
    let ben = on(&server, "ben", "crowd");
    let count = |ann: &mut Talk| ann.call("presence", &json!({ "channel": "crowd" })).unwrap();
    assert_eq!(count(&mut ann), json!({ "count": 2 }));
    let refused = ann.call("subscribe", &json!({ "channel": "crowd", "presence": true })).unwrap_err();
    assert_eq!(refused["code"], 40400, "{refused}");
    end(&server, &ben);
    eventually("the other has left", || count(&mut ann) == json!({ "count": 1 }));
}

#[test]
fn who_may_not_see_it_and_where_there_is_nothing_to_see_is_refused() {
    let server = server(SHORT);
    let mut claims = claims("ann", &[]);
    claims["channels"] = json!({ "subscribe": ["**"], "publish": ["**"], "presence": ["room/open", "other"] });
    claims["exp"] = json!(now() + LONG.as_secs_f64());
    let mut ann = Talk::open_with(&server, Way::WebSocket, &[("Authorization", &bearer(&sign(&claims, SECRET)))]);
    for (method, params, code) in [
        ("presence", json!({ "channel": "room/1" }), 40300),
        ("subscribe", json!({ "channel": "room/1", "presence": true }), 40300),
        ("subscribe", json!({ "channel": "room/*", "presence": true }), 40300),
        ("subscribe", json!({ "channel": ["room/open", "room/1"], "presence": true }), 40300),
        ("presence", json!({ "channel": "other" }), 40400),
        ("subscribe", json!({ "channel": "other", "presence": true }), 40400),
        ("presence", json!({ "channel": "room/*" }), -32602),
        ("presence", json!({}), -32602),
        ("presence", json!({ "channel": "$presence/room/1" }), 40001),
        ("subscribe", json!({ "channel": "$presence/room/open" }), 40001),
        ("subscribe", json!({ "channel": "$presence/**" }), 40001),
        ("unsubscribe", json!({ "channel": "$presence/room/open" }), 40001),
        ("history", json!({ "channel": "$presence/room/open" }), 40001),
        ("publish", json!({ "channel": "$presence/room/open", "data": 1 }), 40001),
    ] {
        let refused = ann.call(method, &params).unwrap_err();
        assert_eq!(refused["code"], code, "{method} {params}: {refused}");
    }
    ann.call("subscribe", &json!({ "channel": "room/1" })).unwrap();
    watch(&mut ann, "room/open");
    assert_eq!(heard(&mut ann), "room/open join ann");
}

#[test]
fn backends_see_who_is_there_and_nothing_of_the_channels_of_notices() {
    let server = server(LONG);
    let mut ann = open(&server, Way::WebSocket, "ann");
    watch(&mut ann, "room/1");
    let _ben = on(&server, "ben", "room/1");
    let key = bearer(MASTER_KEY);
    let get = |target: &str| server.get_with(target, &[("Authorization", &key)]).expect(200).json();
    let there = get("/api/presence/room/1");
    assert_eq!((&there["count"], &there["members"][0]), (&json!(2), &json!({ "session": ann.id(), "user": "ann" })));
    let sessions = get("/api/sessions?user=ann");
    assert_eq!(sessions["sessions"][0]["channels"], json!(["room/1"]));
    let listed = get("/api/channels");
    let names: Vec<&Value> = listed["channels"].as_array().unwrap().iter().map(|line| &line["channel"]).collect();
    assert_eq!(names, ["room/1"]);
}
