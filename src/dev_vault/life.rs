//! What becomes of a secret: it is deleted, recovered, purged. In the service each takes seconds;
//! here as long as the vault is told.

use std::time::Duration;

use tokio::time::Instant;

/// Whether a secret is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// No such secret, or not any more.
    Absent,
    Alive,
    BeingDeleted,
    /// It can be recovered or purged.
    Deleted,
    BeingRecovered,
    BeingPurged,
}

/// The life of one secret.
#[derive(Debug, Clone)]
pub(super) struct Life {
    stage: Stage,
    /// When what is under way is done.
    until: Instant,
    /// When it was deleted last, in Unix seconds.
    pub(super) deleted: i64,
}

impl Life {
    /// Of one that was just made.
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Alive,
            until: Instant::now(),
            deleted: 0,
        }
    }

    pub(super) fn stage(&self) -> Stage {
        if Instant::now() < self.until {
            return self.stage;
        }
        match self.stage {
            Stage::BeingDeleted => Stage::Deleted,
            Stage::BeingRecovered => Stage::Alive,
            Stage::BeingPurged => Stage::Absent,
            settled => settled,
        }
    }

    /// It is deleted `at` a time in Unix seconds, which `takes` so long.
    pub(super) fn delete(&mut self, at: i64, takes: Duration) {
        self.deleted = at;
        self.begin(Stage::BeingDeleted, takes);
    }

    /// What is under way from now on, and how long it `takes`.
    pub(super) fn begin(&mut self, stage: Stage, takes: Duration) {
        self.stage = stage;
        self.until = Instant::now() + takes;
    }
}
