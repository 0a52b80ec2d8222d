//! One app setting as a function sees it.

use std::{fmt, sync::OnceLock};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{
    kind::{ReferenceKind, is_reference},
    masked::Masked,
    status::{PlatformStatus, Status},
    syntax::{Reference, SyntaxError},
};
use crate::{
    diagnosis::{Named, Subject},
    key_vault::ObjectKind,
};

/// The settings that `config-check` looks at.
#[derive(Debug, Default)]
pub struct AppSettings {
    /// In the order of the answer.
    pub listed: Vec<AppSetting>,
    /// How many references there are besides.
    pub not_listed: usize,
}

impl From<Vec<AppSetting>> for AppSettings {
    fn from(listed: Vec<AppSetting>) -> Self {
        Self {
            listed,
            not_listed: 0,
        }
    }
}

/// The list of the Function App that a setting is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SettingKind {
    /// The app settings.
    #[default]
    AppSetting,
    /// The connection strings.
    ConnectionString(ConnectionStringType),
}

/// The type of a connection string, as `az webapp config connection-string set` takes it.
/// Source: Azure Resource Manager, `ConnectionStringType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionStringType(&'static str);

impl ConnectionStringType {
    /// A connection string of no service that the platform knows.
    pub const CUSTOM: Self = Self("Custom");

    /// Every type with the prefix that the platform puts before the variable's name.
    pub const ALL: [(&'static str, Self); 11] = [
        ("APIHUBCONNSTR_", Self("ApiHub")),
        ("CUSTOMCONNSTR_", Self::CUSTOM),
        ("DOCDBCONNSTR_", Self("DocDb")),
        ("EVENTHUBCONNSTR_", Self("EventHub")),
        ("MYSQLCONNSTR_", Self("MySql")),
        ("NOTIFICATIONHUBCONNSTR_", Self("NotificationHub")),
        ("POSTGRESQLCONNSTR_", Self("PostgreSQL")),
        ("REDISCACHECONNSTR_", Self("RedisCache")),
        ("SERVICEBUSCONNSTR_", Self("ServiceBus")),
        ("SQLAZURECONNSTR_", Self("SQLAzure")),
        ("SQLCONNSTR_", Self("SQLServer")),
    ];

    /// The type's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

/// One app setting or connection string, with what the platform says about it.
pub struct AppSetting {
    name: String,
    kind: SettingKind,
    is_expected: bool,
    given: SettingState<KnownValue>,
    resolved: OnceLock<SettingState<KnownValue>>,
    reference: Option<AnyReference>,
    platform_status: Option<PlatformStatus>,
}

/// A reference of either kind. Only the platform can resolve one to App Configuration, so nothing
/// more is known about it.
enum AnyReference {
    KeyVault(Result<Reference, SyntaxError>),
    AppConfiguration,
}

impl AnyReference {
    fn of(value: &str) -> Option<Self> {
        Some(match ReferenceKind::of(value)? {
            ReferenceKind::KeyVault => Self::KeyVault(Reference::parse(value)),
            ReferenceKind::AppConfiguration => Self::AppConfiguration,
        })
    }
}

/// What a function may know of a setting's value.
#[derive(Debug)]
pub enum SettingState<V> {
    /// Not there, or empty.
    NotSet,
    /// Still a reference: nobody resolved it.
    Unresolved,
    /// A value, whether it came from a vault or not.
    Set(V),
}

impl SettingState<KnownValue> {
    fn of(value: &SecretString) -> Self {
        if value.expose_secret().is_empty() {
            Self::NotSet
        } else {
            Self::Set(KnownValue::of(value))
        }
    }

    fn as_ref(&self) -> SettingState<&KnownValue> {
        match self {
            Self::NotSet => SettingState::NotSet,
            Self::Unresolved => SettingState::Unresolved,
            Self::Set(value) => SettingState::Set(value),
        }
    }
}

/// What is kept of a value: enough to recognise it and to show how it begins.
pub struct KnownValue {
    digest: [u8; 32],
    masked: Masked,
}

impl KnownValue {
    pub(super) fn of(value: &SecretString) -> Self {
        Self {
            digest: digest(value),
            masked: Masked::of(value),
        }
    }

    /// Whether it was known by this value. Takes the same time for every value of a length.
    #[must_use]
    pub fn is(&self, value: &SecretString) -> bool {
        self.digest.ct_eq(&digest(value)).into()
    }

    /// What may be shown of it.
    #[must_use]
    pub fn masked(&self) -> &Masked {
        &self.masked
    }
}

impl fmt::Debug for KnownValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownValue")
    }
}

fn digest(value: &SecretString) -> [u8; 32] {
    Sha256::digest(value.expose_secret().as_bytes()).into()
}

impl AppSetting {
    /// What an explanation calls this setting.
    #[must_use]
    pub fn named(&self) -> Named<'_> {
        match self.kind {
            SettingKind::AppSetting => Named::Setting(&self.name),
            SettingKind::ConnectionString(kind) => Named::ConnectionString {
                name: &self.name,
                kind: kind.as_str(),
            },
        }
    }

    /// What an explanation is about: the secret of its reference, or what there is of one.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        let reference = self.reference();
        Subject {
            vault: reference.map(|reference| &reference.vault),
            kind: ObjectKind::Secret,
            name: reference.map(|reference| reference.name.as_str()),
            version: reference.and_then(|reference| reference.version.as_deref()),
            named: self.named(),
        }
    }

    /// A setting as it stands in the environment. The value itself is not kept.
    #[must_use]
    #[expect(
        clippy::needless_pass_by_value,
        reason = "the caller's copy ends here, wiped"
    )]
    pub fn new(name: impl Into<String>, given: SecretString) -> Self {
        let reference = AnyReference::of(given.expose_secret());
        let given = if is_reference(given.expose_secret()) {
            SettingState::Unresolved
        } else {
            SettingState::of(&given)
        };
        Self {
            name: name.into(),
            kind: SettingKind::AppSetting,
            is_expected: false,
            given,
            resolved: OnceLock::new(),
            reference,
            platform_status: None,
        }
    }

    /// The same setting, which is meant to come from a vault: without a value something is wrong.
    #[must_use]
    pub fn expected(self) -> Self {
        let is_expected = true;
        Self {
            is_expected,
            ..self
        }
    }

    /// Whether the setting is meant to come from a vault.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        self.is_expected
    }

    /// The same setting in another list of the Function App.
    #[must_use]
    pub fn of_kind(self, kind: SettingKind) -> Self {
        Self { kind, ..self }
    }

    /// Adds what the platform says: the reference that the value came from, and its status.
    #[must_use]
    pub fn reported(mut self, raw_reference: Option<&str>, status: Option<PlatformStatus>) -> Self {
        // A value that still is a reference tells more about it than the report.
        let raw = || raw_reference.and_then(AnyReference::of);
        self.reference = self.reference.or_else(raw);
        self.platform_status = status;
        self
    }

    /// The setting's name, as its owner wrote it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The list of the Function App that it is in.
    #[must_use]
    pub fn kind(&self) -> SettingKind {
        self.kind
    }

    /// The Key Vault reference behind the value, if there is a well-formed one.
    #[must_use]
    pub fn reference(&self) -> Option<&Reference> {
        match &self.reference {
            Some(AnyReference::KeyVault(parsed)) => parsed.as_ref().ok(),
            Some(AnyReference::AppConfiguration) | None => None,
        }
    }

    /// What is wrong with the Key Vault reference behind the value.
    #[must_use]
    pub fn syntax_error(&self) -> Option<SyntaxError> {
        match &self.reference {
            Some(AnyReference::KeyVault(parsed)) => parsed.as_ref().err().copied(),
            Some(AnyReference::AppConfiguration) | None => None,
        }
    }

    /// The kind of reference behind the value, if the setting is one.
    #[must_use]
    pub fn reference_kind(&self) -> Option<ReferenceKind> {
        match (&self.reference, &self.platform_status) {
            (Some(AnyReference::AppConfiguration), _) => Some(ReferenceKind::AppConfiguration),
            // The platform's report is about Key Vault references unless it says otherwise.
            (Some(AnyReference::KeyVault(_)), _) | (None, Some(_)) => Some(ReferenceKind::KeyVault),
            (None, None) => None,
        }
    }

    /// The platform's status of it.
    #[must_use]
    pub fn platform_status(&self) -> Option<&PlatformStatus> {
        self.platform_status.as_ref()
    }

    /// The platform's status, if it is one of the eleven.
    pub(super) fn known_status(&self) -> Option<Status> {
        match &self.platform_status {
            Some(PlatformStatus::Known(status)) => Some(*status),
            Some(PlatformStatus::Unknown(_)) | None => None,
        }
    }

    /// Whether a value is there, and the platform does not say otherwise.
    pub(super) fn is_in_effect(&self) -> bool {
        let is_set = matches!(self.state(), SettingState::Set(_));
        is_set && (self.platform_status.is_none() || self.known_status() == Some(Status::Resolved))
    }

    /// Whether `value` is the one in use.
    pub(super) fn holds(&self, value: &SecretString) -> bool {
        matches!(self.state(), SettingState::Set(known) if known.is(value))
    }

    /// The value's state.
    #[must_use]
    pub fn state(&self) -> SettingState<&KnownValue> {
        self.resolved.get().unwrap_or(&self.given).as_ref()
    }

    /// Takes the value that a reference resolved to.
    pub(super) fn resolve(&self, value: &SecretString) {
        // Whoever came first read the same secret.
        let _ = self.resolved.set(SettingState::of(value));
    }
}

impl fmt::Debug for AppSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AppSetting").field(&self.name).finish()
    }
}
