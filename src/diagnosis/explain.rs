//! From a cause to words: each family of causes has its own in a file.

use std::fmt::Write as _;

use time::{OffsetDateTime, format_description::FormatItem, macros::format_description};

use super::{
    Cause, Explanation, Facts, PathReport, Subject,
    case::{Case, Words},
    function_app::Surroundings,
};
use crate::key_vault::Error;

/// Says what `cause` means for `subject`, where the handler runs.
#[must_use]
pub fn explain(
    cause: &Cause,
    subject: &Subject<'_>,
    surroundings: &Surroundings,
    now: OffsetDateTime,
) -> Explanation {
    let here = Case {
        subject,
        surroundings,
        now,
    };
    let words = here.explain(cause);
    Explanation {
        code: cause.code(),
        detail: words.detail,
        fix: words.fix,
        retry_after: words.retry_after,
        path: cause
            .path()
            .map(|path| PathReport::new(path, cause.error(), surroundings.is_for_admins)),
    }
}

impl Case<'_> {
    fn explain(&self, cause: &Cause) -> Words {
        match cause {
            Cause::Failed(error) => self.failed(error),
            Cause::OnThePath(error, path) => self.on_the_path(error, path),
            Cause::NoVault => self.no_vault(),
            Cause::Deleted => self.deleted(),
            Cause::MayNotList => self.may_not_list(),
            Cause::ResolvedSinceStart => self.resolved_since_start(),
            Cause::UnusualSpelling(reference) => self.unusual_spelling(reference),
            Cause::OtherIdentity(client_id) => self.other_identity(client_id),
            Cause::OtherSignIn => self.other_sign_in(),
            Cause::Readable => self.readable(),
            Cause::Syntax(what) => self.syntax(what),
            Cause::Stale(other_form) => self.stale(other_form.as_deref()),
            Cause::Expires(end) => self.expires(end),
            Cause::Listing => self.listing(),
            Cause::AppConfiguration => self.app_configuration(),
            Cause::EmptyValue => self.empty_value(),
            Cause::MayNotRefresh => self.may_not_refresh(),
            Cause::RefreshNotFound => self.refresh_not_found(),
            Cause::RefreshFailed => self.refresh_failed(),
            Cause::NoVersionsTold => self.no_versions_told(),
            Cause::StaysBehind => self.stays_behind(),
        }
    }

    pub(super) fn failed(&self, error: &Error) -> Words {
        match error {
            Error::NotFound(_) => self.not_found(),
            Error::VersionNotFound(_) => self.version_not_found(),
            Error::Disabled(_) => self.disabled(),
            Error::AccessDenied(denial) => self.denied(*denial),
            Error::TokenRefused(tenants) => self.token_refused(tenants),
            Error::ForbiddenByFirewall => self.firewall(None),
            Error::ForbiddenByConnection => self.private_endpoints_only(None),
            Error::VaultNotFound => self.vault_not_found(),
            Error::Unreachable(reach) => self.unreachable(*reach).passing(None),
            Error::TimedOut => self.timed_out(),
            Error::TlsFailed(failure) => self.tls_failed(*failure),
            Error::NoCertificateAuthorities => self.no_certificate_authorities(),
            Error::TooManyVersions => self.too_many_versions(),
            Error::TooManyObjects => self.too_many_objects(),
            Error::TooManyVaults => self.too_many_vaults(),
            Error::BudgetSpent { retry_after } => Self::budget_spent(*retry_after),
            Error::Throttled { retry_after } => self.throttled(*retry_after),
            Error::Unavailable { retry_after } => self.unavailable(*retry_after),
            Error::Credential(cause) => self.without_token(cause),
            Error::WrongSetting(wrong) => self.wrong_setting(wrong),
            Error::RequestRefused => self.request_refused(),
            Error::UnexpectedAnswer => self.unexpected_answer(),
        }
    }
}

impl Explanation {
    /// Adds what is odd about the secret. The cause stays the cause.
    #[must_use]
    pub fn and(mut self, facts: &Facts, now: OffsetDateTime) -> Self {
        if facts.is_disabled {
            self.detail.push_str(
                " The secret is also disabled, and Key Vault serves no value of a disabled secret.",
            );
        }
        if let Some(expires) = facts.expires.filter(|expires| *expires <= now) {
            let expired = utc(expires);
            let _ = write!(
                self.detail,
                " The secret expired on {expired}. Key Vault still serves it."
            );
        }
        if let Some(start) = facts.not_before.filter(|start| *start > now) {
            let start = utc(start);
            let _ = write!(
                self.detail,
                " The secret is not valid before {start}. Key Vault serves it already."
            );
        }
        self
    }
}

/// A time as Python's `isoformat()` prints an aware UTC time of whole seconds.
#[must_use]
pub fn iso_format(time: OffsetDateTime) -> Option<String> {
    const FORMAT: &[FormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]+00:00");
    time.to_offset(time::UtcOffset::UTC).format(FORMAT).ok()
}

fn utc(time: OffsetDateTime) -> String {
    const FORMAT: &[FormatItem<'_>] =
        format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let time = time.to_offset(time::UtcOffset::UTC);
    time.format(FORMAT).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::days_left;

    fn time(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::from_unix_timestamp(seconds).expect("a time")
    }

    #[test]
    fn times_are_pythons() {
        assert_eq!(
            iso_format(time(1_769_860_800)).as_deref(),
            Some("2026-01-31T12:00:00+00:00")
        );
        assert_eq!(
            iso_format(time(0)).as_deref(),
            Some("1970-01-01T00:00:00+00:00")
        );
    }

    #[test]
    fn days_are_whole_and_negative_once_over() {
        let now = time(1_000_000_000);
        let day = 24 * 60 * 60;
        for (seconds, days) in [
            (0, 0),
            (day - 1, 0),
            (day, 1),
            (-1, -1),
            (-day, -1),
            (-day - 1, -2),
        ] {
            assert_eq!(
                days_left(time(1_000_000_000 + seconds), now),
                days,
                "{seconds}"
            );
        }
    }
}
