//! However many callers want one secret, the vault is asked once.

use futures_util::future::join_all;
use keyvault_functions::key_vault::MetadataSource;

use super::support::InProcess;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_parallel_requests_are_one_read() {
    for source in [MetadataSource::Versions, MetadataSource::Get] {
        let app = InProcess::new(source);
        let requests = (0..100).map(|_| {
            let app = app.clone();
            tokio::spawn(async move { app.get("/api/secrets/ExternalApiKey").await })
        });
        for answer in join_all(requests).await {
            let answer = answer.expect("no panic");
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        assert_eq!(app.reads(), 1, "{source:?}");
    }
}

#[tokio::test]
async fn the_second_request_is_a_hit() {
    let app = InProcess::new(MetadataSource::Versions);
    let first = app.get("/api/secrets/ExternalApiKey").await;
    // Key Vault does not tell upper from lower case in names, so the cache does not.
    let second = app.get("/api/secrets/externalapikey").await;
    assert_eq!(first.header("x-cache"), Some("MISS"));
    assert_eq!(second.header("x-cache"), Some("HIT"));
    assert_eq!(second.header("age"), Some("0"));
    assert_eq!(first.body, second.body);
    assert_eq!(app.reads(), 1);
}
