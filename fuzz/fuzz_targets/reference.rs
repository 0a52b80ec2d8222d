//! `cargo +nightly fuzz run reference`: no text makes the parser panic, and what it takes
//! for a reference prints to a text that is the same reference.
#![no_main]

use keyvault_functions::references::{Reference, is_reference};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(reference) = Reference::parse(text) {
        assert!(is_reference(text));
        let printed = reference.to_string();
        let again = Reference::parse(&printed).expect("the canonical form is well-formed");
        assert_eq!(again, reference);
        assert_eq!(again.to_string(), printed);
    }
});
