//! The descriptions for programs, `/api/openapi.json` and `/api/asyncapi.json`: that they are there, and say of routes,
//! methods, errors and calls neither less nor more than the server has. What it answers is held to them by
//! `conformance/documents`.

use serde_json::Map;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use switchboard_testkit::{Server, Value, json};
use switchboard_wire::code::TABLE;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

fn document(name: &str) -> Value {
    let path = format!("{SOURCES}/api/documents/{name}.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn members(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}

fn texts(value: &Value) -> BTreeSet<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

#[test]
fn they_are_served_to_anyone_and_to_pages() {
    let server = Server::new();
    let links = server.get("/api").expect(200);
    assert_eq!(links.json(), json!({ "openapi": "/api/openapi.json", "asyncapi": "/api/asyncapi.json" }));
    for (name, path) in members(&links.json()) {
        let path = path.as_str().unwrap();
        assert!(links.field("link").unwrap().contains(&format!("<{path}>; rel=\"service-desc\"")), "{links}");
        let page = ("Origin", "http://localhost:3000");
        let served = server.get_with(path, &[page]).expect(200);
        assert_eq!(served.head.media_type(), "application/json");
        assert_eq!(served.field("access-control-allow-origin"), Some(page.1), "{path}");
        assert_eq!(served.json(), document(name));
        assert_eq!(served.json()["info"]["version"], env!("CARGO_PKG_VERSION"), "{path}");
        server.post(path, &[], "{}").expect_problem(405, "method_not_allowed");
    }
}

#[test]
fn every_route_of_the_server_is_described() {
    let openapi = document("openapi");
    let described: Vec<&str> = members(&openapi["paths"]).keys().map(String::as_str).collect();
    let mut routes = BTreeSet::new();
    for file in sources(Path::new(SOURCES)) {
        routes.extend(paths_in(&std::fs::read_to_string(file).unwrap()));
    }
    for known in ["/healthz", "/channels/", "/session", "/api/publish", "/api/users"] {
        assert!(routes.contains(known), "routes are no longer found where they are written: mend this test's reader");
    }
    for route in routes.iter().filter(|route| !route.starts_with("/console/")) {
        let below = format!("{}/", route.trim_end_matches('/'));
        let is_described = described.iter().any(|path| path == route || path.starts_with(&below));
        assert!(is_described, "{route} is a route of the server, and not in openapi.json");
    }
    let deeds = std::fs::read_to_string(format!("{SOURCES}/session/manage.rs")).unwrap();
    let deeds: Vec<&str> =
        deeds.lines().filter_map(|line| line.trim().strip_prefix("(Some(\"")?.split('"').next()).collect();
    assert!(deeds.contains(&"call"), "deeds are no longer found where they are written: mend this test's reader");
    for deed in deeds {
        let is_described = described.contains(&&*format!("/api/sessions/{{id}}/{deed}"));
        assert!(is_described, "sessions have /{deed}, and openapi.json has not");
    }
}

/// The Rust files below a folder that are no tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() && !path.ends_with("tests") {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with("tests.rs") {
            files.push(path);
        }
    }
    files
}

/// What looks like a path of a URL among the string literals of code, without its tests.
fn paths_in(code: &str) -> BTreeSet<String> {
    let code = code.split("\n#[cfg(test)]\nmod tests {").next().unwrap();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let quoted = lines.flat_map(|line| line.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>());
    let is_path = |text: &String| {
        let word = text.strip_prefix('/').unwrap_or_default();
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_'))
    };
    quoted.filter(is_path).collect()
}

#[test]
fn every_address_answers_the_methods_that_are_described() {
    let server = Server::new();
    for (path, item) in members(&document("openapi")["paths"]) {
        let target = path
            .replace("{location}", "00000000000000000000.AAAAAAAAAAAAAAAAAAAAAA")
            .replace("{id}", "00000000000000000000")
            .replace(['{', '}'], "");
        let answer = server.request("OPTIONS", &target, &[], None).expect(204);
        let allowed = answer.field("allow").unwrap().split(", ").filter(|method| !["HEAD", "OPTIONS"].contains(method));
        let described =
            members(item).keys().map(|method| method.to_ascii_uppercase()).filter(|name| name != "PARAMETERS");
        let described: BTreeSet<String> = described.collect();
        assert_eq!(allowed.map(str::to_owned).collect::<BTreeSet<_>>(), described, "{path}");
    }
}

#[test]
fn every_row_of_the_table_of_errors_is_described() {
    let (openapi, asyncapi) = (document("openapi"), document("asyncapi"));
    let names: BTreeSet<&str> = TABLE.iter().map(|(_, row)| row.name).collect();
    assert_eq!(texts(&openapi["components"]["schemas"]["Code"]["enum"]), names);

    let mut by_status: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
    for (_, row) in TABLE.iter().filter(|(_, row)| row.http != 204) {
        by_status.entry(row.http.to_string()).or_default().insert(row.name);
    }
    let responses = members(&openapi["components"]["responses"]);
    let problems = responses.iter().filter_map(|(status, response)| {
        let own = &response["content"].get("application/problem+json")?["schema"]["properties"];
        assert_eq!(own["status"]["const"].to_string(), *status);
        Some((status.clone(), texts(&own["code"]["enum"])))
    });
    assert_eq!(problems.collect::<BTreeMap<_, _>>(), by_status);

    // Each number, and the names that it stands for.
    let numbers = |schema: &str| -> BTreeMap<i64, String> {
        let rows = asyncapi["components"]["schemas"][schema]["oneOf"].as_array().unwrap().iter();
        rows.map(|row| (row["const"].as_i64().unwrap(), row["title"].as_str().unwrap().to_owned())).collect()
    };
    assert_eq!(numbers("ErrorNumber"), TABLE.iter().map(|(_, row)| (row.rpc.into(), row.name.to_owned())).collect());
    let mut closes: BTreeMap<i64, Vec<&str>> = BTreeMap::new();
    TABLE.iter().for_each(|(_, row)| closes.entry(row.close.into()).or_default().push(row.name));
    assert_eq!(numbers("CloseCode"), closes.into_iter().map(|(code, names)| (code, names.join(", "))).collect());
}

#[test]
fn both_documents_mean_the_same_by_the_same_name() {
    let (openapi, asyncapi) = (document("openapi"), document("asyncapi"));
    let ours = members(&openapi["components"]["schemas"]);
    let shared: Vec<_> =
        members(&asyncapi["components"]["schemas"]).iter().filter(|(name, _)| ours.contains_key(*name)).collect();
    assert!(shared.len() > 10);
    for (name, schema) in shared {
        assert_eq!(ours[name], *schema, "{name}");
    }
}

#[test]
fn every_method_of_a_session_is_described() {
    let asyncapi = document("asyncapi");
    let code = std::fs::read_to_string(format!("{SOURCES}/shard/sessions/methods.rs")).unwrap();
    let body = code.split("match method {").nth(1).unwrap().split("_ =>").next().unwrap();
    let arms = body.lines().filter_map(|line| line.trim().strip_prefix('"')?.split_once("\" =>"));
    let methods: BTreeSet<&str> = arms.map(|(name, _)| name).collect();
    let described = members(&asyncapi["operations"]).iter().filter(|(_, operation)| {
        let is_called = operation.get("reply").is_some();
        is_called && operation["action"] == "receive"
    });
    assert_eq!(described.map(|(name, _)| name.as_str()).collect::<BTreeSet<_>>(), methods);
    for method in methods {
        let payload = &asyncapi["components"]["messages"][method]["payload"];
        assert_eq!(payload["properties"]["method"]["const"], method);
    }
}

#[test]
fn everything_that_the_server_says_by_itself_is_described() {
    let asyncapi = document("asyncapi");
    let said = |channel: &str| members(&asyncapi["channels"][channel]["messages"]).keys().map(String::as_str);
    let notices = std::fs::read_to_string(format!("{SOURCES}/../../wire/src/notice.rs")).unwrap();
    let arms = notices.lines().filter(|line| line.trim().starts_with("Notice::"));
    let notices: BTreeSet<&str> = arms.filter_map(|line| line.split_once("=> \"")?.1.split('"').next()).collect();
    assert_eq!(said("events").filter(|name| *name != "event").collect::<BTreeSet<_>>(), notices);

    let messages = asyncapi["operations"]["notify"]["messages"].as_array().unwrap().iter();
    let described = messages.filter_map(|message| {
        let message = asyncapi.pointer(message["$ref"].as_str()?.strip_prefix('#')?)?;
        let message = asyncapi.pointer(message["$ref"].as_str()?.strip_prefix('#')?)?;
        message["payload"]["properties"]["method"]["const"].as_str()
    });
    let described: BTreeSet<&str> = described.collect();
    let mut files = sources(&Path::new(SOURCES).join("shard"));
    files.push(Path::new(SOURCES).join("../../wire/src/form.rs"));
    let mut found = BTreeSet::new();
    for file in files {
        let code = std::fs::read_to_string(file).unwrap();
        for before in ["\"method\": \"", "notify(\"", "tell(conversation, \"", "rpc(form, \""] {
            found.extend(code.split(before).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
    for known in ["session", "event", "presence", "caught_up", "expiring", "subscribed"] {
        assert!(
            found.contains(known),
            "what sessions say is no longer found where it is written: mend this test's reader"
        );
    }
    for name in found {
        assert!(described.contains(&*name), "sessions say {name}, and asyncapi.json does not");
    }
    for notice in notices.into_iter().map(|name| name.trim_start_matches('$')).filter(|name| *name != "open") {
        assert!(described.contains(notice), "sessions say {notice}, and asyncapi.json does not");
    }
}
