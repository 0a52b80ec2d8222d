//! Which events have come already. Event Grid delivers each at least once.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Mutex, PoisonError},
};

use super::payload::Event;

/// Events that are remembered. What is older and comes again is acted upon again, which does no
/// harm.
const KEPT: usize = 8_192;

/// The latest events, by a digest.
#[derive(Default)]
pub(super) struct Seen {
    /// Keyed, so that nobody makes events that pass for another one.
    digest: RandomState,
    known: Mutex<(HashSet<u64>, VecDeque<u64>)>,
}

impl Seen {
    /// Whether `event` has not come before, as far as is remembered.
    pub(super) fn is_new(&self, event: &Event) -> bool {
        let digest = self.digest.hash_one((&event.id, &event.vault, event.what));
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, order) = &mut *known;
        if !known.insert(digest) {
            return false;
        }
        order.push_back(digest);
        if order.len() > KEPT
            && let Some(oldest) = order.pop_front()
        {
            known.remove(&oldest);
        }
        true
    }
}
