//! What leaves the process, and what is let in.
//!
//! `Guarded` stands between the SDK and whichever transport carries its requests:
//! it keeps a vault's token from leaving for another host, bounds the size of an answer
//! and keeps `Retry-After`, which the SDK would follow for as long as the server likes, for the
//! caller.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use azure_core::http::{
    AsyncRawResponse, AsyncResponseBody, Context, HttpClient, Request, StatusCode,
    headers::{AUTHORIZATION, HeaderName, Headers, RETRY_AFTER, WWW_AUTHENTICATE},
    policies::{Policy, PolicyResult},
};
use futures_util::StreamExt;
use tracing::Instrument;

use super::{
    connection::Connection,
    error::{Error, Reach},
    limits::{RETRY_WAIT_LIMIT, VAULT_ANSWER_LIMIT},
    names::VaultUrl,
    network_path::WatchedPath,
    pacing::{Budget, RefusedTokens},
    principal::{Guid, Principal},
    sdk::{ASKED_WAIT, SAME_TENANT, VAULTS_TENANT, final_failure, passing_failure},
    token::SharedToken,
    wire::may_carry_a_value,
};
use crate::telemetry::{invocation, spans};

/// The headers that the SDK reads, with their unit in milliseconds.
const WAITS: [(HeaderName, u64); 3] = [
    (RETRY_AFTER, 1_000),
    (HeaderName::from_static("retry-after-ms"), 1),
    (HeaderName::from_static("x-ms-retry-after-ms"), 1),
];
const CONNECTION: HeaderName = HeaderName::from_static("connection");

/// The HTTP requests that one read has sent, a challenge and what was tried again included. It
/// travels to the transport in the SDK's context.
#[derive(Debug, Clone, Default)]
pub(super) struct Attempts(Arc<AtomicU32>);

impl Attempts {
    pub(super) fn context(&self) -> Context<'static> {
        Context::new().with_value(self.clone())
    }

    pub(super) fn count(&self) -> u32 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A transport that serves one vault only.
#[derive(Debug)]
pub(super) struct Guarded {
    vault: VaultUrl,
    inner: Arc<dyn HttpClient>,
    token: Arc<SharedToken>,
    budget: Arc<Budget>,
    path: Arc<WatchedPath>,
    refused_tokens: RefusedTokens,
}

#[async_trait]
impl Policy for Guarded {
    async fn send(
        &self,
        context: &Context,
        request: &mut Request,
        _: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        // A `nextLink` can name any host, and the SDK would send the token along.
        if !self.vault.is_origin_of(request.url()) {
            return Err(final_failure(Error::UnexpectedAnswer));
        }
        let authorization = request.headers().get_optional_str(&AUTHORIZATION);
        let authorization = authorization.map(str::to_owned);
        if authorization.is_some() {
            self.budget.spend().map_err(final_failure)?;
        }
        if let Some(Attempts(sent)) = context.value() {
            sent.fetch_add(1, Ordering::Relaxed);
        }
        let response = self.attempt(request).await?;
        let (status, mut headers, stream) = response.deconstruct();
        // Ours, whatever the server says.
        headers.remove(ASKED_WAIT);
        headers.remove(VAULTS_TENANT);
        if let Some(authorization) = authorization {
            if status == StatusCode::Unauthorized {
                let forget = || self.token.forget_refused(&authorization);
                self.refused_tokens.refused(forget);
                if let Some(tenant) = vaults_tenant(&authorization, &headers) {
                    headers.insert(VAULTS_TENANT, tenant);
                }
            } else if status.is_success()
                || matches!(status, StatusCode::Forbidden | StatusCode::NotFound)
            {
                self.refused_tokens.accepted();
            }
        }
        let asked = asked_wait(&headers);
        // To try again at once would only make it worse, and to wait is not for this caller.
        let is_busy = status == StatusCode::ServiceUnavailable && asked > Some(RETRY_WAIT_LIMIT);
        if status == StatusCode::TooManyRequests || is_busy {
            let retry_after = asked;
            return Err(final_failure(if is_busy {
                Error::Unavailable { retry_after }
            } else {
                Error::Throttled { retry_after }
            }));
        }
        let body = collect(stream, VAULT_ANSWER_LIMIT).await?;
        // What is left is short, or a date, which the SDK would follow for as long as it takes.
        remove_waits(&mut headers);
        if let Some(asked) = asked {
            headers.insert(ASKED_WAIT, asked.as_secs_f64().ceil().to_string());
        }
        Ok(AsyncRawResponse::from_bytes(status, headers, body))
    }
}

impl Guarded {
    pub(super) fn new(vault: VaultUrl, connection: &Connection, path: Arc<WatchedPath>) -> Self {
        Self {
            vault,
            inner: connection.transport.clone(),
            token: connection.token.clone(),
            budget: connection.budget.clone(),
            path,
            refused_tokens: RefusedTokens::default(),
        }
    }

    /// Sends one request, as a part of the trace that it belongs to.
    async fn attempt(&self, request: &mut Request) -> PolicyResult {
        let host = request.url().host_str().unwrap_or_default();
        let span = spans::attempt(request.method().as_str(), host);
        let sent = async {
            if may_carry_a_value(request.url()) {
                // The buffers of a connection live as long as it does, with what went through.
                request.insert_header(CONNECTION, "close");
            }
            if let Some(parent) = invocation::outgoing() {
                request.insert_header("traceparent", parent.as_str().to_owned());
            }
            self.inner.execute_request(request).await
        };
        let awaited = self.path.awaited();
        let sent = sent.instrument(span.clone()).await;
        if let Ok(response) = &sent {
            awaited.came(response.headers());
        }
        match &sent {
            Ok(response) => {
                let status = u16::from(response.status());
                let failure = (status >= 400).then(|| status.to_string());
                spans::finish(&span, Some(status), failure.as_deref());
            }
            Err(_) => spans::finish(&span, None, Some("no answer")),
        }
        sent
    }
}

/// Whose tenant the vault names that refused a token: [`SAME_TENANT`], or the id of another one.
/// Nothing if one of the two is not known.
fn vaults_tenant(authorization: &str, headers: &Headers) -> Option<String> {
    let vaults = tenant_of_challenge(headers.get_optional_str(&WWW_AUTHENTICATE)?)?;
    let own = Principal::of_token(authorization.strip_prefix("Bearer ")?)?.tenant?;
    Some(if vaults == own {
        SAME_TENANT.to_owned()
    } else {
        vaults.to_string()
    })
}

/// The tenant that a challenge names: the end of its `authorization`.
/// Source: Azure documentation, "Authentication, requests and responses".
fn tenant_of_challenge(challenge: &str) -> Option<Guid> {
    let (_, rest) = challenge.split_once("authorization=\"")?;
    let (address, _) = rest.split_once('"')?;
    Guid::parse(address.trim_end_matches('/').rsplit('/').next()?)
}

/// Reads an answer of at most `limit` bytes.
pub(crate) async fn collect(
    mut stream: AsyncResponseBody,
    limit: usize,
) -> azure_core::Result<Vec<u8>> {
    let mut body = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|_| passing_failure(Error::Unreachable(Reach::Interrupted)))?;
        if body.len() + chunk.len() > limit {
            return Err(final_failure(Error::UnexpectedAnswer));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Removes what would make the SDK wait.
pub(super) fn remove_waits(headers: &mut Headers) {
    for (name, _) in WAITS {
        headers.remove(name);
    }
}

/// The longest wait that the headers ask for, dates left aside.
fn asked_wait(headers: &Headers) -> Option<Duration> {
    WAITS
        .into_iter()
        .filter_map(|(name, unit)| {
            let number: u64 = headers.get_optional_str(&name)?.trim().parse().ok()?;
            Some(Duration::from_millis(number.saturating_mul(unit)))
        })
        .max()
}

#[cfg(test)]
mod tests {
    use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
    use azure_core::http::{Method, Url};

    use super::*;

    #[derive(Debug)]
    struct Answers(Headers, Vec<u8>);

    #[async_trait]
    impl HttpClient for Answers {
        async fn execute_request(&self, _: &Request) -> azure_core::Result<AsyncRawResponse> {
            let body = self.1.clone();
            Ok(AsyncRawResponse::from_bytes(
                StatusCode::Ok,
                self.0.clone(),
                body,
            ))
        }
    }

    #[derive(Debug)]
    struct Nobody;

    #[async_trait]
    impl TokenCredential for Nobody {
        async fn get_token(
            &self,
            _: &[&str],
            _: Option<TokenRequestOptions<'_>>,
        ) -> azure_core::Result<AccessToken> {
            Err(final_failure(Error::VaultNotFound))
        }
    }

    async fn guarded(url: &str, headers: Headers, size: usize) -> Result<Headers, Error> {
        let vault = VaultUrl::of_public_vault("your-kv").expect("valid");
        let guard = Guarded::new(
            vault.clone(),
            &Connection::new(
                Arc::new(Answers(headers, vec![b'x'; size])),
                Arc::new(Nobody),
            ),
            WatchedPath::new(vault, None),
        );
        let mut request = Request::new(Url::parse(url).expect("a url"), Method::Get);
        let response = guard.send(&Context::new(), &mut request, &[]).await;
        response
            .map(|response| response.headers().clone())
            .map_err(Error::from_sdk)
    }

    #[tokio::test]
    async fn the_token_never_leaves_for_another_host() {
        for url in [
            "https://evil.example/secrets",
            "https://your-kv.vault.azure.net:444/secrets",
            "http://your-kv.vault.azure.net/secrets",
            "https://your-kv.vault.azure.net.evil.example/",
        ] {
            let refused = guarded(url, Headers::new(), 1).await.err();
            assert_eq!(refused, Some(Error::UnexpectedAnswer), "{url}");
        }
        // Real next links name the default port.
        let url = "https://your-kv.vault.azure.net:443/secrets?$skiptoken=x";
        assert!(guarded(url, Headers::new(), 1).await.is_ok());
    }

    #[tokio::test]
    async fn answers_are_bounded_and_waits_are_for_the_caller() {
        let url = "https://your-kv.vault.azure.net/secrets";
        let large = guarded(url, Headers::new(), VAULT_ANSWER_LIMIT + 1)
            .await
            .err();
        assert_eq!(large, Some(Error::UnexpectedAnswer));
        let date = "Fri, 01 Jan 2038 00:00:00 GMT";
        for (name, sent, asked) in [
            ("retry-after", "600", Some("600")),
            ("retry-after", "1", Some("1")),
            ("retry-after", date, None),
            ("x-ms-retry-after-ms", "7001", Some("8")),
            ("retry-after-ms", "50", Some("1")),
        ] {
            let mut headers = Headers::new();
            headers.insert(name, sent);
            let headers = guarded(url, headers, 1).await.expect("answered");
            let name = HeaderName::from_static(name);
            assert_eq!(
                headers.get_optional_str(&name),
                None,
                "the SDK follows none"
            );
            assert_eq!(headers.get_optional_str(&ASKED_WAIT), asked, "{sent}");
        }
    }

    const TENANT: &str = "11111111-2222-3333-4444-55555555AbCd";

    #[test]
    fn a_challenge_names_the_vaults_tenant() {
        let tenant = |challenge: &str| tenant_of_challenge(challenge).map(|guid| guid.to_string());
        let guid = TENANT.to_ascii_lowercase();
        let whole = format!(
            "Bearer authorization=\"https://login.microsoftonline.com/{TENANT}\", resource=\"https://vault.azure.net\""
        );
        assert_eq!(tenant(&whole), Some(guid));
        for other in [
            "",
            "Bearer",
            "Bearer authorization=\"https://login.microsoftonline.com/common\"",
            "Bearer authorization=\"",
        ] {
            assert_eq!(tenant(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn what_is_ours_is_not_taken_from_the_server() {
        let url = "https://your-kv.vault.azure.net/secrets";
        let mut headers = Headers::new();
        headers.insert(ASKED_WAIT, "9");
        headers.insert(VAULTS_TENANT, SAME_TENANT);
        let headers = guarded(url, headers, 1).await.expect("answered");
        assert_eq!(headers.get_optional_str(&ASKED_WAIT), None);
        assert_eq!(headers.get_optional_str(&VAULTS_TENANT), None);
    }
}
