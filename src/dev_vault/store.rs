//! The secrets, keys and certificates with their versions.

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use time::OffsetDateTime;

use super::{
    certificates::CertificateError,
    events::{NewVersion, Queue},
    life::{Life, Stage},
    objects::{Certificate, Collection, Key, NewCertificate, NewKey},
    secrets::{Attributes, Change, Deleted, NewSecret, Version, random_hex},
    versions::{Named, key},
};
use crate::key_vault::ObjectKind;

/// Backups that can be restored; the oldest goes first.
const BACKUPS_KEPT: usize = 100;

/// Every object of a vault, oldest version first.
#[derive(Debug, Default)]
pub struct Store {
    contents: Mutex<Contents>,
}

#[derive(Debug, Default)]
struct Contents {
    /// By name in lower case.
    secrets: BTreeMap<String, Secret>,
    keys: Collection<Key>,
    certificates: Collection<Certificate>,
    /// With the names that were given out for them, oldest first.
    backups: VecDeque<(String, Secret)>,
    /// How long it takes to delete, recover or purge a secret.
    deletion_takes: Duration,
    /// Who is told of new versions, if anybody.
    told: Weak<Queue>,
}

#[derive(Debug, Clone)]
struct Secret {
    known: Named<Version>,
    life: Life,
}

impl Store {
    /// From now on it takes so long to delete, recover or purge a secret.
    pub(super) fn take_time(&self, deletion: Duration) {
        self.lock().deletion_takes = deletion;
    }

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
        let version = Version::new(id.clone(), new, at, false);
        self.lock().push(name, version)?;
        Ok(id)
    }

    /// Adds a version of a key and returns its id.
    ///
    /// # Errors
    ///
    /// The operating system has no randomness to give.
    pub fn add_key(
        &self,
        name: &str,
        new: NewKey,
        at: OffsetDateTime,
    ) -> Result<String, CertificateError> {
        let version = Key::make(new, at)?;
        let id = version.id.clone();
        let mut contents = self.lock();
        contents.tell(ObjectKind::Key, name, &id, version.attributes)?;
        contents.keys.push(name, version);
        Ok(id)
    }

    /// Adds a version of a certificate, with the key and the secret of the same name, and returns
    /// its id.
    ///
    /// # Errors
    ///
    /// A DNS name that is none, or the operating system has no randomness to give.
    pub fn add_certificate(
        &self,
        name: &str,
        new: NewCertificate,
        at: OffsetDateTime,
    ) -> Result<String, CertificateError> {
        let (certificate, key, secret) = Certificate::make(new, at)?;
        let id = certificate.id.clone();
        let mut contents = self.lock();
        let attributes = certificate.attributes;
        contents.tell(ObjectKind::Certificate, name, &id, attributes)?;
        contents.tell(ObjectKind::Key, name, &id, attributes)?;
        contents.push(name, Version::new(id.clone(), secret, at, true))?;
        contents.keys.push(name, key);
        contents.certificates.push(name, certificate);
        Ok(id)
    }

    /// Tells `queue` of every version that is made from now on, as long as it is there.
    pub(super) fn tell(&self, queue: &Arc<Queue>) {
        self.lock().told = Arc::downgrade(queue);
    }

    /// What `read` finds in the keys.
    pub(super) fn keys<T>(&self, read: impl FnOnce(&Collection<Key>) -> T) -> T {
        read(&self.lock().keys)
    }

    /// What `read` finds in the certificates.
    pub(super) fn certificates<T>(&self, read: impl FnOnce(&Collection<Certificate>) -> T) -> T {
        read(&self.lock().certificates)
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
        change.apply(secret.known.get_mut(version)?);
        secret.known.get(version)
    }

    /// What has become of a secret.
    pub(super) fn stage(&self, name: &str) -> Stage {
        let contents = self.lock();
        let secret = contents.secrets.get(&key(name));
        secret.map_or(Stage::Absent, |secret| secret.life.stage())
    }

    /// Deletes a secret with all its versions; it can be recovered. False if there is none.
    pub fn delete(&self, name: &str) -> bool {
        self.take(name).is_some()
    }

    /// The same, with what was deleted.
    pub(super) fn take(&self, name: &str) -> Option<Deleted> {
        let mut contents = self.lock();
        let takes = contents.deletion_takes;
        let secret = contents.alive_mut(name)?;
        secret.life.delete(now(), takes);
        secret.as_deleted()
    }

    /// A secret that is deleted.
    pub(super) fn deleted(&self, name: &str) -> Option<Deleted> {
        let contents = self.lock();
        let secret = contents.secrets.get(&key(name));
        secret
            .filter(|secret| secret.is(Stage::Deleted))?
            .as_deleted()
    }

    /// Every secret that is deleted.
    pub(super) fn all_deleted(&self) -> Vec<Deleted> {
        let contents = self.lock();
        let secrets = contents.secrets.values();
        let deleted = secrets.filter(|secret| secret.is(Stage::Deleted));
        deleted.filter_map(Secret::as_deleted).collect()
    }

    /// Takes a deletion back, and returns the latest version. Nothing if it is not deleted.
    pub(super) fn recover(&self, name: &str) -> Option<(String, Version)> {
        let mut contents = self.lock();
        let takes = contents.deletion_takes;
        let secret = contents.secrets.get_mut(&key(name));
        let secret = secret.filter(|secret| secret.is(Stage::Deleted))?;
        secret.life.begin(Stage::BeingRecovered, takes);
        secret.known.get(None)
    }

    /// Forgets a deleted secret for good. False if there is none.
    pub(super) fn purge(&self, name: &str) -> bool {
        let mut contents = self.lock();
        let takes = contents.deletion_takes;
        let secret = contents.secrets.get_mut(&key(name));
        let Some(secret) = secret.filter(|secret| secret.is(Stage::Deleted)) else {
            return false;
        };
        secret.life.begin(Stage::BeingPurged, takes);
        // At once if it takes no time, else with the next one.
        let secrets = &mut contents.secrets;
        secrets.retain(|_, secret| !secret.is(Stage::Absent));
        true
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
        let name = secret.known.name.clone();
        match contents.entry(&name) {
            Entry::Occupied(_) => Restored::NameIsTaken(name),
            Entry::Vacant(free) => {
                free.insert(secret);
                Restored::Done(name)
            }
        }
    }

    /// The secret's name and one version, the latest if `version` is `None`.
    pub(super) fn get(&self, name: &str, version: Option<&str>) -> Option<(String, Version)> {
        self.lock().alive(name)?.known.get(version)
    }

    /// Every version of one secret with the secret's name, by id as the service lists them;
    /// empty if there is none.
    pub(super) fn versions(&self, name: &str) -> Vec<(String, Version)> {
        let contents = self.lock();
        let secret = contents.alive(name);
        secret.map(|one| one.known.versions()).unwrap_or_default()
    }

    /// The latest version of every secret with the secret's name.
    pub(super) fn latest(&self) -> Vec<(String, Version)> {
        let contents = self.lock();
        let secrets = contents.secrets.values();
        let alive = secrets.filter(|secret| secret.is(Stage::Alive));
        alive.filter_map(|secret| secret.known.get(None)).collect()
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
    /// The place of a secret, where none is that has been purged.
    fn entry(&mut self, name: &str) -> Entry<'_, String, Secret> {
        let key = key(name);
        if let Some(secret) = self.secrets.get(&key)
            && secret.is(Stage::Absent)
        {
            self.secrets.remove(&key);
        }
        self.secrets.entry(key)
    }

    fn push(&mut self, name: &str, version: Version) -> Result<(), getrandom::Error> {
        self.tell(ObjectKind::Secret, name, &version.id, version.attributes)?;
        let secret = self.entry(name).or_insert_with(|| Secret {
            known: Named::new(name),
            life: Life::new(),
        });
        secret.known.push(version);
        Ok(())
    }

    /// Tells of a version that is about to be there. Its object is called as it was first spelt.
    fn tell(
        &self,
        kind: ObjectKind,
        name: &str,
        version: &str,
        attributes: Attributes,
    ) -> Result<(), getrandom::Error> {
        let Some(queue) = self.told.upgrade() else {
            return Ok(());
        };
        let known = match kind {
            ObjectKind::Secret => {
                let known = self.secrets.get(&key(name));
                let known = known.filter(|known| !known.is(Stage::Absent));
                known.map(|one| &one.known.name)
            }
            ObjectKind::Key => self.keys.name(name),
            ObjectKind::Certificate => self.certificates.name(name),
        };
        queue.add(NewVersion {
            kind,
            name: known.map_or(name, String::as_str),
            version,
            attributes,
        })
    }

    fn alive(&self, name: &str) -> Option<&Secret> {
        let secret = self.secrets.get(&key(name));
        secret.filter(|secret| secret.is(Stage::Alive))
    }

    fn alive_mut(&mut self, name: &str) -> Option<&mut Secret> {
        let secret = self.secrets.get_mut(&key(name));
        secret.filter(|secret| secret.is(Stage::Alive))
    }
}

impl Secret {
    fn is(&self, stage: Stage) -> bool {
        self.life.stage() == stage
    }

    fn as_deleted(&self) -> Option<Deleted> {
        let at = self.life.deleted;
        let (name, latest) = self.known.get(None)?;
        Some(Deleted { name, latest, at })
    }
}

/// In Unix seconds.
fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}
