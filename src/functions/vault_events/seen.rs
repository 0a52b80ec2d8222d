//! Which events have come already. Event Grid delivers each at least once.

use std::{
    collections::{HashSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, PoisonError},
};

use super::payload::Event;

/// Events that are remembered. What is older and comes again is acted upon again, which does no
/// harm.
const KEPT: usize = 8_192;

/// The latest events, by a digest.
#[derive(Default)]
pub(super) struct Seen(Mutex<(HashSet<u64>, VecDeque<u64>)>);

impl Seen {
    /// Whether `event` has not come before, as far as is remembered.
    pub(super) fn is_new(&self, event: &Event) -> bool {
        let mut digest = DefaultHasher::new();
        (&event.id, &event.vault, event.what).hash(&mut digest);
        let digest = digest.finish();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, order) = &mut *seen;
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
