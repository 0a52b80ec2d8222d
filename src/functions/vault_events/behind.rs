//! Whether the app has the newest version of a secret.

use std::time::Duration;

use time::OffsetDateTime;

use crate::key_vault::{Metadata, ObjectVersion};

/// Within this time after a version was made, a start asks for it: the platform looks itself each
/// 24 hours, so where it has an older version still there is another reason.
const LOOKS_ITSELF: Duration = Duration::from_secs(25 * 60 * 60);
/// The longest wait for what a start finds.
const WAIT_LIMIT: Duration = Duration::from_secs(60 * 60);

/// What is known about a secret.
pub(super) struct Sight<'a> {
    /// Which version each setting is resolved to, as far as Azure says so.
    pub(super) active: Vec<Option<&'a ObjectVersion>>,
    /// What the vault has.
    pub(super) newest: &'a Metadata,
    /// Whether an event told of a new version. Which one it named is not believed.
    pub(super) is_told: bool,
    /// Whether some setting was behind when Azure last told versions, and nothing was done about it.
    pub(super) was_behind: bool,
    /// The versions for which Azure was asked last.
    pub(super) asked: &'a [ObjectVersion],
    /// When this process started.
    pub(super) started: OffsetDateTime,
    pub(super) now: OffsetDateTime,
}

/// Whether the app has the newest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Azure tells no version, and the platform has looked itself since it was made; or nobody has told
    /// of a change.
    Unknown,
    /// As far as anybody says.
    Current,
    /// There is no such secret any more.
    Gone,
    /// Nobody can use it.
    Disabled,
    /// Azure was asked for it before.
    Asked,
    /// Some setting has an older one, although the platform has looked itself since.
    Left,
    /// Some setting does not have it.
    Behind {
        /// The newest; of several of one second any may be it.
        versions: Vec<ObjectVersion>,
        /// How long after the start Azure is asked.
        wait: Duration,
    },
}

impl Sight<'_> {
    pub(super) fn verdict(&self) -> Verdict {
        let versions = self.newest.version.iter().chain(&self.newest.also_latest);
        let versions: Vec<_> = versions.cloned().collect();
        let wait = wait_at_start(self.newest.created, self.started);
        let is_young = wait_at_start(self.newest.created, self.now).is_some();
        let is_behind = |active: Option<&ObjectVersion>| match active {
            // Of the versions of one second any may be the latest.
            Some(active) if versions.contains(active) => self.is_told && versions.len() > 1,
            Some(_) => true,
            // A start asks for nothing then, or it would never end.
            None => (self.is_told || self.was_behind) && wait.is_some() && is_young,
        };
        let mut active = self.active.iter().copied();
        if versions.is_empty() {
            Verdict::Current
        } else if versions.iter().all(|one| self.asked.contains(one)) {
            Verdict::Asked
        } else if active.clone().any(is_behind) {
            match wait {
                _ if self.newest.enabled == Some(false) => Verdict::Disabled,
                Some(wait) => Verdict::Behind { versions, wait },
                None => Verdict::Left,
            }
        } else if active.any(|active| active.is_some()) {
            Verdict::Current
        } else {
            Verdict::Unknown
        }
    }
}

/// How long after a start at `started` Azure is asked for a version that was made at `created`:
/// as old as it was at the start, whatever events come. Where the platform stays behind, and starts
/// the app again each time that it is asked, it is asked ever more seldom. Nothing if the version is
/// older than a day.
fn wait_at_start(created: Option<OffsetDateTime>, started: OffsetDateTime) -> Option<Duration> {
    let age = Duration::try_from(started - created?).unwrap_or_default();
    (age < LOOKS_ITSELF).then(|| age.min(WAIT_LIMIT))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::key_vault::{Details, ObjectName};

    const STARTED: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

    fn version(number: u8) -> ObjectVersion {
        ObjectVersion::parse(&format!("{number:032x}")).expect("a version")
    }

    /// Versions of one second, made when the process started.
    fn newest(versions: &[u8], enabled: bool) -> Metadata {
        let mut versions = versions.iter().copied().map(version);
        Metadata {
            name: ObjectName::parse("a").expect("a name"),
            version: versions.next(),
            enabled: Some(enabled),
            created: Some(STARTED),
            updated: None,
            not_before: None,
            expires: None,
            tags: BTreeMap::new(),
            managed: false,
            also_latest: versions.collect(),
            details: Details::Secret { content_type: None },
        }
    }

    fn behind(versions: &[u8]) -> Verdict {
        Verdict::Behind {
            versions: versions.iter().copied().map(version).collect(),
            wait: Duration::ZERO,
        }
    }

    #[test]
    fn what_the_app_has_is_compared_with_what_the_vault_has() {
        for (active, versions, is_told, asked, expected) in [
            // Azure tells a version.
            (Some(1), &[1][..], false, &[][..], Verdict::Current),
            (Some(1), &[1], true, &[], Verdict::Current),
            (Some(1), &[2], false, &[], behind(&[2])),
            (Some(1), &[2], true, &[], behind(&[2])),
            // Azure tells none.
            (None, &[2], false, &[], Verdict::Unknown),
            (None, &[2], true, &[], behind(&[2])),
            // Versions of one second.
            (Some(1), &[2, 1], false, &[], Verdict::Current),
            (Some(1), &[2, 1], true, &[], behind(&[2, 1])),
            (Some(1), &[2, 1], true, &[1, 2], Verdict::Asked),
            (Some(1), &[1, 2], true, &[2], behind(&[1, 2])),
            (Some(1), &[3, 2, 1], true, &[1, 2], behind(&[3, 2, 1])),
            // Once for each version.
            (Some(1), &[2], false, &[2], Verdict::Asked),
            (None, &[2], true, &[2], Verdict::Asked),
            (None, &[3], true, &[2], behind(&[3])),
        ] {
            let active = active.map(version);
            let asked: Vec<_> = asked.iter().copied().map(version).collect();
            let sight = |newest| Sight {
                active: vec![active.as_ref()],
                newest,
                is_told,
                was_behind: false,
                asked: &asked,
                started: STARTED,
                now: STARTED,
            };
            let (enabled, disabled) = (newest(versions, true), newest(versions, false));
            let verdict = sight(&enabled).verdict();
            assert_eq!(verdict, expected, "{active:?} {versions:?} {is_told}");
            let disabled = sight(&disabled).verdict();
            match expected {
                Verdict::Behind { .. } => assert_eq!(disabled, Verdict::Disabled),
                other => assert_eq!(disabled, other),
            }
        }
    }

    #[test]
    fn one_setting_that_is_behind_is_enough() {
        let (old, new, newest) = (version(1), version(2), newest(&[2], true));
        let sight = Sight {
            active: vec![Some(&new), Some(&old)],
            newest: &newest,
            is_told: false,
            was_behind: false,
            asked: &[],
            started: STARTED,
            now: STARTED,
        };
        assert_eq!(sight.verdict(), behind(&[2]));
    }

    #[test]
    fn what_the_platform_has_not_found_itself_is_left() {
        let (old, newest) = (version(1), newest(&[2], true));
        let long = LOOKS_ITSELF;
        for (active, is_told, was_behind, started, expected) in [
            (Some(&old), true, false, long, Verdict::Left),
            (None, true, false, long, Verdict::Unknown),
            (None, false, true, long, Verdict::Unknown),
            // For as long as a process runs.
            (Some(&old), true, false, Duration::ZERO, behind(&[2])),
            (None, true, false, Duration::ZERO, Verdict::Unknown),
            (None, false, true, Duration::ZERO, Verdict::Unknown),
        ] {
            let sight = Sight {
                active: vec![active],
                newest: &newest,
                is_told,
                was_behind,
                asked: &[],
                started: STARTED + started,
                now: STARTED + long,
            };
            assert_eq!(sight.verdict(), expected);
        }
    }

    /// Each start may be the doing of the one before: within a day there are few of them.
    #[test]
    fn a_platform_that_stays_behind_is_asked_ever_more_seldom() {
        let created = STARTED;
        let (mut now, mut asked) = (created + Duration::from_secs(30), 0);
        while let Some(wait) = wait_at_start(Some(created), now) {
            now += wait;
            asked += 1;
        }
        assert_eq!(asked, 31);
        assert_eq!(wait_at_start(None, now), None);
        assert_eq!(wait_at_start(Some(now), created), Some(Duration::ZERO));
    }
}
