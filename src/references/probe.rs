//! What the handler finds about one reference with its own identity: on Azure without reading a
//! value, elsewhere by resolving the reference, since nobody else does.
//!
//! Callers share one attempt, and what it finds stands for a while. So does a comparison of the
//! value in use with the vault's, and the time when the secret expires.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use secrecy::SecretString;
use time::OffsetDateTime;
use tokio::time::{Instant, timeout_at};

use super::{app_settings::AppSetting, syntax::Reference};
use crate::{
    diagnosis::{Cause, Facts, PathReport},
    key_vault::{
        Error, Metadata, NetworkPath, ObjectId, ObjectKind, ObjectName, SingleFlight, Vault,
        VaultUrl, Vaults,
    },
};

/// How long a finding stands before the reference is tried, or its value compared, again.
const FINDING_LIFE: Duration = Duration::from_secs(10);
/// The same for one that could not be tried: the instance had no request left for it.
const UNTRIED_LIFE: Duration = Duration::from_secs(1);
/// The time that the instance's budget for probes has for one reference: three requests of the 200
/// in 10 s.
const PACE: Duration = Duration::from_millis(150);

/// Who resolves references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolves {
    /// The platform did, before the process started. The handler only explains.
    Platform,
    /// Nobody but the handler.
    Handler,
}

/// What a vault says about the end of a secret's version.
#[derive(Debug, Clone)]
pub(super) struct Expiry {
    /// When; never, if `None`.
    pub(super) expires: Option<OffsetDateTime>,
    /// A certificate's life cycle owns it.
    pub(super) is_certificates: bool,
    pub(super) is_disabled: bool,
    /// The reference with a newer version, which there is and which can be used.
    pub(super) newer: Option<String>,
}

/// A setting with a well-formed reference, and what was found out about it.
pub(super) struct Probe {
    pub(super) setting: AppSetting,
    pub(super) reference: Reference,
    resolves: Resolves,
    vaults: Arc<Vaults>,
    finding: SingleFlight<Result<Facts, Cause>>,
    comparison: SingleFlight<Result<bool, Cause>>,
    expiry: SingleFlight<Result<Expiry, Cause>>,
    /// The code of the latest finding that was written.
    written: Mutex<Option<&'static str>>,
}

impl Probe {
    /// Of one of `all` settings.
    pub(super) fn new(
        setting: AppSetting,
        reference: Reference,
        resolves: Resolves,
        vaults: Arc<Vaults>,
        all: usize,
    ) -> Self {
        Self {
            setting,
            reference,
            resolves,
            vaults,
            finding: SingleFlight::new(life(all)),
            comparison: SingleFlight::new(life(all)),
            expiry: SingleFlight::new(life(all)),
            written: Mutex::default(),
        }
    }

    /// What is odd about the secret, or why it cannot be read: tried now or lately.
    pub(super) async fn finding(self: &Arc<Self>, deadline: Instant) -> Result<Facts, Cause> {
        let attempt = self.finding.get(|| self.clone().attempt());
        self.by(deadline, attempt).await
    }

    /// Whether the value in use is the vault's: compared now or lately.
    pub(super) async fn comparison(self: &Arc<Self>, deadline: Instant) -> Result<bool, Cause> {
        let comparison = self.comparison.get(|| self.clone().compare());
        self.by(deadline, comparison).await
    }

    /// When the secret expires: read now or lately, without its value.
    pub(super) async fn expiry(self: &Arc<Self>, deadline: Instant) -> Result<Expiry, Cause> {
        let expiry = self.expiry.get(|| self.clone().read_expiry());
        self.by(deadline, expiry).await
    }

    /// Which path requests to the vault take: probed now or lately, or as much as is known by then.
    pub(super) async fn path(&self, deadline: Instant) -> Option<PathReport> {
        let vault = &self.reference.vault;
        let probe = async {
            let vault = self.vaults.open(vault).await.ok()?;
            Some(vault.probed_path().await)
        };
        let (path, error) = match timeout_at(deadline, probe).await {
            Ok(probed) => probed?,
            Err(_) => {
                let known = self.vaults.known_path(vault)?;
                (NetworkPath::clone(&known), Some(Error::TimedOut))
            }
        };
        // Whoever holds a function key sees it.
        Some(PathReport::new(&path, error.as_ref(), false))
    }

    async fn by<T>(
        &self,
        deadline: Instant,
        found: impl Future<Output = Option<Result<T, Cause>>>,
    ) -> Result<T, Cause> {
        match timeout_at(deadline, found).await {
            Ok(Some(found)) => found,
            // It panicked.
            Ok(None) => Err(Error::UnexpectedAnswer.into()),
            Err(_) => {
                let path = self.vaults.known_path(&self.reference.vault);
                Err(Cause::failed(Error::TimedOut, path))
            }
        }
    }

    async fn attempt(self: Arc<Self>) -> Result<Facts, Cause> {
        let found = match self.resolves {
            Resolves::Handler => self.resolve().await,
            Resolves::Platform => self.facts().await,
        };
        let found = self.with_path(found).await;
        self.write(&found);
        found
    }

    /// Writes a line, unless one with the same code was the last.
    fn write(&self, found: &Result<Facts, Cause>) {
        if is_untried(found) {
            // It says nothing about the reference, and comes and goes.
            return;
        }
        let code = found.as_ref().map_or_else(Cause::code, |_| "Readable");
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.replace(code) == Some(code) {
            return;
        }
        let setting = self.setting.name();
        if self.setting.is_in_effect() {
            tracing::info!(setting, "Key Vault reference resolved");
        } else {
            tracing::warn!(setting, code, "Key Vault reference not resolved");
        }
    }

    async fn resolve(&self) -> Result<Facts, Cause> {
        self.setting.resolve(&self.value().await?);
        Ok(Facts::default())
    }

    async fn compare(self: Arc<Self>) -> Result<bool, Cause> {
        // The value ends, wiped, with this line; only its digest is compared.
        let compared = self.value().await.map(|value| self.setting.holds(&value));
        self.with_path(compared).await
    }

    async fn read_expiry(self: Arc<Self>) -> Result<Expiry, Cause> {
        let read = self.expiry_of_secret().await;
        self.with_path(read).await
    }

    async fn with_path<T>(&self, found: Result<T, Cause>) -> Result<T, Cause> {
        with_path(&self.vaults, &self.reference.vault, found).await
    }

    async fn expiry_of_secret(&self) -> Result<Expiry, Cause> {
        let (vault, secret) = self.open().await?;
        match vault.probed_metadata(&secret).await {
            Err(Error::NotFound(_)) => Err(missing(&vault, &secret.name).await),
            metadata => {
                let metadata = metadata?;
                Ok(Expiry {
                    expires: metadata.expires,
                    is_certificates: metadata.managed,
                    is_disabled: metadata.enabled == Some(false),
                    newer: newer(&vault, &self.reference, &metadata).await,
                })
            }
        }
    }

    async fn value(&self) -> Result<SecretString, Cause> {
        let (vault, secret) = self.open().await?;
        match vault.value(&secret.name, secret.version.as_ref()).await {
            Err(Error::NotFound(_)) => Err(missing(&vault, &secret.name).await),
            value => Ok(value?),
        }
    }

    async fn facts(&self) -> Result<Facts, Cause> {
        facts(&self.vaults, &self.reference).await
    }

    async fn open(&self) -> Result<(Arc<Vault>, ObjectId), Error> {
        open(&self.vaults, &self.reference).await
    }
}

async fn open(vaults: &Vaults, reference: &Reference) -> Result<(Arc<Vault>, ObjectId), Error> {
    let secret = reference.secret();
    let secret = secret.map_err(|_| Error::VersionNotFound(ObjectKind::Secret))?;
    Ok((vaults.open(&reference.vault).await?, secret))
}

/// Whether the secret behind `reference` is there and may be read, without its value.
pub(super) async fn facts(vaults: &Vaults, reference: &Reference) -> Result<Facts, Cause> {
    let (vault, secret) = open(vaults, reference).await?;
    vault.may_get(&secret.name).await?;
    let metadata = match vault.probed_metadata(&secret).await {
        Err(Error::AccessDenied(_)) => return Err(Cause::MayNotList),
        // What has so many versions is there, and the latest one can be got.
        Err(Error::TooManyVersions) if secret.version.is_none() => return Ok(Facts::default()),
        Err(Error::NotFound(_)) => return Err(missing(&vault, &secret.name).await),
        metadata => metadata?,
    };
    Ok(Facts {
        is_disabled: metadata.enabled == Some(false),
        is_certificates: metadata.managed,
        expires: metadata.expires,
        not_before: metadata.not_before,
    })
}

/// `reference` with the version that it could be pinned to instead of `pinned`, which it is pinned
/// to, if there is one that can be used for longer.
pub(crate) async fn newer(
    vault: &Vault,
    reference: &Reference,
    pinned: &Metadata,
) -> Option<String> {
    let secret = reference.secret().ok()?;
    let version = secret.version.clone()?;
    let latest = ObjectId {
        version: None,
        ..secret
    };
    let latest = vault.probed_metadata(&latest).await.ok()?;
    let newest = latest.version.clone().filter(|newest| *newest != version)?;
    latest
        .outlives(pinned.expires)
        .then(|| reference.at_version(&newest).to_string())
}

/// A missing secret may only be deleted.
async fn missing(vault: &Vault, name: &ObjectName) -> Cause {
    if vault.is_deleted(name).await {
        Cause::Deleted
    } else {
        Cause::Failed(Error::NotFound(ObjectKind::Secret))
    }
}

/// For how long a result stands. The more settings there are, the longer: otherwise the first
/// ones would be tried again before the budget reaches the last.
fn life<T>(all: usize) -> impl Fn(&Result<T, Cause>) -> Duration {
    let life = FINDING_LIFE.max(PACE * u32::try_from(all).unwrap_or(u32::MAX));
    move |found| {
        if is_untried(found) {
            UNTRIED_LIFE
        } else {
            life
        }
    }
}

/// Whether the instance had no request left for it.
fn is_untried<T>(found: &Result<T, Cause>) -> bool {
    let error = found.as_ref().err().and_then(Cause::error);
    matches!(error, Some(Error::BudgetSpent { .. }))
}

/// Adds the path to `vault` to what failed, if that may be why.
pub(super) async fn with_path<T>(
    vaults: &Vaults,
    vault: &VaultUrl,
    found: Result<T, Cause>,
) -> Result<T, Cause> {
    let Err(Cause::Failed(error)) = found else {
        return found;
    };
    let path = vaults.path_of(vault, &error).await;
    Err(Cause::failed(error, path))
}
