//! No text makes the parser panic, and what it takes for a reference prints to a text that is
//! the same reference.

use keyvault_functions::references::{Reference, is_reference};

pub(crate) fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Reference::parse(text) {
        Ok(reference) => {
            assert!(is_reference(text));
            let printed = reference.to_string();
            let again = Reference::parse(&printed).expect("the canonical form is well-formed");
            assert_eq!(again, reference);
            assert_eq!(again.to_string(), printed);
        }
        Err(error) => {
            let places = 1..=text.chars().count() + 1;
            assert!(places.contains(&error.at), "a place in the text: {error:?}");
        }
    }
}
