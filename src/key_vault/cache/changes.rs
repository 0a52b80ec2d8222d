//! What has changed in the vault since it was read.

use std::{
    array,
    hash::BuildHasher,
    sync::atomic::{AtomicU64, Ordering},
};

use foldhash::fast::RandomState;

use crate::key_vault::names::ObjectId;

/// Objects are counted in this many groups. After a change of one, the others of its group are read
/// once more than they need be.
const GROUPS: usize = 256;

/// How often objects have changed.
pub(super) struct Changes {
    groups: [AtomicU64; GROUPS],
    hasher: RandomState,
}

impl Default for Changes {
    fn default() -> Self {
        Self {
            groups: array::from_fn(|_| AtomicU64::new(0)),
            hasher: RandomState::default(),
        }
    }
}

impl Changes {
    /// `id` has changed.
    pub(super) fn note(&self, id: &ObjectId) {
        self.group(id).fetch_add(1, Ordering::Relaxed);
    }

    /// A number that is another one once `id` has changed.
    pub(super) fn count(&self, id: &ObjectId) -> u64 {
        self.group(id).load(Ordering::Relaxed)
    }

    fn group(&self, id: &ObjectId) -> &AtomicU64 {
        let group = self.hasher.hash_one(id) % GROUPS as u64;
        &self.groups[usize::try_from(group).unwrap_or_default()]
    }
}
