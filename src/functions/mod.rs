//! One module per Azure Function, named like its folder at the root.
//!
//! To add a function: a folder with its `function.json`, a file here, two lines below, one that
//! declares the module and one that registers it, and its route in `docs/openapi.json`;
//! CONTRIBUTING.md shows it. A function takes plain requests and never learns which protocol mode
//! carried them.

mod certificates_metadata;
mod config_check;
mod expiring;
mod keys_metadata;
mod metadata;
mod page;
mod query;
mod refusal;
mod secrets_metadata;
mod used;
mod vault_events;

use std::{fmt, sync::Arc, time::Duration};

use self::used::{Secret, followers};
use crate::{
    diagnosis::{Cause, Surroundings},
    host::router::Functions,
    key_vault::{
        CachePolicy, Error, MetadataCache, MetadataSource, VaultUrl, Vaults, error::SettingError,
    },
    references::Inspector,
};

/// Every function's code under its folder's name.
#[must_use]
pub fn all() -> Functions<AppState> {
    Functions::new()
        .register("certificates-metadata", certificates_metadata::get)
        .register("config-check", config_check::get)
        .register("vault-events", vault_events::receive)
        .register("expiring", expiring::get)
        .register("keys-metadata", keys_metadata::get)
        .register("secrets-metadata", secrets_metadata::get)
        .front_page("config-check")
}

pub use config_check::{DATABASE_PASSWORD, EXTERNAL_API_KEY};
pub use query::parse_time;
pub use vault_events::Rotation;

/// How far ahead is looked where nobody says how far.
const MONTH: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What the functions share.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

struct Shared {
    references: Inspector,
    /// What `config-check` answers.
    reports: config_check::Reports,
    /// What the vaults have.
    snapshots: expiring::Snapshots,
    /// Or why there is none.
    described: Result<DescribedVault, Cause>,
    vaults: Arc<Vaults>,
    /// What is done when a secret has a new version.
    rotation: Rotation,
    /// What events tell of that expires.
    expiries: expiring::Heard,
    /// Settings of the handler that cannot be used.
    wrong: Vec<SettingError>,
}

/// The vault behind the functions that describe one object, with the answers about its objects.
struct DescribedVault {
    url: VaultUrl,
    answers: MetadataCache<Arc<metadata::Described>>,
}

/// How the vault of `KEY_VAULT_URL` is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct MetadataOptions {
    /// Which operation is used for secrets.
    pub source: MetadataSource,
    /// For how long answers are kept, and how many.
    pub cache: CachePolicy,
}

impl AppState {
    /// Functions over the app's `references` and the vault at `url`, or why there is none.
    /// `config-check` names the `wrong` settings.
    #[must_use]
    pub fn new(
        references: Inspector,
        vaults: Arc<Vaults>,
        url: Result<VaultUrl, Cause>,
        options: MetadataOptions,
        rotation: Rotation,
        wrong: Vec<SettingError>,
    ) -> Self {
        let described = url.map(|url| {
            let (vaults, vault) = (vaults.clone(), url.clone());
            let answers = MetadataCache::new(options.cache, move |id| {
                let (vaults, vault) = (vaults.clone(), vault.clone());
                async move {
                    let vault = vaults.open(&vault).await?;
                    let metadata = vault.metadata(&id, options.source).await?;
                    Ok(Arc::new(metadata::Described::new(metadata)))
                }
            });
            DescribedVault { url, answers }
        });
        let expiries = if rotation.is_on() {
            rotation.follow(followers(&references, &vaults).into_keys());
            let used = references.references();
            expiring::Heard::new(used.map(|(_, used)| Secret::of(used, &vaults)))
        } else {
            expiring::Heard::default()
        };
        Self(Arc::new(Shared {
            references,
            reports: config_check::Reports::new(),
            snapshots: expiring::Snapshots::new(options.cache),
            described,
            vaults,
            rotation,
            expiries,
            wrong,
        }))
    }

    /// Loads certificates, signs in and meets the vault's challenge before anybody waits for
    /// it. One read of a secret that need not exist; ends by itself.
    pub async fn warm_up(&self) {
        let Ok(described) = &self.0.described else {
            return;
        };
        let warm = async {
            let vault = self.0.vaults.open(&described.url).await?;
            vault.warm_up().await
        };
        match warm.await {
            Ok(()) => tracing::info!("Key Vault answers"),
            Err(cause) => tracing::warn!(%cause, "Key Vault does not answer yet"),
        }
    }
}

impl Shared {
    /// What may be told to who holds the master key: ids of identities and resources, too.
    fn seen_by_admins(&self) -> Surroundings {
        let surroundings = self.references.surroundings();
        surroundings.for_admins(self.vaults.principal())
    }

    /// Why the vault at `url` could not be read, with the path to it if that may be why.
    async fn cause(&self, url: &VaultUrl, error: Error) -> Cause {
        let path = self.vaults.path_of(url, &error).await;
        Cause::failed(error, path)
    }
}

impl fmt::Debug for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppState").finish_non_exhaustive()
    }
}
