//! `GET` of a document, and no more of it than a limit.

use crate::outward::answer::{self, Broken};
use crate::outward::{Address, Roots, trust};
use std::path::Path;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

/// Most that is read.
const SIZE: usize = 1 << 20;
/// The setting that names a file of roots.
const SETTING: &str = "auth.jwks_ca";

/// The document, if it is there whole within this time, from the look-up of the name to the last byte. `roots`: a file of
/// further roots, for an address with TLS.
pub(crate) async fn get(address: &Address, roots: Option<&Path>, time: Duration) -> Result<Vec<u8>, String> {
    match timeout(time, exchange(address, Roots { file: roots, setting: SETTING })).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("it took longer than {time:?}")),
    }
}

async fn exchange(address: &Address, roots: Roots<'_>) -> Result<Vec<u8>, String> {
    let failed = |error| trust::explain(&error, SETTING);
    let mut socket = address.connect(roots).await?;
    let Address { authority, target, .. } = address;
    let request =
        format!("GET {target} HTTP/1.1\r\nHost: {authority}\r\nAccept: application/json\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.map_err(failed)?;
    socket.flush().await.map_err(failed)?;
    let answer = answer::read(&mut socket, SIZE).await.map_err(|broken| match broken {
        Broken::Silent => "the answer was cut off".to_owned(),
        Broken::Io(error) => failed(error),
        Broken::Foul(why) => why,
    })?;
    match answer.status {
        200 => Ok(answer.body),
        code @ 300..=399 => Err(format!("the answer has status {code}, and redirections are not followed")),
        code => Err(format!("the answer has status {code}")),
    }
}
