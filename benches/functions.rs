//! `cargo bench --bench functions`: time and allocations of whole answers in process, without
//! HTTP, and of masking.

#![expect(clippy::expect_used, reason = "a benchmark has nobody to tell")]

mod support;

use divan::{AllocProfiler, Bencher, black_box};
use keyvault_functions::references::Masked;
use secrecy::SecretString;
use support::{REQUESTS, Requests, VALUE};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench(args = REQUESTS)]
fn answer(bencher: Bencher, request: &str) {
    let runtime = support::runtime().expect("a runtime");
    let requests = Requests::new().expect("the embedded vault");
    runtime
        .block_on(requests.answer(request))
        .expect("an answer");
    bencher
        .with_inputs(|| requests.make(request))
        .bench_values(|request| runtime.block_on(requests.send(request)));
}

/// Every answer of `config-check` as long as a reference is not resolved, and its first one.
#[divan::bench]
fn render_config_check(bencher: Bencher) {
    let runtime = support::runtime().expect("a runtime");
    bencher
        .with_inputs(|| Requests::new().expect("the embedded vault"))
        .bench_refs(|requests| {
            let request = requests.make("config-check, direct");
            runtime.block_on(requests.send(request))
        });
}

#[divan::bench]
fn mask(bencher: Bencher) {
    let value = SecretString::from(VALUE);
    bencher.bench(|| Masked::of(black_box(&value)));
}
