//! `cargo +nightly fuzz run envelope`; what must hold is in `tests/properties/envelope.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/properties/envelope.rs"]
mod envelope;

fuzz_target!(|data: &[u8]| envelope::holds(data));
