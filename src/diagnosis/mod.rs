//! The one place with words: why a vault or a reference cannot be read, and what to do.
//!
//! A [`Cause`], the [`Subject`] that it is about and the [`Surroundings`] that the handler runs
//! in make one [`Explanation`]: a code for programs, a sentence and a fix. Both are true where
//! they are read: nothing tells a developer's machine to change a Function App, and no `az`
//! command is printed for a vault that `az` cannot know.
//!
//! | question | file |
//! | --- | --- |
//! | which words has a cause? | [`explain()`], which asks one of the next |
//! | what is wrong with a reference itself? | `reference` |
//! | what is wrong with a secret, a key or a certificate? | `object` |
//! | what happens when one expires? | `expiry` |
//! | whom does the vault refuse? | `access` |
//! | which network refuses, and how is it opened? | `network` |
//! | what is wrong with a private endpoint? | `private_endpoint` |
//! | which path do requests take, and what is shown of it? | `path` |
//! | as whom does the handler sign in, and what is shown of it? | `identity` |
//! | why does nothing answer, or not a vault? | `connection` |
//! | why is there no token? | `sign_in` |
//! | why are references not resolved again? | `rotation` |
//! | which setting or limit of the handler is it? | `handler` |
//! | what is the vault called here? | `case` |
//! | with which command, exactly? | `commands`; for a right, `grants` |
//! | what is a fix? | [`fix`] |
//! | where is it in the Azure portal? | `portal` |
//! | which app, and where does the handler run? | [`function_app`] |

mod access;
mod case;
mod commands;
mod connection;
mod expiry;
pub mod explain;
pub mod fix;
pub mod function_app;
mod grants;
mod handler;
mod identity;
mod network;
mod object;
mod path;
mod portal;
mod private_endpoint;
mod reference;
mod rotation;
mod sign_in;

use std::{sync::Arc, time::Duration};

use time::OffsetDateTime;

pub use expiry::warning;
pub use explain::{explain, iso_format};
pub use fix::Fix;
pub use function_app::{DevVaultAlias, FunctionApp, Identity, Plan, RunsIn, Surroundings};
pub use identity::IdentityReport;
pub use path::{PathProblem, PathReport};
pub use portal::PortalLink;

use crate::key_vault::{Error, NetworkPath, ObjectKind, VaultUrl};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The vault could not be read.
    Failed(Error),
    /// The same, on this path, which tells more.
    OnThePath(Error, Arc<NetworkPath>),
    /// `KEY_VAULT_URL` is not set.
    NoVault,
    /// The secret is deleted and can be recovered.
    Deleted,
    /// Values may be got and nothing may be listed, so whether the secret is there cannot be
    /// told without reading it.
    MayNotList,
    /// The handler can read the secret, and the platform says that it has resolved the
    /// reference. The process does not have the value.
    ResolvedSinceStart,
    /// The handler can read the secret, and the reference is not spelt as documented. This is
    /// the documented spelling.
    UnusualSpelling(String),
    /// The handler's user-assigned identity can read the secret. The platform resolves
    /// references with another identity.
    OtherIdentity(String),
    /// The handler signs in as an application and can read the secret. The platform resolves
    /// references with the app's managed identity.
    OtherSignIn,
    /// The handler can read the secret, and nothing tells why the platform could not.
    Readable,
    /// The text of the reference is wrong, and how.
    Syntax(String),
    /// The vault has another value than the app. A reference in the form `SecretUri` can be
    /// written in this other form.
    Stale(Option<String>),
    /// The object expires, or has.
    Expires(Expires),
    /// The handler is still reading what the vault has.
    Listing,
    /// A reference to App Configuration that was not resolved.
    AppConfiguration,
    /// The setting is there and empty.
    EmptyValue,
    /// The handler's identity may not ask Azure to resolve references again.
    MayNotRefresh,
    /// Azure knows no such call for this app.
    RefreshNotFound,
    /// Azure could not be asked.
    RefreshFailed,
    /// Azure does not tell which versions are in effect.
    NoVersionsTold,
    /// The platform has an older version of the secret, although it has looked again.
    StaysBehind,
}

/// The end of an object's validity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expires {
    /// When.
    pub on: OffsetDateTime,
    /// It is a certificate's secret, and the certificate is what can be renewed.
    pub is_certificates: bool,
    /// It is disabled already.
    pub is_disabled: bool,
    /// The reference with a version that lasts longer, where it is pinned to this one.
    pub newer: Option<String>,
}

impl Cause {
    /// One word for programs, and for a line.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Failed(error) | Self::OnThePath(error, _) => error.code(),
            Self::NoVault => "KeyVaultUrlNotSet",
            Self::Deleted => "SecretNotFound",
            Self::MayNotList
            | Self::ResolvedSinceStart
            | Self::OtherIdentity(_)
            | Self::OtherSignIn
            | Self::Readable => "Initialized",
            Self::UnusualSpelling(_) | Self::Syntax(_) => "InvalidSyntax",
            Self::Stale(_) | Self::Expires(_) => "Resolved",
            Self::Listing => "Listing",
            Self::AppConfiguration | Self::EmptyValue => "OtherReasons",
            Self::MayNotRefresh => "RotationRefreshDenied",
            Self::RefreshNotFound => "RotationRefreshNotFound",
            Self::RefreshFailed => "RotationRefreshFailed",
            Self::NoVersionsTold => "RotationVersionsUnknown",
            Self::StaysBehind => "RotationStaysBehind",
        }
    }

    /// `error`, on the path that the request took if that is known.
    #[must_use]
    pub fn failed(error: Error, path: Option<Arc<NetworkPath>>) -> Self {
        match path {
            Some(path) => Self::OnThePath(error, path),
            None => Self::Failed(error),
        }
    }

    /// Why the vault could not be read, if that is the cause.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        match self {
            Self::Failed(error) | Self::OnThePath(error, _) => Some(error),
            _ => None,
        }
    }

    /// The path that the request took, if that may be the cause.
    pub(crate) fn path(&self) -> Option<&NetworkPath> {
        match self {
            Self::OnThePath(_, path) => Some(path),
            _ => None,
        }
    }
}

impl From<Error> for Cause {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What a cause is about.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The vault, if there is one.
    pub vault: Option<&'a VaultUrl>,
    /// What kind of object.
    pub kind: ObjectKind,
    /// The object's name; all of the kind if `None`.
    pub name: Option<&'a str>,
    /// The object's version; the latest one if `None`.
    pub version: Option<&'a str>,
    /// The setting that names the vault.
    pub named: Named<'a>,
}

impl Subject<'_> {
    /// No vault in particular: what concerns the handler itself.
    pub const OF_THE_HANDLER: Subject<'static> = Subject {
        vault: None,
        kind: ObjectKind::Secret,
        name: None,
        version: None,
        named: Named::KeyVaultUrl,
    };
}

/// The setting that names a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named<'a> {
    /// `KEY_VAULT_URL`, and a request names the secret.
    KeyVaultUrl,
    /// A reference in an app setting.
    Setting(&'a str),
    /// A reference in a connection string.
    ConnectionString {
        /// Its name.
        name: &'a str,
        /// Its type, as `az` takes it.
        kind: &'a str,
    },
}

impl<'a> Named<'a> {
    /// Whether a setting holds a reference, as opposed to an address.
    #[must_use]
    pub fn is_reference(self) -> bool {
        self != Self::KeyVaultUrl
    }

    /// The setting's name.
    #[must_use]
    pub fn setting(self) -> &'a str {
        match self {
            Self::KeyVaultUrl => "KEY_VAULT_URL",
            Self::Setting(name) | Self::ConnectionString { name, .. } => name,
        }
    }
}

/// A cause in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// One word for programs.
    pub code: &'static str,
    /// What happened.
    pub detail: String,
    /// What to do.
    pub fix: Fix,
    /// It passes by itself; when to ask again.
    pub retry_after: Option<Duration>,
    /// The path to the vault, where that may be the cause.
    pub path: Option<PathReport>,
}

/// The whole days from `now` to `expires`; negative once it has expired.
#[must_use]
pub fn days_left(expires: OffsetDateTime, now: OffsetDateTime) -> i64 {
    const DAY: i64 = 24 * 60 * 60;
    (expires - now).whole_seconds().div_euclid(DAY)
}

/// What may be odd about a secret that can be read. None of it keeps the platform from
/// resolving a reference, but for a disabled secret.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its value is not served.
    pub is_disabled: bool,
    /// It is a certificate's secret.
    pub is_certificates: bool,
    /// Informational for Key Vault: it serves the value all the same.
    pub expires: Option<OffsetDateTime>,
    /// Informational for Key Vault: it serves the value all the same.
    pub not_before: Option<OffsetDateTime>,
}
