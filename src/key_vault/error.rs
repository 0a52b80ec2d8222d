//! What can go wrong between the handler and a vault, by cause.

use std::{sync::Arc, time::Duration};

use serde::Serialize;

use super::{names::ObjectKind, principal::Guid};

/// A cause. No variant holds text from outside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The vault has no object of this kind and name.
    #[error("the vault has no such {0}")]
    NotFound(ObjectKind),
    /// The object exists, this version of it does not.
    #[error("the {0} has no such version")]
    VersionNotFound(ObjectKind),
    /// The object is disabled, and reading it was refused for that.
    #[error("the {0} is disabled")]
    Disabled(ObjectKind),
    /// The identity may not do this.
    #[error("access denied: {0:?}")]
    AccessDenied(Denial),
    /// The vault refused the token itself: wrong tenant, wrong audience, or expired.
    #[error("the vault refused the token")]
    TokenRefused(Tenants),
    /// The vault's network rules refused the handler's address.
    #[error("refused by the vault's network rules")]
    ForbiddenByFirewall,
    /// The vault takes no requests over the public network, and this one came that way.
    #[error("the vault is closed to the public network")]
    ForbiddenByConnection,
    /// There is no host of the vault's name.
    #[error("there is no such vault")]
    VaultNotFound,
    /// The vault's certificate is not trusted, or TLS failed otherwise.
    #[error("no trusted TLS connection to the vault: {0}")]
    TlsFailed(TlsFailure),
    /// Nothing answers at the vault's address, or the answer breaks off.
    #[error("the vault cannot be reached")]
    Unreachable(Reach),
    /// The object has more versions than can be listed in the time of one call.
    #[error("there are too many versions to list")]
    TooManyVersions,
    /// The vault has more objects than the handler lists.
    #[error("there are too many objects to list")]
    TooManyObjects,
    /// The handler reads as many vaults as it can already.
    #[error("too many vaults")]
    TooManyVaults,
    /// This machine has no certificate authorities to check a vault's certificate with.
    #[error("no certificate authorities on this machine")]
    NoCertificateAuthorities,
    /// The handler has sent as many requests as one instance may for now. No vault said so.
    #[error("too many requests to vaults")]
    BudgetSpent {
        /// When the next one may be sent.
        retry_after: Duration,
    },
    /// The vault asked to slow down.
    #[error("the vault throttles")]
    Throttled {
        /// How long to wait, if the vault said so.
        retry_after: Option<Duration>,
    },
    /// The vault answered that it has a problem.
    #[error("the vault is unavailable")]
    Unavailable {
        /// How long to wait, if the vault said so.
        retry_after: Option<Duration>,
    },
    /// No complete answer in time.
    #[error("the vault did not answer in time")]
    TimedOut,
    /// No token could be had.
    #[error("no credential: {0:?}")]
    Credential(CredentialError),
    /// A setting that the read depends on cannot be used.
    #[error("the setting {} cannot be used", .0.name)]
    WrongSetting(Arc<SettingError>),
    /// The vault refused the request as such (`BadParameter`): it may be older than the API.
    #[error("the vault refuses the request as such")]
    RequestRefused,
    /// The vault's answer is not what the contract promises.
    #[error("the vault's answer cannot be understood")]
    UnexpectedAnswer,
}

/// One setting that cannot be used: which, what kind of value it has, what to do. Never the value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{name}: found {found}; give {expected}{}", .otherwise.as_deref().unwrap_or_default())]
pub struct SettingError {
    /// The setting's name.
    pub name: &'static str,
    /// What kind of value it has.
    pub found: &'static str,
    /// What it takes, and what counts until then, if anything does.
    pub expected: String,
    /// The other way out, such as `, or remove it`.
    #[serde(skip)]
    pub otherwise: Option<String>,
    /// Whether it is a reference that was not resolved, which `config-check` explains.
    #[serde(skip)]
    pub is_reference: bool,
}

/// The tenants of a vault and of a token that it refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tenants {
    /// The vault belongs to this one, and the token to another.
    Different(Guid),
    /// They are the same one.
    Same,
    /// One of them is not known.
    Unknown,
}

/// Who or what denied access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// The vault uses roles, and none of the identity's allows it (`ForbiddenByRbac`).
    Role,
    /// The vault uses access policies, and none allows it (`AccessDenied`).
    AccessPolicy,
    /// A policy of the vault (`ForbiddenByPolicy`), which the recipe knows from firewalls.
    Policy,
    /// A code that is not known here.
    Other,
}

/// What is wrong with a server's certificate, or with its TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlsFailure {
    /// No authority that is trusted here has issued the certificate.
    #[error("unknown issuer")]
    UnknownIssuer,
    /// The certificate is another host's.
    #[error("wrong name")]
    WrongName,
    /// The certificate is not valid any more, or not yet.
    #[error("expired or not yet valid")]
    Expired,
    /// The server speaks something else.
    #[error("not TLS")]
    NotTls,
    /// Anything else.
    #[error("other")]
    Other,
}

/// At which step the vault could not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// The proxy that the environment names has no address.
    Proxy,
    /// No name server answered. This passes by itself, unlike a name that does not exist.
    NameResolution,
    /// The vault's name resolves to this machine, or to one on the same link. Nothing was sent.
    OwnMachine,
    /// The machine answered that nothing listens at that port.
    Refused,
    /// No connection.
    Connection,
    /// The answer broke off.
    Interrupted,
}

/// Why there is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialError {
    /// The environment offers no credential at all.
    NothingConfigured,
    /// `AZURE_TOKEN_CREDENTIALS` asks for a credential that the environment does not offer.
    NotOffered,
    /// The chosen credential failed.
    Failed {
        /// Which one was chosen.
        credential: CredentialKind,
        /// Why it failed.
        cause: SignInFailure,
    },
}

impl CredentialError {
    /// Whether there is no identity to ask for, as opposed to one that fails.
    #[must_use]
    pub fn is_without_identity(&self) -> bool {
        match self {
            Self::NothingConfigured | Self::NotOffered => true,
            Self::Failed { cause, .. } => *cause == SignInFailure::IdentityNotAssigned,
        }
    }
}

/// The credentials that can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialKind {
    /// An application with `AZURE_CLIENT_SECRET`.
    ClientSecret,
    /// An application with `AZURE_FEDERATED_TOKEN_FILE`.
    WorkloadIdentity,
    /// The identity that `IDENTITY_ENDPOINT` signs in.
    ManagedIdentity,
    /// `az`.
    AzureCli,
    /// `azd`.
    AzureDeveloperCli,
}

impl CredentialKind {
    /// Whether a developer tool signs in.
    #[must_use]
    pub fn is_tool(self) -> bool {
        matches!(self, Self::AzureCli | Self::AzureDeveloperCli)
    }
}

/// Why a sign-in failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignInFailure {
    /// The identity endpoint does not know the identity: none is assigned, or
    /// `AZURE_CLIENT_ID` names one that is not.
    #[error("the identity is not assigned")]
    IdentityNotAssigned,
    /// Entra ID or the identity endpoint refused.
    #[error("HTTP {status}{}", .aadsts.map(|number| format!(", AADSTS{number}")).unwrap_or_default())]
    Answered {
        /// The HTTP status.
        status: u16,
        /// The number behind `AADSTS` in Entra ID's answer.
        aadsts: Option<u32>,
    },
    /// The certificate of the endpoint is not trusted.
    #[error("no trusted TLS connection")]
    TlsNotTrusted,
    /// Nothing listens at the endpoint.
    #[error("nothing listens there")]
    Refused,
    /// The endpoint's host name does not exist.
    #[error("the host name does not exist")]
    NoSuchHost,
    /// The endpoint's host name resolves to this machine. Nothing was sent.
    #[error("the host name is this machine's")]
    OwnMachine,
    /// The endpoint cannot be reached otherwise.
    #[error("the endpoint cannot be reached")]
    Unreachable,
    /// No answer in time.
    #[error("no answer in time")]
    TimedOut,
    /// The file that `AZURE_FEDERATED_TOKEN_FILE` names cannot be read, most often because it is
    /// not there.
    #[error("the token file cannot be read")]
    NoTokenFile,
    /// The developer tool is not installed, or not on the path.
    #[error("the program is not on the path")]
    ToolMissing,
    /// Nobody is signed in with the developer tool.
    #[error("nobody is signed in")]
    NotSignedIn,
    /// A setting of the credential has a form that it cannot have.
    #[error("a setting has a form that it cannot have")]
    WrongSetting,
    /// Anything else.
    #[error("no usable token")]
    Other,
}

impl Error {
    /// One word for the cause, the same in answers, lines and counters.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotFound(ObjectKind::Secret) => "SecretNotFound",
            Self::NotFound(ObjectKind::Key) => "KeyNotFound",
            Self::NotFound(ObjectKind::Certificate) => "CertificateNotFound",
            Self::VersionNotFound(ObjectKind::Secret) => "SecretVersionNotFound",
            Self::VersionNotFound(ObjectKind::Key) => "KeyVersionNotFound",
            Self::VersionNotFound(ObjectKind::Certificate) => "CertificateVersionNotFound",
            Self::Disabled(ObjectKind::Secret) => "SecretDisabled",
            Self::Disabled(ObjectKind::Key) => "KeyDisabled",
            Self::Disabled(ObjectKind::Certificate) => "CertificateDisabled",
            Self::AccessDenied(_) => "AccessToKeyVaultDenied",
            Self::TokenRefused(_) => "UnauthorizedClient",
            Self::ForbiddenByFirewall => "ForbiddenByFirewall",
            Self::ForbiddenByConnection => "ForbiddenByConnection",
            Self::VaultNotFound => "VaultNotFound",
            Self::TlsFailed(_) => "VaultTlsFailed",
            Self::Unreachable(_) => "VaultUnreachable",
            Self::TooManyVersions => "TooManyVersions",
            Self::TooManyObjects => "TooManyObjects",
            Self::TooManyVaults => "TooManyVaults",
            Self::NoCertificateAuthorities => "NoCertificateAuthorities",
            Self::BudgetSpent { .. } => "TooManyVaultRequests",
            Self::Throttled { .. } => "Throttled",
            Self::Unavailable { .. } => "VaultUnavailable",
            Self::TimedOut => "FetchTimedOut",
            Self::Credential(_) => "CredentialUnavailable",
            Self::WrongSetting(_) => "WrongSetting",
            Self::RequestRefused => "RequestRefused",
            Self::UnexpectedAnswer => "UnexpectedAnswer",
        }
    }

    /// Whether an old answer may be given in spite of this. What the vault has decided is not a
    /// failure: a secret that is gone is gone, and a right that was revoked is revoked.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::NotFound(_)
            | Self::VersionNotFound(_)
            | Self::Disabled(_)
            | Self::AccessDenied(_)
            | Self::TokenRefused(_)
            | Self::ForbiddenByFirewall
            | Self::ForbiddenByConnection => false,
            Self::VaultNotFound
            | Self::TlsFailed(_)
            | Self::Unreachable(_)
            | Self::TooManyVersions
            | Self::TooManyObjects
            | Self::TooManyVaults
            | Self::NoCertificateAuthorities
            | Self::BudgetSpent { .. }
            | Self::Throttled { .. }
            | Self::Unavailable { .. }
            | Self::TimedOut
            | Self::Credential(_)
            | Self::WrongSetting(_)
            | Self::RequestRefused
            | Self::UnexpectedAnswer => true,
        }
    }

    /// Whether the network decided, or may have: the path to the vault tells more then.
    #[must_use]
    pub fn is_about_the_network(&self) -> bool {
        matches!(
            self,
            Self::ForbiddenByFirewall
                | Self::ForbiddenByConnection
                | Self::VaultNotFound
                | Self::TlsFailed(_)
                | Self::Unreachable(_)
                | Self::TimedOut
                | Self::UnexpectedAnswer
                | Self::AccessDenied(Denial::Policy | Denial::Other)
        )
    }
}
