//! The application's own routes, which know nothing of Switchboard but where it is.

use crate::Hands;
use crate::hands::Count;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use axum::{Json, Router};
use std::net::SocketAddr;
use std::sync::Arc;

const PAGE: &str = include_str!("page.html");

pub(crate) fn routes(hands: Arc<Hands>, realtime: SocketAddr) -> Router {
    let page = PAGE.replace("{port}", &realtime.port().to_string());
    Router::new()
        .route("/", get(async move || Html(page)))
        .route("/names/{name}", post(name))
        .route("/hands", get(count))
        .with_state(hands)
}

/// Says who somebody is, in a cookie. An application of yours would ask for more than a name, and sign the cookie.
async fn name(Path(name): Path<String>) -> impl IntoResponse {
    match is_name(&name) {
        true => (StatusCode::NO_CONTENT, [(SET_COOKIE, format!("name={name}; Path=/; SameSite=Lax; HttpOnly"))])
            .into_response(),
        false => (StatusCode::BAD_REQUEST, "a name is of 1 to 20 letters\n").into_response(),
    }
}

async fn count(State(hands): State<Arc<Hands>>) -> Json<Count> {
    Json(hands.count())
}

/// The name in a field of cookies.
pub(crate) fn name_in(cookies: &str) -> Option<&str> {
    cookies.split("; ").find_map(|cookie| cookie.strip_prefix("name=")).filter(|name| is_name(name))
}

fn is_name(text: &str) -> bool {
    (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}
