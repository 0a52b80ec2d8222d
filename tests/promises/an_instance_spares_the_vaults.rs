//! One instance sends no more than its share of what a vault serves to everybody, whatever is
//! asked of it: 400 requests in 10 s.

use std::time::Duration;

use keyvault_functions::{dev_vault::NewSecret, key_vault::MetadataSource};
use tokio::time::{advance, sleep};

use super::support::InProcess;

const SHARE: usize = 400;
const WINDOW: Duration = Duration::from_secs(10);

/// Asks for 20 versions of a secret that has a thousand others. Returns how often that was
/// answered; each answer takes 40 requests.
async fn spend_all(app: &InProcess) -> usize {
    for _ in 0..1_000 {
        let new = NewSecret::of("canary-version");
        app.vault.store().set("Old", new).expect("randomness");
    }
    let mut answered = 0;
    for number in 1..=20_u128 {
        let path = format!("/api/secrets/Old?version={number:032x}");
        answered += usize::from(app.get(&path).await.status == 404);
    }
    answered
}

#[tokio::test(start_paused = true)]
async fn random_names_are_429_when_the_budget_is_spent() {
    let app = InProcess::new(MetadataSource::Versions);
    let get = async |number: usize| app.get(&format!("/api/secrets/n{number}")).await;
    for number in 0..SHARE {
        assert_eq!(get(number).await.status, 404);
    }
    advance(Duration::from_secs(3)).await;
    for number in SHARE..2_500 {
        let answer = get(number).await;
        assert_eq!(answer.status, 429, "{answer:?}");
        assert_eq!(answer.json()["code"], "TooManyVaultRequests");
        assert_eq!(answer.header("retry-after"), Some("7"));
    }
    assert_eq!(app.reads(), SHARE);
    // It is no fault of the vault, which is not left alone for it.
    advance(Duration::from_secs(7)).await;
    assert_eq!(app.get("/api/secrets/ExternalApiKey").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn each_page_of_versions_counts_as_one_request() {
    let app = InProcess::new(MetadataSource::Versions);
    assert_eq!((spend_all(&app).await, app.reads()), (10, SHARE));
}

#[tokio::test(start_paused = true)]
async fn kept_answers_are_given_when_the_budget_is_spent() {
    let app = InProcess::new(MetadataSource::Versions);
    let known = async || app.get("/api/secrets/ExternalApiKey").await;
    let fresh = known().await;
    advance(Duration::from_secs(331)).await;
    spend_all(&app).await;
    known().await;
    // The refresh fails behind the caller's back.
    sleep(Duration::from_millis(1)).await;
    let stale = known().await;
    assert_eq!((stale.status, &stale.body), (200, &fresh.body));
    assert_eq!(stale.header("x-cache-error"), Some("TooManyVaultRequests"));
    advance(WINDOW).await;
    known().await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(known().await.header("x-cache"), Some("HIT"));
}
