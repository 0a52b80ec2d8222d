//! `cargo +nightly fuzz run reference`; what must hold is in `tests/properties/reference.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/properties/reference.rs"]
mod reference;

fuzz_target!(|data: &[u8]| reference::holds(data));
