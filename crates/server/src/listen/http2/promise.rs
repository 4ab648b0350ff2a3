//! An answer to a request that the client has not made (RFC 9113 section 8.4).

use super::exchange::{broken, dress, write};
use super::outlet::Outlet;
use crate::alarm::Alarm;
use crate::listen::body::is_bare;
use crate::listen::{Body, Settings};
use bytes::Bytes;
use h2::Reason;
use h2::server::{SendPushedResponse, SendResponse};
use http::header::CONTENT_LENGTH;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

/// Promises of one connection that may be open at once. A client may ask for a page as often as it likes, and each of these is work.
const OPEN_MAX: u32 = 64;

/// Promises of one connection that are open.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promises(Rc<Cell<u32>>);

/// A promise that is open. One that is dropped is withdrawn.
pub(crate) struct Promise {
    respond: SendPushedResponse<Bytes>,
    outlet: Arc<Outlet>,
    settings: Arc<Settings>,
    _place: Place,
    kept: bool,
}

/// Whose server it is that promises, in the client's words.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    scheme: Scheme,
    authority: Authority,
}

impl Origin {
    /// Of a request. One that names no authority is given no promises.
    pub(super) fn of(uri: &Uri) -> Option<Origin> {
        Some(Origin { scheme: uri.scheme()?.clone(), authority: uri.authority()?.clone() })
    }
}

impl Promises {
    /// Promises a path to whoever takes it.
    pub(super) fn open(
        &self,
        origin: &Origin,
        path: &str,
        fields: HeaderMap,
        settings: &Arc<Settings>,
        (respond, outlet): (&mut SendResponse<Bytes>, &Arc<Outlet>),
    ) -> Option<Promise> {
        if self.0.get() >= OPEN_MAX {
            return None;
        }
        let Origin { scheme, authority } = origin.clone();
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(path.parse::<PathAndQuery>().ok()?);
        let mut request = Request::new(());
        *request.uri_mut() = uri.build().ok()?;
        *request.headers_mut() = fields;
        // An error is a client that has forbidden it, or is gone.
        let respond = respond.push_request(request).ok()?;
        let (outlet, settings) = (outlet.clone(), settings.clone());
        Some(Promise { respond, outlet, settings, _place: Place::take(self), kept: false })
    }
}

impl Promise {
    /// Keeps it, as far as the client takes the answer.
    pub(crate) async fn keep(mut self, answer: Response<Body>) -> io::Result<()> {
        self.kept = true;
        let (mut parts, body) = answer.into_parts();
        let body = if is_bare(parts.status) { Bytes::new().into() } else { body };
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(body.length()));
        dress(&mut parts);
        let ends = body.length() == 0;
        // See [`Exchange::respond`](super::Exchange::respond).
        let _load = std::mem::take(&mut parts.extensions);
        let mut stream = self.respond.send_response(Response::from_parts(parts, ()), ends).map_err(broken)?;
        match ends {
            true => Ok(()),
            false => write(&mut stream, body, self.settings.body, &mut Alarm::default(), &self.outlet).await,
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if !self.kept {
            self.respond.send_reset(Reason::CANCEL);
        }
    }
}

/// A place among the promises that are open, given up when dropped.
struct Place(Promises);

impl Place {
    fn take(promises: &Promises) -> Place {
        promises.0.set(promises.0.get() + 1);
        Place(promises.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Promises(open) = &self.0;
        open.set(open.get() - 1);
    }
}
