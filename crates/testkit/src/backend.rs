//! An application behind the server: a small HTTP server that answers JSON-RPC, well or badly, and remembers what it was
//! asked.

use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// What is made of a method and its params: a result, or an error object.
pub type Answering = dyn Fn(&str, &Value) -> Result<Value, Value> + Send + Sync;

/// What is answered to a request.
#[derive(Clone)]
pub enum Reply {
    /// Each call with what this makes of it. Notifications with 204.
    Calls(Arc<Answering>),
    /// These bytes.
    Raw(String),
    /// These bytes, and the end of the connection.
    Ends(String),
    /// Nothing, until the other side goes.
    Hangs,
    /// Nothing until [`Backend::release`], then a call's params as its result.
    Waits,
    /// Nothing until [`Backend::release`], then each call with what this makes of it.
    Later(Arc<Answering>),
}

impl Reply {
    /// A whole answer with this status and body.
    pub fn status(status: u16, body: &str) -> Reply {
        Reply::Raw(http(status, body))
    }

    /// Answers each call with its params.
    pub fn echo() -> Reply {
        Reply::Calls(Arc::new(|_, params| Ok(params.clone())))
    }

    /// Refuses each call.
    pub fn refuse(code: i64, message: &str) -> Reply {
        let error = json!({"code": code, "message": message});
        Reply::Calls(Arc::new(move |_, _| Err(error.clone())))
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reply::Calls(_) => "Calls",
            Reply::Raw(_) => "Raw",
            Reply::Ends(_) => "Ends",
            Reply::Hangs => "Hangs",
            Reply::Waits => "Waits",
            Reply::Later(_) => "Later",
        })
    }
}

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which connection it came on, from 1.
    pub connection: usize,
    pub fields: Vec<(String, String)>,
    pub text: String,
}

impl Asked {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{}: {error}", self.text))
    }

    /// The value of a field; empty if it is not there.
    pub fn field(&self, name: &str) -> &str {
        let found = self.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }
}

struct State {
    reply: Reply,
    next: VecDeque<Reply>,
    asked: Vec<Asked>,
    connections: usize,
    released: bool,
}

/// The application, on a port of its own.
pub struct Backend {
    address: SocketAddr,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Backend {
    pub fn new(reply: Reply) -> Backend {
        Backend::on(TcpListener::bind("127.0.0.1:0").unwrap(), reply)
    }

    /// On a port that was chosen before.
    pub fn on(listener: TcpListener, reply: Reply) -> Backend {
        let state = State { reply, next: VecDeque::new(), asked: Vec::new(), connections: 0, released: false };
        let backend =
            Backend { address: listener.local_addr().unwrap(), shared: Arc::new((Mutex::new(state), Condvar::new())) };
        let shared = backend.shared.clone();
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let (socket, shared) = (socket.unwrap(), shared.clone());
                let connection = {
                    let mut state = shared.0.lock().unwrap();
                    state.connections += 1;
                    state.connections
                };
                std::thread::spawn(move || attend(socket, connection, &shared));
            }
        });
        backend
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook?a=b", self.address)
    }

    /// What is answered from now on.
    pub fn reply(&self, reply: Reply) {
        self.shared.0.lock().unwrap().reply = reply;
    }

    /// What is answered once, before all else, after those that were given so before.
    pub fn next(&self, reply: Reply) {
        self.shared.0.lock().unwrap().next.push_back(reply);
    }

    /// Lets those be answered that wait.
    pub fn release(&self) {
        self.shared.0.lock().unwrap().released = true;
        self.shared.1.notify_all();
    }

    /// All requests so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.0.lock().unwrap().asked.clone()
    }

    /// Waits until there were so many requests, and gives them.
    #[track_caller]
    pub fn await_asked(&self, count: usize) -> Vec<Asked> {
        crate::eventually(&format!("{count} requests to the application"), || self.asked().len() >= count);
        self.asked()
    }
}

fn http(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A connection that fails is the other side's choice, and no matter here.
fn attend(mut socket: TcpStream, connection: usize, shared: &(Mutex<State>, Condvar)) {
    let Ok(reading) = socket.try_clone() else { return };
    let mut reading = BufReader::new(reading);
    while let Some((fields, text)) = receive(&mut reading) {
        let reply = {
            let mut state = shared.0.lock().unwrap();
            state.asked.push(Asked { connection, fields, text: text.clone() });
            let reply = state.next.pop_front();
            reply.unwrap_or_else(|| state.reply.clone())
        };
        let (answer, goes_on) = match reply {
            Reply::Calls(answer) => (answer_call(&text, &*answer), true),
            Reply::Raw(text) => (text, true),
            Reply::Ends(text) => (text, false),
            Reply::Hangs => {
                let _ = reading.read_to_end(&mut Vec::new());
                return;
            }
            Reply::Waits => {
                wait(shared);
                (answer_call(&text, &|_, params| Ok(params.clone())), true)
            }
            Reply::Later(answer) => {
                wait(shared);
                (answer_call(&text, &*answer), true)
            }
        };
        if socket.write_all(answer.as_bytes()).is_err() || !goes_on {
            return;
        }
    }
}

/// Until those that wait are let go.
fn wait(shared: &(Mutex<State>, Condvar)) {
    let state = shared.0.lock().unwrap();
    drop(shared.1.wait_while(state, |state| !state.released).unwrap());
}

fn receive(reading: &mut impl BufRead) -> Option<(Vec<(String, String)>, String)> {
    let mut fields = Vec::new();
    let mut line = String::new();
    reading.read_line(&mut line).ok().filter(|read| *read > 0)?;
    loop {
        line.clear();
        reading.read_line(&mut line).ok().filter(|read| *read > 0)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) => fields.push((name.to_owned(), value.to_owned())),
            None => break,
        }
    }
    let length = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let mut body = vec![0; length.map_or(0, |(_, length)| length.parse().unwrap())];
    reading.read_exact(&mut body).ok()?;
    Some((fields, String::from_utf8(body).unwrap()))
}

fn answer_call(text: &str, answer: &dyn Fn(&str, &Value) -> Result<Value, Value>) -> String {
    let call: Value = serde_json::from_str(text).unwrap();
    let Some(id) = call.get("id") else { return "HTTP/1.1 204 No Content\r\n\r\n".to_owned() };
    let outcome = answer(call["method"].as_str().unwrap(), &call["params"]);
    let body = match outcome {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
    };
    http(200, &body.to_string())
}
