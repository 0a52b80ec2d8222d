//! What the last read of a secret left.

use std::sync::atomic::AtomicBool;

use tokio::time::Instant;

use super::{Found, Outcome};
use crate::key_vault::{error::Error, limits::FORCED_PAUSE};

/// What the last read of a secret left.
pub(super) struct Slot<T> {
    pub(super) known: Known<T>,
    /// When it is to be renewed.
    pub(super) until: Instant,
    /// Whether that is being done.
    pub(super) is_renewing: AtomicBool,
    /// When the last read ended that was forced.
    pub(super) forced: Option<Instant>,
    /// The number of the secret's changes when the read began.
    pub(super) change: u64,
}

pub(super) enum Known<T> {
    Answer(Answer<T>),
    /// An answer, and why the last attempt to renew it failed.
    NotRenewed(Answer<T>, Error),
    Failure(Error),
}

#[derive(Clone)]
pub(super) struct Answer<T> {
    pub(super) value: T,
    pub(super) loaded: Instant,
}

impl<T> Slot<T> {
    /// Whether it was read by force a moment ago.
    pub(super) fn is_forced(&self) -> bool {
        self.forced.is_some_and(|at| at.elapsed() < FORCED_PAUSE)
    }
}

impl<T> Known<T> {
    pub(super) fn answer(&self) -> Option<&Answer<T>> {
        match self {
            Self::Answer(answer) | Self::NotRenewed(answer, _) => Some(answer),
            Self::Failure(_) => None,
        }
    }

    /// Whether the vault has answered. Whoever can tell of changes could else have it asked at will
    /// while it cannot be.
    pub(super) fn is_of_the_vault(&self) -> bool {
        match self {
            Self::Answer(_) => true,
            Self::NotRenewed(..) => false,
            Self::Failure(error) => !error.may_pass(),
        }
    }

    pub(super) fn failure(&self) -> Option<&Error> {
        match self {
            Self::Answer(_) => None,
            Self::NotRenewed(_, error) | Self::Failure(error) => Some(error),
        }
    }
}

impl<T: Clone> Answer<T> {
    pub(super) fn found(&self, outcome: Outcome, now: Instant) -> Found<T> {
        Found {
            value: self.value.clone(),
            outcome,
            age: now - self.loaded,
        }
    }
}
