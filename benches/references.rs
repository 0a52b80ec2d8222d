//! `cargo bench --bench references`: time and allocations of parsing a reference.

mod support;

use divan::{AllocProfiler, black_box};
use keyvault_functions::references::{Reference, is_reference};
use support::FORMS;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

#[divan::bench(args = FORMS)]
fn parse(text: &str) -> Reference {
    match Reference::parse(black_box(text)) {
        Ok(reference) => reference,
        Err(error) => unreachable!("{error}"),
    }
}

#[divan::bench(args = [FORMS[0], "an ordinary value of an ordinary app setting"])]
fn recognise(text: &str) -> bool {
    is_reference(black_box(text))
}
