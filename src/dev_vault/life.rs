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
    /// When it was deleted, in Unix seconds.
    deleted: i64,
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

    /// In Unix seconds.
    pub(super) fn deleted(&self) -> i64 {
        self.deleted
    }

    pub(super) fn delete(&mut self, at: i64, takes: Duration) {
        self.deleted = at;
        self.begin(Stage::BeingDeleted, takes);
    }

    pub(super) fn recover(&mut self, takes: Duration) {
        self.begin(Stage::BeingRecovered, takes);
    }

    pub(super) fn purge(&mut self, takes: Duration) {
        self.begin(Stage::BeingPurged, takes);
    }

    fn begin(&mut self, stage: Stage, takes: Duration) {
        self.stage = stage;
        self.until = Instant::now() + takes;
    }
}
