//! Runs the application until it is told to stop.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use switchboard_embedded::{Started, start, told};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let at = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Started { switchboard, listener, routes } = start(at(3000), at(8000)).await?;
    told(&format!("open http://{} in two windows", listener.local_addr()?));
    let stop = async {
        // Where signals cannot be heard, it is stopped otherwise.
        let _ = tokio::signal::ctrl_c().await;
    };
    axum::serve(listener, routes).with_graceful_shutdown(stop).await?;
    // Clients are told, which takes as long as they take to hear it.
    tokio::task::spawn_blocking(move || switchboard.drain()).await?;
    Ok(())
}
