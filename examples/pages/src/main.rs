//! Runs the examples until they are told to stop: `switchboard-examples [ADDRESS [ADDRESS]]`, where the pages are and where
//! Switchboard is.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use switchboard_examples::{Files, Started, start, told};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut named = std::env::args().skip(1);
    let mut at = |port| match named.next() {
        Some(address) => address.parse().map_err(|error| format!("{address}: {error}")),
        None => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
    };
    let files = Files::of_the_repository();
    files.check()?;
    let Started { switchboard, listener, routes, .. } = start(at(8001)?, at(8002)?, files).await?;
    told(&format!("open http://{}", listener.local_addr()?));
    let stop = async {
        // Where signals cannot be heard, it is stopped otherwise.
        let _ = tokio::signal::ctrl_c().await;
    };
    tokio::select! {
        served = axum::serve(listener, routes) => served?,
        () = stop => {}
    }
    // Clients are told, which takes as long as they take to hear it.
    tokio::task::spawn_blocking(move || switchboard.drain()).await?;
    Ok(())
}
