//! Reads of one vault: from a secret's name to its metadata, without its value.

use std::{fmt, sync::Arc, time::Duration};

use azure_core::{
    Bytes,
    credentials::TokenCredential,
    http::{ClientMethodOptions, HttpClient, Transport, pager::PagerOptions},
};
use azure_security_keyvault_secrets::{
    SecretClient, SecretClientOptions,
    models::{
        SecretClientGetDeletedSecretOptions, SecretClientGetSecretOptions,
        SecretClientListSecretPropertiesVersionsOptions,
    },
};
use futures_util::TryStreamExt;
use secrecy::SecretString;
use tokio::time::Instant;
use tracing::Instrument;

use super::{
    error::Error,
    limits::{CALL_LIMIT, PAGES_LIMIT, READ_RETRIES, VERSIONS_LIMIT},
    names::{SecretId, SecretName, VaultUrl},
    pacing::{Budget, Lane, Pacing},
    sdk::client_options,
    token::SharedToken,
    transport::{Attempts, Guarded},
    wire::{self, NO_VERSION, SecretMetadata},
};
use crate::telemetry::spans;

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
    pub(super) transport: Arc<dyn HttpClient>,
    /// Signs them.
    pub(super) token: Arc<SharedToken>,
    /// What a token may take beyond [`CALL_LIMIT`].
    pub(super) token_time: Duration,
    /// What all vaults together may be asked.
    pub(super) budget: Arc<Budget>,
}

impl Connection {
    /// A connection whose tokens come at once.
    #[must_use]
    pub fn new(transport: Arc<dyn HttpClient>, credential: Arc<dyn TokenCredential>) -> Self {
        Self {
            transport,
            token: Arc::new(SharedToken::of(credential)),
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

/// One vault.
pub struct Vault {
    client: SecretClient,
    limit: Duration,
    pacing: Pacing,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("endpoint", &self.client.endpoint().as_str())
            .finish_non_exhaustive()
    }
}

impl Vault {
    pub(super) fn new(url: &VaultUrl, connection: &Connection) -> Result<Self, Error> {
        let transport = Guarded::new(
            url.clone(),
            connection.transport.clone(),
            connection.token.clone(),
            connection.budget.clone(),
        );
        let transport = Transport::with_policy(Arc::new(transport));
        let options = SecretClientOptions {
            // An emulator on this machine has no name below the challenge's domain.
            verify_challenge_resource: Some(!url.is_loopback()),
            client_options: client_options(transport, READ_RETRIES),
            ..Default::default()
        };
        let client = SecretClient::new(url.as_str(), connection.token.clone(), Some(options))
            .map_err(Error::from_sdk)?;
        Ok(Self {
            client,
            limit: CALL_LIMIT + connection.token_time,
            pacing: Pacing::new(connection.budget.clone()),
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
        let operation = Operation::new("metadata", Lane::Reads, &id.name);
        let read = async {
            match source {
                MetadataSource::Versions => self.listed(id, &operation).await,
                MetadataSource::Get => wire::secret(&self.got(id, &operation).await?),
            }
        };
        self.run(&operation, read).await
    }

    /// [`Vault::metadata`] from the versions, for a probe.
    ///
    /// # Errors
    ///
    /// As [`Vault::metadata`].
    pub async fn probed_metadata(&self, id: &SecretId) -> Result<SecretMetadata, Error> {
        let operation = Operation::new("metadata", Lane::Probes, &id.name);
        self.run(&operation, self.listed(id, &operation)).await
    }

    /// Reads the value of `id`, as a probe. Only for comparing it and for resolving references
    /// where the platform does not, never for an answer.
    ///
    /// # Errors
    ///
    /// As [`Vault::metadata`].
    pub async fn value(&self, id: &SecretId) -> Result<SecretString, Error> {
        let operation = Operation::new("value", Lane::Probes, &id.name);
        let read = async { wire::value(&self.got(id, &operation).await?) };
        self.run(&operation, read).await
    }

    /// Whether the identity may get a secret's value, found out without getting it: whoever
    /// may is told that the version does not exist, and whoever may not is refused before.
    ///
    /// # Errors
    ///
    /// Who or what refused.
    pub async fn may_get(&self, name: &SecretName) -> Result<(), Error> {
        let operation = Operation::new("may get", Lane::Probes, name);
        let read = async {
            match self
                .get(name, Some(NO_VERSION.to_owned()), &operation)
                .await
            {
                Ok(_) | Err(Error::SecretNotFound | Error::SecretDisabled) => Ok(()),
                Err(error) => Err(error),
            }
        };
        self.run(&operation, read).await
    }

    /// Whether `name` is deleted and can be recovered, as far as the identity may know.
    pub async fn is_deleted(&self, name: &SecretName) -> bool {
        let operation = Operation::new("is deleted", Lane::Probes, name);
        let options = SecretClientGetDeletedSecretOptions {
            method_options: operation.method_options(),
        };
        let read = async {
            let read = self.client.get_deleted_secret(name.as_str(), Some(options));
            read.await.map_err(Error::from_sdk)
        };
        self.run(&operation, read).await.is_ok()
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

    /// Runs one read within the limits of time and number, and writes its line.
    async fn run<T>(
        &self,
        operation: &Operation<'_>,
        read: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let span = spans::read(operation.name);
        let began = Instant::now();
        let read = self.pacing.run(operation.lane, began + self.limit, read);
        let read = read.instrument(span.clone()).await;
        let failure = read.as_ref().err().map(Error::code);
        spans::finish(&span, None, failure);
        let outcome = failure.unwrap_or("ok");
        // To fail is an answer to a probe.
        if matches!(operation.lane, Lane::Reads) {
            spans::count_read(operation.name, outcome);
        }
        operation.log(began.elapsed(), outcome);
        read
    }

    /// The metadata of `id` by the list of its versions.
    async fn listed(
        &self,
        id: &SecretId,
        operation: &Operation<'_>,
    ) -> Result<SecretMetadata, Error> {
        let options = SecretClientListSecretPropertiesVersionsOptions {
            method_options: PagerOptions {
                context: operation.attempts.context(),
                ..Default::default()
            },
            ..Default::default()
        };
        let mut pages = self
            .client
            .list_secret_properties_versions(id.name.as_str(), Some(options))
            .map_err(Error::from_sdk)?
            .into_pages();
        let mut latest: Option<SecretMetadata> = None;
        let (mut seen, mut pages_seen) = (0, 0);
        while let Some(page) = pages.try_next().await.map_err(Error::from_sdk)? {
            let page = wire::page(&page.into_body())?;
            seen += page.len();
            // Pages can be empty and still have a next one.
            pages_seen += 1;
            for item in page {
                if id.version.is_none() {
                    latest = Some(match latest {
                        Some(latest) => latest.or_later(item),
                        None => item,
                    });
                } else if item.version == id.version {
                    return Ok(item);
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

    /// The answer about `id` that has its value in it.
    async fn got(&self, id: &SecretId, operation: &Operation<'_>) -> Result<Bytes, Error> {
        let version = id.version.as_ref().map(ToString::to_string);
        let got = self.get(&id.name, version, operation).await;
        if id.version.is_none() || !matches!(got, Err(Error::SecretNotFound)) {
            return got;
        }
        // The service has one code for both. The secret exists if it has versions.
        let any = SecretId {
            name: id.name.clone(),
            version: None,
        };
        // Without the right to list, nothing is known but that this version is not there.
        Err(match self.listed(&any, operation).await {
            Err(Error::SecretNotFound) => Error::SecretNotFound,
            _ => Error::SecretVersionNotFound,
        })
    }

    async fn get(
        &self,
        name: &SecretName,
        version: Option<String>,
        operation: &Operation<'_>,
    ) -> Result<Bytes, Error> {
        let options = SecretClientGetSecretOptions {
            secret_version: version,
            method_options: operation.method_options(),
            ..Default::default()
        };
        let response = self.client.get_secret(name.as_str(), Some(options)).await;
        let response = response.map_err(Error::from_sdk)?;
        Ok(response.into_body().into())
    }
}

/// One read, for its line.
struct Operation<'a> {
    name: &'static str,
    lane: Lane,
    secret: &'a SecretName,
    attempts: Attempts,
}

impl<'a> Operation<'a> {
    fn new(name: &'static str, lane: Lane, secret: &'a SecretName) -> Self {
        Self {
            name,
            lane,
            secret,
            attempts: Attempts::default(),
        }
    }

    fn method_options(&self) -> ClientMethodOptions<'static> {
        ClientMethodOptions {
            context: self.attempts.context(),
        }
    }

    /// An app can have 1,000 references: what config-check tries is for who looks closely.
    fn log(&self, elapsed: Duration, outcome: &str) {
        let (operation, secret) = (self.name, self.secret.as_str());
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let attempts = self.attempts.count();
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    operation,
                    secret,
                    elapsed_ms,
                    attempts,
                    outcome,
                    "Key Vault read"
                )
            };
        }
        match self.lane {
            Lane::Reads => line!(info),
            Lane::Probes => line!(debug),
        }
    }
}

#[cfg(test)]
mod tests;
