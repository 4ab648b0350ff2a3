//! What is behind the pages of the examples: one program that serves them, signs their tokens, does their work, and has
//! Switchboard inside.
//!
//! | file | for the page |
//! |---|---|
//! | `chat` | chat: says whose words they are |
//! | `access` | all: who may do what, and the tokens that say so |
//! | `job` | job: counts primes, and says how far it is |
//! | `answer`, `model` | answer: a small language model that speaks word by word, and can be stopped |
//! | `ticker` | ticker: prices that wander |
//! | `log` | log: what this program logs, as it logs it |
//! | `routes` | all: the files, and `POST /token` |
//!
//! Cursors need nothing more than a channel.

mod access;
mod answer;
mod chat;
mod job;
mod log;
mod model;
mod routes;
mod ticker;

pub use routes::Files;

use access::Access;
use answer::Answers;
use job::Jobs;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use switchboard::application::{Backend, Caller, ErrorObject, Event, Handlers, Problem};
use switchboard::{Config, Publisher, Running};
use tokio::net::TcpListener;

/// Both servers, listening.
#[derive(Debug)]
pub struct Started {
    pub switchboard: Running,
    pub listener: TcpListener,
    pub routes: axum::Router,
}

/// Starts Switchboard and all that publishes to it, and makes what axum is to serve. Addresses with port 0 get a free one.
pub async fn start(web: SocketAddr, realtime: SocketAddr, files: Files) -> Result<Started, Box<dyn Error>> {
    let lines = log::start();
    let listener = TcpListener::bind(web).await?;
    let access = Arc::new(Access::new()?);
    let publisher = Arc::new(OnceLock::new());
    let handlers = handlers(&publisher);
    let config =
        Config { listen: vec![realtime], application: Backend::Embedded(Arc::new(handlers)), ..Config::default() };
    let switchboard = switchboard::start(access.config(config, listener.local_addr()?)?)?;
    // There are handlers before there is a server, and a publisher only with it.
    let publisher = publisher.get_or_init(|| switchboard.publisher()).clone();
    tokio::spawn(log::publish(lines, publisher.clone()));
    tokio::spawn(ticker::run(publisher));
    let routes = routes::routes(files, access, switchboard.addresses()[0]);
    Ok(Started { switchboard, listener, routes })
}

/// The methods that pages call, and what is worth a line in the log.
fn handlers(publisher: &Arc<OnceLock<Publisher>>) -> Handlers {
    let jobs = Arc::new(Jobs::new(publisher.clone()));
    let answers = Arc::new(Answers::new(publisher.clone()));
    let stopping = answers.clone();
    Handlers::new(tokio::runtime::Handle::current())
        .method("job.start", move |_: Caller, params: job::Start| {
            let jobs = jobs.clone();
            async move { jobs.start(params).map_err(refused) }
        })
        .method("answer.ask", move |_: Caller, params: answer::Ask| {
            let answers = answers.clone();
            async move { answers.ask(params).map_err(refused) }
        })
        .method("answer.stop", move |_: Caller, params: answer::Stop| {
            let answers = stopping.clone();
            async move { answers.stop(&params).map_err(refused) }
        })
        .on_publish(|caller, publishing| async move { chat::signed(&caller, &publishing).map_err(refused) })
        .on_event(async |event| match event {
            Event::Disconnected { caller, reason } => {
                tracing::info!("{} has left: {reason}", caller.user.as_deref().unwrap_or("somebody"));
            }
            Event::Occupied { channel } => tracing::info!("somebody is on {channel}"),
            Event::Vacated { channel } => tracing::info!("nobody is on {channel} any more"),
        })
}

fn refused(problem: Problem) -> ErrorObject<'static> {
    (&problem).into()
}

/// A line on the terminal.
#[allow(clippy::print_stdout, reason = "whoever runs the examples looks there")]
pub fn told(line: &str) {
    println!("{line}");
}
