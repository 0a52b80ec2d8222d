//! `cargo +nightly fuzz run vault_answer`; what must hold is in `tests/properties/vault_answer.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/properties/vault_answer.rs"]
mod vault_answer;

fuzz_target!(|data: &[u8]| vault_answer::holds(data));
