//! A function without code, or code without a function, is a start-up error naming it.

use std::fs;

use axum::{
    body::Body,
    extract::{Path, Request},
};
use keyvault_functions::host::{
    invocation::{Access, Limits},
    manifest::Manifest,
    router::Functions,
};

use super::support::{
    ClientRequest, Folder, FunctionsHost, Handler, MODES, Stream, answer, free_port, read_envelope,
    repository,
};

const HELLO: &str = r#"{"bindings":[
    {"type":"httpTrigger","direction":"in","name":"req","route":"config-check"},
    {"type":"http","direction":"out","name":"res"}]}"#;

async fn refused(root: &Folder) -> String {
    let mut handler = Handler::start(root.path(), &[], &[]);
    assert_eq!(
        handler.ended().await.code(),
        Some(78),
        "{}",
        handler.output()
    );
    handler.lines(Stream::Stderr).join("\n")
}

#[tokio::test]
async fn a_folder_without_code_is_named_and_ends_the_start() {
    let root = Folder::app_root();
    root.write("hello/function.json", HELLO);
    assert!(
        refused(&root)
            .await
            .contains("hello/function.json: no code is registered")
    );
}

#[tokio::test]
async fn code_without_a_folder_is_named_and_ends_the_start() {
    let root = Folder::app_root();
    fs::remove_dir_all(root.path().join("config-check")).expect("removed");
    assert!(
        refused(&root)
            .await
            .contains("no config-check/function.json")
    );
}

#[tokio::test]
async fn two_functions_with_one_route_are_named_and_end_the_start() {
    let root = Folder::app_root();
    root.write("secrets-metadata/function.json", HELLO);
    assert!(
        refused(&root)
            .await
            .contains("another function has the route /config-check")
    );
}

const NO_PREFIX: &str = r#"{"version":"2.0","extensions":{"http":{"routePrefix":""}}}"#;

/// As the host allows. What `GET` answers and what the host posts are told apart by the method.
#[tokio::test]
async fn an_empty_route_prefix() {
    let root = Folder::app_root();
    root.write("host.json", NO_PREFIX);
    let environment = [("KEY_VAULT_URL", "embedded")];
    let host = FunctionsHost::start_in(root.path(), free_port(), &environment).await;
    for mode in MODES {
        for (path, mut request) in [
            ("/config-check", ClientRequest::config_check()),
            ("/Config-Check/", ClientRequest::config_check()),
            (
                "/secrets/ExternalApiKey",
                ClientRequest::secret("ExternalApiKey"),
            ),
        ] {
            request.path = path.into();
            let answer = host.call(mode, &request).await;
            assert_eq!(answer.status, 200, "{mode:?} {path}: {answer:?}");
        }
    }
    let gone = super::support::client()
        .get(host.at("/api/config-check"))
        .send();
    let gone = super::support::Answer::of(gone.await.expect("an answer")).await;
    assert_eq!(gone.status, 404);
    let fix = gone.json()["fix"].to_string();
    for route in ["GET /config-check", "GET /secrets/{secret_name}"] {
        assert!(fix.contains(route), "{fix}");
    }
}

/// Where a caller could forge an envelope, or the host's question whether the handler is ready.
#[tokio::test]
async fn an_empty_route_prefix_and_a_route_that_is_the_hosts_own() {
    let function = |route: &str, methods: &str| {
        format!(
            r#"{{"bindings":[
                {{"type":"httpTrigger","direction":"in","name":"req","route":"{route}","methods":[{methods}]}},
                {{"type":"http","direction":"out","name":"res"}}]}}"#
        )
    };
    for (route, methods, path) in [
        ("config-check", r#""get","post""#, "/config-check"),
        ("Secrets-Metadata", r#""post""#, "/secrets-metadata"),
        ("config-check", "", "/config-check"),
        ("{anything}", r#""get""#, "/certificates-metadata"),
        ("/", r#""get""#, "/ "),
    ] {
        let root = Folder::app_root();
        root.write("host.json", NO_PREFIX);
        root.write("config-check/function.json", &function(route, methods));
        let refused = refused(&root).await;
        let reason = format!("config-check/function.json: without a routePrefix, {path}");
        assert!(refused.contains(&reason), "{route}: {refused}");
    }
    let root = Folder::app_root();
    root.write("host.json", NO_PREFIX);
    root.write(
        "config-check/function.json",
        &function("other", r#""post""#),
    );
    let host = FunctionsHost::start_in(root.path(), free_port(), &[]).await;
    let posted = super::support::client().post(host.at("/other")).send();
    assert_eq!(posted.await.expect("an answer").status().as_u16(), 200);
}

#[tokio::test]
async fn routes_levels_and_bindings_come_from_the_manifests() {
    let root = Folder::app_root();
    root.write(
        "host.json",
        r#"{"version":"2.0","extensions":{"http":{"routePrefix":"v1"}}}"#,
    );
    root.write(
        "config-check/function.json",
        r#"{"bindings":[
            {"type":"httpTrigger","direction":"in","name":"request","route":"a/b","authLevel":"anonymous"},
            {"type":"http","direction":"out","name":"$return"}]}"#,
    );
    let host = FunctionsHost::start_in(root.path(), free_port(), &[]).await;
    let get = async |path: &str| {
        let response = super::support::client().get(host.at(path)).send().await;
        response.expect("an answer").status().as_u16()
    };
    assert_eq!(get("/v1/a/b").await, 200);
    assert_eq!(get("/api/config-check").await, 404);
    let envelope = serde_json::json!({"Data": {"request": {"Method": "GET", "Params": {}}}});
    let answer = host
        .post("config-check", envelope.to_string().into_bytes())
        .await;
    assert_eq!(
        answer.json()["ReturnValue"]["statusCode"],
        200,
        "{answer:?}"
    );
}

#[test]
fn the_host_finds_the_binary_under_its_name() {
    let host = fs::read_to_string(repository().join("host.json")).expect("host.json");
    let host: serde_json::Value = serde_json::from_str(&host).expect("JSON");
    let handler = &host["customHandler"];
    assert_eq!(handler["description"]["defaultExecutablePath"], "handler");
    assert_eq!(handler["enableProxyingHttpRequest"], true);
    assert_eq!(handler["enableForwardingHttpRequest"], true);
    assert!(env!("CARGO_BIN_EXE_handler").ends_with("/handler"));
}

fn bindings(route: &str) -> String {
    format!(
        r#"{{"bindings":[{{"type":"httpTrigger","name":"req","authLevel":"anonymous",
            "methods":["get"],"route":"{route}"}},{{"type":"http","name":"res"}}]}}"#
    )
}

/// A folder and its route may differ in their letter case alone.
#[tokio::test]
async fn an_envelope_reaches_its_function_whatever_its_route_is_called() {
    let host = r#"{"extensions":{"http":{"routePrefix":""}}}"#;
    let manifest = Manifest::parse(host, &[("Status", &bindings("status"))]).expect("valid");
    let router = Functions::new()
        .register("Status", async || "here")
        .router(&manifest, &(), &Access::Host, Limits::default())
        .expect("fitting");
    let envelope = r#"{"Data":{"req":{"Method":"GET","Url":"http://x/status","Identities":[]}}}"#;
    let posted = Request::post("/Status").body(Body::from(envelope));
    let (inner, _) = read_envelope(&answer(&router, posted.expect("a request")).await);
    assert_eq!((inner.status, inner.body.as_str()), (200, "here"));
    let direct = Request::get("/STATUS/").body(Body::empty());
    let direct = answer(&router, direct.expect("a request")).await;
    assert_eq!((direct.status, direct.body.as_str()), (200, "here"));
}

#[tokio::test]
async fn the_value_of_a_parameter_keeps_its_letter_case() {
    let (lists, secrets) = (bindings("{kind}/list"), bindings("secrets/{name}"));
    let manifest = Manifest::parse("{}", &[("lists", &lists), ("secrets", &secrets)]);
    let router = Functions::new()
        .register("lists", async |Path(kind): Path<String>| {
            format!("list of {kind}")
        })
        .register("secrets", async |Path(name): Path<String>| {
            format!("secret {name}")
        })
        .router(
            &manifest.expect("valid"),
            &(),
            &Access::Host,
            Limits::default(),
        )
        .expect("fitting");
    for (path, expected) in [
        ("/api/secrets/LIST", "secret LIST"),
        ("/api/Secrets/LIST/", "secret LIST"),
        ("/api/keys/LIST", "list of keys"),
    ] {
        let request = Request::get(path).body(Body::empty());
        let found = answer(&router, request.expect("a request")).await;
        assert_eq!(found.body, expected, "{path}");
    }
}
