//! `POST /api/token`, which lets a stream last as long as a new token, and `POST /api/revoke`, which takes tokens back.
//!
//! Both take a JSON object. A token itself is in neither: it goes where tokens go, with the request.

use super::{collect, json};
use crate::auth::{Identity, Revocation};
use crate::listen::BodySource;
use crate::node::{Node, Question};
use bytes::Bytes;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};
use switchboard_wire::Code;
use switchboard_wire::code::Problem;

/// Longest body, in bytes.
const BODY: usize = 4096;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Renewal {
    connection: String,
}

#[derive(Serialize)]
struct Renewed<'a> {
    connection: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    user: Option<String>,
    token: Option<String>,
    connection: Option<String>,
}

#[derive(Serialize)]
struct Revoked {
    /// Streams and waiting polls that ended.
    ended: usize,
}

pub(super) async fn renew(
    node: &Node,
    identity: &Identity,
    body: &mut impl BodySource,
) -> Result<Response<Bytes>, Problem> {
    let Renewal { connection } = read(node, body, "{\"connection\"}").await?;
    if identity.is_anyone() {
        return Err(Code::Unauthorized.because("the new token comes with the request, as tokens do"));
    }
    let name = named(&connection)?;
    let renewed = node.find(|answer| Question::Renew(name, identity.clone(), answer)).await;
    renewed.ok_or_else(|| Code::NotFound.because("no connection has this name"))??;
    Ok(json(StatusCode::OK, &Renewed { connection: &connection, expires: identity.expires() }))
}

pub(super) async fn revoke(
    node: &Node,
    identity: &Identity,
    body: &mut impl BodySource,
) -> Result<Response<Bytes>, Problem> {
    node.auth.allow_managing(identity)?;
    let wanted: Wanted = read(node, body, "{\"user\"}, {\"token\"} or {\"connection\"}").await?;
    let (now, mut ended) = (node.now(), 0);
    match wanted {
        Wanted { user: Some(user), token: None, connection: None } => {
            node.auth.revoke(Revocation::User(user.into()), now)?;
        }
        Wanted { user: None, token: Some(id), connection: None } => {
            node.auth.revoke(Revocation::Token(id.into()), now)?;
        }
        Wanted { user: None, token: None, connection: Some(connection) } => {
            let name = named(&connection)?;
            let held = node.find(|answer| Question::End(name, answer)).await;
            let held = held.ok_or_else(|| Code::NotFound.because("no connection has this name"))?;
            ended += 1;
            if let Some(signed) = held.signed() {
                node.auth.revoke(Revocation::Print(signed.print), now)?;
            }
        }
        _ => return Err(Code::InvalidParameter.because("name one of `user`, `token` and `connection`")),
    }
    ended += node.reconsider().await;
    Ok(json(StatusCode::OK, &Revoked { ended }))
}

async fn read<T: for<'de> Deserialize<'de>>(
    node: &Node,
    body: &mut impl BodySource,
    shape: &str,
) -> Result<T, Problem> {
    let (body, _load) = collect(node, body, BODY).await?;
    serde_json::from_slice(&body).map_err(|_| Code::InvalidJson.because(format!("the body is a JSON object: {shape}")))
}

/// The name of a connection, as `$open` tells it.
fn named(text: &str) -> Result<u64, Problem> {
    let digits = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let name = u64::from_str_radix(text, 16).ok().filter(|_| digits);
    name.ok_or_else(|| Code::InvalidParameter.because("`connection` is as `$open` tells it"))
}
