//! The secrets and their versions.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Every secret of a vault, oldest version first.
#[derive(Debug, Default)]
pub struct Store {
    secrets: Mutex<BTreeMap<String, Secret>>,
}

#[derive(Debug)]
struct Secret {
    /// As it was first spelt; look-ups ignore the case.
    name: String,
    versions: Vec<Version>,
    /// When it was deleted, in Unix seconds.
    deleted: Option<i64>,
}

/// One version of a secret.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) id: String,
    pub(super) value: SecretString,
    pub(super) content_type: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) attributes: Attributes,
    pub(super) created: i64,
    pub(super) updated: i64,
}

/// The part of a version's attributes that its owner sets. Times in Unix seconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Attributes {
    /// Whether the value can be read.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Informational only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Informational only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
}

fn yes() -> bool {
    true
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            enabled: true,
            nbf: None,
            exp: None,
        }
    }
}

/// The body of a set request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewSecret {
    /// What is kept secret.
    pub value: SecretString,
    /// What the owner says the value is.
    #[serde(default)]
    pub content_type: Option<String>,
    /// The owner's own labels.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// Enabled unless said otherwise.
    #[serde(default)]
    pub attributes: Attributes,
}

impl NewSecret {
    /// A secret with nothing but its value.
    #[must_use]
    pub fn of(value: &str) -> Self {
        Self {
            value: value.to_owned().into(),
            content_type: None,
            tags: BTreeMap::new(),
            attributes: Attributes::default(),
        }
    }
}

impl fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSecret").finish_non_exhaustive()
    }
}

impl Store {
    /// Adds a version and returns its id, 32 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// The operating system has no randomness to give.
    pub fn set(&self, name: &str, new: NewSecret) -> Result<String, getrandom::Error> {
        let id = random_hex()?;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        let version = Version {
            id: id.clone(),
            value: new.value,
            content_type: new.content_type,
            tags: new.tags,
            attributes: new.attributes,
            created: now,
            updated: now,
        };
        self.lock()
            .entry(name.to_ascii_lowercase())
            .or_insert_with(|| Secret {
                name: name.to_owned(),
                versions: Vec::new(),
                deleted: None,
            })
            .versions
            .push(version);
        Ok(id)
    }

    /// Deletes a secret with all its versions; it can be recovered.
    pub fn delete(&self, name: &str) {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        if let Some(secret) = self.lock().get_mut(&name.to_ascii_lowercase()) {
            secret.deleted = Some(now);
        }
    }

    /// The name, latest version and time of deletion of a secret that is deleted.
    pub(super) fn deleted(&self, name: &str) -> Option<(String, Version, i64)> {
        let secrets = self.lock();
        let secret = secrets.get(&name.to_ascii_lowercase())?;
        Some((
            secret.name.clone(),
            secret.versions.last()?.clone(),
            secret.deleted?,
        ))
    }

    /// The secret's name and one version, the latest if `version` is `None`.
    pub(super) fn get(&self, name: &str, version: Option<&str>) -> Option<(String, Version)> {
        let secrets = self.lock();
        let secret = alive(secrets.get(&name.to_ascii_lowercase()))?;
        let found = match version {
            Some(version) => secret
                .versions
                .iter()
                .find(|v| v.id.eq_ignore_ascii_case(version)),
            None => secret.versions.last(),
        };
        Some((secret.name.clone(), found?.clone()))
    }

    /// Every version of one secret with the secret's name; empty if there is none.
    pub(super) fn versions(&self, name: &str) -> Vec<(String, Version)> {
        let secrets = self.lock();
        let secret = alive(secrets.get(&name.to_ascii_lowercase()));
        let with_name = |secret: &Secret| {
            let versions = secret.versions.iter();
            versions.map(|v| (secret.name.clone(), v.clone())).collect()
        };
        secret.map(with_name).unwrap_or_default()
    }

    /// The latest version of every secret with the secret's name.
    pub(super) fn latest(&self) -> Vec<(String, Version)> {
        let secrets = self.lock();
        let latest = |secret: &Secret| Some((secret.name.clone(), secret.versions.last()?.clone()));
        let alive = secrets.values().filter_map(|secret| alive(Some(secret)));
        alive.filter_map(latest).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Secret>> {
        self.secrets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn alive(secret: Option<&Secret>) -> Option<&Secret> {
    secret.filter(|secret| secret.deleted.is_none())
}

/// 128 random bits in lower-case hexadecimal.
pub(super) fn random_hex() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
