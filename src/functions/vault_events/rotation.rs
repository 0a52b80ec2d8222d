//! Which secrets have a new version that the app's references should get, and what came of it.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde::Serialize;
use time::OffsetDateTime;
use tokio::{sync::Notify, time::Instant};

use super::{payload::Event, seen::Seen};
use crate::{
    diagnosis::{Explanation, Fix, iso_format},
    key_vault::{ObjectName, VaultUrl},
    management::ResourceManager,
};

/// Secrets that are waited for at the same time. An app has at most as many references.
const WANTED_LIMIT: usize = 2_000;

/// The rotation of the app's secrets.
pub struct Rotation {
    /// Nobody where `ROTATION_REFRESH` is off.
    pub(super) manager: Option<ResourceManager>,
    seen: Seen,
    state: Mutex<State>,
    pub(super) wake: Notify,
}

#[derive(Default)]
struct State {
    wanted: Vec<Wanted>,
    /// When the latest event came, and the first of those that wait.
    latest: Option<Instant>,
    first: Option<Instant>,
    report: Option<RotationReport>,
}

/// A secret with a version that may not be in effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Where it is read.
    pub(super) vault: VaultUrl,
    pub(super) name: ObjectName,
    pub(super) event_at: OffsetDateTime,
}

/// What happened last.
#[derive(Debug, Clone, Serialize)]
pub(in crate::functions) struct RotationReport {
    /// The secret that has a new version.
    pub secret: String,
    /// When it got it.
    pub event_at: Option<String>,
    /// When Azure was asked to resolve references again; null if it was not yet, or needs not be.
    pub asked_at: Option<String>,
    /// What came of it.
    pub outcome: Outcome,
    /// Why, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do, if it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}

/// What came of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::functions) enum Outcome {
    /// Azure is asked soon.
    Waiting,
    /// The version is in effect already.
    Current,
    /// Azure was asked, and says that the references are resolved.
    Refreshed,
    /// Azure was asked, and says that one of the references is not resolved.
    Unresolved,
    /// Azure could not be asked. It is tried again.
    Failed,
    /// The identity may not ask Azure.
    Denied,
}

impl fmt::Debug for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rotation").finish_non_exhaustive()
    }
}

impl Rotation {
    /// Asks `manager`, if there is one.
    #[must_use]
    pub fn new(manager: Option<ResourceManager>) -> Self {
        Self {
            manager,
            seen: Seen::default(),
            state: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// Whether Azure is asked.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.manager.is_some()
    }

    /// What happened last; nothing if nothing has.
    #[must_use]
    pub(in crate::functions) fn report(&self) -> Option<RotationReport> {
        self.state().report.clone()
    }

    pub(super) fn is_new(&self, event: &Event) -> bool {
        self.seen.is_new(event)
    }

    /// A secret that references follow has a new version.
    pub(super) fn want(&self, vault: &VaultUrl, event: Event) {
        if !self.is_on() {
            return;
        }
        let wanted = Wanted {
            vault: vault.clone(),
            name: event.object.name,
            event_at: event.time.unwrap_or_else(OffsetDateTime::now_utc),
        };
        self.put(wanted);
        self.wake.notify_one();
    }

    fn put(&self, one: Wanted) {
        let mut state = self.state();
        let now = Instant::now();
        state.latest = Some(now);
        state.first.get_or_insert(now);
        state.report = Some(RotationReport {
            secret: one.name.to_string(),
            event_at: iso_format(one.event_at),
            asked_at: None,
            outcome: Outcome::Waiting,
            detail: None,
            fix: None,
        });
        let same = |known: &Wanted| known.vault == one.vault && known.name == one.name;
        match state.wanted.iter().position(same) {
            Some(index) => {
                let known = &mut state.wanted[index].event_at;
                *known = one.event_at.max(*known);
            }
            None if state.wanted.len() < WANTED_LIMIT => state.wanted.push(one),
            None => {}
        }
    }

    /// What is wanted, and when the first and the latest event came; nothing if nothing is.
    pub(super) fn wanted(&self) -> Option<(Vec<Wanted>, Instant, Instant)> {
        let state = self.state();
        if state.wanted.is_empty() {
            return None;
        }
        Some((state.wanted.clone(), state.first?, state.latest?))
    }

    /// `done` is over and done with. What came meanwhile stays wanted.
    pub(super) fn settle(&self, done: &[Wanted]) {
        let mut state = self.state();
        state.wanted.retain(|one| !done.contains(one));
        if state.wanted.is_empty() {
            state.first = None;
        }
    }

    /// What came of the latest of `asked`.
    pub(super) fn tell(
        &self,
        asked: &[Wanted],
        asked_at: Option<OffsetDateTime>,
        outcome: Outcome,
        why: Option<Explanation>,
    ) {
        let Some(latest) = asked.iter().max_by_key(|one| one.event_at) else {
            return;
        };
        let (detail, fix) = why.map(|why| (why.detail, why.fix)).unzip();
        self.state().report = Some(RotationReport {
            secret: latest.name.to_string(),
            event_at: iso_format(latest.event_at),
            asked_at: asked_at.and_then(iso_format),
            outcome,
            detail,
            fix,
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
