//! One trace from the caller through the handler to the vault: W3C Trace Context.
//!
//! The Functions host sends its trace with every request. It is named in the lines of the
//! request, continued in the spans that are exported, and sent on to the vault. Work that a
//! request starts beside itself keeps it through `inherit`.

use axum::http::HeaderMap;
use tokio::task::futures::TaskLocalFuture;
use tracing::{Instrument, Span, field::Empty};

use super::counters::Lookup;

/// Header of W3C Trace Context.
pub const TRACEPARENT: &str = "traceparent";

/// Spans of this target are exported, and in no line.
pub(super) const TARGET: &str = "keyvault_functions::trace";

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
        let has_shape = known.iter().enumerate().all(|(place, byte)| match place {
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

tokio::task_local! {
    static REQUEST: Request;
}

/// What belongs to the request that a task works for.
#[derive(Default)]
pub(crate) struct Request {
    trace: Option<TraceParent>,
}

/// Runs one request of the trace `trace`.
pub(crate) fn in_request<F: Future>(
    trace: Option<TraceParent>,
    run: F,
) -> TaskLocalFuture<Request, F> {
    REQUEST.scope(Request { trace }, run)
}

/// Makes a task that a request starts a part of its trace and its lines.
pub(crate) fn inherit<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let trace = REQUEST.try_with(|request| request.trace).ok().flatten();
    // A span of its own, where spans are exported: the request's would last as long as the task.
    let own = tracing::info_span!(target: TARGET, "background");
    let span = if own.is_disabled() {
        Span::current()
    } else {
        own
    };
    in_request(trace, work).instrument(span)
}

/// What to send on to a vault.
pub(crate) fn outgoing() -> Option<TraceParent> {
    if let Some(own) = super::otlp::current() {
        return Some(own);
    }
    REQUEST.try_with(|request| request.trace).ok().flatten()
}

/// The span of one request. Nothing unless it is exported, like the two below.
pub(crate) fn request_span(function: &str, id: Option<&str>, trace: Option<TraceParent>) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        "invocation",
        otel.name = function,
        otel.kind = "server",
        otel.status_code = Empty,
        faas.invocation_id = id,
        http.response.status_code = Empty,
        error.type = Empty,
        keyvault.cache = Empty,
    );
    if let Some(trace) = trace {
        super::otlp::set_parent(&span, trace);
    }
    span
}

/// The span of one read of a vault: the wait for a turn, the token and every attempt.
pub(crate) fn read_span(operation: &'static str) -> Span {
    tracing::info_span!(
        target: TARGET,
        "Key Vault read",
        operation,
        otel.status_code = Empty,
        error.type = Empty,
    )
}

/// The span of one HTTP request to the vault at `host`.
pub(crate) fn attempt_span(method: &str, host: &str) -> Span {
    tracing::info_span!(
        target: TARGET,
        "Key Vault request",
        otel.name = method,
        otel.kind = "client",
        otel.status_code = Empty,
        http.request.method = method,
        http.response.status_code = Empty,
        server.address = host,
        error.type = Empty,
    )
}

/// Says in the span of a request what came of it.
pub(crate) fn finish_request(span: &Span, lookup: Lookup, status: u16, failure: Option<&str>) {
    if !span.is_disabled() {
        span.record("keyvault.cache", lookup.as_str());
        finish(span, Some(status), failure);
    }
}

/// Says in `span` what came of it.
pub(crate) fn finish(span: &Span, status: Option<u16>, failure: Option<&str>) {
    if span.is_disabled() {
        return;
    }
    if let Some(status) = status {
        span.record("http.response.status_code", i64::from(status));
    }
    if let Some(failure) = failure {
        span.record("error.type", failure);
        span.record("otel.status_code", "ERROR");
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

    #[tokio::test]
    async fn work_beside_a_request_keeps_its_trace() {
        let trace = TraceParent::parse(TRACE.as_bytes());
        let seen = in_request(trace, async {
            let beside = tokio::spawn(inherit(async { outgoing() }));
            let forgotten = tokio::spawn(async { outgoing() });
            let (beside, forgotten) = (beside.await, forgotten.await);
            (beside.expect("ended"), forgotten.expect("ended"))
        });
        assert_eq!(seen.await, (trace, None));
    }
}
