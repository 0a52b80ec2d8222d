//! What the Functions host makes of a line on stderr: a Warning if "warn" is anywhere in it, in
//! any letter case, else an Error. A name that a person typed must not turn an error into a
//! warning.
//!
//! Source: the Functions host, `WorkerProcessUtilities.cs`.

use std::borrow::Cow;

/// The text without "warn": its second letter becomes `*`, so that a shell still finds a path by
/// it.
#[must_use]
pub fn without_warn(text: &str) -> Cow<'_, str> {
    let lower = text.to_ascii_lowercase();
    let mut found = lower.match_indices("warn").peekable();
    if found.peek().is_none() {
        return text.into();
    }
    let mut changed = String::with_capacity(text.len());
    let mut rest = 0;
    for (at, _) in found {
        changed.push_str(&text[rest..=at]);
        changed.push('*');
        rest = at + 2;
    }
    changed.push_str(&text[rest..]);
    changed.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_word_changes() {
        for (text, expected) in [
            ("plain", "plain"),
            ("warn", "w*rn"),
            ("Forewarned/WARNINGS", "Forew*rned/W*RNINGS"),
            ("ä warnwarn ö", "ä w*rnw*rn ö"),
            ("war n", "war n"),
        ] {
            assert_eq!(without_warn(text), expected);
        }
    }
}
