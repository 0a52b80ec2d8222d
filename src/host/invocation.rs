//! One run of one function: its id, its log lines, its outcome.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use tracing::{Instrument, Span};

use super::{
    authorization::{AuthLevel, Keys, Refused},
    drain, pretty,
};
use crate::{
    answer::{Code, Problem, empty, no_store},
    telemetry::{COUNTERS, InvocationLog, Lookup, TraceParent, trace},
};

/// What an envelope tells about an invocation; requests that come directly have none.
#[derive(Debug, Clone)]
pub(super) struct Enveloped {
    /// Whether the caller's claims reach the function's level.
    pub(super) is_admitted: bool,
    pub(super) log: InvocationLog,
    /// Taken before the envelope was read, and kept until the answer is there.
    pub(super) _place: Arc<OwnedSemaphorePermit>,
}

/// Who stands in front of the handler and has checked the caller's key.
#[derive(Debug, Clone)]
pub enum Access {
    /// The Functions host: every request that arrives has passed it.
    Host,
    /// Nobody: the handler checks keys itself.
    Standalone(Keys),
}

/// What requests may take of the process.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests of functions that are under way at the same time; more get 429. The Functions
    /// host itself sets no limit.
    pub in_flight: usize,
    /// Time for one request, far below the 230 s of Azure's front end.
    pub request_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: 1_000,
            request_time: Duration::from_secs(30),
        }
    }
}

/// What every run of one function needs to know.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) auth_level: AuthLevel,
    pub(super) access: Access,
    pub(super) request_time: Duration,
    /// Shared by all functions.
    pub(super) places: Arc<Semaphore>,
}

/// The host's id of a request. A client can send one too, and the host then appends its
/// own: the part after the last comma is the host's.
pub(super) fn invocation_id(headers: &HeaderMap) -> Option<&str> {
    let value = headers
        .get("x-azure-functions-invocationid")?
        .to_str()
        .ok()?;
    let id = value.rsplit(',').next()?.trim();
    let is_id = |id: &str| {
        (1..=64).contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    is_id(id).then_some(id)
}

/// Names the invocation in every line written inside, and keeps those lines in `log`.
pub(super) fn span(
    function: &str,
    id: Option<&str>,
    parent: Option<&TraceParent>,
    log: Option<&InvocationLog>,
) -> Span {
    let trace = parent.map(TraceParent::trace_id);
    // An error span is enabled at every level, so its fields are on every line.
    let make = || tracing::error_span!("invocation", function, id, trace);
    match log {
        Some(log) => log.span(make),
        None => make(),
    }
}

/// Runs one request of one function, and reads what the function leaves of its body.
pub(super) async fn run(
    State(function): State<Arc<Function>>,
    request: Request<Body>,
    next: Next,
) -> Response {
    drain::answered(request, |request| answer(function, request, next)).await
}

/// Admits one request, names it in every log line, and writes one line about its outcome.
async fn answer(function: Arc<Function>, mut request: Request<Body>, next: Next) -> Response {
    let started = Instant::now();
    let enveloped = request.extensions_mut().remove::<Enveloped>();
    let id = invocation_id(request.headers());
    let log = enveloped.as_ref().map(|enveloped| &enveloped.log);
    let parent = TraceParent::of(request.headers());
    let span = span(&function.name, id, parent.as_ref(), log);
    let exported = trace::request_span(&function.name, id, parent);
    let outcome = exported.clone();
    // An envelope has its place already.
    let place = match &enveloped {
        Some(_) => Ok(None),
        None => function.places.try_acquire().map(Some),
    };
    let (level, request_time) = (function.auth_level, function.request_time);
    let admitted = match (&enveloped, &function.access) {
        (Some(enveloped), _) if enveloped.is_admitted => Ok(()),
        (Some(_), _) => Err(Refused::Claims),
        (None, Access::Host) => Ok(()),
        (None, Access::Standalone(keys)) => keys.admit(level, request.headers(), request.uri()),
    };
    let is_pretty = pretty::is_asked_for(request.uri());
    let run = async move {
        let caller = Caller {
            since: started,
            waits: true,
        };
        let mut response = if let Err(cause) = admitted {
            tracing::info!("refused: {cause}");
            // Empty, as the host's own 401 is.
            empty(StatusCode::UNAUTHORIZED)
        } else if let Ok(_place) = place {
            let run = timeout(request_time, next.run(request));
            run.await.unwrap_or_else(|_| out_of_time().into_response())
        } else {
            too_many().into_response()
        };
        caller.answered();
        no_store(&mut response);
        log_outcome(&response, started.elapsed(), &outcome);
        if is_pretty {
            pretty::indent(response).await
        } else {
            response
        }
    };
    trace::in_request(parent, run.instrument(exported))
        .instrument(span)
        .await
}

/// Who waits for the answer. In proxying the host ends the request when its own caller has left;
/// in the other modes nobody tells the handler.
struct Caller {
    since: Instant,
    waits: bool,
}

impl Caller {
    fn answered(mut self) {
        self.waits = false;
    }
}

impl Drop for Caller {
    /// The request was dropped, and the line of its outcome will not be written. A function that
    /// panics is answered all the same.
    fn drop(&mut self) {
        if self.waits {
            let elapsed = self.since.elapsed().as_millis();
            tracing::info!("the caller left after {elapsed} ms");
        }
    }
}

/// One line for each request. What the caller could not have done better is a warning.
fn log_outcome(response: &Response, elapsed: Duration, exported: &Span) {
    let status = response.status();
    let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    let lookup = response.extensions().get::<Lookup>().copied();
    let lookup = lookup.unwrap_or_default();
    COUNTERS.answered(lookup);
    let cache = lookup.as_str();
    let code = response.extensions().get::<Code>().map(|code| code.0);
    let is_failure = status.is_server_error();
    let status = status.as_u16();
    trace::finish_request(exported, lookup, status, code.filter(|_| is_failure));
    if is_failure {
        tracing::warn!(status, code, elapsed_ms, cache, "invocation finished");
    } else {
        tracing::info!(status, code, elapsed_ms, cache, "invocation finished");
    }
}

/// The answer in place of a handler that panicked. The panic hook has logged the place.
pub(super) fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    defect().into_response()
}

pub(super) fn too_many() -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "TooManyRequests",
        "This instance is answering as many requests as it can.",
        "Wait a moment and try again.",
    )
    .retry_after(Duration::from_secs(1))
}

fn out_of_time() -> Problem {
    Problem::new(
        StatusCode::GATEWAY_TIMEOUT,
        "RequestTimedOut",
        "The function did not finish in time.",
        "Try again; if it stays, look for what it waits for in the log.",
    )
}

/// The refusal after a panic.
pub(crate) fn defect() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalError",
        "The function failed because of a defect in the handler.",
        "Look for \"a handler panicked\" in the log and report the place it names.",
    )
}

#[cfg(feature = "openapi")]
pub(super) fn refusals() -> Vec<Problem> {
    vec![too_many(), out_of_time(), defect()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_id_is_the_last_one_and_never_free_text() {
        let id = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(
                "x-azure-functions-invocationid",
                value.parse().expect("a value"),
            );
            invocation_id(&headers).map(str::to_owned)
        };
        assert_eq!(id("spoofed, 5f6e-7d2a").as_deref(), Some("5f6e-7d2a"));
        assert_eq!(id("5f6e").as_deref(), Some("5f6e"));
        assert_eq!(id("a b"), None);
        assert_eq!(id(""), None);
    }
}
