//! JSON that people write: `host.json`, `function.json`, `local.settings.json`.
//!
//! The Functions host and Core Tools read them with Newtonsoft's reader, which skips comments and
//! takes a comma after the last element. What they accept must not stop this handler.

use serde::de::DeserializeOwned;

/// Where a file is not what it should be, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid {
    /// Which line.
    pub line: usize,
    /// Which byte of the line.
    pub column: usize,
    /// What is wrong there.
    pub cause: Cause,
}

/// What is wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    /// No JSON reader takes it.
    #[error("not JSON; look for a missing comma, quote or bracket")]
    Syntax,
    /// A list or a single value.
    #[error("not an object; begin with {{")]
    NotAnObject,
    /// A member has another type than it should have.
    #[error("a member of another type than it should have")]
    Shape,
}

/// Reads an object from `text`.
///
/// # Errors
///
/// Where it stops being one, counted in `text` as it was written.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Invalid> {
    // Visual Studio saves JSON with a byte order mark.
    let plain = plain(text.trim_start_matches('\u{feff}'));
    let begins = plain.iter().position(|byte| !byte.is_ascii_whitespace());
    // Serde would take a list for an object whose members are all optional.
    if let Some(begins) = begins.filter(|at| plain[*at] == b'[') {
        let lines = || plain[..begins].split(|byte| *byte == b'\n');
        return Err(Invalid {
            line: lines().count(),
            column: lines().next_back().unwrap_or_default().len() + 1,
            cause: Cause::NotAnObject,
        });
    }
    from_plain(&plain)
}

/// Reads anything from `text`, a list too.
///
/// # Errors
///
/// As [`parse`].
pub fn parse_any(text: &str) -> Result<serde_json::Value, Invalid> {
    from_plain(&plain(text.trim_start_matches('\u{feff}')))
}

fn from_plain<T: DeserializeOwned>(plain: &[u8]) -> Result<T, Invalid> {
    serde_json::from_slice(plain).map_err(|error| Invalid {
        line: error.line(),
        column: error.column(),
        cause: if error.is_data() {
            Cause::Shape
        } else {
            Cause::Syntax
        },
    })
}

/// `text` with blanks instead of comments and trailing commas, so that every line and
/// column stays what it was. What is not complete is left for the parser to complain about.
fn plain(text: &str) -> Vec<u8> {
    let given = text.as_bytes();
    let mut plain = given.to_vec();
    // The last comma, as long as nothing but blanks and comments has followed.
    let mut comma = None;
    let mut is_after_value = false;
    let mut at = 0;
    while let Some(byte) = given.get(at) {
        let rest = &given[at..];
        let mut length = 1;
        match byte {
            b'"' => {
                length = string(rest);
                (comma, is_after_value) = (None, true);
            }
            b'/' => match comment(rest) {
                Some(comment) => {
                    length = comment;
                    let blanks = &mut plain[at..at + length];
                    blanks
                        .iter_mut()
                        .filter(|byte| **byte != b'\n')
                        .for_each(|byte| *byte = b' ');
                }
                None => comma = None,
            },
            b',' => {
                comma = is_after_value.then_some(at);
                is_after_value = false;
            }
            b'}' | b']' => {
                if let Some(comma) = comma.take() {
                    plain[comma] = b' ';
                }
                is_after_value = true;
            }
            b'{' | b'[' => (comma, is_after_value) = (None, false),
            byte if byte.is_ascii_whitespace() => {}
            _ => (comma, is_after_value) = (None, true),
        }
        at += length;
    }
    plain
}

/// Bytes of the string that `rest` begins with.
fn string(rest: &[u8]) -> usize {
    let mut is_escaped = false;
    let end = rest[1..].iter().position(|byte| {
        let is_end = *byte == b'"' && !is_escaped;
        is_escaped = *byte == b'\\' && !is_escaped;
        is_end
    });
    end.map_or(rest.len(), |end| end + 2)
}

/// Bytes of the comment that `rest` begins with, if it is one and ends.
fn comment(rest: &[u8]) -> Option<usize> {
    if rest.starts_with(b"//") {
        let end = rest.iter().position(|byte| *byte == b'\n');
        return Some(end.unwrap_or(rest.len()));
    }
    let inside = rest.strip_prefix(b"/*")?;
    let end = inside.windows(2).position(|two| two == b"*/")?;
    Some(end + 4)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn comments_and_trailing_commas_are_skipped() {
        for text in [
            r#"{"a":["b","//c"]}"#,
            "\u{feff}// ä\n{\"a\": [\"b\", \"//c\" ,\n], // , \"\n}\n// end",
            "/* { */ {\"a\":[\"b\"/**/,/* , */\"//c\",/*]*/]/***/,}",
        ] {
            assert_eq!(
                parse::<Value>(text),
                Ok(json!({"a": ["b", "//c"]})),
                "{text}"
            );
        }
        let text = r#"{"a":"\\","b":"\",}/*"}"#;
        assert_eq!(parse::<Value>(text), Ok(json!({"a": "\\", "b": "\",}/*"})));
    }

    #[test]
    fn what_is_wrong_is_found_where_it_was_written() {
        use Cause::{NotAnObject, Shape, Syntax};
        for (text, line, column, cause) in [
            ("[]", 1, 1, NotAnObject),
            ("// a\n  [{}]", 2, 3, NotAnObject),
            ("{/* two\nlines */ ;}", 2, 10, Syntax),
            ("{\"a\":1 / 2}", 1, 8, Syntax),
            ("{\"a\":1} /* no end", 1, 9, Syntax),
            ("{\"a\":1,,}", 1, 8, Syntax),
            ("{,}", 1, 2, Syntax),
            ("{\"a\":[,]}", 1, 7, Syntax),
            ("{\"a\":1, ,}", 1, 9, Syntax),
            ("{\"a\":\"", 1, 6, Syntax),
            ("{\"a\":\"b\"", 1, 8, Syntax),
            ("", 1, 0, Syntax),
            ("5", 1, 1, Shape),
        ] {
            let found = parse::<serde_json::Map<String, Value>>(text).map(drop);
            assert_eq!(
                found,
                Err(Invalid {
                    line,
                    column,
                    cause
                }),
                "{text}"
            );
        }
    }

    #[test]
    fn no_text_stops_it() {
        for text in ["\"", "\\", "/", "/*", "*/", "//", "\"\\", ",", "{\"ä"] {
            assert!(parse::<Value>(text).is_err(), "{text}");
        }
    }
}
