//! A defect in a function harms one request and tells nothing.

use axum::{body::Body, extract::Request};
use keyvault_functions::host::{
    invocation::{Access, Limits},
    manifest::Manifest,
    router::Functions,
};

use super::support::{ClientRequest, answer, read_envelope, repository};

#[tokio::test]
async fn in_every_mode() {
    async fn panics() {
        panic!("canary")
    }
    let manifest = Manifest::read(repository()).expect("valid");
    let router = Functions::new()
        .register("config-check", panics)
        .register("secrets-metadata", panics)
        .router(&manifest, &(), &Access::Host, Limits::default())
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
