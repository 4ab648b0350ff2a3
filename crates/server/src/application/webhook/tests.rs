//! Against a small server that answers well or badly.

use super::*;
use crate::application::{Begin, verify};
use std::net::{SocketAddr, TcpListener};
use std::time::UNIX_EPOCH;
use switchboard_testkit::backend::{Backend, Reply};
use switchboard_testkit::{PATIENCE, Value, eventually, free_port, json};
use switchboard_wire::ChannelName;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

fn settings(url: &str) -> Settings {
    Settings {
        address: Address::parse(url).unwrap(),
        ca: None,
        secrets: vec![Secret::new(SECRET)],
        asks: Question::ALL.to_vec(),
        tells: Kind::ALL.to_vec(),
        fields: Vec::new(),
        limits: limits(),
    }
}

fn limits() -> Limits {
    Limits { timeout: PATIENCE, ..Limits::default() }
}

/// A webhook that stops with the test.
struct Hook(Webhook);

impl Hook {
    fn new(url: &str) -> Hook {
        Hook::with(settings(url))
    }

    fn with(settings: Settings) -> Hook {
        Hook(Webhook::start(settings, 1 << 16).unwrap())
    }

    fn within(limits: Limits, url: &str) -> Hook {
        Hook::with(Settings { limits, ..settings(url) })
    }

    fn call(&self, method: &str, params: &str) -> Result<Value, ErrorObject<'static>> {
        wait(self.begin(method, params)).map(|result| result.read().unwrap())
    }

    fn begin(&self, method: &str, params: &str) -> Answer<Json<'static>> {
        let params = Params::new(Json::parse(params).unwrap().into_owned()).unwrap();
        self.0.call(caller(), method, params)
    }

    fn connect(&self) -> Result<Granted, ErrorObject<'static>> {
        let fields = [("cookie".into(), "a=b".into())].into();
        let address = caller().address;
        wait(self.0.connect(Connecting { session: "0001c4f0".into(), user: Some("änn".into()), address, fields }))
    }

    fn refused(&self) -> i64 {
        self.call("move", "[]").unwrap_err().code
    }

    fn occupied(&self, channel: &str) {
        self.0.tell(Event::Occupied { channel: ChannelName::new(channel).unwrap() });
    }

    fn figures(&self) -> Figures {
        self.0.figures()
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        self.0.stop(Duration::ZERO);
    }
}

fn wait<T>(answer: Answer<T>) -> Result<T, ErrorObject<'static>> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(answer)
}

fn caller() -> Caller {
    Caller { session: "0001c4f0".into(), user: Some("änn".into()), info: None, address: [127, 0, 0, 1].into() }
}

/// An address where nobody listens.
fn nowhere() -> String {
    format!("http://127.0.0.1:{}/", free_port())
}

fn channels(notices: &Value) -> Vec<&str> {
    let one = std::slice::from_ref(notices);
    notices.as_array().map_or(one, Vec::as_slice).iter().map(|n| n["params"]["channel"].as_str().unwrap()).collect()
}

#[test]
fn a_call_is_the_clients_message_signed_and_says_of_whom_it_is() {
    let backend = Backend::new(Reply::echo());
    let hook = Hook::new(&backend.url());
    assert_eq!(hook.call("move", r#"{"to": "e4"}"#), Ok(json!({"to": "e4"})));
    let asked = &backend.asked()[0];
    let sent = asked.json();
    assert_eq!((&sent["jsonrpc"], &sent["method"]), (&json!("2.0"), &json!("move")));
    assert!(asked.text.contains(r#""params":{"to": "e4"}"#), "kept as written: {}", asked.text);
    assert_eq!(asked.field("Content-Type"), "application/json");
    assert_eq!(asked.field("Host"), backend.address().to_string());
    let (session, user) = (asked.field("Switchboard-Session"), asked.field("Switchboard-User"));
    assert_eq!((session, user), ("0001c4f0", "%C3%A4nn"));
    let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let said = (session, user, asked.text.as_bytes());
    assert!(verify(&Secret::new(SECRET), asked.field("Switchboard-Signature"), said, now, 60));
}

#[test]
fn questions_are_calls_with_typed_answers() {
    let backend = Backend::new(Reply::Calls(Arc::new(|method, params| match method {
        "connect" => Ok(json!({"user": params["fields"]["cookie"], "subscriptions": ["room/1"]})),
        "subscribe" => Ok(json!({"since": "earliest"})),
        _ => Ok(json!({"data": params["data"].as_str().unwrap().to_uppercase()})),
    })));
    let hook = Hook::new(&backend.url());
    let granted = hook.connect().unwrap();
    assert_eq!(granted.user.as_deref(), Some("a=b"));
    assert_eq!(granted.subscriptions, [Begin { channel: "room/1".into(), since: None }]);
    let allowed = wait(hook.0.subscribe(caller(), Subscribing { channel: "room/*".into(), since: None })).unwrap();
    assert_eq!(allowed.since.as_deref(), Some("earliest"));
    let data = Some(Json::parse(r#""hey""#).unwrap());
    let publishing = Publishing { channel: "room/1".into(), event: None, content_type: None, data, base64: None };
    assert_eq!(wait(hook.0.publish(caller(), publishing)).unwrap(), Taken::Data(Json::parse(r#""HEY""#).unwrap()));
    let asked = backend.asked();
    assert_eq!(asked[0].json()["params"]["address"], json!("127.0.0.1"));
    assert_eq!(asked[1].json()["params"], json!({"channel": "room/*"}));
    assert_eq!(asked[2].json()["params"], json!({"channel": "room/1", "data": "hey"}));
}

#[test]
fn one_connection_serves_one_call_after_the_other() {
    let backend = Backend::new(Reply::echo());
    let hook = Hook::new(&backend.url());
    for _ in 0..20 {
        hook.call("move", "[1]").unwrap();
    }
    assert!(backend.asked().iter().all(|asked| asked.connection == 1));
    assert_eq!((hook.figures().requests, hook.figures().calls), (20, 0));
}

#[test]
fn a_refusal_is_passed_on_as_it_is() {
    let backend = Backend::new(Reply::Calls(Arc::new(|_, _| Err(json!({"code": 7, "message": "no", "data": [1]})))));
    let hook = Hook::new(&backend.url());
    let expected = ErrorObject { code: 7, message: "no".into(), data: Json::parse("[1]") };
    for _ in 0..30 {
        assert_eq!(hook.call("move", "[]"), Err(expected.clone()));
    }
    assert_eq!(hook.connect(), Err(expected), "a refusal is an answer, and opens no breaker");
    assert_eq!(hook.figures().failed, 0);
}

#[test]
fn what_is_no_answer_is_application_failed() {
    let answer = |body: &str| Reply::status(200, body);
    let backend = Backend::new(Reply::echo());
    let hook = Hook::new(&backend.url());
    let bad = [
        Reply::status(500, "{}"),
        Reply::status(404, ""),
        Reply::status(302, ""),
        Reply::status(204, ""),
        answer("garbage"),
        answer("{}"),
        answer("[]"),
        answer(r#"{"jsonrpc":"2.0","id":"another","result":1}"#),
        answer(r#"{"jsonrpc":"2.0","id":null,"result":1}"#),
        answer(r#"{"jsonrpc":"2.0","method":"x"}"#),
        answer(&format!("\"{}\"", "x".repeat(1 << 16))),
        Reply::Ends("SSH-2.0\r\n".into()),
        Reply::Ends("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".into()),
        Reply::Ends(String::new()),
    ];
    let count = bad.len();
    for reply in bad {
        let said = format!("{reply:?}");
        backend.next(reply);
        assert_eq!(hook.refused(), 50200, "{said}");
    }
    assert_eq!(backend.asked().len(), count, "what may have been done is not asked for again");
    assert_eq!(hook.figures().failed, count as u64);
    backend.next(answer(r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request"}}"#));
    assert_eq!(hook.refused(), -32600, "an application that cannot read the id says null");
    backend.next(answer(r#"{"jsonrpc":"2.0","id":"x","result":{"usr":1}}"#));
    assert_eq!(hook.connect().unwrap_err().code, 50200);
    assert_eq!(hook.call("move", "[1]"), Ok(json!([1])), "and one that answers again is there");
}

#[test]
fn whoever_asks_to_come_later_is_overloaded() {
    let backend = Backend::new(Reply::status(503, ""));
    assert_eq!(Hook::new(&backend.url()).refused(), 50300);
}

#[test]
fn where_nobody_listens_calls_are_overloaded_and_were_tried_again() {
    let hook = Hook::new(&nowhere());
    assert_eq!(hook.refused(), 50300);
    assert_eq!((hook.figures().requests, hook.figures().retried, hook.figures().failed), (3, 2, 1));
}

#[test]
fn one_that_is_slow_is_a_timeout_and_others_are_served() {
    let backend = Backend::new(Reply::echo());
    let hook = Hook::within(Limits { timeout: Duration::from_secs(2), ..limits() }, &backend.url());
    backend.next(Reply::Hangs);
    let slow = hook.begin("slow", "[]");
    backend.await_asked(1);
    assert_eq!(hook.call("move", "[1]"), Ok(json!([1])));
    assert_eq!(wait(slow).unwrap_err().code, 50400);
    assert_eq!(backend.asked().len(), 2);
}

#[test]
fn what_was_not_heard_is_asked_again_if_that_does_no_harm() {
    let backend = Backend::new(Reply::Calls(Arc::new(|_, _| Ok(json!({})))));
    let hook = Hook::new(&backend.url());
    hook.connect().unwrap();
    backend.next(Reply::Ends(String::new()));
    assert_eq!(hook.connect(), Ok(Granted::default()));
    let asked = backend.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[1].json()["id"], asked[2].json()["id"], "it is known as the same");
    assert_ne!(asked[0].json()["id"], asked[1].json()["id"]);
    backend.next(Reply::Ends(String::new()));
    assert_eq!(hook.refused(), 50200, "a call of a client may have been done");
    assert_eq!(backend.asked().len(), 4);
}

#[test]
fn beyond_the_queue_calls_are_refused_at_once() {
    let backend = Backend::new(Reply::Waits);
    let hook = Hook::within(Limits { concurrency: 2, queue: 3, ..limits() }, &backend.url());
    let begun: Vec<_> = (0..5).map(|i| hook.begin("move", &format!("[{i}]"))).collect();
    assert_eq!(hook.figures().calls, 5);
    assert_eq!(hook.refused(), 50300);
    assert_eq!(hook.figures().refused, 1);
    backend.await_asked(2);
    backend.release();
    for (i, answer) in begun.into_iter().enumerate() {
        assert_eq!(wait(answer).unwrap().as_str(), format!("[{i}]"));
    }
    assert!(backend.asked().iter().all(|asked| asked.connection <= 2), "no more at once than may be");
    assert_eq!(hook.figures().calls, 0);
}

#[test]
fn calls_that_nobody_waits_for_any_more_are_not_made() {
    let backend = Backend::new(Reply::Waits);
    let hook = Hook::within(Limits { concurrency: 1, ..limits() }, &backend.url());
    let first = hook.begin("first", "[]");
    backend.await_asked(1);
    drop((hook.begin("second", "[]"), hook.begin("third", "[]")));
    eventually("the two have left the queue", || hook.figures().calls == 1);
    backend.release();
    wait(first).unwrap();
    assert_eq!(hook.call("fourth", "[]"), Ok(json!([])));
    let methods: Vec<Value> = backend.asked().iter().map(|asked| asked.json()["method"].clone()).collect();
    assert_eq!(methods, ["first", "fourth"]);
}

#[test]
fn one_that_does_not_answer_is_given_a_rest_and_then_tried() {
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let pause = Duration::from_secs(2);
    let hook = Hook::within(Limits { failures: 2, pause, ..limits() }, &format!("http://{address}/"));
    assert_eq!((hook.refused(), hook.refused()), (50300, 50300));
    let made = hook.figures().requests;
    assert_eq!((hook.figures().resting, hook.refused(), hook.figures().requests), (true, 50300, made), "it is at rest");
    let backend = Backend::on(TcpListener::bind(address).unwrap(), Reply::echo());
    eventually("it is asked again", || hook.call("move", "[1]") == Ok(json!([1])));
    assert!(!hook.figures().resting);
    assert_eq!(backend.asked().len(), 1);
}

#[test]
fn notifications_of_clients_go_there_too_and_come_to_nothing_silently() {
    let backend = Backend::new(Reply::echo());
    let hook = Hook::new(&backend.url());
    hook.0.notify(caller(), "typing", Params::ABSENT);
    let asked = backend.await_asked(1);
    assert_eq!(asked[0].json(), json!({"jsonrpc": "2.0", "method": "typing"}));
    assert_eq!(asked[0].field("Switchboard-Session"), "0001c4f0");
    backend.next(Reply::status(500, ""));
    hook.0.notify(caller(), "typing", Params::ABSENT);
    eventually("the failure is counted", || hook.figures().failed == 1);
    assert_eq!(backend.asked().len(), 2);
}

#[test]
fn notices_are_told_in_order_and_again_until_they_are_taken() {
    let backend = Backend::new(Reply::echo());
    let hook = Hook::new(&backend.url());
    backend.next(Reply::Ends(String::new()));
    backend.next(Reply::status(500, ""));
    hook.occupied("c/1");
    eventually("it is taken", || hook.figures().notices == 0);
    let asked = backend.asked();
    assert_eq!(asked.len(), 3);
    let notices: Vec<Value> = asked.iter().map(|asked| asked.json()).collect();
    assert!(notices.iter().all(|notice| notice == &notices[0] && notice.get("id").is_none()), "{notices:?}");
    assert_eq!(notices[0]["method"], json!("channel.occupied"));
    hook.0.tell(Event::Disconnected { caller: caller(), reason: "token_expired" });
    let told = backend.await_asked(4)[3].json();
    let params =
        json!({"notice": told["params"]["notice"], "session": "0001c4f0", "user": "änn", "reason": "token_expired"});
    assert_eq!(told, json!({"jsonrpc": "2.0", "method": "disconnected", "params": params}));
    let number = |notice: &Value| -> u64 {
        notice["params"]["notice"].as_str().unwrap().split_once('-').unwrap().1.parse().unwrap()
    };
    assert_eq!((number(&notices[0]), number(&told)), (1, 2));
}

#[test]
fn notices_that_wait_go_together_and_the_oldest_go_where_too_many_do() {
    let backend = Backend::new(Reply::status(204, ""));
    let hook = Hook::within(Limits { notices: 4, ..limits() }, &backend.url());
    backend.next(Reply::Waits);
    hook.occupied("c/0");
    backend.await_asked(1);
    (1..=6).for_each(|i| hook.occupied(&format!("c/{i}")));
    assert_eq!((hook.figures().notices, hook.figures().dropped), (4, 3));
    backend.release();
    let told = backend.await_asked(2)[1].json();
    assert_eq!(channels(&told), ["c/3", "c/4", "c/5", "c/6"]);
    eventually("all are taken", || hook.figures().notices == 0);
}

#[test]
fn a_notice_that_is_never_taken_takes_no_other_with_it() {
    let backend = Backend::new(Reply::status(204, ""));
    let hook = Hook::new(&backend.url());
    backend.next(Reply::Waits);
    hook.occupied("c/0");
    backend.await_asked(1);
    for i in 1..=3 {
        hook.occupied(&format!("c/{i}"));
        backend.next(Reply::status(500, ""));
    }
    backend.release();
    eventually("all are told or dropped", || hook.figures().notices == 0);
    let told: Vec<Value> = backend.asked().iter().map(|asked| asked.json()).collect();
    let told: Vec<Vec<&str>> = told.iter().map(channels).collect();
    let expected: [&[&str]; 5] = [&["c/0"], &["c/1", "c/2", "c/3"], &["c/1"], &["c/1"], &["c/2", "c/3"]];
    assert_eq!(told, expected);
    assert_eq!(hook.figures().dropped, 1);
}

#[test]
fn what_it_does_not_want_to_hear_is_not_told() {
    let backend = Backend::new(Reply::echo());
    let mut settings = settings(&backend.url());
    (settings.tells, settings.asks) = (vec![Kind::Vacated], vec![Question::Publish]);
    let hook = Hook::with(settings);
    let asks: Vec<bool> = Question::ALL.into_iter().map(|question| hook.0.asks(question)).collect();
    assert_eq!(asks, [false, false, true]);
    hook.occupied("c");
    hook.0.tell(Event::Vacated { channel: ChannelName::new("c").unwrap() });
    assert_eq!(backend.await_asked(1)[0].json()["method"], json!("channel.vacated"));
}

#[test]
fn what_waits_is_told_before_it_stops_and_one_that_is_gone_holds_up_nothing() {
    let backend = Backend::new(Reply::status(204, ""));
    let hook = Hook::new(&backend.url());
    (0..250).for_each(|i| hook.occupied(&format!("c/{i}")));
    hook.0.stop(PATIENCE);
    let told: usize = backend.asked().iter().map(|asked| channels(&asked.json()).len()).sum();
    assert_eq!((told, hook.figures().dropped), (250, 0));
    assert_eq!(hook.refused(), 50301);

    let hook = Hook::new(&nowhere());
    hook.occupied("c/1");
    let begun = Instant::now();
    hook.0.stop(2 * PATIENCE);
    assert!(begun.elapsed() < PATIENCE, "it does not come back, and is not waited for");
    assert_eq!(hook.figures().dropped, 1);
}

#[test]
fn over_https_too_and_a_stranger_is_not_asked() {
    use switchboard_testkit::issuer::{Authority, Conduct, Issuer, Term};
    let authority = Authority::new("ours");
    let answer = r#"{"jsonrpc":"2.0","id":null,"error":{"code":7,"message":"heard"}}"#;
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{answer}", answer.len());
    let secure = Issuer::secure(Conduct::Answers(answer), authority.certify("localhost", Term::Now));
    let ca = std::env::temp_dir().join(format!("switchboard-hook-{}.pem", std::process::id()));
    std::fs::write(&ca, authority.pem()).unwrap();
    let trusting = Hook::with(Settings { ca: Some(ca.clone()), ..settings(&secure.https()) });
    assert_eq!(trusting.refused(), 7);
    assert_eq!(Hook::new(&secure.https()).refused(), 50300);
    std::fs::remove_file(&ca).unwrap();
}
