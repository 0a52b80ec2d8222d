//! One reading of all vaults: lists side by side, and the versions that references are pinned to.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::{
    StreamExt,
    future::{join, join_all},
    stream,
};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{
    metadata,
    snapshot::{Listing, Pinned, PinnedVersion, Snapshot},
};
use crate::{
    diagnosis::Cause,
    functions::{Shared, used::used},
    key_vault::{
        Error, Listed, ObjectId, ObjectKind, Vault, VaultUrl,
        limits::{LISTING_LIMIT, OBJECTS_LIMIT},
    },
};

/// Vaults that are listed at the same time, and secrets whose versions are read.
const AT_ONCE: usize = 4;

/// One reading of all vaults. Ends by itself.
pub(super) struct Reading {
    app: Arc<Shared>,
    so_far: Arc<Mutex<Snapshot>>,
    /// Objects that may still be kept.
    room: AtomicUsize,
    until: Instant,
}

impl Reading {
    /// One that puts what it finds into `so_far`, page by page.
    pub(super) fn new(app: Arc<Shared>, so_far: Arc<Mutex<Snapshot>>) -> Arc<Self> {
        Arc::new(Self {
            app,
            so_far,
            room: AtomicUsize::new(OBJECTS_LIMIT),
            until: Instant::now() + LISTING_LIMIT,
        })
    }

    pub(super) async fn run(self: Arc<Self>) -> Snapshot {
        let began = Instant::now();
        let vaults = self.app.listed_vaults();
        let as_of = OffsetDateTime::now_utc();
        let listing = |vault: &VaultUrl, kind| Listing {
            vault: vault.clone(),
            kind,
            objects: Vec::new(),
            as_of,
            lacks: Some(Cause::Listing),
        };
        let all = vaults.iter().flat_map(|vault| {
            let each = move |kind| listing(vault, kind);
            ObjectKind::ALL.map(each)
        });
        let secrets = self.pinned_secrets();
        let pinned = secrets.iter().flat_map(|secret| &secret.versions);
        *self.so_far() = Snapshot {
            listings: all.collect(),
            pinned: pinned.cloned().collect(),
        };
        let count = vaults.len();
        let vaults = stream::iter(vaults.into_iter().enumerate());
        let listed = vaults.for_each_concurrent(AT_ONCE, |(index, vault)| {
            let reading = self.clone();
            async move {
                let first = ObjectKind::ALL.len() * index;
                reading.list_vault(first, &vault).await;
            }
        });
        let pinned = stream::iter(secrets).for_each_concurrent(AT_ONCE, |secret| {
            let reading = self.clone();
            async move { reading.read_versions(&secret).await }
        });
        join(listed, pinned).await;
        let snapshot = self.so_far().clone();
        let objects: usize = snapshot.listings.iter().map(|one| one.objects.len()).sum();
        let incomplete = snapshot.listings.iter().filter(|one| one.lacks.is_some());
        let incomplete = incomplete.count();
        let elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(
            vaults = count,
            objects,
            incomplete,
            elapsed_ms,
            "vaults listed"
        );
        snapshot
    }

    fn so_far(&self) -> MutexGuard<'_, Snapshot> {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lists the kinds of one vault side by side, into the listings from `first` on.
    async fn list_vault(&self, first: usize, url: &VaultUrl) {
        let vault = self.app.vaults.open(url).await;
        let kinds = ObjectKind::ALL.iter().enumerate().map(|(offset, kind)| {
            let (index, vault) = (first + offset, &vault);
            async move {
                let listed = match vault {
                    Ok(vault) => self.list(index, vault, *kind).await,
                    Err(error) => Err(error.clone()),
                };
                let lacks = match listed {
                    Ok(()) => None,
                    Err(error) => Some(self.app.cause(url, error).await),
                };
                self.so_far().listings[index].lacks = lacks;
            }
        });
        join_all(kinds).await;
    }

    async fn list(&self, index: usize, vault: &Vault, kind: ObjectKind) -> Result<(), Error> {
        let found = |mut page: Vec<Listed>| {
            let room = self
                .room
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| {
                    Some(room.saturating_sub(page.len()))
                });
            let (Ok(room) | Err(room)) = room;
            let has_room = page.len() <= room;
            page.truncate(room);
            self.so_far().listings[index].objects.append(&mut page);
            has_room
        };
        vault.list(kind, self.until, found).await
    }

    /// The secrets of which a reference is pinned to a version, which no list of objects tells.
    fn pinned_secrets(&self) -> Vec<PinnedSecret> {
        let mut secrets: Vec<PinnedSecret> = Vec::new();
        for used in used(&self.app) {
            if used.id.version.is_none() {
                continue;
            }
            let latest = ObjectId {
                version: None,
                ..used.id.clone()
            };
            let version = Pinned {
                vault: used.vault.clone(),
                id: used.id,
                found: Err(Cause::Listing),
            };
            let mut known = secrets.iter_mut();
            let is_same =
                |one: &&mut PinnedSecret| one.vault == *used.vault && one.latest == latest;
            match known.find(is_same) {
                Some(secret) => secret.versions.push(version),
                None => secrets.push(PinnedSecret {
                    vault: used.vault.clone(),
                    latest,
                    versions: vec![version],
                }),
            }
        }
        secrets
    }

    async fn read_versions(&self, secret: &PinnedSecret) {
        let vault = self.app.vaults.open(&secret.vault).await;
        let latest = match &vault {
            Ok(vault) => metadata(vault, &secret.latest, self.until).await,
            Err(error) => Err(error.clone()),
        };
        for pinned in &secret.versions {
            let found = match (&vault, &latest) {
                (Err(error), _) => Err(error.clone()),
                (_, Ok(latest)) if latest.version == pinned.id.version => Ok(latest.clone()),
                (Ok(vault), _) => metadata(vault, &pinned.id, self.until).await,
            };
            let found = found.map(|version| PinnedVersion {
                enabled: version.enabled.unwrap_or(true),
                expires: version.expires,
                managed: version.managed,
                latest: latest
                    .as_ref()
                    .ok()
                    .and_then(|latest| latest.version.clone()),
                is_outlived: latest
                    .as_ref()
                    .is_ok_and(|latest| latest.outlives(version.expires)),
            });
            let found = match found {
                Ok(found) => Ok(found),
                Err(error) => Err(self.app.cause(&secret.vault, error).await),
            };
            let mut so_far = self.so_far();
            let mut all = so_far.pinned.iter_mut();
            if let Some(one) = all.find(|one| one.vault == pinned.vault && one.id == pinned.id) {
                one.found = found;
            }
        }
    }
}

/// A secret of which at least one reference is pinned to a version.
struct PinnedSecret {
    vault: VaultUrl,
    /// Without a version.
    latest: ObjectId,
    versions: Vec<Pinned>,
}
