//! temp
pub(crate) mod problem;
pub(crate) mod query;
use crate::listen::{BodySource, Pace, http1::Head};
use crate::node::Node;
use bytes::Bytes;
use http::Response;
use query::Query;
use switchboard_wire::{Code, code::Problem};
pub(crate) async fn answer(
    node: &Node,
    head: &Head,
    query: &Query,
    body: &mut impl BodySource,
) -> Result<Response<Bytes>, Problem> {
    if let Some(name) = head.path.strip_prefix("/channels/") {
        let channel = query::channel(name)?;
        let mut data = Vec::new();
        while let Some(p) = body.piece(Pace::Steady).await.map_err(|e| e.problem())? {
            data.extend_from_slice(&p);
        }
        let ct = head.headers.get("content-type").and_then(|v| v.to_str().ok());
        let d = switchboard_wire::event::Draft::from_body(query.last("event"), ct, data.into())?;
        let r = node
            .log
            .append(
                node.now(),
                &[switchboard_store::Append {
                    channel,
                    draft: Some(d),
                    end: query.last("end") == Some("true"),
                    key: None,
                }],
            )
            .map_err(|(_, r)| Problem::from(r.code()))?;
        return Ok(Response::new(Bytes::from(format!("{:?}\n", r))));
    }
    Err(Code::NotFound.into())
}
