//! One token for every vault and every caller.
//!
//! The SDK asks a credential again and again once its token has five minutes left, one caller
//! after the other, each waiting for the identity endpoint and for its failures. Here a token
//! that is still valid is given at once and renewed in the background; one request is under
//! way at a time, it waits with a limit, and its failure is shared by all who wait and stands
//! for a moment. It goes on if the caller that started it hangs up.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use futures_util::{FutureExt, future::BoxFuture};
use time::OffsetDateTime;
use tokio::{
    sync,
    time::{Instant, timeout},
};

use super::{
    error::{CredentialError, CredentialKind, Error, SignInFailure},
    limits::{CALL_LIMIT, RENEW_BEFORE, SIGN_IN_PAUSE, TOKEN_LIFE_ASSUMED, TOKEN_LIFE_NEEDED},
    principal::Principal,
    sdk::final_failure,
};
use crate::telemetry::invocation;

/// The scopes of vaults and managed HSMs: public cloud, China, US Government. What a vault's
/// challenge names is asked for only if it is one of these, whoever poses as the vault. A vault
/// on Azure's domains gets its own cloud's: the SDK compares the two hosts.
const SCOPES: [&str; 6] = [
    "https://vault.azure.net/.default",
    "https://vault.azure.cn/.default",
    "https://vault.usgovcloudapi.net/.default",
    "https://managedhsm.azure.net/.default",
    "https://managedhsm.azure.cn/.default",
    "https://managedhsm.usgovcloudapi.net/.default",
];

/// A credential whose tokens are shared.
pub(super) struct SharedToken {
    credential: CredentialKind,
    /// One for each scope.
    tokens: Vec<Arc<Token>>,
}

type SigningIn = BoxFuture<'static, Result<AccessToken, SignInFailure>>;

/// Signs in for a scope.
type SignIn = dyn Fn(&'static str) -> SigningIn + Send + Sync;

/// The token for one scope.
struct Token {
    scope: &'static str,
    sign_in: Arc<SignIn>,
    limit: Duration,
    latest: Mutex<Latest>,
    /// Held by the one request that is under way.
    request: Arc<sync::Mutex<()>>,
}

#[derive(Default)]
struct Latest {
    held: Option<Held>,
    /// Whose the latest token was, for as long as the process lives.
    principal: Option<Principal>,
    failed: Option<(Instant, SignInFailure)>,
}

/// A token with its times on the monotonic clock.
struct Held {
    token: AccessToken,
    since: Instant,
    until: Instant,
}

impl SharedToken {
    /// Shares the tokens of `credential` that `sign_in` gets, waiting at most `limit` for each.
    pub(super) fn new(
        credential: CredentialKind,
        limit: Duration,
        sign_in: impl Fn(&'static str) -> SigningIn + Send + Sync + 'static,
    ) -> Self {
        let sign_in: Arc<SignIn> = Arc::new(sign_in);
        let token = |scope| Token::new(scope, &sign_in, limit);
        let tokens = SCOPES.map(token).into();
        Self { credential, tokens }
    }

    /// The tokens of the same credential for another service, and for no vault.
    pub(super) fn for_scope(mut self, scope: &'static str) -> Self {
        self.tokens.truncate(1);
        for token in &mut self.tokens {
            *token = Token::new(scope, &token.sign_in, token.limit);
        }
        self
    }

    /// Shares the tokens of a credential whose failures need no explanation.
    pub(super) fn of(credential: Arc<dyn TokenCredential>) -> Self {
        let sign_in = move |scope| {
            let credential = credential.clone();
            let token = async move { credential.get_token(&[scope], None).await };
            token
                .map(|token| token.map_err(|_| SignInFailure::Other))
                .boxed()
        };
        Self::new(CredentialKind::ManagedIdentity, CALL_LIMIT, sign_in)
    }

    /// As whom the handler signs in, once it has had a token.
    pub(super) fn principal(&self) -> Option<Principal> {
        let mut tokens = self.tokens.iter();
        tokens.find_map(|token| token.latest().principal.clone())
    }

    /// Forgets the token of a request that a vault refused, so that the next one is a new one.
    /// False if another one has taken its place already.
    pub(super) fn forget_refused(&self, authorization: &str) -> bool {
        let refused = authorization.strip_prefix("Bearer ");
        let is_it = |held: &mut Held| refused == Some(held.token.token.secret());
        self.tokens
            .iter()
            .any(|token| token.latest().held.take_if(is_it).is_some())
    }
}

impl Latest {
    /// The answer to whoever asks now, if a token or a failure that counts is there.
    fn answer(&self) -> Option<Result<AccessToken, SignInFailure>> {
        let now = Instant::now();
        match &self.held {
            Some(held) if held.until > now + TOKEN_LIFE_NEEDED => Some(Ok(held.token.clone())),
            _ => self.failure().map(Err),
        }
    }

    fn failure(&self) -> Option<SignInFailure> {
        let (at, cause) = self.failed?;
        (at.elapsed() < SIGN_IN_PAUSE).then_some(cause)
    }

    /// Whether it is time for another token, although this one can be given.
    fn is_due(&self) -> bool {
        // A token of few minutes is renewed when half of them are gone.
        let is_old = |held: &Held| {
            let before = RENEW_BEFORE.min((held.until - held.since) / 2);
            held.until.saturating_duration_since(Instant::now()) <= before
        };
        self.held.as_ref().is_some_and(is_old) && self.failure().is_none()
    }
}

impl Token {
    fn new(scope: &'static str, sign_in: &Arc<SignIn>, limit: Duration) -> Arc<Self> {
        Arc::new(Self {
            scope,
            sign_in: sign_in.clone(),
            limit,
            latest: Mutex::default(),
            request: Arc::default(),
        })
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs in, or waits for who does, in a task of its own.
    async fn request(self: Arc<Self>) -> Result<AccessToken, SignInFailure> {
        let request = async move {
            let _only = self.request.lock().await;
            let found = self.latest().answer();
            match found {
                Some(answer) => answer,
                None => self.sign_in().await,
            }
        };
        // The panic hook has reported a panic.
        let requested = tokio::spawn(invocation::inherit(request)).await;
        requested.unwrap_or(Err(SignInFailure::Other))
    }

    /// Signs in behind the caller's back, if nobody does.
    fn renew(self: Arc<Self>) {
        let Ok(only) = self.request.clone().try_lock_owned() else {
            return;
        };
        let renewal = async move {
            let _only = only;
            if self.latest().is_due() {
                let _ = self.sign_in().await;
            }
        };
        tokio::spawn(invocation::inherit(renewal));
    }

    async fn sign_in(&self) -> Result<AccessToken, SignInFailure> {
        // The panic hook has reported a panic.
        let work = AssertUnwindSafe((self.sign_in)(self.scope)).catch_unwind();
        let signed_in = match timeout(self.limit, work).await {
            Ok(ended) => ended.unwrap_or(Err(SignInFailure::Other)),
            Err(_) => Err(SignInFailure::TimedOut),
        };
        let now = Instant::now();
        let mut latest = self.latest();
        match &signed_in {
            Ok(token) => {
                let life = token.expires_on - OffsetDateTime::now_utc();
                let life = Duration::try_from(life).unwrap_or_default();
                latest.failed = None;
                latest.principal = Principal::of_token(token.token.secret());
                latest.held = Some(Held {
                    token: token.clone(),
                    since: now,
                    until: now + life.max(TOKEN_LIFE_ASSUMED),
                });
            }
            Err(cause) => {
                let service = if SCOPES.contains(&self.scope) {
                    "Key Vault"
                } else {
                    "Azure Resource Manager"
                };
                tracing::warn!(%cause, "no token for {service}");
                latest.failed = Some((now, *cause));
            }
        }
        signed_in
    }
}

#[async_trait]
impl TokenCredential for SharedToken {
    async fn get_token(
        &self,
        scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let token = self.tokens.iter().find(|token| *scopes == [token.scope]);
        // It is the vault's fault, so it is no failed sign-in that others would share.
        let token = token.ok_or_else(|| final_failure(Error::UnexpectedAnswer))?;
        let (found, is_due) = {
            let latest = token.latest();
            let found = latest.answer();
            let is_due = found.is_some() && latest.is_due();
            (found, is_due)
        };
        if is_due {
            token.clone().renew();
        }
        let answer = match found {
            Some(answer) => answer,
            None => token.clone().request().await,
        };
        answer.map_err(|cause| {
            let credential = self.credential;
            final_failure(Error::Credential(CredentialError::Failed {
                credential,
                cause,
            }))
        })
    }
}

impl fmt::Debug for SharedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedToken")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::time::{advance, sleep};

    use super::*;

    const SCOPE: &str = SCOPES[0];
    const LIMIT: Duration = Duration::from_secs(3);
    const KIND: CredentialKind = CredentialKind::ManagedIdentity;
    const SLOW: Duration = Duration::from_millis(500);

    /// An identity endpoint that takes [`SLOW`] and gives tokens of one hour.
    #[derive(Debug, Default)]
    struct Endpoint {
        calls: AtomicUsize,
        is_failing: AtomicBool,
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

    fn shared(endpoint: Arc<Endpoint>) -> SharedToken {
        let sign_in = move |scope| {
            let endpoint = endpoint.clone();
            let token = async move { endpoint.get_token(&[scope], None).await };
            token
                .map(|token| token.map_err(|_| SignInFailure::Other))
                .boxed()
        };
        SharedToken::new(KIND, LIMIT, sign_in)
    }

    fn over(endpoint: Endpoint) -> (Arc<Endpoint>, SharedToken) {
        let endpoint = Arc::new(endpoint);
        let shared = shared(endpoint.clone());
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
        sleep(SIGN_IN_PAUSE).await;
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
        let is_first = AtomicBool::new(true);
        let sign_in = move |_| {
            assert!(!is_first.swap(false, Ordering::SeqCst), "a defect");
            let token = AccessToken::new("1", OffsetDateTime::now_utc() + LIMIT * 100);
            std::future::ready(Ok(token)).boxed()
        };
        let shared = SharedToken::new(KIND, LIMIT, sign_in);
        assert_eq!(token(&shared).await, Err(failed()));
        sleep(SIGN_IN_PAUSE).await;
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
