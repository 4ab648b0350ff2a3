//! Where a request carries what shows who asks. The first of these that is there counts: `Authorization`, an entry of
//! `Sec-WebSocket-Protocol`, the cookie, `?token=`.

use super::settings::Settings;
use crate::api::query::Query;
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE, SEC_WEBSOCKET_PROTOCOL};
use switchboard_wire::Code;
use switchboard_wire::code::Problem;

/// How an entry of `Sec-WebSocket-Protocol` begins that carries a token. It is never the one selected.
const SUBPROTOCOL: &str = "switchboard.token.";
/// The query parameter.
pub(crate) const PARAMETER: &str = "token";

/// By which way it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    Authorization,
    Subprotocol,
    /// Which a browser sends along whatever page asks.
    Cookie,
    Query,
}

/// What shows who asks. It has no `Debug`, so that it gets into no log.
pub(crate) struct Carried<'a> {
    pub(crate) way: Way,
    pub(crate) text: &'a str,
}

/// What the request carries, if anything.
pub(crate) fn find<'a>(
    headers: &'a HeaderMap,
    query: &'a Query,
    settings: &'a Settings,
) -> Result<Option<Carried<'a>>, Problem> {
    let found = |way, text| Ok(Some(Carried { way, text }));
    if let Some(text) = bearer(headers)? {
        return found(Way::Authorization, text);
    }
    if let Some(text) = subprotocol(headers)? {
        return found(Way::Subprotocol, text);
    }
    if let Some(text) = settings.cookie.as_deref().and_then(|name| cookie(headers, name)) {
        return found(Way::Cookie, text);
    }
    match query.one(PARAMETER)? {
        Some(text) => found(Way::Query, text),
        None => Ok(None),
    }
}

/// `Authorization: Bearer …` (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let (scheme, text) = value.to_str().ok().and_then(|value| value.split_once(' ')).unwrap_or_default();
    if values.next().is_some() || !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Code::Unauthorized.because("`Authorization` is `Bearer`, once"));
    }
    Ok(Some(text.trim()))
}

fn subprotocol(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let values = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    let mut tokens =
        values.flat_map(|value| value.split(',')).filter_map(|entry| entry.trim().strip_prefix(SUBPROTOCOL));
    let token = tokens.next();
    if tokens.next().is_some() {
        return Err(Code::Unauthorized.because("two subprotocol entries carry a token"));
    }
    Ok(token)
}

/// The cookie of this name (RFC 6265 section 5.4). An empty one is none.
fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let values = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let (_, value) = pairs.find(|(other, _)| *other == name)?;
    Some(value.trim_matches('"')).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn found(fields: &[(&'static str, &'static str)], query: &str) -> Result<Option<(Way, String)>, Code> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let settings = Settings { cookie: Some("session".into()), ..Settings::default() };
        let query = Query::parse(Some(query)).unwrap();
        let carried = find(&headers, &query, &settings).map_err(|problem| problem.code)?;
        Ok(carried.map(|carried| (carried.way, carried.text.to_owned())))
    }

    #[test]
    fn the_first_way_that_is_used_counts() {
        let all = [
            ("authorization", "Bearer a"),
            ("sec-websocket-protocol", "switchboard.raw.v1, switchboard.token.b"),
            ("cookie", "x=1; session=c; y=2"),
        ];
        let expected =
            [Way::Authorization, Way::Subprotocol, Way::Cookie, Way::Query].into_iter().zip(["a", "b", "c", "d"]);
        for (skip, (way, text)) in expected.enumerate() {
            let fields = &all[skip.min(all.len())..];
            assert_eq!(found(fields, "token=d"), Ok(Some((way, text.into()))));
        }
        assert_eq!(found(&[("cookie", "session=; other=1"), ("sec-websocket-protocol", "chat")], ""), Ok(None));
    }

    #[test]
    fn what_is_no_bearer_or_comes_twice_is_refused() {
        for fields in [
            &[("authorization", "Basic a")][..],
            &[("authorization", "Bearer")],
            &[("authorization", "Bearer a"), ("authorization", "Bearer b")],
            &[("sec-websocket-protocol", "switchboard.token.a, switchboard.token.b")],
        ] {
            assert_eq!(found(fields, ""), Err(Code::Unauthorized), "{fields:?}");
        }
        assert_eq!(found(&[], "token=a&token=b"), Err(Code::InvalidParameter));
    }
}
