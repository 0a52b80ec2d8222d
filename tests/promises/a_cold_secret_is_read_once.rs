//! However many callers want one secret, the vault is asked once.

use futures_util::future::join_all;
use keyvault_functions::key_vault::MetadataSource;

use super::support::{Fault, InProcess, Setup};

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_parallel_requests_are_one_challenge_one_token_and_one_read() {
    for source in [MetadataSource::Versions, MetadataSource::Get] {
        let app = InProcess::new(source);
        let requests = (0..10_000).map(|_| {
            let app = app.clone();
            tokio::spawn(async move { app.get("/api/secrets/ExternalApiKey").await })
        });
        for answer in join_all(requests).await {
            let answer = answer.expect("no panic");
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        assert_eq!(app.reads(), 1, "{source:?}");
        assert_eq!(app.challenges(), 1, "{source:?}");
        assert_eq!(app.tokens(), 1, "{source:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parallel_requests_for_many_cold_secrets_share_one_challenge_and_one_token() {
    let app = InProcess::new(MetadataSource::Versions);
    let requests = (0..100).map(|number| {
        let app = app.clone();
        tokio::spawn(async move { app.get(&format!("/api/secrets/n{number}")).await })
    });
    join_all(requests).await;
    assert_eq!(app.reads(), 100);
    assert_eq!(app.challenges(), 1);
    assert_eq!(app.tokens(), 1);
}

/// A vault that throttles is not asked for other secrets either, for as long as it wants.
#[tokio::test(start_paused = true)]
async fn a_throttling_vault_is_left_alone() {
    let app = InProcess::new(MetadataSource::Versions);
    app.fail_with(Fault::Throttle(Some(20)));
    for number in 0..100 {
        let answer = app.get(&format!("/api/secrets/n{number}")).await;
        assert_eq!(answer.json()["code"], "Throttled");
        assert_eq!(answer.header("retry-after"), Some("20"));
    }
    assert_eq!(app.reads(), 1);
    app.fail_with(None);
    tokio::time::advance(std::time::Duration::from_secs(20)).await;
    assert_eq!(app.get("/api/secrets/ExternalApiKey").await.status, 200);
}

/// More than an instance can do is refused, and readiness is not.
#[tokio::test(start_paused = true)]
async fn requests_beyond_the_limit_are_429() {
    let app = InProcess::with(Setup {
        in_flight: 10,
        ..Setup::default()
    });
    app.fail_with(Fault::Silence);
    let many = join_all((0..50).map(|_| app.get("/api/secrets/ExternalApiKey")));
    let ready = async {
        tokio::task::yield_now().await;
        app.get("/").await.status
    };
    let (answers, ready) = tokio::join!(many, ready);
    let refused: Vec<_> = answers
        .iter()
        .filter(|answer| answer.status == 429)
        .collect();
    assert_eq!(refused.len(), 40);
    for answer in refused {
        assert_eq!(answer.json()["code"], "TooManyRequests");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert_eq!(ready, 200);
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

#[tokio::test(start_paused = true)]
async fn a_forced_read_asks_the_vault_but_cannot_hammer_it() {
    let app = InProcess::new(MetadataSource::Versions);
    app.get("/api/secrets/ExternalApiKey").await;
    let forced = async || app.get("/api/secrets/ExternalApiKey?refresh=true").await;
    assert_eq!(forced().await.header("x-cache"), Some("MISS"));
    for _ in 0..10 {
        assert_eq!(forced().await.header("x-cache"), Some("HIT"));
    }
    assert_eq!(app.reads(), 2);
    tokio::time::advance(std::time::Duration::from_secs(5)).await;
    assert_eq!(forced().await.header("x-cache"), Some("MISS"));
    assert_eq!(app.reads(), 3);
}

/// The vault is down for ten minutes and the answers go on, marked and dated.
#[tokio::test(start_paused = true)]
async fn an_outage_is_bridged_with_marked_answers_until_the_hard_limit() {
    use std::time::Duration;
    use tokio::time::{Instant, advance, sleep};
    let app = InProcess::new(MetadataSource::Versions);
    let get = async || app.get("/api/secrets/ExternalApiKey").await;
    let fresh = get().await;
    app.fail_with(Fault::Outage(503));
    advance(Duration::from_secs(331)).await;
    get().await;
    sleep(Duration::from_secs(5)).await;
    for second in 0..600 {
        let started = Instant::now();
        let answer = get().await;
        assert!(started.elapsed() < Duration::from_millis(10));
        assert_eq!((answer.status, &answer.body), (200, &fresh.body));
        assert_eq!(answer.header("x-cache"), Some("STALE"));
        assert_eq!(answer.header("x-cache-error"), Some("VaultUnavailable"));
        assert_eq!(
            answer.header("warning"),
            Some("111 - \"Revalidation Failed\"")
        );
        let age: u64 = answer
            .header("age")
            .expect("an age")
            .parse()
            .expect("a number");
        assert!(
            (336..=337).contains(&(age - second)),
            "{age} after {second}"
        );
        sleep(Duration::from_secs(1)).await;
    }
    advance(Duration::from_secs(3_600)).await;
    let gone = get().await;
    assert_eq!(
        (gone.status, gone.json()["code"].as_str()),
        (503, Some("VaultUnavailable"))
    );
    app.fail_with(None);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(get().await.header("x-cache"), Some("MISS"));
}
