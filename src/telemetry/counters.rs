//! What happened since the start, in numbers. Read by the exporter, if there is one.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::trace;

/// How a request found its answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Lookup {
    /// It needed none of a vault's answers.
    #[default]
    None,
    /// In the cache.
    Hit,
    /// By asking the vault, or waiting with who does.
    Miss,
    /// In the cache, past its time.
    Stale,
    /// In the cache: the vault's failure, or that the secret is missing.
    Negative,
}

impl Lookup {
    /// Those that are counted.
    pub const COUNTED: [Self; 4] = [Self::Hit, Self::Miss, Self::Stale, Self::Negative];

    /// In lines and counters.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::Negative => "negative",
        }
    }

    /// Keeps it for the end of the request that this task works for.
    pub(crate) fn note(self) {
        trace::note(self);
    }
}

/// Numbers since the start of the process.
#[derive(Debug)]
pub struct Counters {
    lookups: [AtomicU64; Lookup::COUNTED.len()],
    refreshes: AtomicU64,
    errors: Mutex<BTreeMap<&'static str, u64>>,
}

/// Those of this process.
pub static COUNTERS: Counters = Counters::new();

impl Counters {
    const fn new() -> Self {
        Self {
            lookups: [const { AtomicU64::new(0) }; Lookup::COUNTED.len()],
            refreshes: AtomicU64::new(0),
            errors: Mutex::new(BTreeMap::new()),
        }
    }

    fn place(lookup: Lookup) -> Option<usize> {
        Lookup::COUNTED.iter().position(|known| *known == lookup)
    }

    /// A request was answered.
    pub(crate) fn answered(&self, lookup: Lookup) {
        if let Some(place) = Self::place(lookup) {
            self.lookups[place].fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A read began that renews an answer.
    pub(crate) fn refreshing(&self) {
        self.refreshes.fetch_add(1, Ordering::Relaxed);
    }

    /// A read of a vault failed.
    pub(crate) fn failed(&self, cause: &'static str) {
        let mut errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        *errors.entry(cause).or_default() += 1;
    }

    /// Requests that found their answer so.
    pub fn lookups(&self, lookup: Lookup) -> u64 {
        Self::place(lookup).map_or(0, |place| self.lookups[place].load(Ordering::Relaxed))
    }

    /// Reads that renewed an answer.
    pub fn refreshes(&self) -> u64 {
        self.refreshes.load(Ordering::Relaxed)
    }

    /// Reads of a vault that failed, by cause.
    pub fn errors(&self) -> BTreeMap<&'static str, u64> {
        let errors = self.errors.lock().unwrap_or_else(PoisonError::into_inner);
        errors.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_outcome_has_its_own_number() {
        let counters = Counters::new();
        for (times, lookup) in Lookup::COUNTED.into_iter().enumerate() {
            (0..=times).for_each(|_| counters.answered(lookup));
        }
        counters.answered(Lookup::None);
        let numbers = Lookup::COUNTED.map(|lookup| counters.lookups(lookup));
        assert_eq!((numbers, counters.refreshes()), ([1, 2, 3, 4], 0));
        assert_eq!(counters.lookups(Lookup::None), 0);
        for cause in ["a", "b", "a"] {
            counters.failed(cause);
        }
        assert_eq!(counters.errors(), BTreeMap::from([("a", 2), ("b", 1)]));
    }
}
