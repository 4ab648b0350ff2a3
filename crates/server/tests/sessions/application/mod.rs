//! The application behind the server, up and down, quick and slow, right and wrong; and the sessions in front of it.

mod calls;
mod connect;
mod questions;
mod told;

use serde_json::{Value, json};
use std::time::Duration;
use switchboard::Config;
use switchboard::application::webhook::{Limits, Settings};
use switchboard::application::{Backend as Behind, Question};
use switchboard::auth::settings::Secret;
use switchboard::outward::Address;
use switchboard_testkit::backend::{Asked, Backend};
use switchboard_testkit::{PATIENCE, Server, config};

/// How the application is asked, unless a test says otherwise.
fn settings(url: &str) -> Settings {
    Settings {
        address: Address::parse(url).unwrap(),
        ca: None,
        secrets: vec![Secret::new(*b"0123456789abcdef0123456789abcdef")],
        asks: Vec::new(),
        tells: Vec::new(),
        fields: Vec::new(),
        limits: Limits { timeout: PATIENCE, debounce: Duration::from_millis(50), failures: 1000, ..Limits::default() },
    }
}

/// A server with an application behind it.
fn serve(backend: &Backend, change: impl FnOnce(&mut Config, &mut Settings)) -> Server {
    let (mut config, mut settings) = (config(), settings(&backend.url()));
    change(&mut config, &mut settings);
    config.application = Behind::Webhook(Box::new(settings));
    Server::start(config)
}

fn asking(backend: &Backend, questions: &[Question]) -> Server {
    serve(backend, |_, settings| settings.asks = questions.to_vec())
}

/// What the application was told, in order: notifications one by one, whether they came in a batch or alone.
fn told(asked: &[Asked]) -> Vec<Value> {
    let one_by_one = |asked: &Asked| match asked.json() {
        Value::Array(batch) => batch,
        one => vec![one],
    };
    asked.iter().flat_map(one_by_one).filter(|message| message.get("id").is_none()).collect()
}

/// What the application was asked, in order: method and params.
fn asked(backend: &Backend) -> Vec<(String, Value)> {
    let calls =
        backend.asked().iter().map(Asked::json).filter(|message| message.get("id").is_some()).collect::<Vec<_>>();
    calls.into_iter().map(|call| (call["method"].as_str().unwrap().to_owned(), call["params"].clone())).collect()
}

/// The number of an error.
fn code(answer: Result<Value, Value>) -> i64 {
    answer.expect_err("an error")["code"].as_i64().unwrap()
}

/// A number of the server's metrics.
fn figure(server: &Server, name: &str) -> f64 {
    let text = String::from_utf8(server.get("/metrics").expect(200).body).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
    line.parse().unwrap()
}

/// A call, as JSON.
fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}
