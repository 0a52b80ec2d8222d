//! Lines for an alert rule: one for each secret that the app uses and each tier of the days that
//! it has left. Only those secrets are asked for, and never a value.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use time::OffsetDateTime;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    metadata,
    used::{Used, used},
};
use crate::{
    diagnosis::{Expires, days_left, warning},
    functions::{AppState, Shared},
    key_vault::{Error, Metadata, ObjectId, ObjectKind, VaultUrl, limits::LISTING_LIMIT},
    references::newer,
};

/// A start has other things to do, and many processes do not live this long.
const FIRST_AFTER: Duration = Duration::from_secs(5 * 60);
/// A tier is a day wide at least, so that each is met.
const EVERY: Duration = Duration::from_secs(12 * 60 * 60);
/// What could not be read is tried again sooner: many processes do not live for two looks.
const AGAIN_AFTER: Duration = Duration::from_secs(30 * 60);

/// Days that are left when a line is due. One more is due once the secret has expired.
const TIERS: [i64; 4] = [30, 14, 7, 1];

/// How far along the tiers a secret is: the more, the sooner it expires.
type Stage = usize;

/// 0 while no line is due.
fn stage(days_left: i64) -> Stage {
    let passed = TIERS.iter().filter(|tier| days_left <= **tier).count();
    passed + usize::from(days_left < 0)
}

/// A secret and, where it is pinned, the reference with a newer version.
type Read = (Metadata, Option<String>);

/// What has been said about one secret.
#[derive(Default)]
struct Said {
    /// About which date. Another one is another story.
    expires: Option<OffsetDateTime>,
    stage: Stage,
    /// Why its expiry could not be read, when that was last said.
    unknown: Option<&'static str>,
}

impl AppState {
    /// Writes the lines, for as long as it is polled. `now` is the date.
    pub async fn warn_of_expiry(&self, now: impl Fn() -> OffsetDateTime) -> Infallible {
        let used = used(&self.0);
        let mut said: HashMap<_, Said> = HashMap::new();
        sleep(FIRST_AFTER).await;
        loop {
            let next = Instant::now() + EVERY;
            let mut due: Vec<usize> = (0..used.len()).collect();
            loop {
                let until = Instant::now() + LISTING_LIMIT;
                let mut unread = Vec::new();
                for index in due {
                    let one = &used[index];
                    let read = self.0.read(one, until).await;
                    if read.as_ref().is_err_and(Error::may_pass) {
                        unread.push(index);
                    }
                    let said = said.entry(index).or_default();
                    self.0.say(one, read, said, now());
                }
                due = unread;
                let again = Instant::now() + AGAIN_AFTER;
                if due.is_empty() || again >= next {
                    break;
                }
                sleep_until(again).await;
            }
            sleep_until(next).await;
        }
    }
}

impl Shared {
    /// What the vault says about a secret, and the reference with a newer version, if it is pinned
    /// to an older one.
    async fn read(&self, used: &Used<'_>, until: Instant) -> Result<Read, Error> {
        if Instant::now() >= until {
            return Err(Error::TimedOut);
        }
        let vault = self.vaults.open(used.vault).await?;
        let metadata = metadata(&vault, &used.id, until).await?;
        let (_, reference) = used.by[0];
        let newer = newer(&vault, reference, &metadata).await;
        Ok((metadata, newer))
    }

    fn say(
        &self,
        used: &Used<'_>,
        read: Result<Read, Error>,
        said: &mut Said,
        now: OffsetDateTime,
    ) {
        let secret = used.id.name.as_str();
        let (read, newer) = match read {
            Ok(read) => read,
            // What is gone does not expire, and config-check tells that it is gone.
            Err(Error::NotFound(_) | Error::VersionNotFound(_)) => return,
            Err(error) => {
                let code = error.code();
                if said.unknown.replace(code) != Some(code) {
                    tracing::info!(secret, code, "when a secret of this app expires is unknown");
                }
                return;
            }
        };
        said.unknown = None;
        let Some(expires) = read.expires else {
            *said = Said::default();
            return;
        };
        let stage = stage(days_left(expires, now));
        if said.expires.replace(expires) != Some(expires) {
            // It was renewed, or its date was moved.
            said.stage = 0;
        }
        // An event was sooner.
        let of_event = self.told_by_events.get(used.vault, &used.id, expires);
        said.stage = said.stage.max(of_event);
        if stage <= said.stage {
            return;
        }
        said.stage = stage;
        let end = Expires {
            on: expires,
            is_certificates: read.managed,
            is_disabled: read.enabled == Some(false),
            newer,
        };
        self.write(used, &end, stage, now);
    }

    fn write(&self, used: &Used<'_>, end: &Expires, stage: Stage, now: OffsetDateTime) {
        let (first, _) = used.by[0];
        let settings: Vec<_> = used.by.iter().map(|(setting, _)| setting.name()).collect();
        let surroundings = self.references.surroundings();
        let text = warning(&settings, end, &first.subject(), surroundings, now);
        let code = if stage > TIERS.len() {
            "SecretExpired"
        } else {
            "SecretExpiresSoon"
        };
        tracing::warn!(code, "{text}");
    }

    /// Event Grid says that `object` expires, or has. What no setting uses is no line.
    pub(in crate::functions) fn tell_of_expiry(
        &self,
        vault: &VaultUrl,
        object: &ObjectId,
        expires: Option<OffsetDateTime>,
    ) {
        let (Some(on), true) = (expires, object.kind != ObjectKind::Key) else {
            return;
        };
        let now = OffsetDateTime::now_utc();
        let stage = stage(days_left(on, now));
        for used in used(self) {
            let is_same_version = used.id.version.is_none()
                || object.kind == ObjectKind::Certificate
                || used.id.version == object.version;
            let is_it = used.vault == vault && used.id.name == object.name && is_same_version;
            if !is_it || !self.told_by_events.raise(vault, &used.id, on, stage) {
                continue;
            }
            let end = Expires {
                on,
                is_certificates: object.kind == ObjectKind::Certificate,
                is_disabled: false,
                newer: None,
            };
            self.write(&used, &end, stage, now);
        }
    }
}

/// What events have told of secrets that the app uses: about which date, and how near it was.
#[derive(Default)]
pub(in crate::functions) struct ToldByEvents(
    Mutex<HashMap<(VaultUrl, ObjectId), (OffsetDateTime, Stage)>>,
);

impl ToldByEvents {
    fn get(&self, vault: &VaultUrl, id: &ObjectId, expires: OffsetDateTime) -> Stage {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match told.get(&(vault.clone(), id.clone())) {
            Some((on, stage)) if *on == expires => *stage,
            _ => 0,
        }
    }

    /// Whether `stage` is nearer than what has been told about this date.
    fn raise(&self, vault: &VaultUrl, id: &ObjectId, on: OffsetDateTime, stage: Stage) -> bool {
        let is_nearer = stage > self.get(vault, id, on);
        if is_nearer {
            let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            told.insert((vault.clone(), id.clone()), (on, stage));
        }
        is_nearer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_begins_with_its_day() {
        for (days_left, expected) in [
            (31, 0),
            (30, 1),
            (15, 1),
            (14, 2),
            (8, 2),
            (7, 3),
            (2, 3),
            (1, 4),
            (0, 4),
            (-1, 5),
            (-300, 5),
        ] {
            assert_eq!(stage(days_left), expected, "{days_left}");
        }
    }
}
