//! From a secret's name to its metadata, without its value.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use azure_core::{
    Bytes,
    credentials::TokenCredential,
    http::{ClientOptions, ExponentialRetryOptions, HttpClient, RetryOptions, Transport},
};
use azure_security_keyvault_secrets::{
    SecretClient, SecretClientOptions, models::SecretClientGetSecretOptions,
};
use futures_util::TryStreamExt;
use secrecy::SecretString;
use serde::Deserialize;
use time::OffsetDateTime;
use tokio::{
    sync::{Mutex, OnceCell, Semaphore},
    time::{Instant, timeout_at},
};
use tracing::Instrument;

use super::{
    budget::Budget,
    error::{CredentialKind, Error},
    names::{SecretId, SecretName, SecretVersion, VaultUrl},
    token::{MakeCredential, SharedToken},
    transport::Guarded,
};
use crate::telemetry::spans;

/// Time for one read of a vault, retries included; the token's time comes on top only for
/// developer tools, see [`Connection::token_time`].
pub const CALL_LIMIT: Duration = Duration::from_secs(5);

/// Most versions looked at when one is searched. A vault keeps every version for ever, and
/// each page of 25 is one request within [`CALL_LIMIT`].
const VERSIONS_LIMIT: usize = 2_500;

/// Reads of one vault that are under way at the same time.
const AT_ONCE: usize = 16;

/// Probes of one vault that are under way at the same time. They have turns of their own, so
/// that an app with many references does not hold up who wants a secret's metadata.
const PROBES_AT_ONCE: usize = 8;

/// A turn that leaves less time than this is not used. When all that wait on a silent vault run
/// out of time together, each would otherwise begin a request with the turn of the one before.
const LEAST_TIME: Duration = Duration::from_millis(100);

/// The longest pause that a throttling vault can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// For how long the failure of a vault's very first request stands for those behind it.
const FIRST_FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// A version that no secret has.
pub(super) const NO_VERSION: &str = "00000000000000000000000000000000";

/// Most pages looked at, empty ones included.
const PAGES_LIMIT: usize = 150;

/// Most vaults that are open at the same time.
const VAULTS_LIMIT: usize = 64;

/// What Key Vault says about one version of a secret, its value excepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretMetadata {
    /// As the vault spells it.
    pub name: String,
    /// Which version this is about.
    pub version: Option<SecretVersion>,
    /// Whether the value can be read.
    pub enabled: Option<bool>,
    /// When this version was created.
    pub created: Option<OffsetDateTime>,
    /// When this version's attributes last changed.
    pub updated: Option<OffsetDateTime>,
    /// Informational: the vault serves the value before it all the same.
    pub not_before: Option<OffsetDateTime>,
    /// Informational: the vault serves the value after it all the same.
    pub expires: Option<OffsetDateTime>,
    /// What the owner says the value is.
    pub content_type: Option<String>,
    /// The owner's own labels.
    pub tags: BTreeMap<String, String>,
    /// Whether a certificate's life cycle owns the secret.
    pub managed: bool,
    /// Of the latest version: the others that were created in the same second. Times are whole
    /// seconds and the service lists by random ids, so each of them may be the latest.
    pub also_latest: Vec<SecretVersion>,
}

impl SecretMetadata {
    /// Which of two versions is the latest, `other` being listed behind `self`.
    ///
    /// Within one second the last update decides, and then the order of the list: it is the best
    /// guess, and `also_latest` says that it is one.
    fn or_later(self, other: Self) -> Self {
        let is_tie = self.created.is_some() && self.created == other.created;
        let is_later = (other.created, other.updated) > (self.created, self.updated);
        let (mut latest, mut earlier) = if is_later {
            (other, self)
        } else {
            (self, other)
        };
        if is_tie {
            latest.also_latest.append(&mut earlier.also_latest);
            latest.also_latest.extend(earlier.version);
        }
        latest
    }
}

/// Which operation reads the metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetadataSource {
    /// List the versions' properties: the value never enters the process. Needs `list`
    /// (access policies) or `readMetadata` (roles).
    Versions,
    /// Get the secret and drop its value unread. Needs `get`.
    Get,
}

/// How requests travel and as whom they are made.
#[derive(Clone)]
pub struct Connection {
    /// Carries every vault's requests.
    pub transport: Arc<dyn HttpClient>,
    /// Signs them.
    pub token: Arc<SharedToken>,
    /// What a token may take beyond [`CALL_LIMIT`].
    pub token_time: Duration,
    /// What all vaults together may be asked.
    pub(super) budget: Arc<Budget>,
}

impl Connection {
    /// A connection whose tokens come at once.
    #[must_use]
    pub fn new(transport: Arc<dyn HttpClient>, credential: Arc<dyn TokenCredential>) -> Self {
        let make: MakeCredential = Box::new(move || Ok(credential.clone()));
        let kind = CredentialKind::ManagedIdentity;
        Self {
            transport,
            token: Arc::new(SharedToken::new(kind, make, CALL_LIMIT)),
            token_time: Duration::ZERO,
            budget: Arc::default(),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

type Connect =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Connection, Error>> + Send>> + Send + Sync>;

/// Every vault that the handler reads, each with one client that lives as long as this.
pub struct Vaults {
    connect: Connect,
    connection: OnceCell<Connection>,
    #[cfg(feature = "dev-vault")]
    alias: Option<(VaultUrl, VaultUrl)>,
    open: std::sync::Mutex<HashMap<VaultUrl, Arc<Vault>>>,
}

impl fmt::Debug for Vaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vaults").finish_non_exhaustive()
    }
}

impl Vaults {
    /// `connect` is slow (certificates, credentials) and runs when a vault is first needed.
    pub fn new<F>(connect: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Connection, Error>> + Send + 'static,
    {
        Self {
            connect: Box::new(move || Box::pin(connect())),
            connection: OnceCell::new(),
            #[cfg(feature = "dev-vault")]
            alias: None,
            open: std::sync::Mutex::default(),
        }
    }

    /// Reads the vault `meant` where `named` is asked for: the name of the embedded vault means
    /// nothing outside its process, and whoever has that name on the internet must not be asked.
    #[cfg(feature = "dev-vault")]
    #[must_use]
    pub fn with_alias(self, named: VaultUrl, meant: VaultUrl) -> Self {
        let alias = Some((named, meant));
        Self { alias, ..self }
    }

    /// The client of one vault.
    ///
    /// # Errors
    ///
    /// The connection could not be set up, or too many vaults are open.
    pub async fn open(&self, url: &VaultUrl) -> Result<Arc<Vault>, Error> {
        let connection = self.connection.get_or_try_init(|| (self.connect)()).await;
        let connection = connection?;
        #[cfg(feature = "dev-vault")]
        let url = match &self.alias {
            Some((named, meant)) if named == url => meant,
            _ => url,
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vault) = open.get(url) {
            return Ok(vault.clone());
        }
        if open.len() >= VAULTS_LIMIT {
            return Err(Error::TooManyVaults);
        }
        let vault = Arc::new(Vault::new(url, connection)?);
        open.insert(url.clone(), vault.clone());
        Ok(vault)
    }
}

/// What a request to a vault is for. Each has turns of its own, and probes leave a part of the
/// budget to reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// `secrets/<name>`.
    Reads,
    /// config-check's attempts and comparisons.
    Probes,
}

/// One vault.
pub struct Vault {
    client: SecretClient,
    limit: Duration,
    turns: Semaphore,
    probe_turns: Semaphore,
    budget: Arc<Budget>,
    gate: Gate,
    pause: Pause,
}

/// Leaves a vault alone that throttles: for as long as it asks, or 1, 2, 4, 8, 16 s, as Key
/// Vault's documentation advises. Meanwhile everybody is told at once.
#[derive(Default)]
struct Pause(std::sync::Mutex<Throttling>);

#[derive(Default)]
struct Throttling {
    until: Option<Instant>,
    /// Refusals since the last success.
    strikes: u32,
}

impl Pause {
    fn state(&self) -> std::sync::MutexGuard<'_, Throttling> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is left of the pause, as the error that it stands for.
    fn check(&self) -> Result<(), Error> {
        let left = self
            .state()
            .until
            .map(|until| until.saturating_duration_since(Instant::now()));
        match left.filter(|left| !left.is_zero()) {
            None => Ok(()),
            retry_after => Err(Error::Throttled { retry_after }),
        }
    }

    /// Takes note of a read that began at `began`. What was under way when the pause began says
    /// nothing about how the vault is now.
    fn note<T>(&self, read: &Result<T, Error>, began: Instant) {
        let mut state = self.state();
        match read {
            Err(Error::Throttled { retry_after }) => {
                let own = Duration::from_secs(1 << state.strikes.min(4));
                let wait = retry_after.unwrap_or(own).clamp(own, LONGEST_PAUSE);
                state.strikes += 1;
                state.until = Some(Instant::now() + wait);
            }
            Ok(_) if state.until.is_none_or(|until| until <= began) => {
                *state = Throttling::default();
            }
            Ok(_) | Err(_) => {}
        }
    }
}

/// Lets one caller alone through until the vault has once accepted a token. A client's first
/// request is answered with a challenge by design, and every challenge makes the SDK throw
/// away the token that it has: a crowd of first requests would fetch a crowd of tokens.
#[derive(Default)]
struct Gate {
    is_open: AtomicBool,
    first: Mutex<Option<(Instant, Error)>>,
}

impl Gate {
    async fn pass<T>(&self, read: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        if self.is_open.load(Ordering::Acquire) {
            return read.await;
        }
        let mut failed = self.first.lock().await;
        if self.is_open.load(Ordering::Acquire) {
            drop(failed);
            return read.await;
        }
        if let Some((at, error)) = &*failed
            && at.elapsed() < FIRST_FAILURE_PAUSE
        {
            return Err(error.clone());
        }
        let read = read.await;
        match &read {
            Err(error) if !is_signed_answer(error) => {
                *failed = Some((Instant::now(), error.clone()));
            }
            Ok(_) | Err(_) => self.is_open.store(true, Ordering::Release),
        }
        read
    }
}

/// Whether only a vault that has accepted the token says this.
fn is_signed_answer(error: &Error) -> bool {
    matches!(
        error,
        Error::SecretNotFound
            | Error::SecretVersionNotFound
            | Error::SecretDisabled
            | Error::AccessDenied(_)
    )
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("endpoint", &self.client.endpoint().as_str())
            .finish_non_exhaustive()
    }
}

impl Vault {
    fn new(url: &VaultUrl, connection: &Connection) -> Result<Self, Error> {
        let transport = Guarded::new(
            url.clone(),
            connection.transport.clone(),
            connection.token.clone(),
            connection.budget.clone(),
        );
        let options = SecretClientOptions {
            // An emulator on this machine has no name below the challenge's domain.
            verify_challenge_resource: Some(!url.is_loopback()),
            client_options: ClientOptions {
                transport: Some(Transport::new(Arc::new(transport))),
                retry: RetryOptions::exponential(ExponentialRetryOptions {
                    initial_delay: azure_core::time::Duration::milliseconds(100),
                    max_retries: 2,
                    max_total_elapsed: azure_core::time::Duration::seconds(4),
                    max_delay: azure_core::time::Duration::seconds(1),
                }),
                ..Default::default()
            },
            ..Default::default()
        };
        let client = SecretClient::new(url.as_str(), connection.token.clone(), Some(options))
            .map_err(Error::from_sdk)?;
        Ok(Self {
            client,
            limit: CALL_LIMIT + connection.token_time,
            turns: Semaphore::new(AT_ONCE),
            probe_turns: Semaphore::new(PROBES_AT_ONCE),
            budget: connection.budget.clone(),
            gate: Gate::default(),
            pause: Pause::default(),
        })
    }

    /// Reads what the vault says about `id`.
    ///
    /// # Errors
    ///
    /// By cause; at the latest after [`CALL_LIMIT`] plus the connection's token time.
    pub async fn metadata(
        &self,
        id: &SecretId,
        source: MetadataSource,
    ) -> Result<SecretMetadata, Error> {
        let read = async {
            match source {
                MetadataSource::Versions => self.metadata_from_versions(id).await,
                MetadataSource::Get => self.metadata_from_get(id).await,
            }
        };
        self.bounded("metadata", Lane::Reads, read).await
    }

    /// [`Vault::metadata`] from the versions, for a probe.
    ///
    /// # Errors
    ///
    /// As [`Vault::metadata`].
    pub async fn probed_metadata(&self, id: &SecretId) -> Result<SecretMetadata, Error> {
        let read = self.metadata_from_versions(id);
        self.bounded("metadata", Lane::Probes, read).await
    }

    /// Whether the identity may get a secret's value, found out without getting it: whoever
    /// may is told that the version does not exist, and whoever may not is refused before.
    ///
    /// # Errors
    ///
    /// Who or what refused.
    pub async fn may_get(&self, name: &SecretName) -> Result<(), Error> {
        let options = SecretClientGetSecretOptions {
            secret_version: Some(NO_VERSION.to_owned()),
            ..Default::default()
        };
        let probe = async {
            let probe = self.client.get_secret(name.as_str(), Some(options));
            probe.await.map_err(Error::from_sdk)
        };
        match self.bounded("may get", Lane::Probes, probe).await {
            Ok(_) | Err(Error::SecretNotFound | Error::SecretDisabled) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Makes the vault's first request, which meets the challenge and gets the token.
    ///
    /// # Errors
    ///
    /// Why that failed. That the identity may not read is no failure here.
    pub async fn warm_up(&self) -> Result<(), Error> {
        let name = SecretName::parse("warm-up").map_err(|_| Error::UnexpectedAnswer)?;
        match self.may_get(&name).await {
            Err(Error::AccessDenied(_)) => Ok(()),
            other => other,
        }
    }

    /// Runs one read within the limits of time and number. Waiting for a turn is a part of it.
    async fn bounded<T>(
        &self,
        operation: &'static str,
        lane: Lane,
        read: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let span = spans::read(operation);
        let until = Instant::now() + self.limit;
        let turns = match lane {
            Lane::Reads => &self.turns,
            Lane::Probes => &self.probe_turns,
        };
        let in_turn = async {
            // The semaphore is never closed.
            let _turn = turns.acquire().await;
            if lane == Lane::Probes {
                self.budget.has_room_for_a_probe()?;
            }
            if Instant::now() + LEAST_TIME > until {
                return Err(Error::TimedOut);
            }
            self.pause.check()?;
            let began = Instant::now();
            let read = self.gate.pass(read).await;
            self.pause.note(&read, began);
            read
        };
        let read = timeout_at(until, in_turn).instrument(span.clone()).await;
        let read = read.unwrap_or(Err(Error::TimedOut));
        spans::finish(&span, None, read.as_ref().err().map(Error::code));
        read
    }

    /// Reads the value of `id`, as a probe. Only for comparing it and for resolving references
    /// where the platform does not, never for an answer.
    ///
    /// # Errors
    ///
    /// As [`Vault::metadata`].
    pub async fn value(&self, id: &SecretId) -> Result<SecretString, Error> {
        let read = async {
            let body = self.get(id).await?;
            let with_value: WithValue =
                serde_json::from_slice(&body).map_err(|_| Error::UnexpectedAnswer)?;
            Ok(with_value.value)
        };
        self.bounded("value", Lane::Probes, read).await
    }

    /// Whether `name` is deleted and can be recovered, as far as the identity may know.
    pub async fn is_deleted(&self, name: &SecretName) -> bool {
        let read = async {
            let read = self.client.get_deleted_secret(name.as_str(), None);
            read.await.map_err(Error::from_sdk)
        };
        self.bounded("is deleted", Lane::Probes, read).await.is_ok()
    }

    async fn metadata_from_versions(&self, id: &SecretId) -> Result<SecretMetadata, Error> {
        let mut pages = self
            .client
            .list_secret_properties_versions(id.name.as_str(), None)
            .map_err(Error::from_sdk)?
            .into_pages();
        let mut latest: Option<SecretMetadata> = None;
        let (mut seen, mut pages_seen) = (0, 0);
        while let Some(page) = pages.try_next().await.map_err(Error::from_sdk)? {
            let page: Page =
                serde_json::from_slice(&page.into_body()).map_err(|_| Error::UnexpectedAnswer)?;
            seen += page.value.len();
            // Pages can be empty and still have a next one.
            pages_seen += 1;
            for item in page.value {
                let item = item.into_metadata()?;
                match &id.version {
                    Some(version) if item.version.as_ref() == Some(version) => return Ok(item),
                    Some(_) => {}
                    None => {
                        latest = Some(match latest {
                            Some(latest) => latest.or_later(item),
                            None => item,
                        });
                    }
                }
            }
            if seen > VERSIONS_LIMIT || pages_seen > PAGES_LIMIT {
                return Err(Error::TooManyVersions);
            }
        }
        // An unknown name is an empty list here, not a 404.
        latest.ok_or(if seen == 0 {
            Error::SecretNotFound
        } else {
            Error::SecretVersionNotFound
        })
    }

    async fn metadata_from_get(&self, id: &SecretId) -> Result<SecretMetadata, Error> {
        let body = self.get(id).await?;
        serde_json::from_slice::<WithoutValue>(&body)
            .map_err(|_| Error::UnexpectedAnswer)
            .and_then(WithoutValue::into_metadata)
    }

    async fn get(&self, id: &SecretId) -> Result<Bytes, Error> {
        let options = SecretClientGetSecretOptions {
            secret_version: id.version.as_ref().map(ToString::to_string),
            ..Default::default()
        };
        let response = self
            .client
            .get_secret(id.name.as_str(), Some(options))
            .await;
        match response.map_err(Error::from_sdk) {
            Ok(response) => Ok(response.into_body().into()),
            Err(Error::SecretNotFound) if id.version.is_some() => {
                // The service has one code for both. The secret exists if it has versions.
                let any = SecretId {
                    name: id.name.clone(),
                    version: None,
                };
                // Without the right to list, nothing is known but that this version is not there.
                Err(match self.metadata_from_versions(&any).await {
                    Err(Error::SecretNotFound) => Error::SecretNotFound,
                    _ => Error::SecretVersionNotFound,
                })
            }
            Err(error) => Err(error),
        }
    }
}

fn checked(name: &str, version: Option<&str>) -> Result<(String, Option<SecretVersion>), Error> {
    let name = SecretName::parse(name).map_err(|_| Error::UnexpectedAnswer)?;
    let version = version
        .map(SecretVersion::parse)
        .transpose()
        .map_err(|_| Error::UnexpectedAnswer)?;
    Ok((name.as_str().to_owned(), version))
}

/// One page of a list. The SDK's own model takes any object for an empty page.
#[derive(Deserialize)]
struct Page {
    value: Vec<WithoutValue>,
}

/// A secret whose value is skipped while it is parsed, so that it never becomes a string.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WithoutValue {
    id: String,
    content_type: Option<String>,
    #[serde(default)]
    attributes: Attributes,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    managed: bool,
    #[serde(default, rename = "value")]
    _value: serde::de::IgnoredAny,
}

#[derive(Deserialize, Default)]
struct Attributes {
    enabled: Option<bool>,
    created: Option<i64>,
    updated: Option<i64>,
    nbf: Option<i64>,
    exp: Option<i64>,
}

#[derive(Deserialize)]
struct WithValue {
    value: SecretString,
}

impl WithoutValue {
    fn into_metadata(self) -> Result<SecretMetadata, Error> {
        // `https://HOST/secrets/NAME/VERSION`
        let mut path = self.id.split('/').skip(3);
        let (Some("secrets"), Some(name), version, None) =
            (path.next(), path.next(), path.next(), path.next())
        else {
            return Err(Error::UnexpectedAnswer);
        };
        let (name, version) = checked(name, version)?;
        let time = |seconds: Option<i64>| {
            seconds
                .map(OffsetDateTime::from_unix_timestamp)
                .transpose()
                .map_err(|_| Error::UnexpectedAnswer)
        };
        Ok(SecretMetadata {
            name,
            version,
            enabled: self.attributes.enabled,
            created: time(self.attributes.created)?,
            updated: time(self.attributes.updated)?,
            not_before: time(self.attributes.nbf)?,
            expires: time(self.attributes.exp)?,
            content_type: self.content_type,
            tags: self.tags,
            managed: self.managed,
            also_latest: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use async_trait::async_trait;
    use azure_core::{
        credentials::{AccessToken, TokenRequestOptions},
        http::{
            AsyncRawResponse, Request, StatusCode,
            headers::{AUTHORIZATION, Headers, WWW_AUTHENTICATE},
        },
    };

    use super::*;

    /// A vault that answers a signed request by the number of its token, and the identity that
    /// signs in to it, whose tokens are numbered from 1.
    struct Scripted<F> {
        answer: F,
        tokens: Arc<AtomicUsize>,
    }

    impl<F> fmt::Debug for Scripted<F> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Scripted")
        }
    }

    impl<F: Fn(usize) -> (u16, String) + Send + Sync + 'static> Scripted<F> {
        fn connection(answer: F) -> Connection {
            Self::counted(answer).0
        }

        /// With the number of tokens that were given.
        fn counted(answer: F) -> (Connection, Arc<AtomicUsize>) {
            let tokens = Arc::<AtomicUsize>::default();
            let scripted = Arc::new(Self {
                answer,
                tokens: tokens.clone(),
            });
            (Connection::new(scripted.clone(), scripted), tokens)
        }
    }

    impl Scripted<()> {
        /// The identity alone.
        fn signs_in() -> Arc<Self> {
            Arc::new(Self {
                answer: (),
                tokens: Arc::default(),
            })
        }
    }

    #[async_trait]
    impl<F: Fn(usize) -> (u16, String) + Send + Sync> HttpClient for Scripted<F> {
        async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
            let mut headers = Headers::new();
            headers.insert(
                WWW_AUTHENTICATE,
                "Bearer authorization=\"https://login.microsoftonline.com/t\", resource=\"https://vault.azure.net\"",
            );
            let token = request.headers().get_optional_str(&AUTHORIZATION);
            let token = token.and_then(|text| text.strip_prefix("Bearer ")?.parse().ok());
            let (status, body) = match token {
                None => (401, String::new()),
                Some(token) => (self.answer)(token),
            };
            Ok(AsyncRawResponse::from_bytes(
                StatusCode::from(status),
                headers,
                body,
            ))
        }
    }

    #[async_trait]
    impl<F: Send + Sync> TokenCredential for Scripted<F> {
        async fn get_token(
            &self,
            _: &[&str],
            _: Option<TokenRequestOptions<'_>>,
        ) -> azure_core::Result<AccessToken> {
            let number = self.tokens.fetch_add(1, Ordering::SeqCst) + 1;
            let expires = OffsetDateTime::now_utc() + Duration::from_secs(3_600);
            Ok(AccessToken::new(number.to_string(), expires))
        }
    }

    /// A version's first digit, its creation and its last update.
    type Listed = (char, i64, i64);

    async fn latest_of(listed: &[Listed], asked: Option<char>) -> (String, String) {
        let items = listed.iter().map(|(digit, created, updated)| {
            let version = digit.to_string().repeat(32);
            format!(
                r#"{{"id":"https://v.vault.azure.net/secrets/n/{version}","attributes":{{"created":{created},"updated":{updated}}}}}"#
            )
        });
        let page = format!(r#"{{"value":[{}]}}"#, items.collect::<Vec<_>>().join(","));
        let connection = Scripted::connection(move |_| (200, page.clone()));
        let url = VaultUrl::of_public_vault("v").expect("valid");
        let vault = Vault::new(&url, &connection).expect("a client");
        let version = asked.map(|digit| digit.to_string().repeat(32));
        let id = SecretId {
            name: SecretName::parse("n").expect("valid"),
            version: version.map(|text| SecretVersion::parse(&text).expect("valid")),
        };
        let read = vault.metadata(&id, MetadataSource::Versions).await;
        let read = read.expect("metadata");
        let digit = |version: &SecretVersion| version.as_str()[..1].to_owned();
        let also = read.also_latest.iter().map(digit).collect();
        (read.version.as_ref().map(digit).expect("a version"), also)
    }

    /// The service lists versions by their random ids, so the order says nothing about time.
    #[tokio::test]
    async fn versions_of_one_second_are_all_named() {
        let cases: [(&[Listed], &str, &str); 6] = [
            (&[('a', 10, 10), ('b', 20, 20)], "b", ""),
            (&[('b', 20, 20), ('a', 10, 90)], "b", ""),
            (&[('a', 20, 20), ('b', 20, 20), ('c', 10, 10)], "a", "b"),
            (&[('a', 20, 20), ('b', 20, 30), ('c', 20, 20)], "b", "ac"),
            (&[('a', 10, 10), ('b', 10, 10), ('c', 20, 20)], "c", ""),
            (&[('c', 20, 20), ('a', 10, 10), ('b', 20, 20)], "c", "b"),
        ];
        for (listed, latest, also) in cases {
            let found = latest_of(listed, None).await;
            assert_eq!(found, (latest.to_owned(), also.to_owned()), "{listed:?}");
        }
        let asked = latest_of(&[('a', 20, 20), ('b', 20, 20)], Some('b')).await;
        assert_eq!(asked, ("b".to_owned(), String::new()));
    }

    /// A vault that accepts only tokens from this number on; how many were given.
    fn choosy(from: &Arc<AtomicUsize>) -> (Vault, Arc<AtomicUsize>) {
        const PAGE: &str = r#"{"value":[{"id":"https://v.vault.azure.net/secrets/n/00000000000000000000000000000001"}]}"#;
        let from = from.clone();
        let (connection, tokens) = Scripted::counted(move |token| {
            if token < from.load(Ordering::SeqCst) {
                (401, String::new())
            } else {
                (200, PAGE.to_owned())
            }
        });
        let url = VaultUrl::of_public_vault("v").expect("valid");
        (Vault::new(&url, &connection).expect("a client"), tokens)
    }

    async fn read(vault: &Vault) -> Result<(), Error> {
        let id = SecretId {
            name: SecretName::parse("n").expect("valid"),
            version: None,
        };
        let read = vault.metadata(&id, MetadataSource::Versions).await;
        read.map(drop)
    }

    #[tokio::test(start_paused = true)]
    async fn a_young_token_that_is_refused_is_replaced_within_the_same_call() {
        let from = Arc::<AtomicUsize>::default();
        let (vault, tokens) = choosy(&from);
        assert_eq!(read(&vault).await, Ok(()));
        for wanted in 2..6 {
            // The keys that tokens are signed with change.
            from.store(wanted, Ordering::SeqCst);
            let crowd = (0..AT_ONCE).map(|_| read(&vault));
            for read in futures_util::future::join_all(crowd).await {
                assert_eq!(read, Ok(()), "{wanted}");
            }
            assert_eq!(tokens.load(Ordering::SeqCst), wanted);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_vault_that_refuses_for_ever_costs_few_tokens() {
        let from = Arc::new(AtomicUsize::new(usize::MAX));
        let (vault, tokens) = choosy(&from);
        for _ in 0..6_000 {
            assert_eq!(read(&vault).await, Err(Error::TokenRefused));
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        // At 0, 1, 3, 7, 15 and 31 s, then each 30 s until 600 s; and the first one.
        let spent = tokens.load(Ordering::SeqCst);
        assert!((20..=26).contains(&spent), "{spent}");
        from.store(0, Ordering::SeqCst);
        tokio::time::advance(FIRST_FAILURE_PAUSE).await;
        assert_eq!(read(&vault).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_vault_that_refuses_every_other_token_costs_one_in_a_second() {
        let from = Arc::<AtomicUsize>::default();
        let (vault, tokens) = choosy(&from);
        for _ in 0..100 {
            from.store(tokens.load(Ordering::SeqCst) + 1, Ordering::SeqCst);
            let _ = read(&vault).await;
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        let spent = tokens.load(Ordering::SeqCst);
        assert!((10..=12).contains(&spent), "{spent}");
    }

    #[tokio::test]
    async fn one_vault_too_many_is_named_as_such() {
        let vault = Scripted::connection(|_| (200, "{}".to_owned()));
        let vaults = Vaults::new(move || std::future::ready(Ok(vault.clone())));
        let url = |number: usize| VaultUrl::of_public_vault(&format!("v{number}")).expect("valid");
        for number in 0..VAULTS_LIMIT {
            vaults.open(&url(number)).await.expect("open");
        }
        let refused = vaults.open(&url(VAULTS_LIMIT)).await.err();
        assert_eq!(refused, Some(Error::TooManyVaults));
        vaults.open(&url(0)).await.expect("open already");
    }

    /// A vault that answers signed requests in turn, each after a while, and then always.
    #[derive(Debug)]
    struct Paced {
        turns: std::sync::Mutex<std::collections::VecDeque<(Duration, u16)>>,
        signed: AtomicUsize,
    }

    #[async_trait]
    impl HttpClient for Paced {
        async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
            let mut headers = Headers::new();
            let token = request.headers().get_optional_str(&AUTHORIZATION);
            let (wait, status) = if token.is_none() {
                headers.insert(
                    WWW_AUTHENTICATE,
                    "Bearer resource=\"https://vault.azure.net\"",
                );
                (Duration::ZERO, 401)
            } else {
                self.signed.fetch_add(1, Ordering::SeqCst);
                let turn = self.turns.lock().expect("lock").pop_front();
                turn.unwrap_or((Duration::ZERO, 200))
            };
            tokio::time::sleep(wait).await;
            if status == 429 {
                headers.insert("retry-after", "20");
            }
            let page = r#"{"value":[{"id":"https://v.vault.azure.net/secrets/n/00000000000000000000000000000001"}]}"#;
            let status = StatusCode::from(status);
            Ok(AsyncRawResponse::from_bytes(status, headers, page))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_success_that_began_before_a_pause_does_not_lift_it() {
        let soon = Duration::from_millis(1);
        let late = Duration::from_secs(1);
        let paced = Arc::new(Paced {
            turns: std::sync::Mutex::new([(soon, 200), (late, 200), (soon, 429)].into()),
            signed: AtomicUsize::new(0),
        });
        let connection = Connection::new(paced.clone(), Scripted::<()>::signs_in());
        let url = VaultUrl::of_public_vault("v").expect("valid");
        let vault = Vault::new(&url, &connection).expect("a client");
        assert_eq!(read(&vault).await, Ok(()));
        let throttled = |left| {
            Err(Error::Throttled {
                retry_after: Some(Duration::from_millis(left)),
            })
        };
        let (slow, refused) = tokio::join!(read(&vault), read(&vault));
        assert_eq!((slow, refused), (Ok(()), throttled(20_000)));
        assert_eq!(read(&vault).await, throttled(19_001));
        assert_eq!(paced.signed.load(Ordering::SeqCst), 3);
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(read(&vault).await, Ok(()));
    }

    /// Challenges every request, naming an audience.
    #[derive(Debug)]
    struct Challenges(String);

    #[async_trait]
    impl HttpClient for Challenges {
        async fn execute_request(&self, _: &Request) -> azure_core::Result<AsyncRawResponse> {
            let mut headers = Headers::new();
            headers.insert(WWW_AUTHENTICATE, format!("Bearer resource=\"{}\"", self.0));
            let status = StatusCode::Unauthorized;
            Ok(AsyncRawResponse::from_bytes(status, headers, ""))
        }
    }

    #[tokio::test]
    async fn a_token_is_asked_for_the_vaults_own_audience_only() {
        let local = "https://localhost:8443";
        for (vault, audience, is_asked) in [
            ("https://v.vault.azure.net", "https://vault.azure.net", true),
            ("https://v.vault.azure.cn", "https://vault.azure.cn", true),
            (
                "https://v.vault.usgovcloudapi.net",
                "https://vault.usgovcloudapi.net",
                true,
            ),
            (
                "https://v.managedhsm.azure.net",
                "https://managedhsm.azure.net",
                true,
            ),
            ("https://v.vault.azure.net", "https://vault.azure.cn", false),
            ("https://v.vault.azure.net", "https://azure.net", false),
            (
                "https://v.vault.azure.net",
                "https://managedhsm.azure.net",
                false,
            ),
            (
                "https://vault.evil.example",
                "https://vault.azure.net",
                false,
            ),
            ("https://vault.evil.example", "https://evil.example", false),
            (local, "https://vault.azure.net", true),
            (local, "https://managedhsm.azure.cn", true),
            (local, "https://managedhsm.usgovcloudapi.net", true),
            (local, "https://management.azure.com/", false),
            (local, "https://localhost", false),
            (local, "https://vault.azure.net/.default https://x", false),
            (local, "", false),
        ] {
            let signs_in = Scripted::<()>::signs_in();
            let challenges = Arc::new(Challenges(audience.to_owned()));
            let connection = Connection::new(challenges, signs_in.clone());
            let url = VaultUrl::parse(vault).expect("valid");
            let refused = read(&Vault::new(&url, &connection).expect("a client")).await;
            let is_token = signs_in.tokens.load(Ordering::SeqCst) > 0;
            assert_eq!(is_token, is_asked, "{vault} {audience}");
            if !is_asked {
                assert_eq!(refused, Err(Error::UnexpectedAnswer), "{vault} {audience}");
            }
        }
    }

    fn parsed(json: &str) -> Result<SecretMetadata, Error> {
        serde_json::from_str::<WithoutValue>(json)
            .map_err(|_| Error::UnexpectedAnswer)?
            .into_metadata()
    }

    #[test]
    fn a_secret_is_read_without_its_value() {
        let metadata = parsed(
            r#"{"value":"not kept","id":"https://v.vault.azure.net/secrets/Ab/86126c1a06244d778606e003c7e7cb34",
               "attributes":{"enabled":true,"nbf":1781524800,"exp":1784116800,"created":1781649311,
               "updated":1781649311,"recoveryLevel":"Recoverable+Purgeable","recoverableDays":90}}"#,
        )
        .expect("valid");
        assert_eq!(metadata.name, "Ab");
        assert_eq!(metadata.enabled, Some(true));
        assert_eq!(
            metadata.expires.map(OffsetDateTime::unix_timestamp),
            Some(1_784_116_800)
        );
        assert!(!format!("{metadata:?}").contains("not kept"));
    }

    #[test]
    fn an_answer_out_of_contract_is_refused() {
        for json in [
            "{}",
            r#"{"id":"https://v/secrets"}"#,
            r#"{"id":"https://v/keys/n/86126c1a06244d778606e003c7e7cb34"}"#,
            r#"{"id":"https://v/secrets/n/short"}"#,
            r#"{"id":"https://v/secrets/<script>"}"#,
            r#"{"id":"https://v/secrets/n","attributes":{"created":99999999999999999}}"#,
        ] {
            assert_eq!(parsed(json), Err(Error::UnexpectedAnswer), "{json}");
        }
    }
}
