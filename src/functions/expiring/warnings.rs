//! Lines for an alert rule: one for each secret that the app uses and each tier of the days that
//! it has left. Only those secrets are asked for, and never a value.

use std::{
    collections::HashSet,
    convert::Infallible,
    mem,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use time::OffsetDateTime;
use tokio::{
    select,
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::metadata;
use crate::{
    diagnosis::{Expires, days_left, warning},
    functions::{
        AppState, Shared,
        used::{Secret, Used, used},
    },
    key_vault::{Error, Metadata, limits::LISTING_LIMIT},
    references::newer,
};

/// A start has other things to do, and many processes do not live this long.
const FIRST_AFTER: Duration = Duration::from_secs(5 * 60);
/// A tier is a day wide at least, so that each is met.
const EVERY: Duration = Duration::from_secs(12 * 60 * 60);
/// However many events come for a secret, it is looked at no more often.
const EVENTS_EVERY: Duration = Duration::from_secs(5 * 60);
/// How long after it has expired that is said.
const SOON_AFTER: Duration = Duration::from_secs(60);
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

/// A secret that is looked at again and again.
struct Watched<'a> {
    used: Used<'a>,
    said: Said,
    next: Instant,
    looked: Option<Instant>,
}

/// What events have told of that expires, and has not been looked at.
#[derive(Default)]
pub(in crate::functions) struct Heard {
    /// What the app uses. Events about others are not heard.
    used: HashSet<Secret>,
    secrets: Mutex<HashSet<Secret>>,
    changed: Notify,
}

impl Heard {
    /// Of an app that uses these secrets.
    pub(in crate::functions) fn new(used: impl IntoIterator<Item = Secret>) -> Self {
        Self {
            used: used.into_iter().collect(),
            ..Self::default()
        }
    }

    /// An event says that `secret` expires or has expired.
    pub(in crate::functions) fn hear(&self, secret: Secret) {
        if !self.used.contains(&secret) {
            return;
        }
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.insert(secret);
        drop(secrets);
        self.changed.notify_one();
    }

    /// Waits until something has been heard.
    async fn wait(&self) -> HashSet<Secret> {
        self.changed.notified().await;
        let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        mem::take(&mut *secrets)
    }
}

impl AppState {
    /// Writes the lines, for as long as it is polled. `now` is the date.
    pub async fn warn_of_expiry(&self, now: impl Fn() -> OffsetDateTime) -> Infallible {
        let app = &*self.0;
        let first = Instant::now() + FIRST_AFTER;
        let watch = |used| Watched {
            used,
            said: Said::default(),
            next: first,
            looked: None,
        };
        let mut watched: Vec<_> = used(app).into_iter().map(watch).collect();
        loop {
            let next = watched.iter().map(|one| one.next).min();
            let heard = select! {
                () = sleep_until(next.unwrap_or(first)), if next.is_some() => HashSet::new(),
                heard = app.expiries.wait() => heard,
            };
            let begun = Instant::now();
            for one in &mut watched {
                if heard.contains(&one.used.secret()) {
                    let soonest = one.looked.map_or(begun, |looked| looked + EVENTS_EVERY);
                    one.next = one.next.min(soonest);
                }
                if one.next <= begun {
                    one.looked = Some(begun);
                    let read = app.read(&one.used, begun + LISTING_LIMIT).await;
                    one.next = begun + next_look(&read, now());
                    app.say(&one.used, read, &mut one.said, now());
                }
            }
        }
    }
}

/// How long after a look the next one is due, at the latest. Expiring is a stage of its own.
fn next_look(read: &Result<Read, Error>, now: OffsetDateTime) -> Duration {
    match read {
        Err(error) if error.may_pass() => AGAIN_AFTER,
        Ok((metadata, _)) => {
            let left = metadata.expires.map(|expires| expires - now);
            let left = left.and_then(|left| Duration::try_from(left).ok());
            left.map_or(EVERY, |left| EVERY.min(left + SOON_AFTER))
        }
        Err(_) => EVERY,
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
        if stage <= said.stage {
            return;
        }
        said.stage = stage;
        let (first, _) = used.by[0];
        let settings: Vec<_> = used.by.iter().map(|(setting, _)| setting.name()).collect();
        let surroundings = self.references.surroundings();
        let end = Expires {
            on: expires,
            is_certificates: read.managed,
            is_disabled: read.enabled == Some(false),
            newer,
        };
        let text = warning(&settings, &end, &first.subject(), surroundings, now);
        let code = if stage > TIERS.len() {
            "SecretExpired"
        } else {
            "SecretExpiresSoon"
        };
        tracing::warn!(code, "{text}");
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
