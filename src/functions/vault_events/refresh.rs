//! The work behind the answers: bursts of events become one question to Azure, and what a crash has
//! lost is found at the start.

use std::{collections::HashMap, convert::Infallible, time::Duration};

use futures_util::{StreamExt, stream};
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{
    behind::{Sight, Verdict, wait_at_start},
    rotation::{Outcome, RotationReport},
};
use crate::{
    diagnosis::{Cause, Explanation, Subject, explain},
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
const EVERY: Duration = Duration::from_secs(60);
/// The pauses after failures double, from 2 s up to this.
const PAUSE_LIMIT: Duration = Duration::from_secs(15 * 60);
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
        let started = (Instant::now(), now());
        let mut follower = Follower {
            app,
            manager,
            followers: followers(app),
            now,
            started,
            last_asked: started.0,
            done: HashMap::new(),
            failures: 0,
            written: None,
        };
        for (secret, settings) in &follower.followers {
            if !settings.is_empty() {
                app.rotation.put(secret.clone(), None, started.0);
            }
        }
        loop {
            let due = app.rotation.due().await;
            follower.look(due).await;
        }
    }
}

/// What the work remembers from one look to the next.
struct Follower<'a, Now> {
    app: &'a Shared,
    manager: &'a ResourceManager,
    followers: Followers<'a>,
    now: Now,
    started: (Instant, OffsetDateTime),
    /// When Azure was last asked to resolve references.
    last_asked: Instant,
    /// For which version of each secret, and what came of it.
    done: HashMap<Secret, (ObjectVersion, RotationReport)>,
    failures: u32,
    /// Code of the failure that was written last.
    written: Option<&'static str>,
}

/// A secret that is looked at, and when its event says that it changed; nothing tells at the start.
type Looked = (Secret, Option<OffsetDateTime>);

/// The version of each setting, as far as Azure tells.
type Active = HashMap<String, Option<ObjectVersion>>;

impl<Now: Fn() -> OffsetDateTime> Follower<'_, Now> {
    /// Asks Azure to resolve references if one of those to `due` is behind.
    async fn look(&mut self, due: Vec<Looked>) {
        let active = match self.manager.references().await {
            Ok(references) => {
                let each = references.into_iter();
                each.map(|one| (one.setting, one.active_version)).collect()
            }
            // A list that is not there says nothing about the refresh.
            Err(ManagementError::NotFound) => Active::new(),
            Err(error) => return self.refused(due, &error, Duration::ZERO),
        };
        let until = Instant::now() + READ_LIMIT;
        let this = &*self;
        let verdicts = stream::iter(due).map(async |(secret, event)| {
            let verdict = this.verdict(&secret, event, &active, until);
            (verdict.await, (secret, event))
        });
        let verdicts: Vec<_> = verdicts.buffer_unordered(READS_AT_ONCE).collect().await;
        let (mut behind, mut unread, mut reports) = (Vec::new(), Vec::new(), Vec::new());
        for (verdict, (secret, event)) in verdicts {
            let mut report = |outcome| {
                // What a start finds in order is nobody's news.
                reports.extend(event.map(|_| RotationReport::new(&secret, event, outcome)));
            };
            match verdict {
                Ok((Verdict::Current, _)) => report(Outcome::Current),
                Ok((Verdict::Disabled, _)) => report(Outcome::Disabled),
                Ok((Verdict::Asked, _)) => {
                    reports.extend(self.done.get(&secret).map(|(_, report)| report.clone()));
                }
                Ok((Verdict::Behind(version), created)) => {
                    behind.push(((secret, event), version, created));
                }
                Err(error) => unread.push(((secret, event), error)),
            }
        }
        self.app.rotation.report_of(reports);
        let is_over = unread.is_empty() && behind.is_empty();
        if let Some(((secret, _), error)) = unread.first() {
            let why = self.why_unread(secret, error.clone()).await;
            let unread = unread.into_iter().map(|(looked, _)| looked);
            self.failed(unread.collect(), Outcome::Failed, &why, Duration::ZERO);
        }
        let is_done = self.refresh_when_due(behind).await;
        if is_over || is_done {
            self.failures = 0;
            self.written = None;
        }
    }

    /// Whether the app has the newest version of `secret`, and when that was made.
    async fn verdict(
        &self,
        secret: &Secret,
        event: Option<OffsetDateTime>,
        active: &Active,
        until: Instant,
    ) -> Result<(Verdict, Option<OffsetDateTime>), Error> {
        let settings = self.settings(secret);
        let active: Vec<_> = settings
            .map(|setting| active.get(setting).and_then(Option::as_ref))
            .collect();
        if event.is_none() && active.iter().all(Option::is_none) {
            return Ok((Verdict::Current, None));
        }
        let newest = match self.app.newest(secret, until).await {
            Ok(newest) => newest,
            // What is gone has no version that could be in effect. `config-check` tells of it.
            Err(Error::NotFound(_)) => return Ok((Verdict::Current, None)),
            Err(error) => return Err(error),
        };
        let sight = Sight {
            active,
            newest: &newest,
            is_told: event.is_some(),
            asked: self.done.get(secret).map(|(version, _)| version),
        };
        Ok((sight.verdict(), newest.created))
    }

    /// Asks once for all that is `behind`, or leaves it until Azure may be asked again. Whether that
    /// was done.
    async fn refresh_when_due(
        &mut self,
        behind: Vec<(Looked, ObjectVersion, Option<OffsetDateTime>)>,
    ) -> bool {
        let mut due = Vec::new();
        let (start, started) = self.started;
        for ((secret, event), version, created) in behind {
            // An event does not make it sooner: it could be anybody's.
            let Some(wait) = wait_at_start(created, started) else {
                // The platform has looked itself since.
                continue;
            };
            let at = (start + wait).max(self.last_asked + EVERY);
            if at > Instant::now() {
                self.app.rotation.put(secret, event, at);
            } else {
                due.push(((secret, event), version));
            }
        }
        if due.is_empty() {
            return false;
        }
        self.last_asked = Instant::now();
        let asked_at = (self.now)();
        let refreshed = match self.manager.refresh().await {
            Ok(refreshed) => refreshed,
            Err(error) => {
                let due = due.into_iter().map(|(looked, _)| looked);
                self.refused(due.collect(), &error, EVERY);
                return false;
            }
        };
        tracing::info!(secrets = due.len(), "references refreshed");
        let mut reports = Vec::new();
        for ((secret, event), version) in due {
            let is_resolved = self.settings(&secret).all(|setting| {
                let found = refreshed.iter().find(|one| one.setting == setting);
                found.is_none_or(is_resolved)
            });
            let outcome = if is_resolved {
                Outcome::Refreshed
            } else {
                Outcome::Unresolved
            };
            let report = RotationReport::new(&secret, event, outcome).asked(asked_at);
            reports.push(report.clone());
            self.done.insert(secret, (version, report));
        }
        self.app.rotation.report_of(reports);
        true
    }

    fn settings(&self, secret: &Secret) -> impl Iterator<Item = &str> {
        let followers = self.followers.get(secret).into_iter().flatten();
        followers.map(|setting| setting.name())
    }

    /// Azure did not do it. It is tried again, after `pause` at the soonest.
    fn refused(&mut self, looked: Vec<Looked>, error: &ManagementError, pause: Duration) {
        let (outcome, cause) = match error {
            ManagementError::Denied => (Outcome::Denied, Cause::MayNotRefresh),
            ManagementError::NotFound => (Outcome::Denied, Cause::RefreshNotFound),
            ManagementError::Credential(cause) => {
                let cause = Cause::Failed(Error::Credential(*cause));
                (Outcome::Failed, cause)
            }
            ManagementError::Busy { .. }
            | ManagementError::Unreachable
            | ManagementError::UnexpectedAnswer => (Outcome::Failed, Cause::RefreshFailed),
        };
        let pause = match error {
            ManagementError::Busy { retry_after } => retry_after.unwrap_or_default().max(pause),
            _ => pause,
        };
        let surroundings = self.app.references.surroundings();
        let why = explain(&cause, &Subject::OF_THE_HANDLER, surroundings, (self.now)());
        self.failed(looked, outcome, &why, pause);
    }

    async fn why_unread(&self, secret: &Secret, error: Error) -> Explanation {
        let cause = self.app.cause(&secret.vault, error).await;
        let setting = self.followers.get(secret).and_then(|all| all.first());
        let subject = setting.map_or(Subject::OF_THE_HANDLER, |setting| setting.subject());
        let surroundings = self.app.references.surroundings();
        explain(&cause, &subject, surroundings, (self.now)())
    }

    /// Tells it, and tries again after `pause` or the next of its own.
    fn failed(
        &mut self,
        looked: Vec<Looked>,
        outcome: Outcome,
        why: &Explanation,
        pause: Duration,
    ) {
        let (code, detail, fix) = (why.code, &why.detail, &why.fix);
        if self.written.replace(code) != Some(code) {
            if outcome == Outcome::Denied {
                tracing::warn!(code, "{detail} {fix}");
            } else {
                tracing::info!(code, "references not refreshed, tried again");
            }
        }
        let reports = looked
            .iter()
            .map(|(secret, event)| RotationReport::new(secret, *event, outcome).because(why));
        self.app.rotation.report_of(reports);
        self.failures += 1;
        let own = Duration::from_secs(1) * 2_u32.saturating_pow(self.failures.min(10));
        let pause = pause.max(own).min(PAUSE_LIMIT);
        for (secret, event) in looked {
            self.app.rotation.put(secret, event, Instant::now() + pause);
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

/// Whether the platform does not say otherwise.
fn is_resolved(reference: &ConfigReference) -> bool {
    let status = reference.status.as_deref().and_then(Status::parse);
    status.is_none_or(|status| status == Status::Resolved)
}
