//! What happened since the start, in numbers. Read by the exporter, if there is one.

use std::sync::atomic::{AtomicU64, Ordering};

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
}

/// Numbers since the start of the process.
#[derive(Debug)]
pub struct Counters {
    lookups: [AtomicU64; Lookup::COUNTED.len()],
}

/// Those of this process.
pub static COUNTERS: Counters = Counters::new();

impl Counters {
    const fn new() -> Self {
        Self {
            lookups: [const { AtomicU64::new(0) }; Lookup::COUNTED.len()],
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

    /// Requests that found their answer so.
    pub fn lookups(&self, lookup: Lookup) -> u64 {
        Self::place(lookup).map_or(0, |place| self.lookups[place].load(Ordering::Relaxed))
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
        assert_eq!(numbers, [1, 2, 3, 4]);
        assert_eq!(counters.lookups(Lookup::None), 0);
    }
}
