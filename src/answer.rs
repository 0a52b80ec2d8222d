//! The one shape in which this handler refuses: `{"error","code","fix"}`. A person with a browser
//! gets a `page`.
//!
//! `error` says what happened, `code` is for programs, `fix` tells the person
//! what to do next. None of the three ever carries text from Key Vault or its SDK.

pub(crate) mod page;

use std::{collections::BTreeMap, time::Duration};

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::Value;

/// A refusal, ready to be sent.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    #[serde(skip)]
    status: StatusCode,
    /// What happened, in a sentence.
    error: String,
    /// The stable word for programs.
    code: &'static str,
    /// What to do next.
    fix: String,
    #[serde(skip)]
    retry_after: Option<Duration>,
    /// What else is known, for who may know it.
    #[serde(flatten)]
    more: BTreeMap<&'static str, Value>,
}

impl Problem {
    /// A refusal with `status`; `code` is stable, `error` and `fix` are one sentence each.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        error: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self {
            status,
            error: error.into(),
            code,
            fix: fix.into(),
            retry_after: None,
            more: BTreeMap::new(),
        }
    }

    /// Adds what else is known under `name`; nothing for `None`.
    #[must_use]
    pub fn with(mut self, name: &'static str, known: Option<impl Serialize>) -> Self {
        // As with every answer, serialising cannot fail.
        if let Some(Ok(known)) = known.map(serde_json::to_value) {
            self.more.insert(name, known);
        }
        self
    }

    /// Asks the caller to wait; sent as `Retry-After` in whole seconds, rounded up.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// The stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The status that it is sent with.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }
}

/// The code of the refusal that a response carries, for the log.
#[derive(Debug, Clone, Copy)]
pub struct Code(pub &'static str);

/// How a request found its answer. A function puts it into the extensions of its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// In the cache.
    Hit,
    /// By asking the vault, or waiting with who does.
    Miss,
    /// In the cache, past its time.
    Stale,
    /// In the cache: the vault's failure, or that the secret is missing.
    Negative,
}

impl Lookup {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Hit, Self::Miss, Self::Stale, Self::Negative];

    /// In lines and spans.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::Negative => "negative",
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = json(self.status, &self);
        response.extensions_mut().insert(Code(self.code));
        if let Some(wait) = self.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        response
    }
}

/// What every answer says to the caches on its way.
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Says that no cache may keep `response`, unless it speaks of caches itself.
pub fn no_store(response: &mut Response) {
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(NO_STORE);
}

/// An answer of nothing but its status.
#[must_use]
pub fn empty(status: StatusCode) -> Response {
    (status, [(header::CACHE_CONTROL, NO_STORE)]).into_response()
}

/// A JSON answer that no cache between here and the caller keeps.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    json_bytes(status, line(body))
}

/// `body` in JSON, as the one line that a terminal expects: with a newline at its end.
pub fn line(body: &impl Serialize) -> Vec<u8> {
    // The types sent here hold only strings, numbers and maps keyed by strings: serialising
    // them cannot fail.
    let mut line = serde_json::to_vec(body).unwrap_or_default();
    line.push(b'\n');
    line
}

/// JSON over several lines, for a person; nothing if `line` is not JSON.
#[must_use]
pub fn indented(line: &[u8]) -> Option<Vec<u8>> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    Some(format!("{value:#}\n").into_bytes())
}

/// Like [`json`], for a body that is a [`line()`] already.
pub fn json_bytes(status: StatusCode, body: impl Into<axum::body::Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, NO_STORE);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_whole_seconds_and_never_zero() {
        for (wait, sent) in [(0, "1"), (1_000, "1"), (1_001, "2"), (30_000, "30")] {
            let response = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "X", "x", "x")
                .retry_after(Duration::from_millis(wait))
                .into_response();
            assert_eq!(response.headers()[header::RETRY_AFTER], sent, "{wait} ms");
        }
    }
}
