//! Requests for files of the site.

use super::{Front, Outcome, empty};
use crate::api::problem::with_allow;
use crate::listen::http2::Promise;
use crate::listen::{Head, Peer};
use crate::node::Node;
use crate::origin;
use crate::site::push::Due;
use crate::site::{Asked, Hints, Site};
use http::header::{ACCEPT_ENCODING, FORWARDED, HeaderName, VIA};
use http::{HeaderMap, Method, StatusCode, Version};
use std::net::IpAddr;
use switchboard_wire::Code;
use switchboard_wire::code::Problem;

/// What a browser says of a request with which it opens a page (Fetch Metadata Request Headers, W3C).
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A file that a client was promised.
pub(super) struct Promised {
    promise: Promise,
    path: String,
    fields: HeaderMap,
    address: IpAddr,
}

impl Promised {
    /// Sends it. Behind the page, so that it takes no room on the connection that the page needs.
    pub(super) async fn keep(self, node: &Node) {
        let Some(site) = &node.site else { return };
        let Promised { path, fields, address, .. } = &self;
        let asked = Asked { method: &Method::GET, path, query: None, headers: fields, address: *address };
        // A promise of a file that is gone meanwhile is withdrawn.
        let Ok(answer) = site.answer(&asked, &node.limits).await else { return };
        match self.promise.keep(answer).await {
            Ok(()) => site.pushed(),
            Err(error) => tracing::debug!(path = self.path, %error, "what was pushed was not taken"),
        }
    }
}

const METHODS: &str = "GET, HEAD, OPTIONS";

impl<C: Peer> Front<C> {
    /// Whether a request is the site's to answer.
    pub(super) fn is_file(&self, head: &Head) -> bool {
        let site = self.desk.node.site.as_ref();
        site.is_some_and(|site| site.serves(&head.path)) && !origin::is_preflight(head)
    }

    /// The answer to a request for a file, and before it what the client will need with it.
    pub(super) async fn file(&mut self, head: &Head) -> Result<Outcome, Problem> {
        if let Some(code) = self.refusal() {
            return Err(code.into());
        }
        let node = self.desk.node.clone();
        let Some(site) = &node.site else { return Err(Code::NotFound.into()) };
        match head.method {
            Method::GET | Method::HEAD => {}
            Method::OPTIONS => return Ok(Outcome::Respond(with_allow(empty(StatusCode::NO_CONTENT), METHODS))),
            _ => return Ok(Outcome::Respond(with_allow(self.problem(&Code::MethodNotAllowed.into()), METHODS))),
        }
        let asked = Asked {
            method: &head.method,
            path: &head.path,
            query: head.query.as_deref(),
            headers: &head.headers,
            address: self.origin(head).0,
        };
        let due = site.due(&asked).await;
        if let Some(due) = due.as_ref().filter(|_| self.takes_hints(head, site))
            && !self.push(head, due)
        {
            if self.connection.inform(StatusCode::EARLY_HINTS, &due.hints()).await.is_err() {
                return Ok(Outcome::Gone);
            }
            site.hinted();
        }
        let mut response = site.answer(&asked, &node.limits).await?;
        if let Some(due) = due {
            due.dress(response.status(), self.client.secure, response.headers_mut());
        }
        Ok(Outcome::File(response))
    }

    /// Promises what is due with a page, to a client that lets itself be sent what it did not ask for; tells whether this is
    /// one. That comes before the page, which asks for it.
    fn push(&mut self, head: &Head, due: &Due) -> bool {
        // As the client would ask for it: what it takes it in, and from which page.
        let mut fields = HeaderMap::new();
        for coding in head.headers.get_all(ACCEPT_ENCODING) {
            fields.append(ACCEPT_ENCODING, coding.clone());
        }
        for file in &due.files {
            let Some(promise) = self.connection.promise(&file.path, fields.clone()) else { break };
            let (path, fields) = (file.path.clone(), fields.clone());
            self.promised.push(Promised { promise, path, fields, address: self.origin(head).0 });
        }
        !self.promised.is_empty()
    }

    /// Whether a client is known to take an answer before the answer. Over HTTP/1.1 some programs take the first for the
    /// last, and so do proxies, which then hand the real one to somebody else (RFC 8297 section 3). Where each answer has a
    /// stream of its own, none is mistaken for another.
    fn takes_hints(&self, head: &Head, site: &Site) -> bool {
        match (site.hints(), head.version) {
            (Hints::Off, _) | (_, Version::HTTP_09 | Version::HTTP_10) => false,
            (Hints::Browsers, Version::HTTP_11) => {
                let proxied = [VIA, FORWARDED, FORWARDED_FOR].iter().any(|name| head.headers.contains_key(name));
                let opens = head.headers.get(FETCH_MODE).is_some_and(|mode| mode == "navigate");
                opens && !proxied && !self.desk.node.config.proxies.are(self.client.address)
            }
            (Hints::Browsers | Hints::All, _) => true,
        }
    }
}
