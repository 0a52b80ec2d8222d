//! A defect in a function harms one request and tells nothing.

use axum::{body::Body, extract::Request};
use keyvault_functions::host::{
    invocation::{Access, Limits},
    router::Functions,
};

use super::support::{ClientRequest, answer, read_envelope, two_functions};

#[tokio::test]
async fn a_panic_is_a_500_without_its_text_in_every_mode() {
    async fn panics() {
        panic!("canary")
    }
    let router = Functions::new()
        .register("config-check", panics)
        .register("secrets-metadata", panics)
        .router(&two_functions(), &(), &Access::Host, Limits::default())
        .expect("fitting");

    let direct = Request::get("/api/config-check").body(Body::empty());
    let direct = answer(&router, direct.expect("a request")).await;
    let envelope = Body::from(ClientRequest::config_check().envelope().to_string());
    let envelope = Request::post("/config-check").body(envelope);
    let envelope = answer(&router, envelope.expect("a request")).await;
    let (enveloped, _) = read_envelope(&envelope);
    for answer in [direct, enveloped] {
        assert_eq!(answer.status, 500);
        assert_eq!(answer.json()["code"], "InternalError");
        assert!(!answer.body.contains("canary"), "{answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_function_that_does_not_end_is_a_504() {
    let limits = Limits::default();
    let router = Functions::new()
        .register("config-check", std::future::pending::<()>)
        .register("secrets-metadata", async || ())
        .router(&two_functions(), &(), &Access::Host, limits)
        .expect("fitting");
    let started = tokio::time::Instant::now();
    let request = Request::get("/api/config-check").body(Body::empty());
    let answer = answer(&router, request.expect("a request")).await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.json()["code"], "RequestTimedOut");
    assert_eq!(started.elapsed(), limits.request_time);
}
