//! Which references there are, and how they are.
//!
//! What is not resolved is tried with the handler's own identity: on Azure without reading a
//! value, elsewhere by resolving the reference, since nobody else does. Several are
//! tried at once, each at most once in a while, and an answer waits for them with a limit. So are
//! values compared, where that is asked for.

use std::{
    fmt::{self, Write as _},
    sync::Arc,
    time::Duration,
};

use futures_util::{FutureExt, future::join_all};
use secrecy::SecretString;
use serde::Serialize;
use time::OffsetDateTime;
use tokio::time::{Instant, timeout_at};

use super::{
    app_settings::{AppSetting, AppSettings, KnownValue, SettingKind, SettingState},
    single_flight::SingleFlight,
    status::{PlatformStatus, Status},
    syntax::{Reference, ReferenceKind},
};
use crate::{
    diagnosis::{Cause, Explanation, Facts, Fix, Identity, Named, Subject, Surroundings, explain},
    key_vault::{Error, SecretId, Vault, Vaults},
};

/// How long an answer waits for what is being tried.
const PATIENCE: Duration = Duration::from_millis(2_500);
/// How long a finding stands before the reference is tried, or its value compared, again.
const FINDING_LIFE: Duration = Duration::from_secs(10);
/// The same for one that could not be tried: the instance had no request left for it.
const UNTRIED_LIFE: Duration = Duration::from_secs(1);
/// The time that the instance's budget for probes has for one reference: three requests of the 200
/// in 10 s.
const PACE: Duration = Duration::from_millis(150);

/// Who resolves references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolves {
    /// The platform did, before the process started. The handler only explains.
    Platform,
    /// Nobody but the handler.
    Handler,
}

/// What the handler met when it tried a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Finding {
    /// The secret is there and its value may be got.
    Readable(Facts),
    /// It is not, or may not.
    Failed(Cause),
}

/// What one answer asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReportOptions {
    /// Compare what the app holds with the vault's current version. Reads values.
    pub freshness: bool,
}

/// The app's settings and references, and the vaults to try them with.
pub struct Inspector(Arc<Inner>);

struct Inner {
    settings: Vec<AppSetting>,
    not_listed: usize,
    resolves: Resolves,
    vaults: Arc<Vaults>,
    surroundings: Surroundings,
    /// By the setting's index in `settings`.
    known: Vec<Known>,
}

/// What was found out about one reference.
struct Known {
    finding: SingleFlight<Finding>,
    verdict: SingleFlight<Verdict>,
}

impl Known {
    /// Of one of `all` references. The more there are, the longer a finding stands: otherwise the
    /// first ones would be tried again before the budget reaches the last.
    fn nothing(all: usize) -> Self {
        let life = FINDING_LIFE.max(PACE * u32::try_from(all).unwrap_or(u32::MAX));
        let of = move |cause: Option<&Cause>| match cause {
            Some(Cause::Failed(Error::BudgetSpent { .. })) => UNTRIED_LIFE,
            _ => life,
        };
        Self {
            finding: SingleFlight::new(move |finding| match finding {
                Finding::Failed(cause) => of(Some(cause)),
                Finding::Readable(_) => of(None),
            }),
            verdict: SingleFlight::new(move |(_, cause): &Verdict| of(cause.as_ref())),
        }
    }
}

/// How the value in use compares with the vault's, and why if they differ or cannot be compared.
type Verdict = (Freshness, Option<Cause>);

/// One reference of the app. Unknown members are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReferenceReport {
    /// Name of the app setting.
    pub setting: String,
    /// What the reference points at.
    pub kind: ReferenceKind,
    /// How it is.
    pub status: Status,
    /// Host of the vault, with its port if it is not 443.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vault: Option<String>,
    /// Name of the secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// Version, if the reference is pinned to one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whose word the status is.
    pub source: Source,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
    /// Whether the app holds the current value, if that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freshness: Option<Freshness>,
}

/// Whose word a status is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// App Service's.
    Platform,
    /// What the handler found.
    Handler,
}

/// Whether the app holds the vault's current value of a reference without version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Freshness {
    /// It does.
    Current,
    /// The vault has another value.
    Stale,
    /// The vault's value could not be read.
    Unknown,
}

impl Inspector {
    /// Over `settings`, in the order of the answer.
    #[must_use]
    pub fn new(
        settings: impl Into<AppSettings>,
        resolves: Resolves,
        vaults: Arc<Vaults>,
        surroundings: Surroundings,
    ) -> Self {
        let settings = settings.into();
        let all = settings.listed.len();
        let known = (0..all).map(|_| Known::nothing(all)).collect();
        Self(Arc::new(Inner {
            settings: settings.listed,
            not_listed: settings.not_listed,
            resolves,
            vaults,
            surroundings,
            known,
        }))
    }

    /// Every reference, in the settings' order. Takes 2.5 s at most, and a little.
    pub async fn report(&self, options: ReportOptions) -> Vec<ReferenceReport> {
        let deadline = Instant::now() + PATIENCE;
        let reports = self
            .0
            .settings
            .iter()
            .enumerate()
            .filter_map(|(place, setting)| {
                let Some(kind) = setting.reference_kind() else {
                    return self.empty(setting).map(|report| async { report }.boxed());
                };
                let report = async move {
                    match setting.reference() {
                        None if kind == ReferenceKind::AppConfiguration => {
                            self.app_configuration(setting)
                        }
                        // All that is known is the platform's word.
                        None => {
                            let status = setting.word().map(PlatformStatus::status);
                            let status = status.unwrap_or(Status::OtherReasons);
                            plain(setting, status, Source::Platform)
                        }
                        Some(Ok(reference)) => {
                            self.report_one(place, setting, reference, options, deadline)
                                .await
                        }
                        Some(Err(error)) => {
                            let found =
                                self.explain(setting, None, &Cause::Syntax(error.to_string()));
                            let is_said = word_status(setting) == Some(Status::InvalidSyntax);
                            explained(setting, Status::InvalidSyntax, said_by(is_said), found)
                        }
                    }
                };
                Some(report.boxed())
            });
        join_all(reports).await
    }

    /// Whether [`Inspector::report`] tells the same for ever: there is nothing left to try.
    /// What is in effect stays so, and a reference that cannot be read does not mend itself.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let may_change = |setting: &AppSetting| {
            matches!(setting.reference(), Some(Ok(_))) && !is_in_effect(setting)
        };
        !self.0.settings.iter().any(may_change)
    }

    /// How many references there are besides those of [`Inspector::report`].
    #[must_use]
    pub fn not_listed(&self) -> usize {
        self.0.not_listed
    }

    /// Where the handler runs, for other refusals.
    #[must_use]
    pub fn surroundings(&self) -> &Surroundings {
        &self.0.surroundings
    }

    /// The state of the app setting called `name`. Right after [`Inspector::report`] it tells
    /// what the report tells.
    #[must_use]
    pub fn state(&self, name: &str) -> SettingState<&KnownValue> {
        let setting =
            self.0.settings.iter().find(|setting| {
                setting.name() == name && setting.kind() == SettingKind::AppSetting
            });
        setting.map_or(SettingState::NotSet, AppSetting::state)
    }

    async fn report_one(
        &self,
        place: usize,
        setting: &AppSetting,
        reference: &Reference,
        options: ReportOptions,
        deadline: Instant,
    ) -> ReferenceReport {
        let finding = if is_in_effect(setting) {
            None
        } else {
            Some(self.finding(place, deadline).await)
        };
        let mut report = match finding {
            // Read again: it may just have been resolved.
            _ if is_in_effect(setting) => {
                let is_said = word_status(setting) == Some(Status::Resolved);
                plain(setting, Status::Resolved, said_by(is_said))
            }
            Some(finding) => self.unresolved(setting, reference, &finding),
            None => plain(setting, Status::OtherReasons, Source::Handler),
        };
        report.vault = Some(reference.authority());
        report.secret = Some(reference.secret_name().to_owned());
        report.version = reference.secret_version().map(str::to_owned);
        let follows_latest = reference.secret_version().is_none();
        if options.freshness && report.status == Status::Resolved && follows_latest {
            let (freshness, cause) = self.verdict(place, deadline).await;
            report.freshness = Some(freshness);
            if let Some(cause) = cause {
                let found = self.explain(setting, Some(reference), &cause);
                report.detail = Some(match freshness {
                    Freshness::Unknown => {
                        format!("The value in use cannot be compared. {}", found.detail)
                    }
                    Freshness::Current | Freshness::Stale => found.detail,
                });
                report.fix = Some(found.fix);
            }
        }
        report
    }

    /// On Azure, one of the settings that are meant to come from a vault has no value, and the
    /// platform reports nothing about it.
    fn empty(&self, setting: &AppSetting) -> Option<ReferenceReport> {
        let is_empty = matches!(setting.state(), SettingState::NotSet);
        if !is_empty || !setting.is_expected() || !self.0.surroundings.is_on_azure() {
            return None;
        }
        let found = self.explain(setting, None, &Cause::EmptyValue);
        Some(explained(
            setting,
            Status::OtherReasons,
            Source::Handler,
            found,
        ))
    }

    fn unresolved(
        &self,
        setting: &AppSetting,
        reference: &Reference,
        finding: &Finding,
    ) -> ReferenceReport {
        let word = setting.word();
        let (cause, facts) = match finding {
            Finding::Failed(cause) => (cause.clone(), Facts::default()),
            Finding::Readable(facts) => self.why_unresolved(reference, facts, word),
        };
        let found = self.explain(setting, Some(reference), &cause);
        let mut found = found.and(&facts, OffsetDateTime::now_utc());
        let mut status = Status::of(&cause, self.0.surroundings.is_on_azure());
        match word {
            Some(PlatformStatus::Unknown(word)) => {
                let _ = write!(found.detail, " The platform's own status is {word}.");
            }
            // The platform tried with the references' own identity: its status counts, and what
            // the handler found is the explanation.
            Some(PlatformStatus::Known(known)) if *known != Status::Resolved => {
                if *known != status {
                    let _ = write!(found.detail, " The platform's status is {known}.");
                }
                status = *known;
            }
            Some(PlatformStatus::Known(_)) | None => {}
        }
        let is_said = word_status(setting) == Some(status);
        explained(setting, status, said_by(is_said), found)
    }

    /// Why a reference is not resolved although the handler can read its secret, and what else
    /// is odd about that secret.
    fn why_unresolved(
        &self,
        reference: &Reference,
        facts: &Facts,
        word: Option<&PlatformStatus>,
    ) -> (Cause, Facts) {
        let status = word.map(PlatformStatus::status);
        if status == Some(Status::Resolved) {
            return (Cause::ResolvedSinceStart, *facts);
        }
        let was_refused = matches!(
            status,
            Some(
                Status::MSINotEnabled | Status::AccessToKeyVaultDenied | Status::UnauthorizedClient
            )
        );
        // The platform met another obstacle, and this one may come next.
        if facts.is_disabled && !was_refused {
            let others = Facts {
                is_disabled: false,
                ..*facts
            };
            return (Cause::Failed(Error::SecretDisabled), others);
        }
        if reference.has_unusual_spelling() {
            return (Cause::UnusualSpelling(reference.to_string()), *facts);
        }
        match &self.0.surroundings.identity {
            Identity::UserAssigned(id) if was_refused || word.is_none() => {
                (Cause::OtherIdentity(id.clone()), *facts)
            }
            Identity::Application(_) | Identity::Developer
                if (was_refused || word.is_none()) && self.0.surroundings.is_on_azure() =>
            {
                (Cause::OtherSignIn, *facts)
            }
            _ => (Cause::Readable, *facts),
        }
    }

    fn explain(
        &self,
        setting: &AppSetting,
        reference: Option<&Reference>,
        cause: &Cause,
    ) -> Explanation {
        let vault = reference.and_then(|reference| reference.vault().ok());
        let subject = Subject {
            vault: vault.as_ref(),
            secret: reference.map_or("", Reference::secret_name),
            version: reference.and_then(Reference::secret_version),
            named: match setting.kind() {
                SettingKind::AppSetting => Named::Setting(setting.name()),
                SettingKind::ConnectionString(kind) => Named::ConnectionString {
                    name: setting.name(),
                    kind: kind.as_str(),
                },
            },
        };
        let now = OffsetDateTime::now_utc();
        explain(cause, &subject, &self.0.surroundings, now)
    }

    /// The platform's status, unless the value says that the platform is wrong.
    fn app_configuration(&self, setting: &AppSetting) -> ReferenceReport {
        if is_in_effect(setting) {
            let is_said = word_status(setting) == Some(Status::Resolved);
            return plain(setting, Status::Resolved, said_by(is_said));
        }
        let said = word_status(setting).filter(|status| *status != Status::Resolved);
        let found = self.explain(setting, None, &Cause::AppConfiguration);
        let status = said.unwrap_or(Status::OtherReasons);
        explained(setting, status, said_by(said.is_some()), found)
    }

    /// What the handler finds about the setting at `index`, tried now or lately.
    async fn finding(&self, index: usize, deadline: Instant) -> Finding {
        let found = self.shared(index, deadline, |known| &known.finding, Inner::attempt);
        found
            .await
            .unwrap_or_else(|error| Finding::Failed(Cause::Failed(error)))
    }

    /// How the value of the setting at `index` compares with the vault's, compared now or lately.
    async fn verdict(&self, index: usize, deadline: Instant) -> Verdict {
        let found = self.shared(index, deadline, |known| &known.verdict, Inner::compare);
        found
            .await
            .unwrap_or_else(|error| (Freshness::Unknown, Some(Cause::Failed(error))))
    }

    /// The result of one of the two that `run` finds about the setting at `index`.
    async fn shared<T, F>(
        &self,
        index: usize,
        deadline: Instant,
        which: impl Fn(&Known) -> &SingleFlight<T>,
        run: impl FnOnce(Arc<Inner>, usize) -> F,
    ) -> Result<T, Error>
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let known = self.0.known.get(index).ok_or(Error::UnexpectedAnswer)?;
        let found = which(known).get(|| run(self.0.clone(), index));
        match timeout_at(deadline, found).await {
            Ok(found) => found.ok_or(Error::UnexpectedAnswer),
            Err(_) => Err(Error::TimedOut),
        }
    }
}

impl Inner {
    fn key_vault_reference(&self, index: usize) -> Option<(&AppSetting, &Reference)> {
        let setting = self.settings.get(index)?;
        Some((setting, setting.reference()?.ok()?))
    }

    async fn attempt(self: Arc<Self>, index: usize) -> Finding {
        let Some((setting, reference)) = self.key_vault_reference(index) else {
            return Finding::Failed(Cause::Failed(Error::UnexpectedAnswer));
        };
        let name = setting.name();
        let finding = match self.resolves {
            Resolves::Handler => match self.value(reference).await {
                Ok(value) => {
                    setting.resolve(&value);
                    tracing::info!(setting = name, "Key Vault reference resolved");
                    return Finding::Readable(Facts::default());
                }
                Err(error) => Finding::Failed(self.cause(reference, error).await),
            },
            Resolves::Platform => match self.without_value(reference).await {
                Ok(finding) => finding,
                Err(error) => Finding::Failed(self.cause(reference, error).await),
            },
        };
        let code = match &finding {
            Finding::Readable(_) => "Readable",
            Finding::Failed(cause) => cause.code(),
        };
        tracing::warn!(setting = name, code, "Key Vault reference not resolved");
        finding
    }

    async fn compare(self: Arc<Self>, index: usize) -> Verdict {
        let Some((setting, reference)) = self.key_vault_reference(index) else {
            return (Freshness::Unknown, None);
        };
        let SettingState::Set(held) = setting.state() else {
            return (Freshness::Unknown, None);
        };
        // The value ends, wiped, with this line; only its digest is compared.
        match self.value(reference).await.map(|value| held.is(&value)) {
            Ok(true) => (Freshness::Current, None),
            Ok(false) => (Freshness::Stale, Some(Cause::Stale(reference.other_form()))),
            Err(error) => {
                let cause = self.cause(reference, error).await;
                (Freshness::Unknown, Some(cause))
            }
        }
    }

    async fn open(&self, reference: &Reference) -> Result<(Arc<Vault>, SecretId), Error> {
        let vault = reference.vault().map_err(|_| Error::VaultNotFound)?;
        let secret = reference.secret();
        let secret = secret.map_err(|_| Error::SecretVersionNotFound)?;
        Ok((self.vaults.open(&vault).await?, secret))
    }

    async fn value(&self, reference: &Reference) -> Result<SecretString, Error> {
        let (vault, secret) = self.open(reference).await?;
        vault.value(&secret).await
    }

    /// Whether the secret is there and may be read, without its value.
    async fn without_value(&self, reference: &Reference) -> Result<Finding, Error> {
        let (vault, secret) = self.open(reference).await?;
        vault.may_get(&secret.name).await?;
        let listed = vault.probed_metadata(&secret).await;
        let metadata = match listed {
            Err(Error::AccessDenied(_)) => return Ok(Finding::Failed(Cause::MayNotList)),
            // What has so many versions is there, and the latest one can be got.
            Err(Error::TooManyVersions) if secret.version.is_none() => {
                return Ok(Finding::Readable(Facts::default()));
            }
            listed => listed?,
        };
        Ok(Finding::Readable(Facts {
            is_disabled: metadata.enabled == Some(false),
            expires: metadata.expires,
            not_before: metadata.not_before,
        }))
    }

    /// A missing secret may only be deleted.
    async fn cause(&self, reference: &Reference, error: Error) -> Cause {
        if error == Error::SecretNotFound
            && let Ok((vault, secret)) = self.open(reference).await
            && vault.is_deleted(&secret.name).await
        {
            return Cause::Deleted;
        }
        Cause::Failed(error)
    }
}

/// A value is there, and the platform does not say otherwise.
fn is_in_effect(setting: &AppSetting) -> bool {
    matches!(setting.state(), SettingState::Set(_))
        && matches!(
            setting.word(),
            None | Some(PlatformStatus::Known(Status::Resolved))
        )
}

fn word_status(setting: &AppSetting) -> Option<Status> {
    match setting.word() {
        Some(PlatformStatus::Known(status)) => Some(*status),
        Some(PlatformStatus::Unknown(_)) | None => None,
    }
}

fn said_by(platform: bool) -> Source {
    if platform {
        Source::Platform
    } else {
        Source::Handler
    }
}

fn explained(
    setting: &AppSetting,
    status: Status,
    source: Source,
    found: Explanation,
) -> ReferenceReport {
    ReferenceReport {
        detail: Some(found.detail),
        fix: Some(found.fix),
        ..plain(setting, status, source)
    }
}

fn plain(setting: &AppSetting, status: Status, source: Source) -> ReferenceReport {
    ReferenceReport {
        setting: setting.name().to_owned(),
        kind: setting.reference_kind().unwrap_or(ReferenceKind::KeyVault),
        status,
        vault: None,
        secret: None,
        version: None,
        source,
        detail: None,
        fix: None,
        freshness: None,
    }
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0.settings).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_settled(settings: Vec<AppSetting>) -> bool {
        let vaults = Vaults::new(|| std::future::ready(Err(Error::VaultNotFound)));
        Inspector::new(
            settings,
            Resolves::Handler,
            Arc::new(vaults),
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
