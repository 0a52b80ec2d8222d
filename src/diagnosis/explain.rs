//! From a cause to words: each family of causes has its own in a file.

use std::fmt::Write as _;

use time::{OffsetDateTime, format_description::FormatItem, macros::format_description};

use super::{
    Cause, Explanation, Facts, Subject,
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
    }
}

impl Case<'_> {
    fn explain(&self, cause: &Cause) -> Words {
        match cause {
            Cause::Failed(error) => self.failed(error),
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
            Cause::AppConfiguration => self.app_configuration(),
            Cause::EmptyValue => self.empty_value(),
        }
    }

    fn failed(&self, error: &Error) -> Words {
        match error {
            Error::SecretNotFound => self.not_found(),
            Error::SecretVersionNotFound => self.version_not_found(),
            Error::SecretDisabled => self.disabled(),
            Error::AccessDenied(denial) => self.denied(*denial),
            Error::TokenRefused => self.token_refused(),
            Error::ForbiddenByFirewall => self.firewall(),
            Error::ForbiddenByConnection => self.private_endpoints_only(),
            Error::VaultNotFound => self.vault_not_found(),
            Error::Unreachable(reach) => self.unreachable(*reach).passing(None),
            Error::TimedOut => self.timed_out(),
            Error::TlsFailed(failure) => self.tls_failed(*failure),
            Error::NoCertificateAuthorities => self.no_certificate_authorities(),
            Error::TooManyVersions => self.too_many_versions(),
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

fn utc(time: OffsetDateTime) -> String {
    const FORMAT: &[FormatItem<'_>] =
        format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let time = time.to_offset(time::UtcOffset::UTC);
    time.format(FORMAT).unwrap_or_default()
}
