//! Which secrets are looked at and when, and what came of each.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use time::OffsetDateTime;
use tokio::{
    select,
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{
    report::{Outcome, RotationReport},
    seen::Seen,
};
use crate::{diagnosis::iso_format, functions::used::Secret, management::ResourceManager};

/// A secret is looked at once no event has come for this long.
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
    /// Each secret that references follow.
    followed: HashMap<Secret, Followed>,
    burst: Option<Burst>,
    /// Azure is asked nothing before this, whatever events come.
    pause: Option<Instant>,
}

/// Events that come one after the other.
struct Burst {
    first: Instant,
    latest: Instant,
}

/// One secret.
struct Followed {
    /// When an event says that the secret changed, until that has been looked at. Decides nothing.
    event: Option<OffsetDateTime>,
    next: Option<Next>,
    /// It is not looked at before this, whatever events come.
    pause: Option<Instant>,
    told: Option<Told>,
}

/// What happened last.
struct Told {
    since: Instant,
    report: RotationReport,
}

/// When a secret is looked at.
#[derive(Clone, Copy)]
enum Next {
    /// Once events stop.
    Quiet,
    /// Then, if no event comes before.
    At(Instant),
}

/// A secret that is looked at.
#[derive(Debug, Clone)]
pub(super) struct Looked {
    pub(super) secret: Secret,
    /// When an event says that it changed; nothing if no event has come.
    pub(super) event: Option<OffsetDateTime>,
}

/// When a secret is looked at again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Again {
    /// When an event comes.
    Told,
    /// At this time, or once events stop if some come before.
    At(Instant),
    /// At this time, whatever events come.
    NotBefore(Instant),
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

    /// New versions of these `secrets` are acted upon. Each is looked at once without an event.
    pub(in crate::functions) fn follow(&self, secrets: impl IntoIterator<Item = Secret>) {
        let new = || Followed {
            event: None,
            next: Some(Next::At(Instant::now())),
            pause: None,
            told: None,
        };
        let followed = secrets.into_iter().map(|secret| (secret, new()));
        self.state().followed.extend(followed);
    }

    /// What happened last at `now` to the secret that needs a person most, or to the latest if none
    /// does; nothing if nothing has.
    pub(in crate::functions) fn report(&self, now: OffsetDateTime) -> Option<RotationReport> {
        let state = self.state();
        let told = state.followed.values();
        let told = told.filter_map(|followed| Some((followed, followed.told.as_ref()?)));
        let (followed, told) = told.max_by_key(|(_, told)| {
            let outcome = told.report.outcome;
            ((!outcome.is_done()).then_some(outcome), told.since)
        })?;
        let (quiet, at) = (state.burst.as_ref().map(Burst::quiet), Instant::now());
        let next = followed.at(quiet, state.pause, at);
        Some(RotationReport {
            next_at: next.and_then(|next| iso_format(now + (next - at))),
            ..told.report.clone()
        })
    }

    /// An event tells that `secret` has a new version. Says nothing about one that is not followed.
    pub(super) fn tell_of(&self, secret: &Secret, event: OffsetDateTime) {
        let now = Instant::now();
        let mut state = self.state();
        let State {
            followed, burst, ..
        } = &mut *state;
        let Some(followed) = followed.get_mut(secret) else {
            return;
        };
        let first = burst.as_ref().map_or(now, |burst| burst.first);
        *burst = Some(Burst { first, latest: now });
        // Events come in any order.
        followed.event = followed.event.max(Some(event));
        followed.next = Some(Next::Quiet);
        match &mut followed.told {
            // What a person has to know is told until it is looked at again.
            Some(told) if told.report.outcome > Outcome::Waiting => {
                told.report.event_at = followed.event.and_then(iso_format);
            }
            _ => followed.wait(secret),
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Azure is asked nothing before `until`.
    pub(super) fn pause(&self, until: Instant) {
        self.state().pause = Some(until);
    }

    /// What came of a look at a secret, if that is known, and when it is looked at again. An event
    /// that has come meanwhile is not answered by it.
    pub(super) fn settle(&self, looked: &Looked, report: Option<RotationReport>, again: Again) {
        let mut state = self.state();
        let Some(followed) = state.followed.get_mut(&looked.secret) else {
            return;
        };
        let (pause, at) = match again {
            Again::Told => (None, None),
            Again::At(at) => (None, Some(at)),
            Again::NotBefore(at) => (Some(at), Some(at)),
        };
        followed.pause = pause;
        if at.is_some() {
            followed.event = followed.event.max(looked.event);
        }
        let is_told_again = followed.next.is_some();
        if !is_told_again {
            followed.next = at.map(Next::At);
        }
        // What nobody told of and is in order is no news.
        let has_news = looked.event.is_some() || followed.told.is_some();
        match report {
            Some(report) if is_told_again && report.outcome > Outcome::Waiting => {
                followed.tell(report);
            }
            _ if is_told_again => followed.wait(&looked.secret),
            Some(report) if has_news || !report.outcome.is_in_order() => followed.tell(report),
            _ => followed.told = None,
        }
    }

    /// Takes what is due, once something is.
    pub(super) async fn due(&self) -> Vec<Looked> {
        loop {
            let changed = self.changed.notified();
            let (due, wake) = self.state().take(Instant::now());
            if !due.is_empty() {
                return due;
            }
            match wake {
                None => changed.await,
                Some(wake) => select! {
                    () = changed => {}
                    () = sleep_until(wake) => {}
                },
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Followed {
    /// When it is looked at, as far as is known: once it is `quiet`, and not before the `pause`.
    fn at(&self, quiet: Option<Instant>, pause: Option<Instant>, now: Instant) -> Option<Instant> {
        let next = match self.next? {
            Next::At(at) => at,
            Next::Quiet => quiet.unwrap_or(now),
        };
        Some(pause.into_iter().chain(self.pause).fold(next, Instant::max))
    }

    fn look(&mut self, secret: &Secret) -> Looked {
        self.next = None;
        Looked {
            secret: secret.clone(),
            event: self.event.take(),
        }
    }

    /// Tells that an event of `secret` is waited with.
    fn wait(&mut self, secret: &Secret) {
        let report = RotationReport::new(secret, self.event, Outcome::Waiting);
        self.tell(report);
    }

    /// Tells `report`. What is so for long is not the latest because it was looked at again.
    fn tell(&mut self, report: RotationReport) {
        let before = self.told.take();
        let before = before.filter(|told| told.report.outcome == report.outcome);
        let since = before.map_or_else(Instant::now, |told| told.since);
        self.told = Some(Told { since, report });
    }
}

impl Burst {
    /// When it is over.
    fn quiet(&self) -> Instant {
        (self.latest + QUIET).min(self.first + QUIET_LIMIT)
    }
}

impl State {
    /// What is due, and when something else will be.
    fn take(&mut self, now: Instant) -> (Vec<Looked>, Option<Instant>) {
        let (quiet, pause) = (self.burst.as_ref().map(Burst::quiet), self.pause);
        // Those that wait for another reason do not make the next burst older than it is.
        self.burst.take_if(|burst| burst.quiet() <= now);
        let mut wake = self.burst.as_ref().map(Burst::quiet);
        let mut due = Vec::new();
        for (secret, followed) in &mut self.followed {
            match followed.at(quiet, pause, now) {
                Some(at) if at <= now => due.push(followed.look(secret)),
                Some(at) => wake = Some(wake.map_or(at, |wake| wake.min(at))),
                None => {}
            }
        }
        (due, wake)
    }
}
