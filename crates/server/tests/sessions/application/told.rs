//! What the application is told after it happened.

use super::{serve, told};
use crate::talk::{Talk, Way};
use serde_json::{Value, json};
use std::time::Duration;
use switchboard::application::Kind;
use switchboard_testkit::backend::{Backend, Reply};
use switchboard_testkit::identity::{MASTER_KEY, bearer, settings as access, token};
use switchboard_testkit::{Server, eventually};

/// Waits until so many notices have come, and gives what they say without their numbers.
#[track_caller]
fn await_told(backend: &Backend, count: usize) -> Vec<Value> {
    eventually(&format!("{count} notices"), || told(&backend.asked()).len() >= count);
    let mut all = told(&backend.asked());
    for notice in &mut all {
        assert!(notice["params"].as_object_mut().unwrap().remove("notice").is_some());
        notice.as_object_mut().unwrap().remove("jsonrpc");
    }
    all
}

fn channel(method: &str, channel: &str) -> Value {
    json!({"method": method, "params": {"channel": channel}})
}

#[test]
fn a_session_that_has_ended_is_told_with_its_reason() {
    let backend = Backend::new(Reply::echo());
    let server = serve(&backend, |config, settings| {
        config.auth = access();
        // Long enough for a session that was opened to be taken up, also where the machine is busy.
        config.session.linger = Duration::from_secs(2);
        settings.tells = vec![Kind::Disconnected];
    });
    let (ann, master) = (bearer(&token("ann", &["**"])), bearer(MASTER_KEY));
    let mut sessions = Vec::new();
    let mut open = |way| {
        let talk = Talk::open_with(&server, way, &[("Authorization", &*ann)]);
        sessions.push(talk.id());
        talk
    };
    let mut closes = open(Way::WebSocket);
    closes.websocket().send_close(1000);
    await_told(&backend, 1);
    let deletes = open(Way::Sse);
    server.request("DELETE", &deletes.kept.location, &[], None).expect(204);
    await_told(&backend, 2);
    let ended = open(Way::Stream);
    let path = format!("/api/sessions/{}", ended.id());
    server.request("DELETE", &path, &[("Authorization", &*master)], None).expect(204);
    await_told(&backend, 3);
    drop(open(Way::WebSocket).cut());
    await_told(&backend, 4);
    let _stays = open(Way::Sse);
    drop(server);
    let all = await_told(&backend, 5);
    let said: Vec<_> = ["closed", "closed", "session_ended", "gone", "draining"]
        .iter()
        .zip(&sessions)
        .map(|(reason, session)| {
            json!({"method": "disconnected", "params": {"session": session, "user": "ann", "reason": reason}})
        })
        .collect();
    assert_eq!(all, said);
}

#[test]
fn a_channel_is_occupied_by_its_first_subscriber_anywhere_and_vacated_by_its_last() {
    let backend = Backend::new(Reply::echo());
    let server = serve(&backend, |_, settings| settings.tells = vec![Kind::Occupied, Kind::Vacated]);
    let sse = || server.connect().sse("/channels/a", &[("Accept", "text/event-stream")]);
    // Readers on whatever shard, and sessions with a connection and without.
    let readers: Vec<_> = (0..8).map(|_| sse()).collect();
    let mut talk = Talk::open(&server, Way::WebSocket);
    talk.call("subscribe", &json!({"channel": ["a", "p/**"]})).unwrap();
    await_told(&backend, 1);
    drop(readers);
    let kept = talk.cut();
    let mut talk = Talk::resume(&server, Way::Sse, kept);
    talk.call("subscribe", &json!({"channel": "b"})).unwrap();
    server.publish("p/1", "a pattern occupies nothing");
    talk.next();
    let so_far = [channel("channel.occupied", "a"), channel("channel.occupied", "b")];
    assert_eq!(await_told(&backend, 2), so_far);
    talk.call("unsubscribe", &json!({"channel": "a"})).unwrap();
    await_told(&backend, 3);
    let location = talk.kept.location.clone();
    server.request("DELETE", &location, &[], None).expect(204);
    let all = await_told(&backend, 4);
    assert_eq!(all[2..], [channel("channel.vacated", "a"), channel("channel.vacated", "b")]);
    let poll = server.connect().get("/channels/a?wait=1&since=latest");
    assert_eq!(poll.status(), 200);
    assert_eq!(await_told(&backend, 6)[4..], [channel("channel.occupied", "a"), channel("channel.vacated", "a")]);
}

#[test]
fn who_comes_back_in_time_was_never_away() {
    let backend = Backend::new(Reply::echo());
    let server = serve(&backend, |_, settings| {
        settings.tells = vec![Kind::Occupied, Kind::Vacated];
        settings.limits.debounce = Duration::from_secs(600);
    });
    for _ in 0..5 {
        drop(server.connect().sse("/channels/a", &[("Accept", "text/event-stream")]));
        eventually("the reader is gone", || readers(&server) == 0.0);
    }
    drop(server.connect().sse("/channels/last", &[("Accept", "text/event-stream")]));
    let all = await_told(&backend, 2);
    assert_eq!(all, [channel("channel.occupied", "a"), channel("channel.occupied", "last")]);
}

fn readers(server: &Server) -> f64 {
    super::figure(server, "switchboard_readers_sse")
}

#[test]
fn nothing_is_told_that_is_not_asked_for() {
    let backend = Backend::new(Reply::echo());
    let server = serve(&backend, |_, _| ());
    let mut talk = Talk::open(&server, Way::WebSocket);
    talk.call("subscribe", &json!({"channel": "a"})).unwrap();
    talk.call("move", &json!([])).unwrap();
    drop(talk);
    drop(server);
    assert_eq!(backend.asked().len(), 1);
}
