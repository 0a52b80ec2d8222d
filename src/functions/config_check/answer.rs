//! What `config-check` answers. It shows no secret.

use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    diagnosis::IdentityReport,
    functions::vault_events::RotationReport,
    key_vault::error::SettingError,
    references::{Inspector, Masked, ReferenceReport, SettingState},
};

/// A setting that is meant to come from a vault.
pub const EXTERNAL_API_KEY: &str = "EXTERNAL_API_KEY";
/// A setting that is meant to come from a vault.
pub const DATABASE_PASSWORD: &str = "DATABASE_PASSWORD";

/// The recipe's three members, then the references in the settings' order.
#[derive(Serialize)]
pub(super) struct Answer {
    /// Whether `EXTERNAL_API_KEY` has a value that is not a reference.
    pub(super) external_api_key_set: bool,
    /// Whether `DATABASE_PASSWORD` has a value that is not a reference.
    pub(super) database_password_set: bool,
    /// How `EXTERNAL_API_KEY` begins.
    pub(super) api_key_prefix: Masked,
    /// Every reference of the app, up to 1,000.
    pub(super) references: Vec<ReferenceReport>,
    /// How many references there are besides. Nothing more is known about them.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) not_listed: usize,
    /// As whom the handler signs in; absent for the vault inside this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) identity: Option<IdentityReport>,
    /// What happened last when a secret had a new version; absent if nothing has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rotation: Option<RotationReport>,
    /// The handler's own settings that cannot be used; absent if there are none.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub(super) settings: Vec<SettingError>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde hands over")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

impl Answer {
    /// What `inspector` tells right after it made the report on `references`; `wrong` are the
    /// settings that cannot be used.
    pub(super) fn new(
        inspector: &Inspector,
        references: Vec<ReferenceReport>,
        rotation: Option<RotationReport>,
        wrong: Vec<SettingError>,
    ) -> Self {
        let api_key = inspector.state(EXTERNAL_API_KEY);
        let password = inspector.state(DATABASE_PASSWORD);
        Self {
            external_api_key_set: matches!(api_key, SettingState::Set(_)),
            database_password_set: matches!(password, SettingState::Set(_)),
            api_key_prefix: match api_key {
                SettingState::Set(value) => value.masked().clone(),
                // Nothing of a reference is shown: it is not the secret's prefix.
                SettingState::NotSet | SettingState::Unresolved => Masked::nothing(),
            },
            references,
            not_listed: inspector.not_listed(),
            identity: IdentityReport::of(inspector.surroundings()),
            rotation,
            settings: wrong,
        }
    }

    /// Whether every reference is resolved and listed, every setting can be used and, if a time is
    /// given, every secret is known to be valid until then.
    pub(super) fn is_healthy(&self, until: Option<OffsetDateTime>) -> bool {
        let is_valid = |reference: &ReferenceReport| match (until, &reference.expiry) {
            (Some(until), Some(expiry)) => expiry.expires.is_none_or(|expires| expires > until),
            // It could not be read. Of other references nothing can be.
            (Some(_), None) => reference.vault.is_none(),
            (None, _) => true,
        };
        let is_healthy =
            |reference: &ReferenceReport| reference.is_resolved() && is_valid(reference);
        self.references.iter().all(is_healthy) && self.not_listed == 0 && self.settings.is_empty()
    }
}
