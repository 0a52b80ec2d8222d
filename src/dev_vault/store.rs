//! The secrets and their versions.

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// Backups that can be restored; the oldest goes first.
const BACKUPS_KEPT: usize = 100;

/// Every secret of a vault, oldest version first.
#[derive(Debug, Default)]
pub struct Store {
    contents: Mutex<Contents>,
}

#[derive(Debug, Default)]
struct Contents {
    /// By name in lower case.
    secrets: BTreeMap<String, Secret>,
    /// With the names that were given out for them, oldest first.
    backups: VecDeque<(String, Secret)>,
}

#[derive(Debug, Clone)]
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

/// The body of an update request. What is absent stays as it is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    pub(super) content_type: Option<String>,
    pub(super) tags: Option<BTreeMap<String, String>>,
    #[serde(default)]
    attributes: AttributesChange,
}

#[derive(Debug, Default, Deserialize)]
struct AttributesChange {
    enabled: Option<bool>,
    nbf: Option<i64>,
    exp: Option<i64>,
}

impl Change {
    fn apply(self, version: &mut Version) {
        let Self {
            content_type,
            tags,
            attributes,
        } = self;
        version.content_type = content_type.or(version.content_type.take());
        if let Some(tags) = tags {
            version.tags = tags;
        }
        let own = &mut version.attributes;
        own.enabled = attributes.enabled.unwrap_or(own.enabled);
        own.nbf = attributes.nbf.or(own.nbf);
        own.exp = attributes.exp.or(own.exp);
        version.updated = now();
    }
}

/// A secret that is deleted and can be recovered.
pub(super) struct Deleted {
    pub(super) name: String,
    pub(super) latest: Version,
    /// In Unix seconds.
    pub(super) at: i64,
}

impl Store {
    /// Adds a version and returns its id, 32 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// The operating system has no randomness to give.
    pub fn set(&self, name: &str, new: NewSecret) -> Result<String, getrandom::Error> {
        self.set_at(name, new, OffsetDateTime::now_utc())
    }

    /// Like [`Store::set`], at another time. Tests use it.
    ///
    /// # Errors
    ///
    /// As [`Store::set`].
    pub fn set_at(
        &self,
        name: &str,
        new: NewSecret,
        at: OffsetDateTime,
    ) -> Result<String, getrandom::Error> {
        let id = random_hex()?;
        let at = at.unix_timestamp();
        let version = Version {
            id: id.clone(),
            value: new.value,
            content_type: new.content_type,
            tags: new.tags,
            attributes: new.attributes,
            created: at,
            updated: at,
        };
        self.lock()
            .secrets
            .entry(key(name))
            .or_insert_with(|| Secret {
                name: name.to_owned(),
                versions: Vec::new(),
                deleted: None,
            })
            .versions
            .push(version);
        Ok(id)
    }

    /// Changes what is not the value of one version, the latest if `version` is `None`.
    pub(super) fn update(
        &self,
        name: &str,
        version: Option<&str>,
        change: Change,
    ) -> Option<(String, Version)> {
        let mut contents = self.lock();
        let secret = contents.alive_mut(name)?;
        let index = secret.index(version)?;
        let found = secret.versions.get_mut(index)?;
        change.apply(found);
        Some((secret.name.clone(), found.clone()))
    }

    /// Deletes a secret with all its versions; it can be recovered. False if there is none.
    pub fn delete(&self, name: &str) -> bool {
        let mut contents = self.lock();
        let secret = contents.alive_mut(name);
        secret.map(|secret| secret.deleted = Some(now())).is_some()
    }

    /// A secret that is deleted.
    pub(super) fn deleted(&self, name: &str) -> Option<Deleted> {
        self.lock().secrets.get(&key(name))?.as_deleted()
    }

    /// Every secret that is deleted.
    pub(super) fn all_deleted(&self) -> Vec<Deleted> {
        let contents = self.lock();
        let secrets = contents.secrets.values();
        secrets.filter_map(Secret::as_deleted).collect()
    }

    /// Takes a deletion back. False if there is none.
    pub(super) fn recover(&self, name: &str) -> bool {
        let mut contents = self.lock();
        let secret = contents.secrets.get_mut(&key(name));
        secret.is_some_and(|secret| secret.deleted.take().is_some())
    }

    /// Forgets a deleted secret for good. False if there is none.
    pub(super) fn purge(&self, name: &str) -> bool {
        let mut contents = self.lock();
        let key = key(name);
        let is_deleted = contents
            .secrets
            .get(&key)
            .is_some_and(|secret| secret.deleted.is_some());
        is_deleted && contents.secrets.remove(&key).is_some()
    }

    /// Keeps a copy of a secret with all its versions, and returns what to ask for it with.
    ///
    /// The service puts the encrypted secret into what it returns. Nothing is encrypted here,
    /// so nothing of the secret leaves.
    ///
    /// # Errors
    ///
    /// The operating system has no randomness to give.
    pub(super) fn back_up(&self, name: &str) -> Result<Option<String>, getrandom::Error> {
        let ticket = random_hex()?;
        let mut contents = self.lock();
        let Some(secret) = contents.alive(name).cloned() else {
            return Ok(None);
        };
        if contents.backups.len() == BACKUPS_KEPT {
            contents.backups.pop_front();
        }
        contents.backups.push_back((ticket.clone(), secret));
        Ok(Some(ticket))
    }

    /// Puts a copy back under its name, which must be free.
    pub(super) fn restore(&self, ticket: &str) -> Restored {
        let mut contents = self.lock();
        let backups = contents.backups.iter();
        let Some((_, secret)) = backups.rev().find(|(given, _)| given == ticket).cloned() else {
            return Restored::NoSuchBackup;
        };
        let name = secret.name.clone();
        match contents.secrets.entry(key(&name)) {
            Entry::Occupied(_) => Restored::NameIsTaken(name),
            Entry::Vacant(free) => {
                free.insert(secret);
                Restored::Done(name)
            }
        }
    }

    /// The secret's name and one version, the latest if `version` is `None`.
    pub(super) fn get(&self, name: &str, version: Option<&str>) -> Option<(String, Version)> {
        let contents = self.lock();
        let secret = contents.alive(name)?;
        let found = secret.versions.get(secret.index(version)?)?;
        Some((secret.name.clone(), found.clone()))
    }

    /// Every version of one secret with the secret's name, by id as the service lists them;
    /// empty if there is none.
    pub(super) fn versions(&self, name: &str) -> Vec<(String, Version)> {
        let contents = self.lock();
        let Some(secret) = contents.alive(name) else {
            return Vec::new();
        };
        let mut versions: Vec<_> = secret.versions.iter().collect();
        versions.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let with_name = |version: &Version| (secret.name.clone(), version.clone());
        versions.into_iter().map(with_name).collect()
    }

    /// The latest version of every secret with the secret's name.
    pub(super) fn latest(&self) -> Vec<(String, Version)> {
        let contents = self.lock();
        let latest = |secret: &Secret| Some((secret.name.clone(), secret.versions.last()?.clone()));
        let secrets = contents.secrets.values();
        let alive = secrets.filter(|secret| secret.is_alive());
        alive.filter_map(latest).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of a restore.
pub(super) enum Restored {
    /// The secret of this name is back.
    Done(String),
    /// There is a secret of this name, deleted perhaps.
    NameIsTaken(String),
    /// Never given out, or too long ago.
    NoSuchBackup,
}

impl Contents {
    fn alive(&self, name: &str) -> Option<&Secret> {
        let secret = self.secrets.get(&key(name));
        secret.filter(|secret| secret.is_alive())
    }

    fn alive_mut(&mut self, name: &str) -> Option<&mut Secret> {
        let secret = self.secrets.get_mut(&key(name));
        secret.filter(|secret| secret.is_alive())
    }
}

impl Secret {
    fn is_alive(&self) -> bool {
        self.deleted.is_none()
    }

    /// Where a version is in the list, the latest if `version` is `None`.
    fn index(&self, version: Option<&str>) -> Option<usize> {
        let Some(version) = version else {
            return self.versions.len().checked_sub(1);
        };
        let mut versions = self.versions.iter();
        versions.position(|known| known.id.eq_ignore_ascii_case(version))
    }

    fn as_deleted(&self) -> Option<Deleted> {
        Some(Deleted {
            name: self.name.clone(),
            latest: self.versions.last()?.clone(),
            at: self.deleted?,
        })
    }
}

/// Look-ups ignore the case of a name.
fn key(name: &str) -> String {
    name.to_ascii_lowercase()
}

/// In Unix seconds.
fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

/// 128 random bits in lower-case hexadecimal.
pub(super) fn random_hex() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
