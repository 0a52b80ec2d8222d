//! App settings as a function sees them.
//!
//! On Azure the platform has put every reference into effect before the process starts, and
//! a value that still is a reference was not resolved. Outside Azure nobody does that, so
//! the handler does: each reference is read once, and tried again from time to time while
//! it fails.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::future::join_all;
use secrecy::{ExposeSecret, SecretString};
use tokio::{sync::Mutex, time::Instant};

use super::syntax::{Reference, is_reference};
use crate::key_vault::{Error, Vaults};

/// Pause between two attempts to resolve what did not resolve.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// The app settings that functions look at, by name.
pub struct AppSettings {
    settings: Vec<AppSetting>,
    resolver: Option<Resolver>,
}

/// One app setting.
pub struct AppSetting {
    name: String,
    given: SecretString,
    resolved: OnceLock<SecretString>,
}

struct Resolver {
    vaults: Arc<Vaults>,
    last_attempt: Mutex<Option<Instant>>,
}

/// What a function may know of a setting's value.
#[derive(Debug)]
pub enum SettingState<'a> {
    /// Not there, or empty.
    NotSet,
    /// Still a reference: nobody put a secret in its place.
    Unresolved,
    /// A value, whether it came from a vault or not.
    Set(&'a SecretString),
}

impl AppSetting {
    /// A setting as it stands in the environment.
    #[must_use]
    pub fn new(name: impl Into<String>, given: SecretString) -> Self {
        Self {
            name: name.into(),
            given,
            resolved: OnceLock::new(),
        }
    }

    fn state(&self) -> SettingState<'_> {
        if let Some(value) = self.resolved.get() {
            return state_of(value);
        }
        if is_reference(self.given.expose_secret()) {
            return SettingState::Unresolved;
        }
        state_of(&self.given)
    }
}

fn state_of(value: &SecretString) -> SettingState<'_> {
    if value.expose_secret().is_empty() {
        SettingState::NotSet
    } else {
        SettingState::Set(value)
    }
}

impl AppSettings {
    /// `resolve_with` are the vaults to read where the platform does not resolve references.
    #[must_use]
    pub fn new(settings: Vec<AppSetting>, resolve_with: Option<Arc<Vaults>>) -> Self {
        Self {
            settings,
            resolver: resolve_with.map(|vaults| Resolver {
                vaults,
                last_attempt: Mutex::default(),
            }),
        }
    }

    /// The state of the setting called `name`, after references had their chance.
    pub async fn state(&self, name: &str) -> SettingState<'_> {
        self.settle().await;
        self.settings
            .iter()
            .find(|setting| setting.name == name)
            .map_or(SettingState::NotSet, AppSetting::state)
    }

    /// Tries what is not resolved yet, all at once, one attempt for all who wait.
    async fn settle(&self) {
        let Some(resolver) = &self.resolver else {
            return;
        };
        let is_settled =
            |setting: &&AppSetting| matches!(setting.state(), SettingState::Unresolved);
        if self.settings.iter().find(is_settled).is_none() {
            return;
        }
        let mut last_attempt = resolver.last_attempt.lock().await;
        if last_attempt.is_some_and(|last| last.elapsed() < RETRY_AFTER) {
            return;
        }
        let unresolved = self.settings.iter().filter(is_settled);
        join_all(unresolved.map(|setting| resolver.resolve(setting))).await;
        *last_attempt = Some(Instant::now());
    }
}

impl Resolver {
    async fn resolve(&self, setting: &AppSetting) {
        let name = setting.name.as_str();
        let reference = match Reference::parse(setting.given.expose_secret()) {
            Ok(reference) => reference,
            Err(error) => {
                tracing::warn!(setting = name, %error, "not a Key Vault reference");
                return;
            }
        };
        match self.value(&reference).await {
            Ok(value) => {
                tracing::info!(setting = name, "Key Vault reference resolved");
                let _ = setting.resolved.set(value);
            }
            Err(error) => {
                tracing::warn!(setting = name, %error, "Key Vault reference not resolved");
            }
        }
    }

    async fn value(&self, reference: &Reference) -> Result<SecretString, Error> {
        let vault = reference.vault().map_err(|_| Error::VaultNotFound)?;
        let secret = reference
            .secret()
            .map_err(|_| Error::SecretVersionNotFound)?;
        self.vaults.open(&vault).await?.value(&secret).await
    }
}

impl fmt::Debug for AppSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.settings).finish()
    }
}

impl fmt::Debug for AppSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AppSetting").field(&self.name).finish()
    }
}
