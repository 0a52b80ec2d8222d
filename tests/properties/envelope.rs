//! Whatever is posted to a function, the host gets an answer that it can hand on, and no other
//! function runs.

use std::sync::LazyLock;

use axum::{
    body::{Body, to_bytes},
    extract::Request,
};
use keyvault_functions::host::{
    invocation::{Access, Limits},
    manifest::Manifest,
    router::{Entry, Functions},
};
use serde_json::Value;
use tower::ServiceExt;

const HOST: &str = r#"{"extensions":{"http":{"routePrefix":"api"}}}"#;
const ONE: &str = r#"{"bindings":[{"type":"httpTrigger","name":"req","authLevel":"anonymous",
    "route":"one/{name}"},{"type":"http","name":"res"}]}"#;
const TWO: &str = r#"{"bindings":[{"type":"httpTrigger","name":"req","authLevel":"anonymous",
    "route":"two"},{"type":"http","name":"res"}]}"#;

static ROUTER: LazyLock<Entry> = LazyLock::new(|| {
    let manifest = Manifest::parse(HOST, &[("one", ONE), ("two", TWO)]);
    Functions::new()
        .register("one", async |request: Request| echo("one", request).await)
        .register("two", async |request: Request| echo("two", request).await)
        .router(
            &manifest.expect("valid"),
            &(),
            &Access::Host,
            Limits::default(),
        )
        .expect("fitting")
});

/// The function's name, and what it was sent if that is text.
async fn echo(name: &str, request: Request) -> String {
    let body = to_bytes(request.into_body(), usize::MAX);
    let body = body.await.expect("a body");
    format!("{name} {}", String::from_utf8_lossy(&body))
}

pub(crate) fn holds(data: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    for function in ["one", "two"] {
        let request = Request::post(format!("/{function}")).body(Body::from(data.to_vec()));
        let request = request.expect("a request");
        let (status, body) = runtime.block_on(async {
            let answer = ROUTER.clone().oneshot(request).await.expect("an answer");
            let status = answer.status().as_u16();
            let body = to_bytes(answer.into_body(), usize::MAX);
            (status, body.await.expect("a body"))
        });
        assert_eq!(status, 200, "the host drops anything else");
        let answer: Value = serde_json::from_slice(&body).expect("JSON");
        let res = &answer["Outputs"]["res"];
        let status = res["statusCode"].as_u64().expect("a number");
        assert!([200, 400, 405, 413, 500].contains(&status), "{answer}");
        let headers = res["headers"].as_object().expect("an object");
        assert!(headers.values().all(Value::is_string), "{answer}");
        let text = res["body"].as_str().expect("text");
        if status == 200 {
            let is_head = text.is_empty();
            assert!(
                is_head || text.starts_with(&format!("{function} ")),
                "{answer}"
            );
        } else if status != 405 || !text.is_empty() {
            let refusal: Value = serde_json::from_str(text).expect("JSON");
            assert_ne!(refusal["code"], "InternalError", "{answer}");
        }
        assert!(answer["Logs"].is_array(), "{answer}");
    }
}
