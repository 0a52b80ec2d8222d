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
    /// The version for which Azure was asked last.
    pub(super) asked: Option<&'a ObjectVersion>,
}

/// Whether the app has the newest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As far as anybody says.
    Current,
    /// Nobody can use it.
    Disabled,
    /// Azure was asked for it before.
    Asked,
    /// Some setting does not have this version.
    Behind(ObjectVersion),
}

impl Sight<'_> {
    pub(super) fn verdict(&self) -> Verdict {
        let newest = || self.newest.version.iter().chain(&self.newest.also_latest);
        let is_behind = |active: Option<&ObjectVersion>| match active {
            Some(active) if newest().any(|one| one == active) => {
                // Of the versions of one second any may be the latest.
                self.is_told && !self.newest.also_latest.is_empty()
            }
            Some(_) => true,
            // A start asks for nothing then, or it would never end.
            None => self.is_told,
        };
        let Some(version) = &self.newest.version else {
            return Verdict::Current;
        };
        if !self.active.iter().copied().any(is_behind) {
            Verdict::Current
        } else if self.newest.enabled == Some(false) {
            Verdict::Disabled
        } else if self.asked == Some(version) {
            Verdict::Asked
        } else {
            Verdict::Behind(version.clone())
        }
    }
}

/// How long after a start at `started` Azure is asked for a version that was made at `created`:
/// as old as it was at the start, whatever events come. Where the platform stays behind, and starts the app again each time
/// that it is asked, it is asked ever more seldom. Nothing if the version is older than a day.
pub(super) fn wait_at_start(
    created: Option<OffsetDateTime>,
    started: OffsetDateTime,
) -> Option<Duration> {
    let age = Duration::try_from(started - created?).unwrap_or_default();
    (age < LOOKS_ITSELF).then(|| age.min(WAIT_LIMIT))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::key_vault::{Details, ObjectName};

    fn version(number: u8) -> ObjectVersion {
        ObjectVersion::parse(&format!("{number:032x}")).expect("a version")
    }

    fn newest(versions: &[u8], enabled: bool) -> Metadata {
        let mut versions = versions.iter().copied().map(version);
        Metadata {
            name: ObjectName::parse("a").expect("a name"),
            version: versions.next(),
            enabled: Some(enabled),
            created: None,
            updated: None,
            not_before: None,
            expires: None,
            tags: BTreeMap::new(),
            managed: false,
            also_latest: versions.collect(),
            details: Details::Secret { content_type: None },
        }
    }

    #[test]
    fn what_the_app_has_is_compared_with_what_the_vault_has() {
        let behind = |number| Verdict::Behind(version(number));
        for (active, versions, is_told, asked, expected) in [
            // Azure tells a version.
            (Some(1), &[1][..], false, None, Verdict::Current),
            (Some(1), &[1], true, None, Verdict::Current),
            (Some(1), &[2], false, None, behind(2)),
            (Some(1), &[2], true, None, behind(2)),
            // Azure tells none.
            (None, &[2], false, None, Verdict::Current),
            (None, &[2], true, None, behind(2)),
            // Two versions of one second.
            (Some(1), &[2, 1], false, None, Verdict::Current),
            (Some(1), &[2, 1], true, None, behind(2)),
            // Once for each version.
            (Some(1), &[2], false, Some(2), Verdict::Asked),
            (None, &[2], true, Some(2), Verdict::Asked),
            (None, &[3], true, Some(2), behind(3)),
        ] {
            let of = |number: Option<u8>| number.map(version);
            let (active, asked) = (of(active), of(asked));
            let sight = |newest| Sight {
                active: vec![active.as_ref()],
                newest,
                is_told,
                asked: asked.as_ref(),
            };
            let (enabled, disabled) = (newest(versions, true), newest(versions, false));
            let verdict = sight(&enabled).verdict();
            assert_eq!(verdict, expected, "{active:?} {versions:?} {is_told}");
            let disabled = sight(&disabled).verdict();
            assert_eq!(disabled == Verdict::Current, expected == Verdict::Current);
            assert!(matches!(disabled, Verdict::Current | Verdict::Disabled));
        }
    }

    #[test]
    fn one_setting_that_is_behind_is_enough() {
        let (old, new, newest) = (version(1), version(2), newest(&[2], true));
        let sight = Sight {
            active: vec![Some(&new), Some(&old)],
            newest: &newest,
            is_told: false,
            asked: None,
        };
        assert_eq!(sight.verdict(), Verdict::Behind(new));
    }

    /// Each start may be the doing of the one before: within a day there are few of them.
    #[test]
    fn a_platform_that_stays_behind_is_asked_ever_more_seldom() {
        let created = OffsetDateTime::UNIX_EPOCH;
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
