//! What is answered about one reference.

use serde::{Serialize, Serializer};
use time::OffsetDateTime;

use super::{app_settings::AppSetting, kind::ReferenceKind, status::Status, syntax::Reference};
use crate::diagnosis::{Explanation, Fix, PathReport, days_left, iso_format};

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
    /// The path to the vault, if that was asked or may be why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathReport>,
    /// When the secret expires, if that was asked and could be read.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub expiry: Option<ExpiryReport>,
}

/// When the secret behind a reference expires. Both are null for one that never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ExpiryReport {
    /// Informational for Key Vault: it serves the value all the same.
    #[serde(rename = "expires_on", serialize_with = "iso")]
    pub expires: Option<OffsetDateTime>,
    /// Whole days until then; negative once it has expired.
    pub days_left: Option<i64>,
}

impl ExpiryReport {
    pub(super) fn new(expires: Option<OffsetDateTime>, now: OffsetDateTime) -> Self {
        Self {
            expires,
            days_left: expires.map(|expires| days_left(expires, now)),
        }
    }
}

#[expect(clippy::ref_option, reason = "what serde hands over")]
fn iso<S: Serializer>(time: &Option<OffsetDateTime>, serializer: S) -> Result<S::Ok, S::Error> {
    time.and_then(iso_format).serialize(serializer)
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

impl ReferenceReport {
    /// The report's source is the platform if its status is the same.
    pub(super) fn new(setting: &AppSetting, status: Status) -> Self {
        let is_platforms = setting.known_status() == Some(status);
        Self {
            setting: setting.name().to_owned(),
            kind: setting.reference_kind().unwrap_or(ReferenceKind::KeyVault),
            status,
            vault: None,
            secret: None,
            version: None,
            source: if is_platforms {
                Source::Platform
            } else {
                Source::Handler
            },
            detail: None,
            fix: None,
            freshness: None,
            path: None,
            expiry: None,
        }
    }

    /// Whether the reference is resolved.
    #[must_use]
    pub fn is_resolved(&self) -> bool {
        self.status == Status::Resolved
    }

    /// Adds one more thing that is wrong. What was known before comes first, and so does its fix.
    pub(super) fn also_explained(mut self, found: Explanation) -> Self {
        match &mut self.detail {
            Some(detail) => {
                detail.push(' ');
                detail.push_str(&found.detail);
                self.path = self.path.or(found.path);
                self
            }
            None => self.explained(found),
        }
    }

    pub(super) fn explained(self, found: Explanation) -> Self {
        Self {
            detail: Some(found.detail),
            fix: Some(found.fix),
            path: found.path.or(self.path),
            ..self
        }
    }

    pub(super) fn about(self, reference: &Reference) -> Self {
        Self {
            vault: Some(reference.vault.authority().to_owned()),
            secret: Some(reference.name.to_string()),
            version: reference.version.clone(),
            ..self
        }
    }
}
