//! Requests of client commands, with advice where they fail.

use crate::failure::{Failure, plain};
use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};
pub use switchboard_client::http::{Lost, Problem, body, explain};
use switchboard_client::url::Server;

impl From<Lost> for Failure {
    fn from(lost: Lost) -> Failure {
        Failure::Unreachable(lost.sentence)
    }
}

/// Sends a request; where nothing listens, the sentence says how a server is started or named.
pub async fn send<B>(server: &Server, request: Request<B>) -> Result<Response<Incoming>, Lost>
where
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    switchboard_client::http::send(server, request).await.map_err(advised)
}

/// The loss, with what may help.
pub fn advised(mut lost: Lost) -> Lost {
    if lost.refused {
        lost.sentence
            .push_str(". `switchboard serve` starts a server here; --server URL or SWITCHBOARD_URL names another");
    }
    if lost.distrusted {
        lost.sentence.push_str(". --ca FILE or SWITCHBOARD_CA names a file of further ones");
    }
    lost
}

/// What a person reads of a refusal: the sentence, and what may help whoever is refused for who they are.
pub fn told(problem: &Problem) -> String {
    let advice = advice(problem.status, &problem.code, problem.shown);
    advised_with(problem.sentence(), advice)
}

/// What may help whoever is refused for who they are. `shown`: something was shown of that.
pub fn advice(status: u16, code: &str, shown: bool) -> Option<&'static str> {
    match (status, code, shown) {
        (401, _, false) => {
            Some("show a token or an API key: --token-file FILE, or SWITCHBOARD_TOKEN in the environment")
        }
        (401, "token_expired" | "token_revoked", true) => Some("show a new one"),
        (401, _, true) => Some("`switchboard token --config FILE TOKEN` looks into a token"),
        (403, "forbidden", true) => {
            Some("`switchboard may --config FILE TOKEN ACTION CHANNEL` tells which rule decides")
        }
        _ => None,
    }
}

/// A sentence, and the advice if there is some.
pub fn advised_with(sentence: String, advice: Option<&str>) -> String {
    match advice {
        Some(advice) => format!("{sentence}; {advice}"),
        None => sentence,
    }
}

/// The runtime of a client command: everything happens on this thread.
pub fn run<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Failure::Unreachable(format!("the system refuses what a connection needs: {}", plain(&error)))
    })?;
    let result = runtime.block_on(work);
    // A thread may still be reading standard input, which has no end in sight.
    runtime.shutdown_background();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_refused_for_who_they_are_is_advised() {
        let refused = |status, code: &str, shown| Problem { status, code: code.into(), shown, ..Problem::default() };
        for (problem, advice) in [
            (refused(401, "unauthorized", false), "SWITCHBOARD_TOKEN"),
            (refused(401, "unauthorized", true), "switchboard token"),
            (refused(401, "token_expired", true), "a new one"),
            (refused(403, "forbidden", true), "switchboard may"),
        ] {
            assert!(told(&problem).contains(advice), "{}", told(&problem));
        }
        assert!(!told(&refused(403, "forbidden_origin", true)).contains(';'));
    }
}
