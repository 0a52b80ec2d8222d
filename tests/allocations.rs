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

#[test]
fn a_value_is_recognised_as_a_reference_or_not_without_allocating() {
    for text in [
        "@Microsoft.KeyVault(SecretUri=https://your-kv.vault.azure.net/secrets/ExternalApiKey)",
        " \"@microsoft.keyvault (",
        "an ordinary value of an ordinary app setting",
    ] {
        let recognising = allocation_counter::measure(|| _ = is_reference(text));
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
        // Three of them carry how the answer was found in the response's extensions.
        ("secrets-metadata, direct", 22),
        ("secrets-metadata, envelope", 109),
        ("config-check, direct", 12),
        ("config-check, envelope", 95),
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
