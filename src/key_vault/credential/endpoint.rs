//! The transport between the identity library and what gives tokens.
//!
//! It bounds what is read, accepts a time that is a number, and keeps nothing of a refusal but
//! its status and Entra ID's number.

use std::sync::Arc;

use async_trait::async_trait;
use azure_core::http::{AsyncRawResponse, HttpClient, Request};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::key_vault::{
    error::{CredentialKind, Error, Reach},
    limits::TOKEN_ANSWER_LIMIT,
    sdk::{final_failure, own_cause},
    transport::{collect, remove_waits},
};

/// Carries the requests of one credential.
#[derive(Debug)]
pub(super) struct TokenEndpoint {
    pub(super) credential: CredentialKind,
    pub(super) inner: Arc<dyn HttpClient>,
}

#[async_trait]
impl HttpClient for TokenEndpoint {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let response = self.inner.execute_request(request).await.map_err(once)?;
        let (status, mut headers, stream) = response.deconstruct();
        let body = collect(stream, TOKEN_ANSWER_LIMIT).await?;
        // The library would wait for as long as it is told to, and the caller has no time.
        remove_waits(&mut headers);
        let body = if !status.is_success() {
            Refusal::of(&body).to_json()
        } else if self.credential == CredentialKind::ManagedIdentity {
            with_time_as_text(&body).unwrap_or(body)
        } else {
            body
        };
        Ok(AsyncRawResponse::from_bytes(status, headers, body))
    }
}

/// Nothing listens a tenth of a second later either, and on a machine without an identity the
/// library would ask for more than a minute.
fn once(error: azure_core::Error) -> azure_core::Error {
    let refused = Error::Unreachable(Reach::Refused);
    if own_cause(&error) == Some(&refused) {
        final_failure(refused)
    } else {
        error
    }
}

/// What is kept of a refusal, in the form that the identity library reads without failing.
#[derive(Serialize, Deserialize)]
pub(super) struct Refusal {
    /// Entra ID's numbers.
    #[serde(default)]
    error_codes: Vec<u32>,
    #[serde(default, skip_deserializing)]
    error_description: &'static str,
}

impl Refusal {
    /// Reads the numbers, which are a list or, from an identity endpoint, a part of a text.
    pub(super) fn of(body: &[u8]) -> Self {
        let listed: Option<Self> = serde_json::from_slice(body).ok();
        listed
            .filter(|listed| !listed.error_codes.is_empty())
            .unwrap_or_else(|| Self {
                error_codes: number_in_text(body).into_iter().collect(),
                error_description: "",
            })
    }

    /// The number behind `AADSTS`.
    pub(super) fn aadsts(&self) -> Option<u32> {
        self.error_codes.first().copied()
    }

    fn to_json(&self) -> Vec<u8> {
        // Numbers and a text: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

fn number_in_text(body: &[u8]) -> Option<u32> {
    let text = String::from_utf8_lossy(body);
    let (_, rest) = text.split_once("AADSTS")?;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

/// A managed identity's token as the identity library insists on it. The clients of other
/// languages take a number for the time, and so do endpoints that were tried with those only.
fn with_time_as_text(body: &[u8]) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Given<'a> {
        #[serde(borrow)]
        access_token: &'a RawValue,
        expires_on: Time,
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Time {
        Text(String),
        Whole(i64),
        Broken(f64),
    }
    #[derive(Serialize)]
    struct Expected<'a> {
        access_token: &'a RawValue,
        expires_on: String,
        token_type: &'static str,
        resource: &'static str,
    }
    let given: Given<'_> = serde_json::from_slice(body).ok()?;
    let expected = Expected {
        access_token: given.access_token,
        expires_on: match given.expires_on {
            Time::Text(text) => text,
            Time::Whole(seconds) => seconds.to_string(),
            Time::Broken(seconds) => format!("{:.0}", seconds.trunc()),
        },
        // Neither is looked at, and both must be there.
        token_type: "Bearer",
        resource: "",
    };
    serde_json::to_vec(&expected).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use azure_core::{
        Bytes,
        http::{Method, StatusCode, Url, headers::Headers},
    };
    use futures_util::stream;

    use super::*;

    const CHUNK: usize = 8 * 1024;

    /// Answers without an end, and counts the chunks that are taken.
    #[derive(Debug)]
    struct Endless(Arc<AtomicUsize>, StatusCode);

    #[async_trait]
    impl HttpClient for Endless {
        async fn execute_request(&self, _: &Request) -> azure_core::Result<AsyncRawResponse> {
            let taken = self.0.clone();
            let body = stream::repeat_with(move || {
                taken.fetch_add(1, Ordering::SeqCst);
                Ok(Bytes::from_static(&[b' '; CHUNK]))
            });
            let (status, headers) = (self.1, Headers::new());
            Ok(AsyncRawResponse::new(status, headers, Box::pin(body)))
        }
    }

    #[tokio::test]
    async fn an_answer_without_an_end_is_given_up_while_it_streams() {
        for status in [StatusCode::Ok, StatusCode::BadRequest] {
            let taken = Arc::<AtomicUsize>::default();
            let endpoint = TokenEndpoint {
                credential: CredentialKind::ManagedIdentity,
                inner: Arc::new(Endless(taken.clone(), status)),
            };
            let url = Url::parse("http://127.0.0.1/msi/token").expect("a URL");
            let request = Request::new(url, Method::Get);
            let refused = endpoint.execute_request(&request).await.map(drop);
            let refused = refused.map_err(Error::from_sdk);
            assert_eq!(refused, Err(Error::UnexpectedAnswer));
            assert_eq!(taken.load(Ordering::SeqCst), TOKEN_ANSWER_LIMIT / CHUNK + 1);
        }
    }
}
