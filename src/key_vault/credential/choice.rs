//! Which credential: chosen once, from what the environment offers.

use std::{fmt, path::PathBuf};

use secrecy::SecretString;

use crate::key_vault::error::{CredentialError, CredentialKind};

/// What the environment offers.
#[derive(Debug, Clone, Default)]
pub struct CredentialSettings {
    /// `AZURE_TOKEN_CREDENTIALS`.
    pub filter: Option<CredentialFilter>,
    /// `AZURE_TENANT_ID`.
    pub tenant_id: Option<String>,
    /// `AZURE_CLIENT_ID`: the application, or the user-assigned managed identity.
    pub client_id: Option<String>,
    /// `AZURE_CLIENT_SECRET`.
    pub client_secret: Option<SecretString>,
    /// `AZURE_FEDERATED_TOKEN_FILE`.
    pub federated_token_file: Option<PathBuf>,
    /// Whether `IDENTITY_ENDPOINT` and `IDENTITY_HEADER` are both set.
    pub has_identity_endpoint: bool,
    /// Whether this runs on Azure, where `az` and `azd` sign-in are disabled.
    pub is_on_azure: bool,
}

/// `AZURE_TOKEN_CREDENTIALS`: which credentials come into question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialFilter {
    /// Developer tools.
    Dev,
    /// Everything else.
    Prod,
    /// Client secret.
    Environment,
    /// Workload identity.
    WorkloadIdentity,
    /// Managed identity, of a virtual machine too.
    ManagedIdentity,
    /// Azure CLI.
    AzureCli,
    /// Azure Developer CLI.
    AzureDeveloperCli,
}

impl CredentialFilter {
    /// The words that the other languages' SDKs take and this handler supports.
    pub const WORDS: [(&'static str, Self); 7] = [
        ("dev", Self::Dev),
        ("prod", Self::Prod),
        ("environmentcredential", Self::Environment),
        ("workloadidentitycredential", Self::WorkloadIdentity),
        ("managedidentitycredential", Self::ManagedIdentity),
        ("azureclicredential", Self::AzureCli),
        ("azuredeveloperclicredential", Self::AzureDeveloperCli),
    ];

    /// Parses one of [`CredentialFilter::WORDS`], whatever its letter case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::WORDS
            .iter()
            .find_map(|(word, filter)| word.eq_ignore_ascii_case(text).then_some(*filter))
    }

    fn allows(self, kind: CredentialKind) -> bool {
        match self {
            Self::Dev => kind.is_tool(),
            Self::Prod => !kind.is_tool(),
            Self::Environment => kind == CredentialKind::ClientSecret,
            Self::WorkloadIdentity => kind == CredentialKind::WorkloadIdentity,
            Self::ManagedIdentity => kind == CredentialKind::ManagedIdentity,
            Self::AzureCli => kind == CredentialKind::AzureCli,
            Self::AzureDeveloperCli => kind == CredentialKind::AzureDeveloperCli,
        }
    }
}

/// The credential that will be used.
#[derive(Debug, Clone)]
pub enum ChosenCredential {
    /// An application's secret.
    ClientSecret {
        /// Where the application is registered.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// Its secret.
        client_secret: SecretString,
    },
    /// A federated token, as in Kubernetes.
    WorkloadIdentity {
        /// Where the application is registered.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// Read anew as it rotates.
        token_file: PathBuf,
    },
    /// The Function App's identity.
    ManagedIdentity {
        /// The user-assigned identity; the system-assigned one if `None`.
        client_id: Option<String>,
    },
    /// `az login`.
    AzureCli,
    /// `azd auth login`.
    AzureDeveloperCli,
}

impl fmt::Display for ChosenCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientSecret { .. } => "client secret (AZURE_CLIENT_SECRET)",
            Self::WorkloadIdentity { .. } => "workload identity (AZURE_FEDERATED_TOKEN_FILE)",
            Self::ManagedIdentity { client_id: None } => "managed identity, system-assigned",
            Self::ManagedIdentity { client_id: Some(_) } => {
                "managed identity, user-assigned (AZURE_CLIENT_ID)"
            }
            Self::AzureCli => "Azure CLI (az login)",
            Self::AzureDeveloperCli => "Azure Developer CLI (azd auth login)",
        })
    }
}

impl CredentialSettings {
    /// Why [`CredentialSettings::choose`] finds nothing.
    #[must_use]
    pub fn why_none(&self) -> CredentialError {
        if self.filter.is_some() {
            CredentialError::NotOffered
        } else {
            CredentialError::NothingConfigured
        }
    }

    /// Picks the one credential, in the order of the module's list. `has_tool` tells whether
    /// a program is on the path.
    #[must_use]
    pub fn choose(&self, has_tool: impl Fn(&str) -> bool) -> Option<ChosenCredential> {
        let tool = |program, named, choice| {
            let is_there = !self.is_on_azure && (self.filter == Some(named) || has_tool(program));
            is_there.then_some(choice)
        };
        let offered = [
            self.client_secret(),
            self.workload_identity(),
            self.managed_identity(),
            tool("az", CredentialFilter::AzureCli, ChosenCredential::AzureCli),
            tool(
                "azd",
                CredentialFilter::AzureDeveloperCli,
                ChosenCredential::AzureDeveloperCli,
            ),
        ];
        let is_allowed = |choice: &ChosenCredential| {
            let filter = self.filter;
            filter.is_none_or(|filter| filter.allows(choice.kind()))
        };
        offered.into_iter().flatten().find(is_allowed)
    }

    fn client_secret(&self) -> Option<ChosenCredential> {
        Some(ChosenCredential::ClientSecret {
            tenant_id: self.tenant_id.clone()?,
            client_id: self.client_id.clone()?,
            client_secret: self.client_secret.clone()?,
        })
    }

    fn workload_identity(&self) -> Option<ChosenCredential> {
        Some(ChosenCredential::WorkloadIdentity {
            tenant_id: self.tenant_id.clone()?,
            client_id: self.client_id.clone()?,
            token_file: self.federated_token_file.clone()?,
        })
    }

    fn managed_identity(&self) -> Option<ChosenCredential> {
        let is_named = self.filter == Some(CredentialFilter::ManagedIdentity);
        (self.has_identity_endpoint || is_named).then(|| ChosenCredential::ManagedIdentity {
            client_id: self.client_id.clone(),
        })
    }
}

/// Whether `program` is on the path.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "PATH is no setting")]
pub fn is_on_path(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| {
            let file = folder.join(program);
            file.is_file()
                || file.with_extension("exe").is_file()
                || file.with_extension("cmd").is_file()
        })
    })
}

impl ChosenCredential {
    pub(super) fn kind(&self) -> CredentialKind {
        match self {
            Self::ClientSecret { .. } => CredentialKind::ClientSecret,
            Self::WorkloadIdentity { .. } => CredentialKind::WorkloadIdentity,
            Self::ManagedIdentity { .. } => CredentialKind::ManagedIdentity,
            Self::AzureCli => CredentialKind::AzureCli,
            Self::AzureDeveloperCli => CredentialKind::AzureDeveloperCli,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(offered: &CredentialSettings, tools: &[&str]) -> Option<String> {
        let choice = offered.choose(|tool| tools.contains(&tool));
        choice.map(|choice| {
            choice
                .to_string()
                .split([' ', ','])
                .next()
                .unwrap_or("")
                .to_owned()
        })
    }

    fn all() -> CredentialSettings {
        CredentialSettings {
            tenant_id: Some("t".into()),
            client_id: Some("c".into()),
            client_secret: Some("s".to_owned().into()),
            federated_token_file: Some("f".into()),
            has_identity_endpoint: true,
            ..CredentialSettings::default()
        }
    }

    #[test]
    fn the_order_is_fixed() {
        let mut offered = all();
        assert_eq!(chosen(&offered, &["az", "azd"]).as_deref(), Some("client"));
        offered.client_secret = None;
        assert_eq!(
            chosen(&offered, &["az", "azd"]).as_deref(),
            Some("workload")
        );
        offered.federated_token_file = None;
        assert_eq!(chosen(&offered, &["az", "azd"]).as_deref(), Some("managed"));
        offered.has_identity_endpoint = false;
        assert_eq!(
            offered.choose(|_| true).map(|c| c.to_string()).as_deref(),
            Some("Azure CLI (az login)")
        );
        assert_eq!(
            offered
                .choose(|tool| tool == "azd")
                .map(|c| c.to_string())
                .as_deref(),
            Some("Azure Developer CLI (azd auth login)")
        );
        assert_eq!(chosen(&offered, &[]), None);
        offered.is_on_azure = true;
        assert_eq!(chosen(&offered, &["az"]), None);
    }

    #[test]
    fn the_operator_can_narrow_it() {
        for (only, name) in [
            (CredentialFilter::Dev, "Azure"),
            (CredentialFilter::Prod, "client"),
            (CredentialFilter::Environment, "client"),
            (CredentialFilter::WorkloadIdentity, "workload"),
            (CredentialFilter::ManagedIdentity, "managed"),
            (CredentialFilter::AzureCli, "Azure"),
        ] {
            let offered = CredentialSettings {
                filter: Some(only),
                ..all()
            };
            assert_eq!(chosen(&offered, &["az"]).as_deref(), Some(name), "{only:?}");
        }
    }

    #[test]
    fn a_virtual_machines_identity_is_used_only_on_request() {
        let mut offered = CredentialSettings::default();
        assert_eq!(chosen(&offered, &[]), None);
        offered.filter = Some(CredentialFilter::Prod);
        assert_eq!(chosen(&offered, &[]), None);
        offered.filter = Some(CredentialFilter::ManagedIdentity);
        assert_eq!(chosen(&offered, &[]).as_deref(), Some("managed"));
    }

    #[test]
    fn secrets_do_not_show_in_what_is_logged() {
        let mut offered = all();
        offered.client_secret = Some("canary-secret".to_owned().into());
        assert!(!format!("{offered:?}{:?}", offered.choose(|_| false)).contains("canary"));
    }
}
