//! A show of hands: an axum application that has Switchboard in its own process.
//!
//! The page and the routes are axum's, on an address of their own. Browsers talk to Switchboard directly, and what they
//! call there is answered by functions of this program: they share its memory, and its events go out without a request.

mod hands;
mod routes;

pub use hands::Hands;

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use switchboard::application::{Backend, Caller, Connecting, Event, Granted, Handlers};
use switchboard::{Config, Running};
use tokio::net::TcpListener;

/// Both servers, listening.
#[derive(Debug)]
pub struct Started {
    pub switchboard: Running,
    pub listener: TcpListener,
    pub routes: axum::Router,
}

/// Starts Switchboard, and makes what axum is to serve. Addresses with port 0 get a free one.
pub async fn start(web: SocketAddr, realtime: SocketAddr) -> Result<Started, Box<dyn Error>> {
    let hands = Arc::new(Hands::default());
    let application = Backend::Embedded(Arc::new(handlers(&hands)));
    let switchboard = switchboard::start(Config { listen: vec![realtime], application, ..Config::default() })?;
    // There are handlers before there is a server, and a publisher only with it.
    hands.publish_by(switchboard.publisher());
    let realtime = switchboard.addresses()[0];
    Ok(Started { switchboard, listener: TcpListener::bind(web).await?, routes: routes::routes(hands, realtime) })
}

/// A line on the terminal.
#[allow(clippy::print_stdout, reason = "whoever runs the example looks there")]
pub fn told(line: &str) {
    println!("{line}");
}

/// What Switchboard asks this program, and tells it.
fn handlers(hands: &Arc<Hands>) -> Handlers {
    let raising = hands.clone();
    Handlers::new(tokio::runtime::Handle::current())
        // Cookies know no ports: the one that axum has set comes along to Switchboard.
        .fields(["cookie"])
        .on_connect(async |connecting: Connecting| {
            let cookies = connecting.fields.get("cookie").map_or("", String::as_str);
            let user = routes::name_in(cookies).map(Into::into);
            let subscriptions = vec![switchboard::application::Begin { channel: hands::CHANNEL.into(), since: None }];
            Ok(Granted { user, subscriptions, ..Granted::default() })
        })
        .method("raise", move |caller: Caller, hand: hands::Hand| {
            let hands = raising.clone();
            async move { hands.raise(caller.user.as_deref(), hand).await }
        })
        // What is told on the channel is counted here, and nothing that a client could say.
        .on_publish(|_, publishing| async move { hands::may_publish(&publishing.channel) })
        .on_event(async |event| {
            if let Event::Disconnected { caller, reason } = event {
                told(&format!("{} has left: {reason}", caller.user.as_deref().unwrap_or("somebody")));
            }
        })
}
