//! The work behind the answers: bursts of events become one question to Azure, and what a crash has
//! lost is found at the start.

use std::{collections::HashMap, convert::Infallible, time::Duration};

use time::OffsetDateTime;
use tokio::time::{Instant, sleep, sleep_until};

use super::rotation::{Outcome, Rotation, Wanted};
use crate::{
    diagnosis::{Cause, Explanation, Named, Subject, explain},
    functions::{AppState, Shared},
    key_vault::{Error, ObjectId, ObjectKind, ObjectVersion, patiently},
    management::{ConfigReference, ManagementError, ResourceManager},
    references::Status,
};

/// Azure is asked once no event has come for this long.
const QUIET: Duration = Duration::from_secs(30);
/// Events that never stop are not waited for longer.
const QUIET_LIMIT: Duration = Duration::from_secs(120);
/// Azure is asked no more often.
const EVERY: Duration = Duration::from_secs(60);
/// The pauses after failures grow up to this.
const PAUSE_LIMIT: Duration = Duration::from_secs(300);
/// Time to learn the newest versions of what is wanted.
const READ_LIMIT: Duration = Duration::from_secs(60);

impl AppState {
    /// Asks Azure to resolve references again when a secret has a new version, for as long as it is
    /// polled. `now` is the date. Does nothing where `ROTATION_REFRESH` is off.
    pub async fn follow_rotation(&self, now: impl Fn() -> OffsetDateTime) -> Infallible {
        let app = &self.0;
        let rotation = &app.rotation;
        let Some(manager) = &rotation.manager else {
            return std::future::pending().await;
        };
        app.catch_up(manager, &now).await;
        let mut asked: Option<Instant> = None;
        let mut failures = 0;
        loop {
            let wanted = quiet(rotation).await;
            if let Some(asked) = asked {
                sleep_until(asked + EVERY).await;
            }
            let begun = now();
            match app.ask(manager, &wanted, false).await {
                Ok(outcome) => {
                    failures = 0;
                    rotation.settle(&wanted);
                    let at = (outcome != Outcome::Current).then_some(begun);
                    asked = at.map(|_| Instant::now()).or(asked);
                    rotation.tell(&wanted, at, outcome, None);
                    tracing::info!(secrets = wanted.len(), ?outcome, "references refreshed");
                }
                Err(error) if error.may_pass() => {
                    failures += 1;
                    app.failed(&wanted, begun, &error);
                    sleep(pause(&error, failures)).await;
                }
                Err(error) => {
                    failures = 0;
                    rotation.settle(&wanted);
                    app.failed(&wanted, begun, &error);
                }
            }
        }
    }
}

/// What is wanted, once events have stopped for a while.
async fn quiet(rotation: &Rotation) -> Vec<Wanted> {
    loop {
        match rotation.wanted() {
            None => rotation.wake.notified().await,
            Some((wanted, first, latest)) => {
                let until = (latest + QUIET).min(first + QUIET_LIMIT);
                if Instant::now() >= until {
                    return wanted;
                }
                sleep_until(until).await;
            }
        }
    }
}

fn pause(error: &ManagementError, failures: u32) -> Duration {
    let told = match error {
        ManagementError::Busy { retry_after } => *retry_after,
        _ => None,
    };
    let own = Duration::from_secs(1) * 2_u32.saturating_pow(failures.min(10));
    told.unwrap_or(own)
        .clamp(Duration::from_secs(1), PAUSE_LIMIT)
}

impl Shared {
    /// Refreshes what is behind: events that came while no process ran, or that one lost. What the
    /// platform does not tell a version of is left alone, or this would never end.
    async fn catch_up(&self, manager: &ResourceManager, now: &impl Fn() -> OffsetDateTime) {
        let event_at = now();
        let mut wanted: Vec<Wanted> = Vec::new();
        for (_, reference) in self.references.references() {
            let vault = self.vaults.meant(&reference.vault);
            let is_known = wanted
                .iter()
                .any(|one| one.vault == *vault && one.name == reference.name);
            if reference.version.is_none() && !is_known {
                wanted.push(Wanted {
                    vault: vault.clone(),
                    name: reference.name.clone(),
                    event_at,
                });
            }
        }
        if wanted.is_empty() {
            return;
        }
        let mut failures = 0;
        loop {
            match self.ask(manager, &wanted, true).await {
                Ok(Outcome::Current) => return,
                Ok(outcome) => {
                    self.rotation.tell(&wanted, Some(now()), outcome, None);
                    tracing::info!(?outcome, "references refreshed that were behind");
                    return;
                }
                Err(error) if error.may_pass() && failures < 8 => {
                    failures += 1;
                    sleep(pause(&error, failures)).await;
                }
                Err(error) => {
                    self.failed(&wanted, now(), &error);
                    return;
                }
            }
        }
    }

    /// Asks Azure to resolve references again, if one of those to `wanted` is behind.
    async fn ask(
        &self,
        manager: &ResourceManager,
        wanted: &[Wanted],
        is_start: bool,
    ) -> Result<Outcome, ManagementError> {
        let active: HashMap<String, Option<ObjectVersion>> = match manager.references().await {
            Ok(references) => {
                let each = references.into_iter();
                each.map(|one| (one.setting, one.active_version)).collect()
            }
            // A list that is not there says nothing about the refresh.
            Err(ManagementError::NotFound) if !is_start => HashMap::new(),
            Err(error) => return Err(error),
        };
        let mut is_behind = false;
        for one in wanted {
            let in_effect: Vec<_> = self
                .settings_of(one)
                .map(|setting| active.get(setting).cloned().flatten())
                .collect();
            if is_start && in_effect.iter().all(Option::is_none) {
                continue;
            }
            let newest = self.newest(one).await;
            is_behind |= in_effect.iter().any(|version| match version {
                Some(version) if !newest.is_empty() => {
                    // Of versions of one second any may be the latest. An event is believed.
                    !newest.contains(version) || (newest.len() > 1 && !is_start)
                }
                _ => !is_start,
            });
        }
        if !is_behind {
            return Ok(Outcome::Current);
        }
        let refreshed = manager.refresh().await?;
        let has_value = |setting: &str| {
            let mut all = refreshed.iter();
            let found = all.find(|one| one.setting == setting);
            found.is_none_or(is_resolved)
        };
        let mut settings = wanted.iter().flat_map(|one| self.settings_of(one));
        Ok(if settings.all(has_value) {
            Outcome::Refreshed
        } else {
            Outcome::Unresolved
        })
    }

    /// The settings whose reference gets whatever version is the latest.
    fn settings_of<'a>(&'a self, wanted: &'a Wanted) -> impl Iterator<Item = &'a str> {
        let references = self.references.references();
        references.filter_map(move |(setting, reference)| {
            let is_it = reference.version.is_none()
                && reference.name == wanted.name
                && *self.vaults.meant(&reference.vault) == wanted.vault;
            is_it.then(|| setting.name())
        })
    }

    /// The latest version of a secret, if the handler may know it; several of one second.
    async fn newest(&self, wanted: &Wanted) -> Vec<ObjectVersion> {
        let until = Instant::now() + READ_LIMIT;
        let latest = ObjectId {
            kind: ObjectKind::Secret,
            name: wanted.name.clone(),
            version: None,
        };
        let read = async {
            let vault = self.vaults.open(&wanted.vault).await?;
            patiently(until, Error::wait, || vault.probed_metadata(&latest)).await
        };
        match read.await {
            Ok(metadata) => {
                let all = metadata.version.into_iter().chain(metadata.also_latest);
                all.collect()
            }
            Err(_) => Vec::new(),
        }
    }

    fn failed(&self, wanted: &[Wanted], at: OffsetDateTime, error: &ManagementError) {
        let why = self.why(error, at);
        let (code, detail, fix) = (why.code, &why.detail, &why.fix);
        let outcome = if error.may_pass() {
            tracing::info!(code, "references not refreshed, tried again");
            Outcome::Failed
        } else {
            tracing::warn!(code, "{detail} {fix}");
            Outcome::Denied
        };
        self.rotation.tell(wanted, Some(at), outcome, Some(why));
    }

    fn why(&self, error: &ManagementError, now: OffsetDateTime) -> Explanation {
        let cause = match error {
            ManagementError::Denied => Cause::MayNotRefresh,
            ManagementError::Credential(cause) => Cause::Failed(Error::Credential(*cause)),
            ManagementError::NotFound => Cause::RefreshNotFound,
            ManagementError::Busy { .. }
            | ManagementError::Unreachable
            | ManagementError::UnexpectedAnswer => Cause::RefreshFailed,
        };
        let subject = Subject {
            vault: None,
            kind: ObjectKind::Secret,
            name: None,
            version: None,
            named: Named::KeyVaultUrl,
        };
        explain(&cause, &subject, self.references.surroundings(), now)
    }
}

/// Whether the platform does not say otherwise.
fn is_resolved(reference: &ConfigReference) -> bool {
    let status = reference.status.as_deref().and_then(Status::parse);
    status.is_none_or(|status| status == Status::Resolved)
}
