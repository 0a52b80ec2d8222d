//! Which secrets may have a version that the app does not have yet, and what came of the latest.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Serialize;
use time::OffsetDateTime;
use tokio::{
    select,
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::seen::Seen;
use crate::{
    diagnosis::{Explanation, Fix, iso_format},
    functions::used::Secret,
    management::ResourceManager,
};

/// Azure is asked once no event has come for this long.
const QUIET: Duration = Duration::from_secs(30);
/// Events that never stop are not waited for longer.
const QUIET_LIMIT: Duration = Duration::from_secs(120);

/// The rotation of the app's secrets; by default nobody is asked for it.
#[derive(Default)]
pub struct Rotation {
    /// Nobody where `ROTATION_REFRESH` is off.
    pub(super) manager: Option<ResourceManager>,
    pub(super) seen: Seen,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Each is one that the app follows, so there are as many as references at most.
    pending: HashMap<Secret, Pending>,
    /// When the first and the latest event came of those that are waited for.
    burst: Option<(Instant, Instant)>,
    report: Option<RotationReport>,
}

/// Why a secret is looked at, and when.
#[derive(Default)]
struct Pending {
    /// When an event says that it changed, which decides nothing; nothing tells at the start.
    event: Option<OffsetDateTime>,
    /// Not before this; nothing if it waits for events to stop.
    due: Option<Instant>,
}

/// What happened last.
#[derive(Debug, Clone, Serialize)]
pub(in crate::functions) struct RotationReport {
    /// The secret that has a new version.
    pub secret: String,
    /// When it got it; null for one that was found at the start.
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

/// What came of a new version. In the order of what a person wants to know first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::functions) enum Outcome {
    /// The version is in effect already.
    Current,
    /// It is disabled, so Azure is not asked.
    Disabled,
    /// Azure is asked soon.
    Waiting,
    /// Azure was asked, and did not say that a reference is not resolved.
    Refreshed,
    /// Azure was asked, and says that one of the references is not resolved.
    Unresolved,
    /// Azure or the vault could not be asked. It is tried again.
    Failed,
    /// The identity may not ask Azure. It is tried again now and then.
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
            ..Self::default()
        }
    }

    /// Whether Azure is asked.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.manager.is_some()
    }

    /// What happened last; nothing if nothing has.
    pub(in crate::functions) fn report(&self) -> Option<RotationReport> {
        self.state().report.clone()
    }

    /// An event tells that `secret`, which references follow, has a new version.
    pub(super) fn tell_of(&self, secret: Secret, event: OffsetDateTime) {
        let now = Instant::now();
        let mut state = self.state();
        let (first, _) = state.burst.unwrap_or((now, now));
        state.burst = Some((first, now));
        state.report = Some(RotationReport::new(&secret, Some(event), Outcome::Waiting));
        let pending = state.pending.entry(secret).or_default();
        pending.hear(Some(event));
        pending.due = None;
        drop(state);
        self.changed.notify_one();
    }

    /// `secret` is looked at once that is `due`, or sooner if an event has come meanwhile.
    pub(super) fn put(&self, secret: Secret, event: Option<OffsetDateTime>, due: Instant) {
        let mut state = self.state();
        let due = Some(due);
        let new = Pending { event, due };
        state.pending.entry(secret).or_insert(new).hear(event);
    }

    /// Takes what is due, once something is.
    pub(super) async fn due(&self) -> Vec<(Secret, Option<OffsetDateTime>)> {
        loop {
            let changed = self.changed.notified();
            let next = match self.take(Instant::now()) {
                Ok(due) => return due,
                Err(next) => next,
            };
            match next {
                None => changed.await,
                Some(next) => select! {
                    () = changed => {}
                    () = sleep_until(next) => {}
                },
            }
        }
    }

    /// What is due, or when something will be.
    fn take(&self, now: Instant) -> Result<Vec<(Secret, Option<OffsetDateTime>)>, Option<Instant>> {
        let mut state = self.state();
        let quiet = state.burst.map_or(now, |(first, latest)| {
            (latest + QUIET).min(first + QUIET_LIMIT)
        });
        let due_of = |pending: &Pending| pending.due.unwrap_or(quiet);
        let taken: Vec<_> = state
            .pending
            .extract_if(|_, pending| due_of(pending) <= now)
            .map(|(secret, pending)| (secret, pending.event))
            .collect();
        if quiet <= now {
            state.burst = None;
        }
        if taken.is_empty() {
            return Err(state.pending.values().map(due_of).min());
        }
        Ok(taken)
    }

    /// Tells what happened, of all that is told together what a person wants to know first.
    pub(super) fn report_of(&self, reports: impl IntoIterator<Item = RotationReport>) {
        let first = reports
            .into_iter()
            .max_by_key(|one| (one.outcome, one.event_at.clone()));
        if let Some(report) = first {
            self.state().report = Some(report);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pending {
    /// Events come in any order: the latest is told.
    fn hear(&mut self, event: Option<OffsetDateTime>) {
        self.event = self.event.max(event);
    }
}

impl RotationReport {
    pub(super) fn new(secret: &Secret, event: Option<OffsetDateTime>, outcome: Outcome) -> Self {
        Self {
            secret: secret.name.to_string(),
            event_at: event.and_then(iso_format),
            asked_at: None,
            outcome,
            detail: None,
            fix: None,
        }
    }

    pub(super) fn asked(mut self, at: OffsetDateTime) -> Self {
        self.asked_at = iso_format(at);
        self
    }

    pub(super) fn because(mut self, why: &Explanation) -> Self {
        self.detail = Some(why.detail.clone());
        self.fix = Some(why.fix.clone());
        self
    }
}
