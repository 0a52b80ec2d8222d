//! `cargo +nightly fuzz run manifests`; what must hold is in `tests/properties/manifests.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/properties/manifests.rs"]
mod manifests;

fuzz_target!(|data: &[u8]| manifests::holds(data));
