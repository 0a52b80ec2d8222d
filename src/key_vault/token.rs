//! One token for every vault and every caller.
//!
//! The SDK asks a credential again and again once its token has five minutes left, one caller
//! after the other, each waiting for the identity endpoint and for its failures. Here a token
//! that is still valid is given at once and renewed in the background; one request is under
//! way at a time, it waits with a limit, and its failure is shared by all who wait and stands
//! for a moment. Each request is made by a new credential of the identity library, because
//! those keep the token that they got, whatever a vault says about it.

use std::{
    collections::HashMap,
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use time::OffsetDateTime;
use tokio::time::{Instant, timeout};

use super::{
    credential,
    error::{CredentialError, CredentialKind, Error, SignInFailure},
    transport::final_failure,
};
use crate::telemetry::invocation;

/// A token is renewed when it has less than this left: the SDK does not ask before.
const RENEW_BEFORE: Duration = Duration::from_secs(5 * 60);
/// A token with less than this left is not given any more.
const TOO_SHORT: Duration = Duration::from_secs(30);
/// A token that says it has expired when it comes is given for a while all the same: the
/// machine's date may be wrong, and the identity endpoint must not be asked for every request.
const SHORTEST_LIFE: Duration = Duration::from_secs(60);
/// For how long a failure to get a token stands for those who ask next.
const FAILURE_PAUSE: Duration = Duration::from_secs(2);

/// The audiences of vaults and managed HSMs: public cloud, China, US Government. What a vault's
/// challenge names is asked for only if it is one of these, whoever poses as the vault. A vault
/// on Azure's domains gets its own cloud's: the SDK compares the two hosts.
const AUDIENCES: [&str; 6] = [
    "https://vault.azure.net",
    "https://vault.azure.cn",
    "https://vault.usgovcloudapi.net",
    "https://managedhsm.azure.net",
    "https://managedhsm.azure.cn",
    "https://managedhsm.usgovcloudapi.net",
];

fn is_for_key_vault(scope: &str) -> bool {
    let audience = scope.strip_suffix("/.default");
    audience.is_some_and(|audience| AUDIENCES.contains(&audience))
}

/// A credential whose tokens are shared.
pub struct SharedToken(Arc<Inner>);

/// Makes a credential that has no token yet.
pub(super) type MakeCredential =
    Box<dyn Fn() -> azure_core::Result<Arc<dyn TokenCredential>> + Send + Sync>;

struct Inner {
    credential: CredentialKind,
    make: MakeCredential,
    limit: Duration,
    state: Mutex<HashMap<String, State>>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    flight: Option<Flight>,
    failed: Option<(Instant, SignInFailure)>,
}

/// A token with its times on the monotonic clock.
#[derive(Clone)]
struct Held {
    token: AccessToken,
    since: Instant,
    until: Instant,
}

type Flight = Shared<BoxFuture<'static, Result<AccessToken, SignInFailure>>>;

impl SharedToken {
    /// Shares the tokens of the `credential`s that `make` makes, waiting at most `limit` for
    /// each.
    pub(super) fn new(credential: CredentialKind, make: MakeCredential, limit: Duration) -> Self {
        Self(Arc::new(Inner {
            credential,
            make,
            limit,
            state: Mutex::default(),
        }))
    }

    /// Forgets the token of a request that a vault refused, so that the next one is a new one.
    /// False if another one has taken its place already.
    pub(super) fn forget_refused(&self, authorization: &str) -> bool {
        let refused = authorization.strip_prefix("Bearer ");
        let is_it = |held: &Held| refused == Some(held.token.token.secret());
        let mut states = self.0.state();
        let found = states
            .values_mut()
            .find(|state| state.held.as_ref().is_some_and(is_it));
        found.is_some_and(|state| state.held.take().is_some())
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, HashMap<String, State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self, cause: SignInFailure) -> azure_core::Error {
        let credential = self.credential;
        final_failure(Error::Credential(CredentialError::Failed {
            credential,
            cause,
        }))
    }

    /// The request for `scope` that is under way, started if there is none.
    fn flight(self: &Arc<Self>, scope: &str, state: &mut State) -> Flight {
        if let Some(flight) = &state.flight {
            return flight.clone();
        }
        let inner = self.clone();
        let scope = scope.to_owned();
        let task = tokio::spawn(invocation::inherit(async move {
            let fetched = AssertUnwindSafe(inner.fetch(&scope)).catch_unwind().await;
            // The panic hook has reported it.
            let fetched = fetched.unwrap_or(Err(SignInFailure::Other));
            inner.keep(&scope, &fetched);
            fetched
        }));
        let flight = async move { task.await.unwrap_or(Err(SignInFailure::Other)) }
            .boxed()
            .shared();
        state.flight = Some(flight.clone());
        flight
    }

    async fn fetch(&self, scope: &str) -> Result<AccessToken, SignInFailure> {
        let explain = |error: &azure_core::Error| credential::explain(self.credential, error);
        let credential = (self.make)()
            .map_err(|error| explain(&error).unwrap_or(SignInFailure::WrongSetting))?;
        let scopes = [scope];
        match timeout(self.limit, credential.get_token(&scopes, None)).await {
            Ok(Ok(token)) => Ok(token),
            Ok(Err(error)) => Err(explain(&error).unwrap_or(SignInFailure::Other)),
            Err(_) => Err(SignInFailure::TimedOut),
        }
    }

    fn keep(&self, scope: &str, fetched: &Result<AccessToken, SignInFailure>) {
        let now = Instant::now();
        let mut states = self.state();
        let state = states.entry(scope.to_owned()).or_default();
        state.flight = None;
        match fetched {
            Ok(token) => {
                let life = token.expires_on - OffsetDateTime::now_utc();
                let life = Duration::try_from(life).unwrap_or_default();
                state.failed = None;
                state.held = Some(Held {
                    token: token.clone(),
                    since: now,
                    until: now + life.max(SHORTEST_LIFE),
                });
            }
            Err(cause) => {
                tracing::warn!(%cause, "no token for Key Vault");
                state.failed = Some((now, *cause));
            }
        }
    }
}

#[async_trait]
impl TokenCredential for SharedToken {
    async fn get_token(
        &self,
        scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let [scope] = *scopes else {
            return Err(final_failure(Error::UnexpectedAnswer));
        };
        // It is the vault's fault, so it is no failed sign-in that others would share.
        if !is_for_key_vault(scope) {
            return Err(final_failure(Error::UnexpectedAnswer));
        }
        let waiting = {
            let mut states = self.0.state();
            let state = states.entry(scope.to_owned()).or_default();
            let failed = state.failed.filter(|(at, _)| at.elapsed() < FAILURE_PAUSE);
            let now = Instant::now();
            let held = state.held.clone();
            if let Some(held) = held.filter(|held| held.until > now + TOO_SHORT) {
                // A token of few minutes is renewed when half of them are gone.
                let life = held.until - held.since;
                let renew = held.until.checked_sub(RENEW_BEFORE.min(life / 2));
                if failed.is_none() && renew.is_none_or(|renew| renew <= now) {
                    drop(self.0.flight(scope, state));
                }
                return Ok(held.token);
            }
            if let Some((_, cause)) = failed {
                return Err(self.0.failure(cause));
            }
            self.0.flight(scope, state)
        };
        waiting.await.map_err(|cause| self.0.failure(cause))
    }
}

impl fmt::Debug for SharedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedToken")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::time::{advance, sleep};

    use super::*;

    const SCOPE: &str = "https://vault.azure.net/.default";
    const LIMIT: Duration = Duration::from_secs(3);
    const KIND: CredentialKind = CredentialKind::ManagedIdentity;
    const SLOW: Duration = Duration::from_millis(500);

    /// An identity endpoint that takes [`SLOW`] and gives tokens of one hour.
    #[derive(Debug, Default)]
    struct Endpoint {
        calls: AtomicUsize,
        is_failing: std::sync::atomic::AtomicBool,
        is_silent: bool,
        life: Option<Duration>,
        is_expired: bool,
    }

    #[async_trait]
    impl TokenCredential for Endpoint {
        async fn get_token(
            &self,
            _: &[&str],
            _: Option<TokenRequestOptions<'_>>,
        ) -> azure_core::Result<AccessToken> {
            let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
            if self.is_silent {
                return std::future::pending().await;
            }
            sleep(SLOW).await;
            if self.is_failing.load(Ordering::SeqCst) {
                return Err(azure_core::Error::with_message(
                    azure_core::error::ErrorKind::Credential,
                    "canary",
                ));
            }
            let life = self.life.unwrap_or(Duration::from_secs(3_600));
            let now = OffsetDateTime::now_utc();
            let expires = if self.is_expired {
                now - life
            } else {
                now + life
            };
            Ok(AccessToken::new(call.to_string(), expires))
        }
    }

    fn over(endpoint: Endpoint) -> (Arc<Endpoint>, SharedToken) {
        let endpoint = Arc::new(endpoint);
        let credential = endpoint.clone();
        let make: MakeCredential = Box::new(move || Ok(credential.clone()));
        let shared = SharedToken::new(KIND, make, LIMIT);
        (endpoint, shared)
    }

    fn failed() -> Error {
        Error::Credential(CredentialError::Failed {
            credential: KIND,
            cause: SignInFailure::Other,
        })
    }

    async fn token(shared: &SharedToken) -> Result<String, Error> {
        let token = shared
            .get_token(&[SCOPE], None)
            .await
            .map_err(Error::from_sdk);
        token.map(|token| token.token.secret().to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn any_number_of_callers_is_one_request() {
        let (endpoint, shared) = over(Endpoint::default());
        let tokens = join_all((0..1_000).map(|_| token(&shared))).await;
        assert!(tokens.iter().all(|token| token.as_deref() == Ok("1")));
        assert_eq!(endpoint.calls.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_valid_token_is_given_at_once_and_renewed_behind_the_callers_back() {
        let (endpoint, shared) = over(Endpoint::default());
        token(&shared).await.expect("a token");
        advance(Duration::from_secs(56 * 60)).await;
        let started = Instant::now();
        let tokens = join_all((0..100).map(|_| token(&shared))).await;
        assert!(tokens.iter().all(|token| token.as_deref() == Ok("1")));
        assert_eq!(started.elapsed(), Duration::ZERO);
        sleep(SLOW * 2).await;
        assert_eq!(token(&shared).await.as_deref(), Ok("2"));
        assert_eq!(endpoint.calls.load(Ordering::SeqCst), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_endpoint_fails_a_valid_token_still_works() {
        let (endpoint, shared) = over(Endpoint::default());
        token(&shared).await.expect("a token");
        endpoint.is_failing.store(true, Ordering::SeqCst);
        advance(Duration::from_secs(56 * 60)).await;
        for _ in 0..100 {
            let started = Instant::now();
            assert_eq!(token(&shared).await.as_deref(), Ok("1"));
            assert_eq!(started.elapsed(), Duration::ZERO);
            sleep(Duration::from_secs(1)).await;
        }
        let calls = endpoint.calls.load(Ordering::SeqCst);
        assert!((30..=60).contains(&calls), "{calls}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_shared_by_all_who_wait_and_stands_for_a_moment() {
        let (endpoint, shared) = over(Endpoint::default());
        endpoint.is_failing.store(true, Ordering::SeqCst);
        let started = Instant::now();
        let failed = Err(failed());
        for _ in 0..2 {
            let tokens = join_all((0..100).map(|_| token(&shared))).await;
            assert!(tokens.iter().all(|token| *token == failed));
        }
        assert_eq!(started.elapsed(), SLOW);
        assert_eq!(endpoint.calls.load(Ordering::SeqCst), 1);
        endpoint.is_failing.store(false, Ordering::SeqCst);
        sleep(FAILURE_PAUSE).await;
        assert_eq!(token(&shared).await.as_deref(), Ok("2"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_endpoint_is_waited_for_with_a_limit() {
        let (_, shared) = over(Endpoint {
            is_silent: true,
            ..Endpoint::default()
        });
        let started = Instant::now();
        join_all((0..10).map(|_| token(&shared))).await;
        assert_eq!(started.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_token_that_was_refused_is_forgotten() {
        let (endpoint, shared) = over(Endpoint::default());
        token(&shared).await.expect("a token");
        assert!(shared.forget_refused("Bearer 1"));
        assert_eq!(token(&shared).await.as_deref(), Ok("2"));
        for authorization in ["Bearer 1", "2", ""] {
            assert!(!shared.forget_refused(authorization), "{authorization}");
        }
        assert_eq!(token(&shared).await.as_deref(), Ok("2"));
        assert_eq!(endpoint.calls.load(Ordering::SeqCst), 2);
    }

    /// Nor does it count as a failure for those who ask for the right one.
    #[tokio::test(start_paused = true)]
    async fn a_token_for_anything_else_is_not_asked_for() {
        let (endpoint, shared) = over(Endpoint::default());
        for scopes in [
            &["https://management.azure.com/.default"][..],
            &["https://vault.azure.net"],
            &["https://vault.azure.net/"],
            &["https://vault.azure.net//.default"],
            &["https://vault.azure.net.evil.example/.default"],
            &["https://VAULT.azure.net/.default"],
            &[SCOPE, "https://management.azure.com/.default"],
            &["/.default"],
            &[],
        ] {
            let refused = shared.get_token(scopes, None).await.map(drop);
            let refused = refused.map_err(Error::from_sdk);
            assert_eq!(refused, Err(Error::UnexpectedAnswer), "{scopes:?}");
        }
        assert_eq!(endpoint.calls.load(Ordering::SeqCst), 0);
        assert_eq!(token(&shared).await.as_deref(), Ok("1"));
    }

    /// As when the machine's date is ahead.
    #[tokio::test(start_paused = true)]
    async fn a_token_that_comes_expired_is_not_asked_for_again_and_again() {
        let (endpoint, shared) = over(Endpoint {
            is_expired: true,
            ..Endpoint::default()
        });
        for _ in 0..20 {
            assert_eq!(token(&shared).await.as_deref(), Ok("1"));
            sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(endpoint.calls.load(Ordering::SeqCst), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_harms_one_request() {
        let is_first = std::sync::atomic::AtomicBool::new(true);
        let endpoint = Arc::new(Endpoint::default());
        let make: MakeCredential = Box::new(move || {
            assert!(!is_first.swap(false, Ordering::SeqCst), "a defect");
            Ok(endpoint.clone())
        });
        let shared = SharedToken::new(KIND, make, LIMIT);
        let failed = Err(failed());
        assert_eq!(token(&shared).await, failed);
        sleep(FAILURE_PAUSE).await;
        assert_eq!(token(&shared).await.as_deref(), Ok("1"));
    }

    /// On the monotonic clock.
    #[tokio::test(start_paused = true)]
    async fn a_token_that_has_expired_is_not_given() {
        let (_, shared) = over(Endpoint {
            life: Some(Duration::from_secs(60)),
            ..Endpoint::default()
        });
        assert_eq!(token(&shared).await.as_deref(), Ok("1"));
        advance(Duration::from_secs(31)).await;
        assert_eq!(token(&shared).await.as_deref(), Ok("2"));
    }
}
