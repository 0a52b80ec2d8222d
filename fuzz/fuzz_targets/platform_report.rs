//! `cargo +nightly fuzz run platform_report`; what must hold is in `tests/properties/platform_report.rs`.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../../tests/properties/platform_report.rs"]
mod platform_report;

fuzz_target!(|data: &[u8]| platform_report::holds(data));
