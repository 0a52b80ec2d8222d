//! Colours for a person at a terminal.
//!
//! They are put on the finished line. The feature `ansi` of `tracing-subscriber` would make every
//! line dearer, also where nobody sees a colour: by a tenth of what a cached answer takes.

use std::borrow::Cow;

const PLAIN: &[u8] = b"\x1b[0m";
const DIM: &[u8] = b"\x1b[2m";

/// A line that begins with time and level, with both in colour; any other stays as it is.
pub(super) fn painted(line: &[u8]) -> Cow<'_, [u8]> {
    let mut words = line.splitn(2, |byte| *byte == b' ');
    let (Some(time), Some(rest)) = (words.next(), words.next()) else {
        return line.into();
    };
    // The level is aligned to the right.
    let rest = rest.trim_ascii_start();
    let level = rest.split(|byte| *byte == b' ').next().unwrap_or_default();
    let colour: &[u8] = match level {
        b"ERROR" => b"\x1b[31m",
        b"WARN" => b"\x1b[33m",
        b"INFO" => b"\x1b[32m",
        b"DEBUG" => b"\x1b[34m",
        b"TRACE" => b"\x1b[35m",
        _ => return line.into(),
    };
    let blanks = &line[time.len()..line.len() - rest.len()];
    let text = &rest[level.len()..];
    [DIM, time, PLAIN, blanks, colour, level, PLAIN, text]
        .concat()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_and_level_are_painted_and_nothing_else() {
        for (line, expected) in [
            (
                "12:00Z  INFO a: b\n",
                "\x1b[2m12:00Z\x1b[0m  \x1b[32mINFO\x1b[0m a: b\n",
            ),
            (
                "12:00Z ERROR a\n",
                "\x1b[2m12:00Z\x1b[0m \x1b[31mERROR\x1b[0m a\n",
            ),
            ("12:00Z INFORMATION\n", "12:00Z INFORMATION\n"),
            ("no level here\n", "no level here\n"),
            ("word\n", "word\n"),
            ("", ""),
        ] {
            assert_eq!(*painted(line.as_bytes()), *expected.as_bytes(), "{line}");
        }
    }
}
