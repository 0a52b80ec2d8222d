//! The spans and numbers that are exported. They are in no line, and while nothing is exported no
//! span is made.

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use tracing::{Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::trace_parent::TraceParent;

/// Spans and events of this target are exported, and in no line.
pub(super) const TARGET: &str = "keyvault_functions::trace";

/// The span of one request, as a part of the caller's trace.
pub(crate) fn request<'a>(
    function: &str,
    id: impl Fn() -> Option<&'a str>,
    parent: Option<TraceParent>,
) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        "invocation",
        otel.name = function,
        otel.kind = "server",
        otel.status_code = Empty,
        faas.invocation_id = id(),
        http.response.status_code = Empty,
        error.type = Empty,
        keyvault.cache = Empty,
    );
    if let Some(parent) = parent.filter(|_| !span.is_disabled()) {
        set_parent(&span, parent);
    }
    span
}

/// The span of work that may outlast the request that started it.
pub(super) fn background() -> Span {
    tracing::info_span!(target: TARGET, "background")
}

/// The span of one read of a vault: the wait for a turn, the token and every attempt.
pub(crate) fn read(operation: &'static str) -> Span {
    tracing::info_span!(
        target: TARGET,
        "Key Vault read",
        operation,
        otel.status_code = Empty,
        error.type = Empty,
    )
}

/// The span of one HTTP request to the vault at `host`.
pub(crate) fn attempt(method: &str, host: &str) -> Span {
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
pub(crate) fn finish_request(span: &Span, status: u16, failure: Option<&str>, cache: &str) {
    if !span.is_disabled() {
        span.record("keyvault.cache", cache);
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

/// A read of a vault has ended: `outcome` is `ok`, or the code of the failure.
pub(crate) fn count_read(operation: &'static str, outcome: &'static str) {
    tracing::info!(target: TARGET, operation, outcome, monotonic_counter.keyvault.reads = 1_u64);
}

/// Answers with a status of `class`, since this was last called for it.
pub(crate) fn count_answers(class: &'static str, answers: u64) {
    tracing::info!(target: TARGET, class, monotonic_counter.keyvault.answers = answers);
}

/// Answers that were found by the `outcome` of a look-up, since this was last called for it.
pub(crate) fn count_lookups(outcome: &'static str, found: u64) {
    tracing::info!(target: TARGET, outcome, monotonic_counter.keyvault.cache.lookups = found);
}

/// The exported span that this task is in, as a vault is told it.
pub(super) fn current() -> Option<TraceParent> {
    let span = Span::current();
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let span = context.span();
    let span = span.span_context();
    if !span.is_valid() {
        return None;
    }
    let flags = span.trace_flags().to_u8();
    let text = format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id());
    TraceParent::parse(text.as_bytes())
}

fn set_parent(span: &Span, parent: TraceParent) {
    let (Ok(trace_id), Ok(span_id)) = (
        TraceId::from_hex(parent.trace_id()),
        SpanId::from_hex(parent.span_id()),
    ) else {
        return;
    };
    let flags = TraceFlags::new(parent.flags());
    let parent = SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE);
    // An error says that nothing is exported.
    drop(span.set_parent(Context::new().with_remote_span_context(parent)));
}
