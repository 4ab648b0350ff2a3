//! `--transport poll`: a page at a time, each asked for with leave to wait.

use super::follow::{Audience, Follow, Next};
use super::{Cut, Link, SILENCE, bad_request, cut, silent};
use crate::failure::Failure;
use crate::http;
use ::http::{Request, header};
use bytes::Bytes;
use http_body_util::Empty;
use tokio::time::timeout;

/// How long the server may wait for an event, in seconds: well within what is taken for silence.
const WAIT: &str = "30";

pub async fn read(link: &Link<'_>, follow: &mut Follow, audience: &mut dyn Audience) -> Result<(), Cut> {
    loop {
        // A page begins at the earliest unless told, and a follower at the latest.
        let since = follow.position().unwrap_or("latest").to_owned();
        let request = Request::get(link.target(Some(&since), &[("wait", WAIT)]))
            .header(header::ACCEPT, "application/json")
            .body(Empty::<Bytes>::new())
            .map_err(|error| bad_request(&error))?;
        let response = timeout(SILENCE, http::send(link.server, request)).await.map_err(|_| silent())??;
        match response.status().as_u16() {
            200 => {}
            204 => return Ok(()),
            _ => return Err(link.refusal(response).await),
        }
        let body = timeout(SILENCE, http::body(link.server, response)).await.map_err(|_| silent())??;
        let page = std::str::from_utf8(&body).map_err(|_| cut("the server sent what is not UTF-8"))?;
        let next = follow.page(page, audience)?;
        audience.pause().map_err(Failure::from)?;
        match next {
            Next::Read => {}
            Next::Stop => return Ok(()),
            Next::Again(why) => return Err(cut(why)),
        }
    }
}
