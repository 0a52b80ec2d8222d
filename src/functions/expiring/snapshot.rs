//! What the vaults have, as it was a moment ago.

use std::collections::HashSet;

use time::OffsetDateTime;

use crate::{
    diagnosis::Cause,
    key_vault::{Error, Listed, ObjectId, ObjectKind, ObjectVersion, VaultUrl},
};

/// What a vault has of one kind.
#[derive(Debug, Clone)]
pub(super) struct Listing {
    /// Where it is read.
    pub(super) vault: VaultUrl,
    pub(super) kind: ObjectKind,
    pub(super) objects: Vec<Listed>,
    /// When reading began.
    pub(super) as_of: OffsetDateTime,
    /// Why there may be more.
    pub(super) lacks: Option<Cause>,
}

/// One version that a reference is pinned to.
#[derive(Debug, Clone)]
pub(super) struct Pinned {
    pub(super) vault: VaultUrl,
    /// A version of a secret.
    pub(super) id: ObjectId,
    pub(super) found: Result<PinnedVersion, Cause>,
}

#[derive(Debug, Clone)]
pub(super) struct PinnedVersion {
    pub(super) enabled: bool,
    pub(super) expires: Option<OffsetDateTime>,
    /// It belongs to a certificate.
    pub(super) managed: bool,
    /// The version that a reference without one gets, if that is known.
    pub(super) latest: Option<ObjectVersion>,
    /// Whether that can be used, and for longer than this one.
    pub(super) is_outlived: bool,
}

/// What all vaults have.
#[derive(Debug, Default, Clone)]
pub(super) struct Snapshot {
    pub(super) listings: Vec<Listing>,
    pub(super) pinned: Vec<Pinned>,
}

impl Snapshot {
    /// When the oldest part of it was read.
    pub(super) fn as_of(&self) -> Option<OffsetDateTime> {
        self.listings.iter().map(|listing| listing.as_of).min()
    }

    /// Whether it is worth the usual time.
    pub(super) fn is_cut_or_complete(&self) -> bool {
        let is_whole = |listing: &Listing| {
            let cut = Cause::Failed(Error::TooManyObjects);
            listing.lacks.as_ref().is_none_or(|cause| *cause == cut)
        };
        self.listings.iter().all(is_whole) && self.pinned.iter().all(|one| one.found.is_ok())
    }

    /// What stays of `before`, for what could not be asked this time.
    pub(super) fn or_before(mut self, before: &Self) -> Self {
        // A vault whose name is gone has nothing any more, and a cut list is new.
        let may_pass = |error: &Error| {
            error.may_pass() && !matches!(error, Error::TooManyObjects | Error::VaultNotFound)
        };
        for listing in &mut self.listings {
            let Some(error) = listing.lacks.as_ref().and_then(Cause::error) else {
                continue;
            };
            let same = |old: &&Listing| old.vault == listing.vault && old.kind == listing.kind;
            if let Some(old) = before.listings.iter().find(same)
                && may_pass(error)
            {
                let known: HashSet<_> = listing.objects.iter().map(|one| &one.name).collect();
                let others = old.objects.iter().filter(|one| !known.contains(&one.name));
                let others: Vec<_> = others.cloned().collect();
                listing.objects.extend(others);
                listing.as_of = old.as_of;
            }
        }
        for pinned in &mut self.pinned {
            let same = |old: &&Pinned| old.vault == pinned.vault && old.id == pinned.id;
            if let Err(cause) = &pinned.found
                && cause.error().is_some_and(may_pass)
                && let Some(old) = before.pinned.iter().find(same)
            {
                pinned.found.clone_from(&old.found);
            }
        }
        self
    }
}
