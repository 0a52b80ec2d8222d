//! The platform's own status of a reference.
//!
//! On Azure, App Service puts `WEBSITE_KEYVAULT_REFERENCES` into the process's environment:
//! a JSON object of app setting name to an object with `rawReference` and `status`. Neither
//! its presence nor its shape is promised on every plan, so it is read leniently: whatever
//! cannot be understood is left out, and nothing here ever fails.
//! Source: App Service environment variables reference; Kudu `KeyVaultReferenceHelper`.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::{diagnosis::Cause, key_vault::Error};

/// Longest unknown status that is passed on, in characters.
const UNKNOWN_LIMIT: usize = 64;

/// The state of a reference. Source: Azure Resource Manager, `ResolveStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Status {
    /// The value is in the app's environment.
    Resolved,
    /// The reference is known, and its value has not arrived in this process.
    Initialized,
    /// The text of the reference is wrong.
    InvalidSyntax,
    /// The app has no managed identity to read the vault with.
    MSINotEnabled,
    /// The vault's name does not resolve.
    VaultNotFound,
    /// The vault has no such secret.
    SecretNotFound,
    /// The secret has no such version.
    SecretVersionNotFound,
    /// The identity may not read the secret.
    AccessToKeyVaultDenied,
    /// The vault did not answer in time.
    FetchTimedOut,
    /// The vault or Entra ID refused the identity itself.
    UnauthorizedClient,
    /// Anything else; the detail says what.
    OtherReasons,
}

impl Status {
    /// Every status, with the platform's spelling.
    pub const ALL: [(&'static str, Self); 11] = [
        ("Resolved", Self::Resolved),
        ("Initialized", Self::Initialized),
        ("InvalidSyntax", Self::InvalidSyntax),
        ("MSINotEnabled", Self::MSINotEnabled),
        ("VaultNotFound", Self::VaultNotFound),
        ("SecretNotFound", Self::SecretNotFound),
        ("SecretVersionNotFound", Self::SecretVersionNotFound),
        ("AccessToKeyVaultDenied", Self::AccessToKeyVaultDenied),
        ("FetchTimedOut", Self::FetchTimedOut),
        ("UnauthorizedClient", Self::UnauthorizedClient),
        ("OtherReasons", Self::OtherReasons),
    ];

    /// The status that the platform would have for `cause`. Where the platform has one, the cause's
    /// code is its spelling.
    #[must_use]
    pub fn of(cause: &Cause, is_on_azure: bool) -> Self {
        match cause.error() {
            Some(Error::ForbiddenByFirewall | Error::ForbiddenByConnection) => {
                Self::AccessToKeyVaultDenied
            }
            // A developer's machine has no managed identity to enable.
            Some(Error::Credential(cause)) if is_on_azure && cause.is_without_identity() => {
                Self::MSINotEnabled
            }
            Some(Error::Credential(_) | Error::WrongSetting(_)) => Self::UnauthorizedClient,
            _ => Self::parse(cause.code()).unwrap_or(Self::OtherReasons),
        }
    }

    /// What the status says about a reference, for who meets it first.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Resolved => "The app has the secret's value.",
            Self::Initialized => {
                "The reference is correct, and its value has not arrived in the app."
            }
            Self::InvalidSyntax => "The text of the reference is wrong.",
            Self::MSINotEnabled => "The app has no managed identity to read the vault with.",
            Self::VaultNotFound => "No vault has this name.",
            Self::SecretNotFound => "The vault has no secret of this name.",
            Self::SecretVersionNotFound => "The secret does not have this version.",
            Self::AccessToKeyVaultDenied => {
                "The vault or its network does not let the identity read."
            }
            Self::FetchTimedOut => "The vault did not answer in time.",
            Self::UnauthorizedClient => {
                "The identity could not sign in, or the vault does not know it."
            }
            Self::OtherReasons => "Another reason, which stands beside the reference.",
        }
    }

    /// The status that the platform spells `text`, whatever its letter case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find_map(|(known, status)| known.eq_ignore_ascii_case(text).then_some(*status))
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The derived name of each variant is the platform's spelling, as a test proves.
        fmt::Debug::fmt(self, f)
    }
}

/// What the platform says about one app setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformEntry {
    /// The app setting's name.
    pub setting: String,
    /// The reference's text, if it is given.
    pub raw_reference: Option<String>,
    /// Its status, if it is given.
    pub status: Option<PlatformStatus>,
}

/// A status as the platform wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlatformStatus {
    /// One of the eleven.
    Known(Status),
    /// Another one, of ASCII letters and digits only.
    Unknown(String),
}

impl PlatformStatus {
    fn read(value: &Value) -> Option<Self> {
        let text = value.as_str()?.trim();
        if let Some(status) = Status::parse(text) {
            return Some(Self::Known(status));
        }
        let is_harmless = (1..=UNKNOWN_LIMIT).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_harmless.then(|| Self::Unknown(text.to_owned()))
    }

    /// The status in the common vocabulary.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            Self::Known(status) => *status,
            Self::Unknown(_) => Status::OtherReasons,
        }
    }
}

/// Reads `WEBSITE_KEYVAULT_REFERENCES`, in its own order. What is not of the known shape
/// is left out. The operating system bounds a variable's length, and so the number of entries.
#[must_use]
pub fn read_platform_report(text: &str) -> Vec<PlatformEntry> {
    let Ok(Value::Object(report)) = serde_json::from_str(text) else {
        return Vec::new();
    };
    let member = |entry: &Value, name: &str| {
        let entry = entry.as_object()?;
        let found = entry.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    };
    report
        .into_iter()
        .filter(|(_, entry)| entry.is_object())
        .map(|(setting, entry)| PlatformEntry {
            setting,
            raw_reference: member(&entry, "rawReference")
                .and_then(|raw| raw.as_str().map(str::to_owned)),
            status: member(&entry, "status").and_then(|status| PlatformStatus::read(&status)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_eleven_are_spelt_as_the_platform_does() {
        for (text, status) in Status::ALL {
            assert_eq!(status.to_string(), text);
            assert_eq!(serde_json::to_value(status).expect("JSON"), text);
            assert_eq!(Status::parse(&text.to_lowercase()), Some(status));
        }
        assert_eq!(Status::parse("ValueNotFound"), None);
    }

    #[test]
    fn a_report_is_read_in_its_order() {
        let report = read_platform_report(
            r#"{"B":{"rawReference":"@Microsoft.KeyVault(x)","status":"Resolved","more":{}},
                "A":{"status":"ValueNotFound"},"C":{"status":7,"rawReference":[]},
                "D":"text","E":null,"F":{"status":"<script>"},"G":{"Status":"secretnotfound"}}"#,
        );
        let statuses: Vec<_> = report
            .iter()
            .map(|entry| (entry.setting.as_str(), entry.status.clone()))
            .collect();
        assert_eq!(
            statuses,
            [
                ("B", Some(PlatformStatus::Known(Status::Resolved))),
                ("A", Some(PlatformStatus::Unknown("ValueNotFound".into()))),
                ("C", None),
                ("F", None),
                ("G", Some(PlatformStatus::Known(Status::SecretNotFound))),
            ]
        );
        assert_eq!(
            report[0].raw_reference.as_deref(),
            Some("@Microsoft.KeyVault(x)")
        );
    }

    #[test]
    fn what_is_no_report_is_no_information() {
        for text in ["", "null", "[]", "{", "\"x\"", "7", "{\"A\":"] {
            assert_eq!(read_platform_report(text), [], "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail(text in ".*") {
            let _ = read_platform_report(&text);
        }

        #[test]
        fn only_letters_and_digits_are_passed_on(text in ".*") {
            let report = serde_json::json!({"A": {"status": text}}).to_string();
            for entry in read_platform_report(&report) {
                if let Some(PlatformStatus::Unknown(text)) = entry.status {
                    prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric()));
                    prop_assert!(text.len() <= UNKNOWN_LIMIT);
                }
            }
        }
    }
}
