//! Which references there are, and how they are.
//!
//! What is not resolved is tried. Several are tried at once, each at most once in a while, and an
//! answer waits for them with a limit. So are values compared, where that is asked for.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::join_all;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{
    app_settings::{AppSetting, AppSettings, KnownValue, SettingKind, SettingState},
    kind::ReferenceKind,
    probe::{Expiry, Probe, Resolves},
    report::{ExpiryReport, Freshness, ReferenceReport, Source},
    status::Status,
    syntax::Reference,
    verdict::{weigh, why_unresolved},
};
use crate::{
    diagnosis::{Cause, Expires, Explanation, Facts, Surroundings, explain},
    key_vault::Vaults,
};

/// A secret that expires within this many days is worth a word.
pub const SOON: i64 = 30;

/// How long an answer waits for what is being tried.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// What one answer asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReportOptions {
    /// Compare what the app holds with the vault's current version. Reads values.
    pub freshness: bool,
    /// Read when the secrets expire, without their values.
    pub expiry: bool,
    /// Probe the path to the vaults.
    pub path: bool,
}

/// The app's settings and references, and the vaults to try them with.
pub struct Inspector {
    inspected: Vec<Inspected>,
    not_listed: usize,
    surroundings: Surroundings,
}

enum Inspected {
    /// Its reference is well-formed and can be tried.
    Reference(Arc<Probe>),
    /// There is nothing to try.
    Other(Box<AppSetting>),
}

impl Inspected {
    fn setting(&self) -> &AppSetting {
        match self {
            Self::Reference(probe) => &probe.setting,
            Self::Other(setting) => setting,
        }
    }
}

impl Inspector {
    /// Over `settings`, in the order of the answer.
    #[must_use]
    pub fn new(
        settings: impl Into<AppSettings>,
        resolves: Resolves,
        vaults: &Arc<Vaults>,
        surroundings: Surroundings,
    ) -> Self {
        let AppSettings { listed, not_listed } = settings.into();
        let all = listed.len();
        let inspect = |setting: AppSetting| match setting.reference().cloned() {
            Some(reference) => {
                let probe = Probe::new(setting, reference, resolves, vaults.clone(), all);
                Inspected::Reference(Arc::new(probe))
            }
            None => Inspected::Other(Box::new(setting)),
        };
        Self {
            inspected: listed.into_iter().map(inspect).collect(),
            not_listed,
            surroundings,
        }
    }

    /// Every reference, in the settings' order. Takes 2.5 s at most, and a little.
    pub async fn report(&self, options: ReportOptions) -> Vec<ReferenceReport> {
        let deadline = Instant::now() + PATIENCE;
        let reports = self.inspected.iter().map(|one| async move {
            match one {
                Inspected::Reference(probe) => Some(self.tried(probe, options, deadline).await),
                Inspected::Other(setting) => self.not_tried(setting),
            }
        });
        join_all(reports).await.into_iter().flatten().collect()
    }

    /// Whether [`Inspector::report`] tells the same for ever: there is nothing left to try.
    /// What is in effect stays so, and a reference that cannot be read does not change.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.inspected.iter().all(|one| match one {
            Inspected::Reference(probe) => probe.setting.is_in_effect(),
            Inspected::Other(_) => true,
        })
    }

    /// How many references there are besides those of [`Inspector::report`].
    #[must_use]
    pub fn not_listed(&self) -> usize {
        self.not_listed
    }

    /// Every well-formed reference with its setting, in the settings' order.
    pub fn references(&self) -> impl Iterator<Item = (&AppSetting, &Reference)> {
        self.inspected.iter().filter_map(|one| match one {
            Inspected::Reference(probe) => Some((&probe.setting, &probe.reference)),
            Inspected::Other(_) => None,
        })
    }

    /// How many references to vaults there are, whatever is wrong with them.
    #[must_use]
    pub fn count(&self) -> usize {
        let malformed = self.inspected.iter().map(Inspected::setting);
        let malformed = malformed.filter(|setting| setting.syntax_error().is_some());
        self.references().count() + malformed.count() + self.not_listed
    }

    /// Where the handler runs, for other refusals.
    #[must_use]
    pub fn surroundings(&self) -> &Surroundings {
        &self.surroundings
    }

    /// The state of the app setting called `name`. Right after [`Inspector::report`] it tells
    /// what the report tells.
    #[must_use]
    pub fn state(&self, name: &str) -> SettingState<&KnownValue> {
        let mut settings = self.inspected.iter().map(Inspected::setting);
        settings
            .find(|setting| setting.name() == name && setting.kind() == SettingKind::AppSetting)
            .map_or(SettingState::NotSet, AppSetting::state)
    }

    async fn tried(
        &self,
        probe: &Arc<Probe>,
        options: ReportOptions,
        deadline: Instant,
    ) -> ReferenceReport {
        let mut report = self.status(probe, options, deadline).await;
        if options.path && report.path.is_none() {
            report.path = probe.path(deadline).await;
        }
        report
    }

    async fn status(
        &self,
        probe: &Arc<Probe>,
        options: ReportOptions,
        deadline: Instant,
    ) -> ReferenceReport {
        let (setting, reference) = (&probe.setting, &probe.reference);
        if !setting.is_in_effect() {
            let finding = probe.finding(deadline).await;
            // Read again: it may just have been resolved.
            if !setting.is_in_effect() {
                return self.unresolved(probe, finding);
            }
        }
        let mut report = ReferenceReport::new(setting, Status::Resolved).about(reference);
        if options.freshness && reference.version.is_none() {
            let comparison = probe.comparison(deadline).await;
            report = self.compared(report, setting, reference, comparison);
        }
        if options.expiry {
            let expiry = probe.expiry(deadline).await;
            report = self.dated(report, setting, expiry);
        }
        report
    }

    /// Adds when the secret expires.
    fn dated(
        &self,
        report: ReferenceReport,
        setting: &AppSetting,
        expiry: Result<Expiry, Cause>,
    ) -> ReferenceReport {
        let because = |cause: &Cause| self.explain(setting, cause);
        let expiry = match expiry {
            Ok(expiry) => expiry,
            Err(cause) => {
                let mut found = because(&cause);
                found
                    .detail
                    .insert_str(0, "When the secret expires cannot be read. ");
                return report.also_explained(found);
            }
        };
        let told = ExpiryReport::new(expiry.expires, OffsetDateTime::now_utc());
        let report = ReferenceReport {
            expiry: Some(told),
            ..report
        };
        match (told.expires, told.days_left) {
            (Some(on), Some(..SOON)) => report.also_explained(because(&Cause::Expires(Expires {
                on,
                is_certificates: expiry.is_certificates,
                is_disabled: expiry.is_disabled,
                newer: expiry.newer,
            }))),
            _ => report,
        }
    }

    /// Adds whether the app holds the vault's current value.
    fn compared(
        &self,
        report: ReferenceReport,
        setting: &AppSetting,
        reference: &Reference,
        comparison: Result<bool, Cause>,
    ) -> ReferenceReport {
        let because = |cause: &Cause| self.explain(setting, cause);
        let (freshness, found) = match comparison {
            Ok(true) => (Freshness::Current, None),
            Ok(false) => {
                let cause = Cause::Stale(reference.other_form());
                (Freshness::Stale, Some(because(&cause)))
            }
            Err(cause) => {
                let mut found = because(&cause);
                found
                    .detail
                    .insert_str(0, "The value in use cannot be compared. ");
                (Freshness::Unknown, Some(found))
            }
        };
        let report = ReferenceReport {
            freshness: Some(freshness),
            ..report
        };
        match found {
            Some(found) => report.explained(found),
            None => report,
        }
    }

    /// A setting whose state needs no vault to tell; nothing if it is no reference.
    fn not_tried(&self, setting: &AppSetting) -> Option<ReferenceReport> {
        if let Some(error) = setting.syntax_error() {
            let cause = Cause::Syntax(error.to_string());
            let report = ReferenceReport::new(setting, Status::InvalidSyntax);
            return Some(report.explained(self.explain(setting, &cause)));
        }
        match (setting.reference_kind(), setting.platform_status()) {
            (Some(ReferenceKind::AppConfiguration), _) => Some(self.app_configuration(setting)),
            // All that is known is the platform's status.
            (_, Some(platforms)) => Some(ReferenceReport {
                source: Source::Platform,
                ..ReferenceReport::new(setting, platforms.status())
            }),
            (_, None) => self.empty(setting),
        }
    }

    /// The platform's status, unless the value says that the platform is wrong.
    fn app_configuration(&self, setting: &AppSetting) -> ReferenceReport {
        if setting.is_in_effect() {
            return ReferenceReport::new(setting, Status::Resolved);
        }
        let platforms = setting.known_status();
        let platforms = platforms.filter(|status| *status != Status::Resolved);
        let report = ReferenceReport::new(setting, platforms.unwrap_or(Status::OtherReasons));
        report.explained(self.explain(setting, &Cause::AppConfiguration))
    }

    /// On Azure, one of the settings that are meant to come from a vault has no value, and the
    /// platform reports nothing about it.
    fn empty(&self, setting: &AppSetting) -> Option<ReferenceReport> {
        let is_empty = matches!(setting.state(), SettingState::NotSet);
        (is_empty && setting.is_expected() && self.surroundings.is_on_azure()).then(|| {
            let found = self.explain(setting, &Cause::EmptyValue);
            ReferenceReport::new(setting, Status::OtherReasons).explained(found)
        })
    }

    fn unresolved(&self, probe: &Probe, finding: Result<Facts, Cause>) -> ReferenceReport {
        let (setting, reference) = (&probe.setting, &probe.reference);
        let platforms = setting.platform_status();
        let (cause, facts) = match finding {
            Err(cause) => (cause, Facts::default()),
            Ok(facts) => why_unresolved(reference, facts, platforms, &self.surroundings),
        };
        let found = self.explain(setting, &cause);
        let mut found = found.and(&facts, OffsetDateTime::now_utc());
        let own = Status::of(&cause, self.surroundings.is_on_azure());
        let (status, disagreement) = weigh(own, platforms);
        found.detail.push_str(&disagreement);
        ReferenceReport::new(setting, status)
            .explained(found)
            .about(reference)
    }

    fn explain(&self, setting: &AppSetting, cause: &Cause) -> Explanation {
        let now = OffsetDateTime::now_utc();
        explain(cause, &setting.subject(), &self.surroundings, now)
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.inspected.iter().map(Inspected::setting);
        f.debug_list().entries(settings).finish()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::{key_vault::Error, references::status::PlatformStatus};

    fn is_settled(settings: Vec<AppSetting>) -> bool {
        let vaults = Vaults::new(|| std::future::ready(Err(Error::VaultNotFound)));
        Inspector::new(
            settings,
            Resolves::Handler,
            &Arc::new(vaults),
            Surroundings::default(),
        )
        .is_settled()
    }

    #[test]
    fn what_can_still_be_tried_is_not_settled() {
        let reference = "@Microsoft.KeyVault(VaultName=your-kv;SecretName=A)";
        let malformed = "@Microsoft.KeyVault(VaultName=your-kv)";
        let setting = |value: &str| AppSetting::new("A", value.to_owned().into());
        let said = |status| Some(PlatformStatus::Known(status));
        assert!(is_settled(vec![setting("x"), setting(malformed)]));
        let resolved = setting("x").reported(Some(reference), said(Status::Resolved));
        assert!(is_settled(vec![resolved]));
        assert!(!is_settled(vec![setting("x"), setting(reference)]));
        let denied = Status::AccessToKeyVaultDenied;
        let refused = setting("x").reported(Some(reference), said(denied));
        assert!(!is_settled(vec![refused]));
        let late = setting(reference);
        late.resolve(&SecretString::from("x".to_owned()));
        assert!(is_settled(vec![late]));
    }
}
