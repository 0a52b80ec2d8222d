//! `cargo bench --bench key_vault`: time and allocations of an answer from the cache.

#![expect(clippy::expect_used, reason = "a benchmark has nobody to tell")]

mod support;

use divan::{AllocProfiler, Bencher, black_box};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench]
fn cache_hit(bencher: Bencher) {
    let runtime = support::runtime().expect("a runtime");
    let (cache, id) = runtime.block_on(support::cached()).expect("cached");
    bencher.bench(|| runtime.block_on(cache.get(black_box(&id))));
}
