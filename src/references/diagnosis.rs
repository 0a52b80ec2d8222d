//! Why a reference did not resolve, and what mends it.
//!
//! [`Finding`] is what the handler met when it tried the reference with its own identity.
//! Together with the platform's word it becomes a status of the common vocabulary, one
//! sentence about the cause and one command that mends it.

use std::fmt::Write as _;

use time::{OffsetDateTime, format_description::FormatItem, macros::format_description};

use super::{
    remedy::{self, Fix, Site},
    status::{PlatformWord, Status},
    syntax::{Reference, SyntaxError},
};
use crate::key_vault::{
    Error, VaultUrl,
    error::{CredentialError, Denial, SignInFailure},
};

/// What the handler met when it tried a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// The secret is there and its value may be got.
    Readable(Facts),
    /// Values may be got and nothing may be listed, so whether the secret is there cannot be
    /// told without reading it.
    MayGet,
    /// The secret is deleted and can be recovered.
    Deleted,
    /// It could not be read.
    Failed(Error),
    /// The handler stopped waiting; the attempt goes on.
    TimedOut,
}

/// What may be odd about a secret that can be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// Its value is not served.
    pub is_disabled: bool,
    /// Informational for Key Vault: it serves the value all the same.
    pub expires: Option<OffsetDateTime>,
    /// Informational for Key Vault: it serves the value all the same.
    pub not_before: Option<OffsetDateTime>,
}

/// A status with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// One of the eleven.
    pub status: Status,
    /// What is wrong.
    pub detail: String,
    /// One sentence with the command that mends it.
    pub fix: Fix,
}

impl Diagnosis {
    fn new(status: Status, detail: impl Into<String>, fix: Fix) -> Self {
        let detail = detail.into();
        Self {
            status,
            detail,
            fix,
        }
    }
}

/// A reference whose text is wrong.
#[must_use]
pub fn of_syntax(setting: &str, error: SyntaxError, site: &Site) -> Diagnosis {
    Diagnosis::new(
        Status::InvalidSyntax,
        format!("The reference cannot be understood: {error}."),
        site.set_reference(setting),
    )
}

/// A reference that is well-formed and not resolved.
#[must_use]
pub fn of_reference(
    setting: &str,
    reference: &Reference,
    finding: &Finding,
    word: Option<&PlatformWord>,
    site: &Site,
    now: OffsetDateTime,
) -> Diagnosis {
    let case = Case {
        setting,
        reference,
        authority: reference.authority(),
        vault: reference.vault().ok(),
        site,
    };
    let mut found = match finding {
        Finding::Readable(facts) => case.readable(facts, word, now),
        Finding::MayGet => case.may_get(),
        Finding::Deleted => case.deleted(),
        Finding::Failed(error) => case.failed(error),
        Finding::TimedOut => case.timed_out(Status::FetchTimedOut),
    };
    if let Some(PlatformWord::Unknown(word)) = word {
        let _ = write!(found.detail, " The platform's word for it is {word}.");
    }
    // The platform tried with the references' own identity: its word is the status, and what
    // the handler found is the explanation.
    if let Some(PlatformWord::Known(status)) = word
        && *status != Status::Resolved
    {
        if *status != found.status {
            let _ = write!(found.detail, " The platform says {status}.");
        }
        found.status = *status;
    }
    found
}

struct Case<'a> {
    setting: &'a str,
    reference: &'a Reference,
    authority: String,
    vault: Option<VaultUrl>,
    site: &'a Site,
}

impl Case<'_> {
    /// What a person calls the vault.
    fn vault(&self) -> &str {
        let vault = self.vault.as_ref();
        vault.map_or(&*self.authority, VaultUrl::vault_name)
    }

    /// What `az keyvault` calls it.
    fn az(&self) -> &str {
        self.vault.as_ref().map_or("<vault>", VaultUrl::name_for_az)
    }

    fn secret(&self) -> &str {
        self.reference.secret_name()
    }

    /// A pinned reference means its own version, not the latest.
    fn set_attributes(&self, change: &str) -> String {
        remedy::set_attributes(
            self.az(),
            self.secret(),
            self.reference.secret_version(),
            change,
        )
    }

    fn may_get(&self) -> Diagnosis {
        let (vault, secret) = (self.vault(), self.secret());
        Diagnosis::new(
            Status::Initialized,
            format!(
                "The handler may read secrets of the vault {vault} but not list them, so whether {secret} is there cannot be told without its value."
            ),
            self.site.refresh(),
        )
    }

    fn readable(
        &self,
        facts: &Facts,
        word: Option<&PlatformWord>,
        now: OffsetDateTime,
    ) -> Diagnosis {
        let (vault, secret) = (self.vault(), self.secret());
        if facts.is_disabled {
            return self.disabled();
        }
        if let Some(expires) = facts.expires.filter(|expires| *expires <= now) {
            let expired = utc(expires);
            let change = "--expires \"$(date -u -d '+1 year' +%Y-%m-%dT%H:%M:%SZ)\"";
            let command = self.set_attributes(change);
            return Diagnosis::new(
                Status::OtherReasons,
                format!(
                    "The secret {secret} in the vault {vault} expired on {expired}; Key Vault itself still serves it."
                ),
                Fix::with("Rotate it, or move the expiry with", command),
            );
        }
        if let Some(start) = facts.not_before.filter(|start| *start > now) {
            let start = utc(start);
            let change = "--not-before \"$(date -u +%Y-%m-%dT%H:%M:%SZ)\"";
            let command = self.set_attributes(change);
            return Diagnosis::new(
                Status::OtherReasons,
                format!(
                    "The secret {secret} in the vault {vault} is not valid before {start}; Key Vault itself serves it already."
                ),
                Fix::with("Wait until then, or move the start with", command),
            );
        }
        let was_resolved = matches!(word, Some(PlatformWord::Known(Status::Resolved)));
        if was_resolved {
            return Diagnosis::new(
                Status::Initialized,
                "The platform has resolved the reference since this process started.",
                Fix::with("Restart the app with", self.site.restart()),
            );
        }
        if self.reference.has_unusual_spelling() {
            return Diagnosis::new(
                Status::InvalidSyntax,
                "The handler understands the reference, but its letter case or white space is not as documented, and the platform may not.",
                self.site.respell(self.setting, self.reference),
            );
        }
        // The references' own identity is another one, and it was refused.
        let was_refused = matches!(
            word.map(PlatformWord::status),
            None | Some(
                Status::MSINotEnabled | Status::AccessToKeyVaultDenied | Status::UnauthorizedClient
            )
        );
        if was_refused && self.site.has_user_assigned_identity() {
            return Diagnosis::new(
                Status::Initialized,
                format!(
                    "The handler's user-assigned identity can read {secret} in the vault {vault}, but references use the system-assigned one unless keyVaultReferenceIdentity names another."
                ),
                Fix::with(
                    "Let references use it with",
                    self.site.use_identity_for_references(),
                ),
            );
        }
        Diagnosis::new(
            Status::Initialized,
            format!(
                "The handler can read {secret} in the vault {vault}, so the setting or the access changed after the platform last tried."
            ),
            self.site.refresh(),
        )
    }

    fn disabled(&self) -> Diagnosis {
        let (vault, secret) = (self.vault(), self.secret());
        let command = self.set_attributes("--enabled true");
        Diagnosis::new(
            Status::OtherReasons,
            format!("The secret {secret} in the vault {vault} is disabled."),
            Fix::with("Enable it with", command),
        )
    }

    fn deleted(&self) -> Diagnosis {
        let (vault, secret) = (self.vault(), self.secret());
        Diagnosis::new(
            Status::SecretNotFound,
            format!("The secret {secret} is deleted from the vault {vault} and can be recovered."),
            Fix::with("Recover it with", remedy::recover(self.az(), secret)),
        )
    }

    fn timed_out(&self, status: Status) -> Diagnosis {
        let how = match status {
            Status::FetchTimedOut => "did not answer in time",
            _ => "cannot be reached",
        };
        Diagnosis::new(
            status,
            format!("The vault at {} {how}.", self.authority),
            Fix::with(
                "If it stays so, let the app through the vault's firewall with",
                self.site.allow_network(self.az()),
            ),
        )
    }

    fn failed(&self, error: &Error) -> Diagnosis {
        let (vault, secret, site) = (self.vault(), self.secret(), self.site);
        match error {
            Error::SecretNotFound if site.is_embedded(&self.authority) => Diagnosis::new(
                Status::SecretNotFound,
                format!("The embedded vault has no secret {secret}."),
                Fix::without_command(format!(
                    "In local.settings.json, point {} at a secret that it has: ExternalApiKey or DatabasePassword.",
                    self.setting
                )),
            ),
            Error::SecretNotFound => Diagnosis::new(
                Status::SecretNotFound,
                format!("The vault {vault} has no secret {secret}."),
                Fix::with("Compare the name with", remedy::list_secrets(self.az())),
            ),
            Error::SecretVersionNotFound => Diagnosis::new(
                Status::SecretVersionNotFound,
                format!(
                    "The secret {secret} in the vault {vault} has no version {}.",
                    self.reference.secret_version().unwrap_or_default()
                ),
                Fix::with(
                    "Compare the version with",
                    remedy::list_versions(self.az(), secret),
                ),
            ),
            Error::VaultNotFound if site.has_embedded_vault() => Diagnosis::new(
                Status::VaultNotFound,
                format!(
                    "Only the embedded vault is connected here, and {} is another one.",
                    self.authority
                ),
                Fix::without_command(
                    "Set KEY_VAULT_URL to the address of a real vault to use real vaults.",
                ),
            ),
            Error::VaultNotFound => Diagnosis::new(
                Status::VaultNotFound,
                format!("The host name {} does not resolve.", self.authority),
                site.set_reference(self.setting),
            ),
            Error::SecretDisabled => self.disabled(),
            Error::AccessDenied(denial) => self.denied(*denial),
            Error::ForbiddenByFirewall | Error::ForbiddenByConnection => Diagnosis::new(
                Status::AccessToKeyVaultDenied,
                format!("The firewall or private endpoint of the vault {vault} refuses this app."),
                Fix::with(
                    "Route the app's traffic through the virtual network of the private endpoint, or let its addresses through with",
                    site.allow_network(self.az()),
                ),
            ),
            Error::TokenRefused => Diagnosis::new(
                Status::UnauthorizedClient,
                format!("The vault {vault} refuses the identity's token: it is of another tenant."),
                Fix::with(
                    "Use an identity of the vault's own tenant, enabled with",
                    site.assign_identity(),
                ),
            ),
            Error::Credential(cause) => self.without_token(*cause),
            Error::TimedOut => self.timed_out(Status::FetchTimedOut),
            Error::Unreachable(_) => self.timed_out(Status::OtherReasons),
            Error::NoCertificateAuthorities => self.other(
                "this machine has no certificate authorities",
                Fix::without_command(
                    "Install the ca-certificates package, or correct SSL_CERT_FILE.",
                ),
            ),
            Error::TlsFailed => self.other(
                "its certificate is not trusted here",
                Fix::without_command(
                    "Check that the reference names a vault and that no proxy breaks TLS open.",
                ),
            ),
            Error::TooManyVersions => {
                self.other("the secret has too many versions to list", site.refresh())
            }
            Error::Throttled { .. } => self.other("it asks to slow down", site.refresh()),
            Error::Unavailable { .. } => self.other("it has a problem of its own", site.refresh()),
            Error::TooManyVaults | Error::RequestRefused | Error::WrongSetting(_) => {
                self.other("the handler cannot read it", site.refresh())
            }
            Error::UnexpectedAnswer => self.other(
                "what answers there is not a Key Vault",
                site.set_reference(self.setting),
            ),
        }
    }

    fn other(&self, why: &str, fix: Fix) -> Diagnosis {
        let detail = format!("The vault at {} could not be read: {why}.", self.authority);
        Diagnosis::new(Status::OtherReasons, detail, fix)
    }

    fn denied(&self, denial: Denial) -> Diagnosis {
        let (vault, site) = (self.vault(), self.site);
        let (detail, fix) = match denial {
            Denial::Role => (
                format!("No role lets the app's identity read secrets in the vault {vault}."),
                Fix::with("Grant the role with", site.grant_role(self.az())),
            ),
            Denial::AccessPolicy => (
                format!(
                    "No access policy lets the app's identity read secrets in the vault {vault}."
                ),
                Fix::with("Grant the access policy with", site.grant_policy(self.az())),
            ),
            Denial::Policy => (
                format!(
                    "A policy or the firewall of the vault {vault} refuses this app (ForbiddenByPolicy)."
                ),
                Fix::with("Let the app through with", site.allow_network(self.az())),
            ),
            Denial::Other => (
                format!("The vault {vault} refuses the app's identity."),
                Fix::with(
                    "Grant an access policy if the vault uses them, else the role with",
                    site.grant_role(self.az()),
                ),
            ),
        };
        Diagnosis::new(Status::AccessToKeyVaultDenied, detail, fix)
    }

    fn without_token(&self, cause: CredentialError) -> Diagnosis {
        let assign = self.site.assign_identity();
        match cause {
            CredentialError::NothingConfigured => Diagnosis::new(
                Status::MSINotEnabled,
                "The app has no managed identity.",
                Fix::with(
                    "Outside Azure, sign in with az login; on Azure, enable it with",
                    assign,
                ),
            ),
            CredentialError::Failed {
                cause: SignInFailure::IdentityNotAssigned,
                ..
            } => Diagnosis::new(
                Status::MSINotEnabled,
                "The identity that the app asks for is not assigned to it.",
                Fix::with(
                    "Correct AZURE_CLIENT_ID for a user-assigned one, or enable the system-assigned one with",
                    assign,
                ),
            ),
            CredentialError::NotOffered => Diagnosis::new(
                Status::MSINotEnabled,
                "AZURE_TOKEN_CREDENTIALS asks for a credential that is not set up here.",
                Fix::with("Remove that setting, or enable the identity with", assign),
            ),
            CredentialError::Failed { .. } => Diagnosis::new(
                Status::UnauthorizedClient,
                "The app's identity got no token from Microsoft Entra ID.",
                Fix::with(
                    "Outside Azure, sign in with az login; on Azure, if it stays so, renew it with",
                    assign,
                ),
            ),
        }
    }
}

fn utc(time: OffsetDateTime) -> String {
    const FORMAT: &[FormatItem<'_>] =
        format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let time = time.to_offset(time::UtcOffset::UTC);
    time.format(FORMAT).unwrap_or_default()
}
