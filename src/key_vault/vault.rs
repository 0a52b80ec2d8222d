//! Reads of one vault: from an object's name to its metadata, without a secret's value.

use std::{fmt, sync::Arc, time::Duration};

use azure_core::{Bytes, credentials::TokenCredential, http::Transport};
use secrecy::SecretString;
use tokio::time::Instant;
use tracing::Instrument;

use super::{
    clients::Clients,
    connection::Connection,
    error::Error,
    limits::{CALL_LIMIT, PAGES_LIMIT, PATH_LIFE, VERSIONS_LIMIT},
    names::{ObjectId, ObjectKind, ObjectName, ObjectVersion, VaultUrl},
    network_path::{NetworkPath, WatchedPath},
    pacing::{Lane, Pacing},
    single_flight::SingleFlight,
    transport::{Attempts, Guarded},
    wire::{self, Metadata, NO_VERSION},
};
use crate::telemetry::spans;

/// Which operation reads a secret's metadata.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum MetadataSource {
    /// List the versions' properties: the value never enters the process. Needs `list`
    /// (access policies) or `readMetadata` (roles).
    #[default]
    Versions,
    /// Get the secret and drop its value unread. Needs `get`.
    Get,
}

/// One vault.
pub struct Vault {
    pub(super) clients: Clients,
    limit: Duration,
    pacing: Pacing,
    path: Arc<WatchedPath>,
    /// Why a probe of the path failed, if it did.
    probed: SingleFlight<Option<Error>>,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("endpoint", &self.clients.endpoint())
            .finish_non_exhaustive()
    }
}

impl Vault {
    pub(super) fn new(url: &VaultUrl, connection: &Connection) -> Result<Self, Error> {
        let path = WatchedPath::new(url.clone(), connection.resolver.clone());
        let transport = Guarded::new(url.clone(), connection, path.clone());
        let transport = Transport::with_policy(Arc::new(transport));
        let credential: Arc<dyn TokenCredential> = connection.token.clone();
        Ok(Self {
            clients: Clients::new(url, &credential, &transport)?,
            limit: CALL_LIMIT + connection.token_time,
            pacing: Pacing::new(connection.budget.clone()),
            path,
            probed: SingleFlight::new(|_| PATH_LIFE),
        })
    }

    /// Reads what the vault says about `id`. `source` is about secrets: of a key and a
    /// certificate the vault gives nothing away.
    ///
    /// # Errors
    ///
    /// By cause; at the latest after [`CALL_LIMIT`] plus the connection's token time.
    pub async fn metadata(&self, id: &ObjectId, source: MetadataSource) -> Result<Metadata, Error> {
        let operation = Operation::new("metadata", Lane::Reads, id.kind, id.name.as_str());
        let read = async {
            match (id.kind, source) {
                (ObjectKind::Secret, MetadataSource::Versions) => self.listed(id, &operation).await,
                (ObjectKind::Secret, MetadataSource::Get) => {
                    wire::object(id.kind, &self.got(id, &operation).await?)
                }
                (ObjectKind::Key | ObjectKind::Certificate, _) => {
                    match self.got(id, &operation).await {
                        // The list has less to tell, and that it is disabled.
                        Err(Error::Disabled(_)) => self.listed(id, &operation).await,
                        got => wire::object(id.kind, &got?),
                    }
                }
            }
        };
        self.run(&operation, read).await
    }

    /// [`Vault::metadata`] from the versions, for a probe.
    ///
    /// # Errors
    ///
    /// As [`Vault::metadata`].
    pub async fn probed_metadata(&self, id: &ObjectId) -> Result<Metadata, Error> {
        let operation = Operation::new("metadata", Lane::Probes, id.kind, id.name.as_str());
        self.run(&operation, self.listed(id, &operation)).await
    }

    /// Reads the value of a secret, as a probe. Only for comparing it and for resolving
    /// references where the platform does not, never for an answer.
    ///
    /// # Errors
    ///
    /// As [`Vault::metadata`].
    pub async fn value(
        &self,
        name: &ObjectName,
        version: Option<&ObjectVersion>,
    ) -> Result<SecretString, Error> {
        let operation = Operation::of_secret("value", name);
        let id = ObjectId {
            kind: ObjectKind::Secret,
            name: name.clone(),
            version: version.cloned(),
        };
        let read = async { wire::value(&self.got(&id, &operation).await?) };
        self.run(&operation, read).await
    }

    /// Whether the identity may get a secret's value, found out without getting it: whoever
    /// may reads that the version does not exist, and whoever may not is refused before.
    ///
    /// # Errors
    ///
    /// Who or what refused.
    pub async fn may_get(&self, name: &ObjectName) -> Result<(), Error> {
        let operation = Operation::of_secret("may get", name);
        let read = async {
            let version = Some(NO_VERSION.to_owned());
            let context = operation.attempts.context();
            let got = self.clients.get(ObjectKind::Secret, name, version, context);
            match got.await {
                Ok(_) | Err(Error::NotFound(_) | Error::Disabled(_)) => Ok(()),
                Err(error) => Err(error),
            }
        };
        self.run(&operation, read).await
    }

    /// Whether the secret `name` is deleted and can be recovered, as far as the identity may
    /// know.
    pub async fn is_deleted(&self, name: &ObjectName) -> bool {
        let operation = Operation::of_secret("is deleted", name);
        let context = operation.attempts.context();
        let read = self.clients.deleted_secret(name, context);
        self.run(&operation, read).await.is_ok()
    }

    /// Makes the vault's first request, which meets the challenge and gets the token.
    ///
    /// # Errors
    ///
    /// Why that failed. That the identity may not read is no failure here.
    pub async fn warm_up(&self) -> Result<(), Error> {
        let name = ObjectName::parse("warm-up").map_err(|_| Error::UnexpectedAnswer)?;
        match self.may_get(&name).await {
            Err(Error::AccessDenied(_)) => Ok(()),
            other => other,
        }
    }

    /// Which path requests take: what DNS says now or lately, and what the latest answer said.
    pub async fn path(&self) -> NetworkPath {
        self.path.look_up().await;
        self.path.known()
    }

    /// As much of [`Vault::path`] as is known without asking anybody.
    #[must_use]
    pub fn known_path(&self) -> NetworkPath {
        self.path.known()
    }

    /// [`Vault::path`] after a probe, and why the probe failed. Callers share one.
    pub async fn probed_path(self: &Arc<Self>) -> (NetworkPath, Option<Error>) {
        let probe = || {
            let vault = self.clone();
            async move { vault.warm_up().await.err() }
        };
        let failed = self.probed.get(probe).await.flatten();
        (self.path().await, failed)
    }

    /// Runs one read within the limits of time and number, and writes its line.
    pub(super) async fn run<T>(
        &self,
        operation: &Operation<'_>,
        read: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let span = spans::read(operation.name);
        let began = Instant::now();
        let read = self.pacing.run(operation.lane, began + self.limit, read);
        let read = self.path.beside(read.instrument(span.clone())).await;
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
    async fn listed(&self, id: &ObjectId, operation: &Operation<'_>) -> Result<Metadata, Error> {
        let mut latest: Option<Metadata> = None;
        let (mut seen, mut pages, mut next) = (0, 0, None);
        loop {
            let context = operation.attempts.context();
            let page = self.clients.versions(id.kind, &id.name, next, context);
            let page = page.await?;
            let items = wire::page(id.kind, &page.body)?;
            seen += items.len();
            // Pages can be empty and still have a next one.
            pages += 1;
            for item in items {
                if id.version.is_none() {
                    latest = Some(match latest {
                        Some(latest) => latest.or_later(item),
                        None => item,
                    });
                } else if item.version == id.version {
                    return Ok(item);
                }
            }
            next = page.next;
            if next.is_none() {
                break;
            }
            if seen > VERSIONS_LIMIT || pages > PAGES_LIMIT {
                return Err(Error::TooManyVersions);
            }
        }
        // An unknown name is an empty list here, not a 404.
        latest.ok_or(if seen == 0 {
            Error::NotFound(id.kind)
        } else {
            Error::VersionNotFound(id.kind)
        })
    }

    /// The whole object; a secret's answer has its value in it.
    async fn got(&self, id: &ObjectId, operation: &Operation<'_>) -> Result<Bytes, Error> {
        let version = id.version.as_ref().map(ToString::to_string);
        let context = operation.attempts.context();
        let got = self.clients.get(id.kind, &id.name, version, context).await;
        if id.version.is_none() || !matches!(got, Err(Error::NotFound(_))) {
            return got;
        }
        // The service has one code for both. The object exists if it has versions.
        let any = ObjectId {
            version: None,
            ..id.clone()
        };
        // Without the right to list, nothing is known but that this version is not there.
        Err(match self.listed(&any, operation).await {
            Err(error @ Error::NotFound(_)) => error,
            _ => Error::VersionNotFound(id.kind),
        })
    }
}

/// One read, for its line.
pub(super) struct Operation<'a> {
    name: &'static str,
    lane: Lane,
    kind: ObjectKind,
    /// Empty where all of a kind are read.
    object: &'a str,
    pub(super) attempts: Attempts,
}

impl<'a> Operation<'a> {
    pub(super) fn new(name: &'static str, lane: Lane, kind: ObjectKind, object: &'a str) -> Self {
        Self {
            name,
            lane,
            kind,
            object,
            attempts: Attempts::default(),
        }
    }

    /// A probe of one secret.
    fn of_secret(name: &'static str, secret: &'a ObjectName) -> Self {
        Self::new(name, Lane::Probes, ObjectKind::Secret, secret.as_str())
    }

    /// An app can have 1,000 references, and a vault as many pages: what nobody asked for by name
    /// is for who looks closely.
    fn log(&self, elapsed: Duration, outcome: &str) {
        let operation = self.name;
        let named = |kind| (self.kind == kind && !self.object.is_empty()).then_some(self.object);
        let secret = named(ObjectKind::Secret);
        let key = named(ObjectKind::Key);
        let certificate = named(ObjectKind::Certificate);
        let kind = self.object.is_empty().then(|| self.kind.as_str());
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let attempts = self.attempts.count();
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    operation,
                    secret,
                    key,
                    certificate,
                    kind,
                    elapsed_ms,
                    attempts,
                    outcome,
                    "Key Vault read"
                )
            };
        }
        match self.lane {
            Lane::Reads => line!(info),
            Lane::Probes | Lane::Inventory => line!(debug),
        }
    }
}

#[cfg(test)]
mod tests;
