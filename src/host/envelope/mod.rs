//! `POST /<FunctionName>`: the host's JSON envelope around an ordinary HTTP request.
//!
//! The envelope is unwrapped into the request that the client made, the function's own
//! route answers it, and the answer is wrapped again. Whatever happens, the host gets 200
//! and a non-empty JSON object: anything else would hide the answer from the caller, and
//! an empty one would hang the invocation until the function times out.

use std::sync::Arc;

use axum::{
    Router,
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header::HOST},
    response::{IntoResponse, Response},
    routing::{MethodRouter, post},
};
use tokio::time::Instant;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Span;

use super::{
    drain,
    invocation::{self, Function},
};
use crate::{answer::Problem, telemetry::InvocationLines};

mod request;
mod response;

use request::unwrap;
use response::{fail, wrap};

/// Largest envelope taken, in bytes. The functions here read no body, so this is room for
/// headers and identities, and far below the host's own limit of 100 MB.
const MAX_ENVELOPE: usize = 1024 * 1024;

/// Answers the envelopes of `function`; `router` holds the routes of this function only, so that
/// no envelope can run another.
pub(super) fn route(function: Arc<Function>, router: Router) -> MethodRouter {
    let output = function.manifest.output.clone();
    let panicked = CatchPanicLayer::custom(move |_| panicked(&output));
    post(move |request| answer(function, router, request)).layer(panicked)
}

/// Why an envelope cannot be unwrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum EnvelopeError {
    #[error("The envelope is larger than {MAX_ENVELOPE} bytes.")]
    TooLarge,
    #[error("The envelope did not arrive completely.")]
    Incomplete,
    #[error("The envelope is not a JSON object with a member `Data`.")]
    NotAnEnvelope,
    #[error("`Data` has no HTTP request under the name of the function's trigger binding.")]
    NoTrigger,
    #[error(
        "The HTTP request in the envelope has an invalid method, path or body, or too many headers."
    )]
    InvalidRequest,
}

impl From<EnvelopeError> for Problem {
    fn from(error: EnvelopeError) -> Self {
        let (status, code) = match error {
            EnvelopeError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "EnvelopeTooLarge"),
            _ => (StatusCode::BAD_REQUEST, "InvalidEnvelope"),
        };
        Self::new(
            status,
            code,
            error.to_string(),
            "Call the function through the Functions host or its route; only the host sends envelopes.",
        )
    }
}

/// Answers one envelope.
async fn answer(function: Arc<Function>, router: Router, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if !is_from_host(&parts.headers) {
        drain::dropped(body.into_data_stream()).await;
        return Problem::from(EnvelopeError::NotAnEnvelope).into_response();
    }
    let output = function.manifest.output.as_str();
    let lines = InvocationLines::default();
    let since = Instant::now();
    let turned_away = |problem: Problem, tell: &dyn Fn()| {
        let invocation = function.invocation(&parts.headers, Some(lines.clone()));
        let response = problem.into_response();
        invocation.name_in(|| {
            tell();
            function.finished(&response, since.elapsed(), true, &Span::none());
        });
        response
    };
    let Ok(permit) = function.permits.clone().try_acquire_owned() else {
        drain::dropped(body.into_data_stream()).await;
        let busy = turned_away(invocation::too_many(), &|| {});
        return wrap(output, busy, &lines).await;
    };
    let response = match unwrap(&function, &parts.headers, body, &lines, Arc::new(permit)).await {
        // The router's own error type has no values.
        Ok(inner) => router
            .oneshot(inner)
            .await
            .unwrap_or_else(|never| match never {}),
        Err(error) => turned_away(Problem::from(error), &|| {
            tracing::warn!(cause = ?error, "an envelope was refused");
        }),
    };
    wrap(output, response, &lines).await
}

/// The host reaches the handler at its loopback address and adds no forwarding headers to
/// envelopes, while a request that it passes on from outside always carries the client's
/// `Host` or `X-Forwarded-Host`.
fn is_from_host(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    let is_loopback = host.is_none_or(|host| {
        [b"127.0.0.1".as_slice(), b"localhost"].iter().any(|name| {
            host.strip_prefix(*name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b":"))
        })
    });
    is_loopback && !headers.contains_key("x-forwarded-host")
}

/// The answer in place of one that was lost in a panic outside the function itself.
fn panicked(output: &str) -> Response {
    fail(output, &invocation::defect(), Vec::new())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    #[test]
    fn requests_that_were_passed_on_are_not_the_hosts_own() {
        let from = |headers: &[(&'static str, &'static str)]| {
            let map = headers
                .iter()
                .map(|(name, value)| {
                    (
                        HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .collect();
            is_from_host(&map)
        };
        assert!(from(&[("host", "127.0.0.1:7071")]));
        assert!(from(&[("host", "localhost")]));
        assert!(!from(&[("host", "app.azurewebsites.net")]));
        assert!(!from(&[("host", "127.0.0.1.evil.example")]));
        assert!(!from(&[
            ("host", "127.0.0.1:1"),
            ("x-forwarded-host", "app.azurewebsites.net")
        ]));
    }
}
