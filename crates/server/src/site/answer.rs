//! Answers a request for a file.

use super::backend::Files;
use super::path::SitePath;
use super::{Asked, Site, WHOLE, cache, range};
use crate::limits::{AddressSeat, Limits};
use crate::listen::{Body, Frames, Pieces, Source};
use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_UNMODIFIED_SINCE, LOCATION, RANGE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use rustix::io::Errno;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use switchboard_wire::Code;
use switchboard_wire::code::Problem;
use tokio::sync::OwnedSemaphorePermit;
use tower_http::services::ServeDir;
use tower_http::services::fs::{DefaultServeDirFallback, ServeFileSystemResponseBody};

type Served = Response<ServeFileSystemResponseBody>;

/// Fields of a request that the library has to know, besides the range.
const ASKED: [HeaderName; 5] = [ACCEPT_ENCODING, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];

impl Site {
    /// The answer to a request of GET or HEAD.
    pub(crate) async fn answer(&self, asked: &Asked<'_>, limits: &Limits) -> Result<Response<Body>, Problem> {
        let prefix = &self.settings.prefix;
        if asked.path.len() + 1 == prefix.len() && prefix.starts_with(asked.path) {
            return Ok(redirect(prefix, asked.query));
        }
        // Why it is not served is nobody's business: a hidden file is not there.
        let path = SitePath::of(asked.path, prefix).map_err(|_| Problem::from(Code::NotFound))?;
        let served = self.serve(asked, &path).await.map_err(|error| problem(&error, asked.path))?;
        let mut response = self.take(served, asked, limits).await?;
        let headers = response.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(CACHE_CONTROL, cache::control(&self.settings.cache, &path.shown(prefix)));
        // What there is no other coding of now may have one tomorrow, so this is always said.
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        say_charset(headers);
        if matches!(response.status(), StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::NOT_MODIFIED) {
            self.figures.answered.fetch_add(1, Ordering::Relaxed);
        }
        Ok(response)
    }

    /// Asks the library, for one range at most that is known to be one.
    async fn serve(&self, asked: &Asked<'_>, path: &SitePath) -> io::Result<Served> {
        let call = |method: Method, headers| call(self.library.clone(), method, path, asked.query, headers);
        let fields = fields(asked.headers);
        let wanted = range::wanted(asked.headers).filter(|_| asked.method == Method::GET);
        if let Some(wanted) = wanted {
            let codings = fields.iter().filter(|(name, _)| *name == ACCEPT_ENCODING);
            let codings = codings.map(|(name, value)| (name.clone(), value.clone())).collect();
            let found = call(Method::HEAD, codings).await?;
            let tag = found.headers().get(ETAG);
            let length = length(&found).filter(|_| found.status() == StatusCode::OK);
            let range = length.and_then(|length| wanted.within(length)).map(HeaderValue::try_from);
            if let Some(Ok(range)) = range
                && range::holds(asked.headers, tag.map(HeaderValue::as_bytes))
            {
                let mut with_range = fields.clone();
                with_range.insert(RANGE, range);
                let served = call(Method::GET, with_range).await?;
                // If it was replaced in between, this is no part of what the condition was about.
                if served.status() != StatusCode::PARTIAL_CONTENT || served.headers().get(ETAG) == tag {
                    return Ok(served);
                }
            }
        }
        call(asked.method.clone(), fields).await
    }

    /// Takes a body over from the library: a short one as a whole, a long one piece by piece.
    async fn take(&self, served: Served, asked: &Asked<'_>, limits: &Limits) -> Result<Response<Body>, Problem> {
        let (mut parts, body) = {
            let length = length(&served).unwrap_or_default();
            let (parts, body) = served.into_parts();
            (parts, Pieces::new(length, Box::new(Frames(Box::pin(body)))))
        };
        parts.headers.remove(CONTENT_LENGTH);
        let body = match parts.status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT if asked.method == Method::HEAD => {
                Pieces::unread(body.left()).into()
            }
            StatusCode::OK | StatusCode::PARTIAL_CONTENT if body.left() <= WHOLE => {
                let load = limits.transit.leaving.load_of(body.left() as usize)?;
                // For as long as the peer takes to read it.
                parts.extensions.insert(Arc::new(load));
                collect(body).await.map_err(|error| problem(&error, asked.path))?.into()
            }
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => {
                let seats = self.seat(asked.address, limits).inspect_err(|_| {
                    self.figures.refused.fetch_add(1, Ordering::Relaxed);
                })?;
                Pieces::new(body.left(), Box::new(Seated { body, _seats: seats })).into()
            }
            StatusCode::NOT_FOUND => return Err(Code::NotFound.into()),
            status if status.is_server_error() => return Err(Code::Internal.into()),
            _ => Bytes::new().into(),
        };
        Ok(Response::from_parts(parts, body))
    }

    /// A place among the files that are sent in pieces, to one address and in all.
    fn seat(&self, address: IpAddr, limits: &Limits) -> Result<Seats, Problem> {
        let own = limits.transfer(address)?;
        let full = |_| Code::Overloaded.because("as many long files are being sent as may be at once");
        Ok((own, self.transfers.clone().try_acquire_owned().map_err(full)?))
    }
}

async fn call(
    mut library: ServeDir<DefaultServeDirFallback, Files>,
    method: Method,
    path: &SitePath,
    query: Option<&str>,
    headers: HeaderMap,
) -> io::Result<Served> {
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.headers_mut() = headers;
    let plain = path.encoded();
    // The query matters to nobody but whoever is sent elsewhere with it.
    let uri = query.and_then(|query| format!("{plain}?{query}").parse().ok()).map_or_else(|| plain.parse(), Ok);
    *request.uri_mut() = uri.map_err(io::Error::other)?;
    library.try_call(request).await
}

/// The fields of a request that the library has to know. It reads the first of each, so those that are lists are joined.
fn fields(headers: &HeaderMap) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for name in ASKED {
        let values: Vec<&[u8]> = headers.get_all(&name).iter().map(HeaderValue::as_bytes).collect();
        if !values.is_empty()
            && let Ok(joined) = HeaderValue::from_bytes(&values.join(&b", "[..]))
        {
            fields.insert(name, joined);
        }
    }
    fields
}

fn length<B>(response: &Response<B>) -> Option<u64> {
    response.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads a body that is short.
async fn collect(mut body: Pieces) -> io::Result<Bytes> {
    let mut whole: Option<Bytes> = None;
    while let Some(piece) = poll_fn(|cx| body.poll_piece(cx)).await.transpose()? {
        whole = Some(match whole {
            None => piece,
            Some(before) => {
                let mut both = BytesMut::from(before);
                both.extend_from_slice(&piece);
                both.freeze()
            }
        });
    }
    Ok(whole.unwrap_or_default())
}

/// The places of a body that is sent in pieces.
type Seats = (Option<AddressSeat>, OwnedSemaphorePermit);

struct Seated {
    body: Pieces,
    _seats: Seats,
}

impl Source for Seated {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        self.body.poll_piece(cx)
    }
}

fn redirect(to: &str, query: Option<&str>) -> Response<Body> {
    let mut response = Response::new(Bytes::new().into());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    let whole = query.and_then(|query| HeaderValue::try_from(format!("{to}?{query}")).ok());
    if let Some(location) = whole.or_else(|| HeaderValue::from_str(to).ok()) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Text is UTF-8 here, and a browser that is not told may guess otherwise.
fn say_charset(headers: &mut HeaderMap) {
    let Some(kind) = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()) else { return };
    if kind.starts_with("text/")
        && !kind.contains(';')
        && let Ok(told) = HeaderValue::try_from(format!("{kind}; charset=utf-8"))
    {
        headers.insert(CONTENT_TYPE, told);
    }
}

fn problem(error: &io::Error, path: &str) -> Problem {
    let code = match error.raw_os_error() {
        Some(code) if code == Errno::MFILE.raw_os_error() || code == Errno::NFILE.raw_os_error() => Code::Overloaded,
        _ if error.kind() == io::ErrorKind::NotFound => return Code::NotFound.into(),
        _ => Code::Internal,
    };
    tracing::warn!(path, %error, "a file of the site cannot be read");
    code.into()
}
