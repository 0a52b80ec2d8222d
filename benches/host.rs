//! `cargo bench --bench host`: time and allocations of an envelope around a function that does
//! nothing, and of comparing keys.

#![expect(clippy::expect_used, reason = "a benchmark has nobody to tell")]

mod support;

use std::{collections::BTreeMap, path::Path};

use axum::http::{StatusCode, Uri};
use divan::{AllocProfiler, Bencher, black_box};
use keyvault_functions::host::{
    authorization::AuthLevel,
    invocation::{Access, Limits},
    manifest::Manifest,
    router::Functions,
};
use support::Requests;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench(args = ["config-check, direct", "config-check, envelope"])]
fn carry(bencher: Bencher, request: &str) {
    let runtime = support::runtime().expect("a runtime");
    let mut manifest = Manifest::read(Path::new(env!("CARGO_MANIFEST_DIR"))).expect("valid");
    let this = manifest.functions.remove("config-check").expect("known");
    manifest.functions = BTreeMap::from([("config-check".to_owned(), this)]);
    let nothing = async || StatusCode::OK;
    let router = Functions::new()
        .register("config-check", nothing)
        .router(&manifest, &(), &Access::Host, Limits::default())
        .expect("fitting");
    let requests = Requests::over(router);
    runtime
        .block_on(requests.answer(request))
        .expect("an answer");
    bencher
        .with_inputs(|| requests.make(request))
        .bench_values(|request| runtime.block_on(requests.send(request)));
}

#[divan::bench]
fn compare_keys(bencher: Bencher) {
    let (keys, headers) = support::keys().expect("randomness");
    let uri = Uri::from_static("/api/secrets/ExternalApiKey");
    bencher.bench(|| keys.admit(AuthLevel::Admin, black_box(&headers), &uri));
}
