//! What axum serves: the pages, the client as it was built, and tokens. It knows of Switchboard only where it is.

use crate::access::{Access, Visitor};
use axum::extract::{Path as At, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The folders that are served. They are read for each request, so that what is changed is there at the next reload.
#[derive(Clone, Debug)]
pub struct Files {
    /// HTML, CSS and scripts.
    pub pages: PathBuf,
    /// The client, as `npm run build` leaves it.
    pub client: PathBuf,
}

impl Files {
    /// Where they are in the repository.
    pub fn of_the_repository() -> Files {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        Files { pages: here.join("pages"), client: here.join("../../clients/typescript/dist") }
    }

    /// Whether the client has been built.
    pub fn check(&self) -> Result<(), String> {
        match self.client.join("index.js").exists() {
            true => Ok(()),
            false => Err("the client is not built: `cargo xtask examples` builds it and starts this".into()),
        }
    }
}

pub(crate) fn routes(files: Files, access: Arc<Access>, realtime: SocketAddr) -> Router {
    let served = Served { files: Arc::new(files), realtime };
    Router::new()
        .route("/", get(|State(served): State<Served>| async move { served.page("index.html") }))
        .route("/{name}", get(|State(served): State<Served>, At(name): At<String>| async move { served.page(&name) }))
        .route(
            "/client/{*name}",
            get(|State(served): State<Served>, At(name): At<String>| async move { served.client(&name) }),
        )
        .with_state(served)
        .route("/token", post(token).with_state(access))
        .layer(middleware::from_fn(logged))
}

/// A token for who the page says its visitor is.
async fn token(State(access): State<Arc<Access>>, Json(visitor): Json<Visitor>) -> Response {
    match access.token(&visitor) {
        Ok(token) => Json(serde_json::json!({ "token": token })).into_response(),
        Err(why) => (StatusCode::BAD_REQUEST, why).into_response(),
    }
}

async fn logged(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    // A page has dozens of the client's files, which would drown all else.
    if !path.starts_with("/client/") {
        tracing::info!("{method} {path} {}", response.status().as_u16());
    }
    response
}

#[derive(Clone)]
struct Served {
    files: Arc<Files>,
    realtime: SocketAddr,
}

impl Served {
    /// A file of the pages'; a name without an ending is a page's.
    fn page(&self, name: &str) -> Response {
        let name = if name.contains('.') { name.to_owned() } else { format!("{name}.html") };
        let mut response =
            file(&self.files.pages, &name, |text| text.replace("{port}", &self.realtime.port().to_string()));
        // Scripts of its own, connections to its own server and to Switchboard, and nothing else.
        let (realtime, port) = (self.realtime, self.realtime.port());
        let policy = format!(
            "default-src 'self'; connect-src 'self' http://{realtime} ws://{realtime} http://localhost:{port} \
             ws://localhost:{port}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        if let Ok(policy) = HeaderValue::from_str(&policy) {
            response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
        }
        response
    }

    fn client(&self, name: &str) -> Response {
        file(&self.files.client, name, |text| text)
    }
}

/// The file of this name below a folder, if it is one that is served.
fn file(folder: &Path, name: &str, filled: impl Fn(String) -> String) -> Response {
    let missing = || (StatusCode::NOT_FOUND, "there is nothing at this address\n").into_response();
    let Some(kind) = kind(name).filter(|_| is_plain(name)) else { return missing() };
    match std::fs::read_to_string(folder.join(name)) {
        Ok(text) => ([(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-cache")], filled(text)).into_response(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => missing(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn kind(name: &str) -> Option<&'static str> {
    match name.rsplit_once('.')?.1 {
        "html" => Some("text/html; charset=utf-8"),
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "map" => Some("application/json"),
        "svg" => Some("image/svg+xml"),
        _ => None,
    }
}

/// Whether a name leads nowhere but below the folder.
fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    name.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && part.bytes().all(is_plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_out_of_a_folder() {
        assert!(["index.html", "a/b.js", "a-b_c.js"].map(is_plain).iter().all(|plain| *plain));
        let foul =
            ["../a.js", "a/../../b.js", "/etc/a.css", ".a.js", "a\\..\\b.js", "a%2fb.js", "a//b.js", "a/.b.js", ""];
        assert!(!foul.map(is_plain).contains(&true));
    }
}
