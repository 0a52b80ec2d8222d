//! The work behind the answers: bursts of events become one question to Azure, and what a crash has
//! lost is found at the start.

use std::{collections::HashMap, convert::Infallible, time::Duration};

use futures_util::{StreamExt, stream};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{
    behind::{Sight, Verdict},
    failure::Operation,
    pauses::Pauses,
    report::{Outcome, RotationReport},
    rotation::{Again, Looked},
};
use crate::{
    diagnosis::{Cause, Explanation, Subject, explain, iso_format},
    functions::{
        AppState, Shared,
        expiring::metadata,
        used::{Followers, Secret, followers},
    },
    key_vault::{Error, Metadata, ObjectId, ObjectKind, ObjectVersion},
    management::{ConfigReference, ManagementError, ResourceManager},
    references::Status,
};

/// Azure is asked to resolve references no more often, whatever came of it. A start counts as one
/// time: it may be the doing of the process before.
pub(super) const EVERY: Duration = Duration::from_secs(60);
/// Instances that start together do not ask together: those that ask later find that it is done.
const SPREAD: Duration = Duration::from_secs(30);
/// What Azure was asked for and is not in effect is looked at again after this, and then ever more
/// seldom, up to `LOOK_LIMIT`.
const LOOK_AFTER: Duration = Duration::from_secs(60);
/// So is a version that is disabled: no event tells when it is enabled.
const LOOK_LIMIT: Duration = Duration::from_secs(60 * 60);
/// Time to learn the newest versions of what is pending.
const READ_LIMIT: Duration = Duration::from_secs(60);
/// Secrets that are looked at side by side.
const READS_AT_ONCE: usize = 8;

impl AppState {
    /// Asks Azure to resolve references again when a secret has a new version, for as long as it is
    /// polled. `now` is the date. Does nothing where `ROTATION_REFRESH` is off.
    pub async fn follow_rotation(&self, now: impl Fn() -> OffsetDateTime) -> Infallible {
        let app = &*self.0;
        let Some(manager) = &app.rotation.manager else {
            return std::future::pending().await;
        };
        let start = Instant::now() + spread();
        let mut follower = Follower {
            app,
            manager,
            followers: followers(&app.references, &app.vaults),
            started: now(),
            now,
            start,
            may_ask: start + EVERY,
            may_list: Instant::now(),
            lists: Pauses::default(),
            refreshes: Pauses::default(),
            known: HashMap::new(),
        };
        loop {
            let due = app.rotation.due().await;
            follower.look(due).await;
        }
    }
}

/// What the work remembers from one look to the next.
pub(super) struct Follower<'a, Now> {
    pub(super) app: &'a Shared,
    manager: &'a ResourceManager,
    pub(super) followers: Followers<'a>,
    now: Now,
    started: OffsetDateTime,
    /// The start, from which waiting times count.
    start: Instant,
    /// Azure is not asked to resolve references before this.
    may_ask: Instant,
    /// Azure's list could not be read, and is not asked for before this.
    pub(super) may_list: Instant,
    pub(super) lists: Pauses,
    pub(super) refreshes: Pauses,
    /// Each is one that the app follows, so there are as many as references at most.
    known: HashMap<Secret, Known>,
}

/// What is known of one secret.
#[derive(Default)]
pub(super) struct Known {
    asked: Option<Asked>,
    /// Why it is looked at again, although no event tells of it.
    pub(super) open: Option<Open>,
    /// Failures to read it in the vault.
    pub(super) reads: Pauses,
}

/// What is not done about a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    /// The vault could not be read.
    Unread,
    /// It is deleted, and may come back.
    Gone,
    /// Some setting is behind, and Azure is not asked for it.
    Left,
    /// Some setting is behind, and Azure is asked for it.
    Behind,
}

/// What Azure was asked for last, and what came of it.
struct Asked {
    versions: Vec<ObjectVersion>,
    at: Option<String>,
    outcome: Outcome,
    /// How often it was looked at since then without finding them in effect.
    looks: u32,
}

/// What Azure tells of each setting; nothing of one of which it tells nothing.
type Told = HashMap<String, ConfigReference>;

/// A secret for which Azure is asked.
struct Wanted {
    looked: Looked,
    versions: Vec<ObjectVersion>,
    /// When Azure is asked for them.
    at: Instant,
}

impl<Now: Fn() -> OffsetDateTime> Follower<'_, Now> {
    /// Asks Azure to resolve references if one of those to `due` is behind.
    async fn look(&mut self, due: Vec<Looked>) {
        let listed = match self.list().await {
            Ok(listed) => listed,
            Err(error) => return self.refused(due, &error, Operation::List),
        };
        let is_listed = listed.is_some();
        let told = listed.unwrap_or_default();
        let until = Instant::now() + READ_LIMIT;
        let this = &*self;
        let verdicts = stream::iter(due).map(async |looked| {
            let verdict = this.verdict(&looked, &told, until).await;
            (verdict, looked)
        });
        let verdicts: Vec<_> = verdicts.buffer_unordered(READS_AT_ONCE).collect().await;
        let (mut wanted, mut unread, mut unlisted) = (Vec::new(), Vec::new(), Vec::new());
        for (verdict, looked) in verdicts {
            let verdict = match verdict {
                Ok(verdict) => verdict,
                Err(error) => {
                    unread.push((looked, error));
                    continue;
                }
            };
            let known = self.known(&looked.secret);
            known.reads.end();
            known.open = match (&verdict, known.open) {
                (Verdict::Behind { .. }, _) => Some(Open::Behind),
                (Verdict::Left | Verdict::Disabled, _)
                | (Verdict::Unknown, Some(Open::Left | Open::Behind)) => Some(Open::Left),
                (Verdict::Gone, _) => Some(Open::Gone),
                (Verdict::Unknown | Verdict::Current | Verdict::Asked, _) => None,
            };
            let is_open = known.open.is_some();
            // Nobody tells when that changes.
            let later = Again::At(Instant::now() + LOOK_LIMIT);
            match verdict {
                Verdict::Unknown if !is_listed => unlisted.push(looked),
                Verdict::Unknown if is_open => self.tell(&looked, Outcome::Unknown, later),
                Verdict::Unknown if looked.event.is_some() => {
                    self.tell(&looked, Outcome::Unknown, Again::Told);
                }
                Verdict::Unknown => self.app.rotation.settle(&looked, None, Again::Told),
                Verdict::Current => self.tell(&looked, Outcome::Current, Again::Told),
                Verdict::Gone => self.tell(&looked, Outcome::Gone, later),
                Verdict::Left => self.tell(&looked, Outcome::Behind, later),
                Verdict::Disabled => self.tell(&looked, Outcome::Disabled, later),
                Verdict::Asked => self.look_back(&looked, &told, Again::Told),
                Verdict::Behind { versions, wait } => wanted.push(Wanted {
                    looked,
                    versions,
                    at: (self.start + wait).max(self.may_ask),
                }),
            }
        }
        let is_behind = |known: &Known| known.open == Some(Open::Behind);
        if !self.known.values().any(is_behind) {
            self.refreshes.end();
        }
        self.without_list(unlisted);
        self.could_not_read(unread).await;
        self.refresh_when_due(wanted).await;
    }

    /// What Azure tells of each setting; nothing if its list is not there, or made otherwise. That
    /// says nothing about the refresh.
    async fn list(&mut self) -> Result<Option<Told>, ManagementError> {
        if Instant::now() < self.may_list {
            return Ok(None);
        }
        match self.manager.references().await {
            Ok(references) => {
                self.lists.end();
                Ok(Some(by_setting(references)))
            }
            Err(ManagementError::NotFound | ManagementError::UnexpectedAnswer) => {
                self.may_list = Instant::now() + self.lists.fail();
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Whether the app has the newest version of the secret.
    async fn verdict(
        &self,
        looked: &Looked,
        told: &Told,
        until: Instant,
    ) -> Result<Verdict, Error> {
        let settings = self.settings(&looked.secret);
        let active: Vec<_> = settings
            .map(|setting| told.get(setting)?.active_version.as_ref())
            .collect();
        let known = self.known.get(&looked.secret);
        let asked = known.and_then(|known| known.asked.as_ref());
        let open = known.and_then(|known| known.open);
        let is_told = looked.event.is_some();
        let is_concealed = active.iter().all(Option::is_none);
        if is_concealed && !is_told && open.is_none() {
            return Ok(asked.map_or(Verdict::Unknown, |_| Verdict::Asked));
        }
        let newest = match self.app.newest(&looked.secret, until).await {
            Ok(newest) => newest,
            Err(Error::NotFound(_)) => return Ok(Verdict::Gone),
            Err(error) => return Err(error),
        };
        let sight = Sight {
            active,
            newest: &newest,
            is_told,
            was_behind: is_concealed && matches!(open, Some(Open::Left | Open::Behind)),
            asked: asked.map_or(&[], |asked| &asked.versions),
            started: self.started,
            now: (self.now)(),
        };
        Ok(sight.verdict())
    }

    /// Asks once for all that is `wanted`, if any of it is due.
    async fn refresh_when_due(&mut self, wanted: Vec<Wanted>) {
        let now = Instant::now();
        if wanted.iter().all(|one| one.at > now) {
            for one in wanted {
                self.tell(&one.looked, Outcome::Waiting, Again::At(one.at));
            }
            return;
        }
        self.may_ask = now + EVERY;
        let at = iso_format((self.now)());
        let refreshed = match self.manager.refresh().await {
            Ok(refreshed) => by_setting(refreshed),
            Err(error) => {
                let looked = wanted.into_iter().map(|one| one.looked);
                return self.refused(looked.collect(), &error, Operation::Refresh);
            }
        };
        self.refreshes.end();
        tracing::info!(secrets = wanted.len(), "references refreshed");
        for Wanted {
            looked, versions, ..
        } in wanted
        {
            let known = self.known(&looked.secret);
            known.open = None;
            known.asked = Some(Asked {
                versions,
                at: at.clone(),
                outcome: Outcome::Refreshed,
                looks: 0,
            });
            // The answer need not tell of each setting, or of its version.
            let again = Again::At(Instant::now() + LOOK_AFTER);
            self.look_back(&looked, &refreshed, again);
        }
    }

    /// Looks at what came of what Azure was asked for, as far as it is `told` now. Not asked for
    /// again, whatever that is. If it is done, `again` says when it is looked at again.
    fn look_back(&mut self, looked: &Looked, told: &Told, again: Again) {
        let settings = self.settings(&looked.secret);
        let found: Vec<_> = settings.filter_map(|setting| told.get(setting)).collect();
        let Some(asked) = &mut self.known(&looked.secret).asked else {
            return;
        };
        let outcome = found.into_iter().map(|one| asked.outcome_of(one)).max();
        // If Azure says nothing about it, what it said before stands.
        asked.outcome = outcome.unwrap_or(asked.outcome);
        let again = if asked.outcome.is_done() {
            again
        } else {
            let pause = LOOK_AFTER * 2_u32.pow(asked.looks.min(10));
            asked.looks += 1;
            Again::At(Instant::now() + pause.min(LOOK_LIMIT))
        };
        let (outcome, at) = (asked.outcome, asked.at.clone());
        let mut report = self.report(looked, outcome);
        report.asked_at = at;
        self.app.rotation.settle(looked, Some(report), again);
    }

    fn tell(&self, looked: &Looked, outcome: Outcome, again: Again) {
        let report = self.report(looked, outcome);
        self.app.rotation.settle(looked, Some(report), again);
    }

    pub(super) fn report(&self, looked: &Looked, outcome: Outcome) -> RotationReport {
        let report = RotationReport::new(&looked.secret, looked.event, outcome);
        if outcome == Outcome::Behind {
            report.because(&self.explain(&Cause::StaysBehind, &Subject::OF_THE_HANDLER))
        } else {
            report
        }
    }

    pub(super) fn explain(&self, cause: &Cause, subject: &Subject<'_>) -> Explanation {
        let surroundings = self.app.references.surroundings();
        explain(cause, subject, surroundings, (self.now)())
    }

    pub(super) fn known(&mut self, secret: &Secret) -> &mut Known {
        self.known.entry(secret.clone()).or_default()
    }

    fn settings(&self, secret: &Secret) -> impl Iterator<Item = &str> {
        let followers = self.followers.get(secret).into_iter().flatten();
        followers.map(|setting| setting.name())
    }
}

impl Asked {
    /// What came of it, as far as Azure says so of one setting.
    fn outcome_of(&self, setting: &ConfigReference) -> Outcome {
        let status = setting.status.as_deref().and_then(Status::parse);
        let active = setting.active_version.as_ref();
        if status.is_some_and(|status| status != Status::Resolved) {
            Outcome::Unresolved
        } else if active.is_some_and(|active| !self.versions.contains(active)) {
            Outcome::Behind
        } else {
            Outcome::Refreshed
        }
    }
}

impl Shared {
    /// The latest version of a secret, without its value.
    async fn newest(&self, secret: &Secret, until: Instant) -> Result<Metadata, Error> {
        if Instant::now() >= until {
            return Err(Error::TimedOut);
        }
        let latest = ObjectId {
            kind: ObjectKind::Secret,
            name: secret.name.clone(),
            version: None,
        };
        let vault = self.vaults.open(&secret.vault).await?;
        metadata(&vault, &latest, until).await
    }
}

fn by_setting(references: Vec<ConfigReference>) -> Told {
    let each = references.into_iter();
    each.map(|one| (one.setting.clone(), one)).collect()
}

/// Anything up to `SPREAD`.
fn spread() -> Duration {
    let random = getrandom::u32().unwrap_or_default();
    SPREAD.mul_f64(f64::from(random) / f64::from(u32::MAX))
}
