//! One trace from the caller through the handler to the vault: W3C Trace Context.

use axum::http::{HeaderMap, HeaderName};

/// Header of W3C Trace Context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// `00-<trace>-<span>-<flags>`
const LENGTH: usize = 55;
/// A later version of the header may go on; beyond this nobody's does.
const LONGEST: usize = 256;

/// Which trace a request belongs to and which span it came from. Checked: it can be logged
/// and sent on whoever wrote it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceParent([u8; LENGTH]);

impl TraceParent {
    /// Reads the header's value; `None` if it is not valid, which starts a new trace.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(LENGTH)?;
        let mut known: [u8; LENGTH] = known.try_into().ok()?;
        let is_whole = match (&known[..2], rest) {
            (b"ff", _) => false,
            (_, []) => true,
            (b"00", _) => false,
            (_, [b'-', ..]) => value.len() <= LONGEST,
            _ => false,
        };
        let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let has_shape = known.iter().enumerate().all(|(index, byte)| match index {
            2 | 35 | 52 => *byte == b'-',
            _ => is_digit(byte),
        });
        let is_set = |id: &[u8]| id.iter().any(|byte| *byte != b'0');
        // What a later version adds is not sent on, so its number is not either.
        known[..2].copy_from_slice(b"00");
        (is_whole && has_shape && is_set(&known[3..35]) && is_set(&known[36..52]))
            .then_some(Self(known))
    }

    /// The one `traceparent` of a request.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(TRACEPARENT).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => Self::parse(value.as_bytes()),
            _ => None,
        }
    }

    /// As it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The trace's 32 digits: `operation_Id` in Application Insights.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        &self.as_str()[3..35]
    }

    /// The 16 digits of the caller's span.
    #[must_use]
    pub fn span_id(&self) -> &str {
        &self.as_str()[36..52]
    }

    /// The caller's flags; the first bit says that the caller samples this trace.
    #[must_use]
    pub fn flags(&self) -> u8 {
        u8::from_str_radix(&self.as_str()[53..], 16).unwrap_or_default()
    }
}

impl std::fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

    #[test]
    fn what_is_valid_is_kept_and_named() {
        let parent = TraceParent::parse(TRACE.as_bytes()).expect("valid");
        assert_eq!(parent.as_str(), TRACE);
        assert_eq!(parent.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!((parent.span_id(), parent.flags()), ("00f067aa0ba902b7", 0));
        let later = format!("{}-more", TRACE.replacen("00", "cc", 1));
        assert_eq!(TraceParent::parse(later.as_bytes()), Some(parent));
    }

    #[test]
    fn anything_else_is_no_trace() {
        let long = format!("01{}-{}", &TRACE[2..], "x".repeat(LONGEST));
        for text in [
            "",
            "00",
            &TRACE[..54],
            &format!("{TRACE}0"),
            &format!("{TRACE}-more"),
            &TRACE.replacen("00", "ff", 1),
            &TRACE.to_uppercase(),
            &TRACE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)),
            &TRACE.replace("00f067aa0ba902b7", &"0".repeat(16)),
            &TRACE.replace('-', "_"),
            &TRACE.replace("4bf9", "4bfg"),
            &TRACE.replace("4bf9", "4b\r\n"),
            &TRACE.replace("4bf9", "4bß"),
            &long,
        ] {
            assert_eq!(TraceParent::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn two_of_them_are_none() {
        let value = || TRACE.parse().expect("a value");
        let mut headers = HeaderMap::new();
        headers.append(TRACEPARENT, value());
        assert!(TraceParent::of(&headers).is_some());
        headers.append(TRACEPARENT, value());
        assert_eq!(TraceParent::of(&headers), None);
    }
}
