//! What may be shown of a value.

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

/// Most characters of a value that are ever shown.
const SHOWN: usize = 4;

/// The beginning of a value: at most four characters and never more than a third of
/// them, then `...`. Values of up to four characters show nothing but `***`.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Masked(String);

impl Masked {
    /// What may be shown of `value`.
    #[must_use]
    pub fn of(value: &SecretString) -> Self {
        let value = value.expose_secret();
        let length = value.chars().count();
        if length <= SHOWN {
            return Self::nothing();
        }
        let shown = value.chars().take(SHOWN.min(length / 3));
        Self(shown.chain("...".chars()).collect())
    }

    /// What stands where nothing may be shown.
    #[must_use]
    pub fn nothing() -> Self {
        Self("***".to_owned())
    }

    /// The masked text, which may be shown.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(value: &str) -> String {
        Masked::of(&value.to_owned().into()).0
    }

    #[test]
    fn the_mask_is_the_recipes_with_a_bound() {
        for (value, shown) in [
            ("", "***"),
            ("a", "***"),
            ("abcd", "***"),
            ("abcde", "a..."),
            ("abcdefghijk", "abc..."),
            ("abcdefghijkl", "abcd..."),
            ("sk-abc123def456", "sk-a..."),
        ] {
            assert_eq!(masked(value), shown, "{value}");
        }
    }

    #[test]
    fn the_mask_counts_characters_not_bytes() {
        assert_eq!(masked("äöüß"), "***");
        assert_eq!(masked("äöüßé"), "ä...");
        assert_eq!(masked("日本語日本語日本語日本語"), "日本語日...");
    }

    #[test]
    fn the_mask_never_shows_more_than_a_third() {
        for length in 0..200 {
            let shown = masked(&"x".repeat(length)).replace("...", "");
            let shown = shown.chars().filter(|c| *c == 'x').count();
            assert!(shown <= SHOWN && 3 * shown <= length, "{length}");
        }
    }
}
