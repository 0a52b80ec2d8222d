//! A defect in a function harms one request and tells nothing.

use axum::{body::Body, extract::Request};
use keyvault_functions::host::{
    invocation::{Access, Limits},
    router::Functions,
};

use tokio::sync::mpsc;

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

#[tokio::test]
async fn the_request_beyond_the_limit_is_a_429_in_every_mode() {
    let limits = Limits {
        in_flight: 1,
        ..Limits::default()
    };
    let (arrived, mut arrival) = mpsc::unbounded_channel();
    let waits = move || {
        let arrived = arrived.clone();
        async move {
            arrived.send(()).expect("the test waits");
            std::future::pending::<()>().await;
        }
    };
    let router = Functions::new()
        .register("config-check", waits)
        .register("secrets-metadata", async || ())
        .router(&two_functions(), &(), &Access::Host, limits)
        .expect("fitting");
    let direct = || {
        let request = Request::get("/api/config-check").body(Body::empty());
        request.expect("a request")
    };
    let enveloped = || {
        let envelope = ClientRequest::config_check().envelope().to_string();
        let request = Request::post("/config-check").body(Body::from(envelope));
        request.expect("a request")
    };
    for first in [direct(), enveloped()] {
        let under_way = router.clone();
        let under_way = tokio::spawn(async move { answer(&under_way, first).await });
        arrival.recv().await.expect("the first one runs");
        let refused = answer(&router, direct()).await;
        assert_eq!(refused.status, 429, "{refused:?}");
        let (refused, _) = read_envelope(&answer(&router, enveloped()).await);
        assert_eq!(refused.status, 429, "{refused:?}");
        under_way.abort();
        // Its permit is back once the task is gone.
        assert!(under_way.await.is_err());
    }
}
