//! `cargo +nightly fuzz run events`; what must hold is in `tests/properties/events.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/properties/events.rs"]
mod events;

fuzz_target!(|data: &[u8]| events::holds(data));
