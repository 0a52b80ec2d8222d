//! What must not allocate, counted.

#[path = "../benches/support/mod.rs"]
mod support;

use std::{io, task::Poll};

use keyvault_functions::{
    references::{Reference, is_reference},
    telemetry::{self, LineStyle},
};
use support::Requests;
use tracing_subscriber::util::SubscriberInitExt;

const VERSION: &str = "ec96f02080254f109c51a1f14cdb1931";

#[test]
fn a_reference_is_parsed_with_one_allocation_and_recognised_with_none() {
    for inside in [
        "SecretUri=https://your-kv.vault.azure.net/secrets/ExternalApiKey".to_owned(),
        format!("SecretUri=https://your-kv.vault.azure.cn/secrets/ExternalApiKey/{VERSION}/"),
        "VaultName=your-kv;SecretName=DatabasePassword".to_owned(),
        format!("SecretVersion={VERSION};SecretName=DatabasePassword;VaultName=your-kv"),
    ] {
        let text = format!("@Microsoft.KeyVault({inside})");
        let mut is_parsed = false;
        let parsing = allocation_counter::measure(|| is_parsed = Reference::parse(&text).is_ok());
        assert!(is_parsed, "{text}");
        assert!(parsing.count_total <= 1, "{text}: {}", parsing.count_total);
        let recognising = allocation_counter::measure(|| is_parsed = is_reference(&text));
        assert_eq!(recognising.count_total, 0, "{text}");
    }
}

#[test]
fn a_refusal_allocates_nothing() {
    let text = "@Microsoft.KeyVault(VaultName=your-kv;Secret=x)";
    let parsing = allocation_counter::measure(|| assert!(Reference::parse(text).is_err()));
    assert_eq!(parsing.count_total, 0);
}

#[tokio::test]
async fn a_cache_hit_allocates_nothing() {
    let (cache, id) = support::cached().await.expect("cached");
    // The first clone of a body makes it shared.
    drop(cache.get(&id).await);
    let (found, allocations) = counted(cache.get(&id)).await;
    assert!(found.is_ok());
    assert_eq!(allocations, 0);
}

/// Raise a number together with the code that needs more, and say why; lower it when less will do.
#[tokio::test]
async fn a_request_allocates_no_more_than_it_did() {
    let filter = telemetry::default_filter();
    let lines = telemetry::subscriber(&filter, LineStyle::Host, io::sink, io::sink).set_default();
    let requests = Requests::new().expect("the embedded vault");
    let mut found = Vec::new();
    for name in support::REQUESTS {
        // Buffers grow and caches fill.
        for _ in 0..3 {
            requests.answer(name).await.expect("an answer");
        }
        let request = requests.make(name);
        let (response, allocations) = counted(requests.send(request)).await;
        assert!(response.status().is_success());
        found.push((name, allocations));
    }
    drop(lines);
    let allowed = [
        ("secrets-metadata, direct", 39),
        ("secrets-metadata, envelope", 114),
        ("config-check, direct", 32),
        ("config-check, envelope", 104),
    ];
    assert_eq!(found.len(), allowed.len());
    let is_within = |(found, allowed): (&(&str, u64), &(&str, u64))| {
        found.0 == allowed.0 && found.1 <= allowed.1
    };
    assert!(
        found.iter().zip(&allowed).all(is_within),
        "found {found:?}, allowed {allowed:?}"
    );
}

/// The result of `work`, which never waits, and how often it allocated.
async fn counted<T>(work: impl Future<Output = T>) -> (T, u64) {
    let mut work = std::pin::pin!(work);
    let mut allocations = 0;
    let result = std::future::poll_fn(|context| {
        let mut polled = Poll::Pending;
        let count = allocation_counter::measure(|| polled = work.as_mut().poll(context));
        allocations += count.count_total;
        polled
    })
    .await;
    (result, allocations)
}
