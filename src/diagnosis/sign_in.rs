//! Why there is no token, by credential and cause.

use super::{
    Fix,
    explain::{Case, Words},
    function_app::Identity,
};
use crate::key_vault::error::{CredentialError, CredentialKind, SignInFailure};

impl Case<'_> {
    pub(super) fn without_token(&self, error: &CredentialError) -> Words {
        let (detail, fix) = match error {
            CredentialError::NothingConfigured => self.nothing_configured(),
            CredentialError::NotOffered => self.not_offered(),
            CredentialError::Failed { credential, cause } => match credential {
                CredentialKind::ManagedIdentity => self.managed_identity(*cause),
                CredentialKind::ClientSecret | CredentialKind::WorkloadIdentity => {
                    Self::application(*credential, *cause)
                }
                CredentialKind::AzureCli => Self::tool(
                    *cause,
                    "the Azure CLI",
                    "az",
                    "az login",
                    "https://aka.ms/installazurecli",
                ),
                CredentialKind::AzureDeveloperCli => Self::tool(
                    *cause,
                    "the Azure Developer CLI",
                    "azd",
                    "azd auth login",
                    "https://aka.ms/azd-install",
                ),
            },
        };
        Words::new(detail, fix)
    }

    fn nothing_configured(&self) -> (String, Fix) {
        if self.is_on_azure() {
            return (
                "The app has no managed identity.".to_owned(),
                Fix::with(
                    "Once it has one, grant it access to the vault. Enable the system-assigned one with",
                    self.assign_identity(),
                ),
            );
        }
        (
            "There is no way to sign in: neither the Azure CLI (az) nor the Azure Developer CLI (azd) is installed, and no other credential is set.".to_owned(),
            Fix::with(
                "Install the Azure CLI from https://aka.ms/installazurecli and sign in with",
                "az login",
            ),
        )
    }

    fn not_offered(&self) -> (String, Fix) {
        let detail = "AZURE_TOKEN_CREDENTIALS asks for a credential that is not configured here.";
        let fix = if self.is_on_azure() {
            Fix::with(
                "Configure that credential, or remove the setting with",
                self.remove_app_setting("AZURE_TOKEN_CREDENTIALS"),
            )
        } else {
            Fix::without_command("Configure that credential, or remove AZURE_TOKEN_CREDENTIALS.")
        };
        (detail.to_owned(), fix)
    }

    fn managed_identity(&self, cause: SignInFailure) -> (String, Fix) {
        let is_on_azure = self.is_on_azure();
        if !self.surroundings.has_identity_endpoint && !is_on_azure {
            return (
                "The identity endpoint of virtual machines gave no token. There is no IDENTITY_ENDPOINT.".to_owned(),
                Fix::without_command(
                    "Outside Azure there is no such endpoint: remove AZURE_TOKEN_CREDENTIALS to sign in with az.",
                ),
            );
        }
        if cause == SignInFailure::IdentityNotAssigned {
            return self.not_assigned();
        }
        let detail = match cause {
            SignInFailure::Answered { status, .. } => {
                format!("The identity endpoint (IDENTITY_ENDPOINT) answered HTTP {status}.")
            }
            SignInFailure::TlsNotTrusted => {
                "The certificate of the identity endpoint (IDENTITY_ENDPOINT) is not trusted."
                    .to_owned()
            }
            SignInFailure::Refused => {
                "Nothing listens at the identity endpoint (IDENTITY_ENDPOINT).".to_owned()
            }
            SignInFailure::NoSuchHost => {
                "The host name of IDENTITY_ENDPOINT does not exist.".to_owned()
            }
            SignInFailure::TimedOut => {
                "The identity endpoint (IDENTITY_ENDPOINT) did not answer in time.".to_owned()
            }
            SignInFailure::Unreachable => {
                "The identity endpoint (IDENTITY_ENDPOINT) cannot be reached.".to_owned()
            }
            _ => "The identity endpoint (IDENTITY_ENDPOINT) gave no usable token.".to_owned(),
        };
        let fix = if cause == SignInFailure::TlsNotTrusted {
            Fix::without_command("Name its certificate authority in KEY_VAULT_CA_FILE.")
        } else if is_on_azure {
            let is_refusal =
                matches!(cause, SignInFailure::Answered { status, .. } if status < 500);
            let sentence = if is_refusal {
                "Restart the app with"
            } else {
                "This usually passes. If it stays, restart the app with"
            };
            Fix::with(sentence, self.restart())
        } else {
            Fix::without_command(
                "Check that what serves IDENTITY_ENDPOINT runs, and that IDENTITY_HEADER is the one it printed. To sign in with az, remove both.",
            )
        };
        (detail, fix)
    }

    fn not_assigned(&self) -> (String, Fix) {
        if !self.is_on_azure() {
            return match &self.surroundings.identity {
                Identity::UserAssigned(_) => (
                    "The identity endpoint (IDENTITY_ENDPOINT) does not know the identity that AZURE_CLIENT_ID names.".to_owned(),
                    Fix::without_command("Correct or remove AZURE_CLIENT_ID."),
                ),
                _ => (
                    "The identity endpoint (IDENTITY_ENDPOINT) answered HTTP 400.".to_owned(),
                    Fix::without_command(
                        "Check IDENTITY_ENDPOINT and IDENTITY_HEADER against what serves it. To sign in with az, remove both.",
                    ),
                ),
            };
        }
        match &self.surroundings.identity {
            Identity::UserAssigned(_) => (
                "AZURE_CLIENT_ID names an identity that is not assigned to the app.".to_owned(),
                Fix::with(
                    "Correct AZURE_CLIENT_ID, or assign the identity with",
                    self.assign_identity(),
                ),
            ),
            _ => (
                "The app has no system-assigned identity.".to_owned(),
                Fix::with(
                    "If the app has a user-assigned one, set AZURE_CLIENT_ID to its client id. Otherwise enable the system-assigned one with",
                    self.assign_identity(),
                ),
            ),
        }
    }

    fn application(kind: CredentialKind, cause: SignInFailure) -> (String, Fix) {
        let (own, secret) = match kind {
            CredentialKind::WorkloadIdentity => ("federated token", "AZURE_FEDERATED_TOKEN_FILE"),
            _ => ("client secret", "AZURE_CLIENT_SECRET"),
        };
        let entra = "Microsoft Entra ID";
        let (detail, fix) = match cause {
            SignInFailure::Answered { status, aadsts } => return refused(own, secret, status, aadsts),
            SignInFailure::TlsNotTrusted => (
                format!("The certificate of {entra}'s endpoint is not trusted here."),
                "If a proxy intercepts TLS, name its certificate authority in KEY_VAULT_CA_FILE."
                    .to_owned(),
            ),
            SignInFailure::NoSuchHost => (
                format!("The host name of {entra}'s endpoint does not exist."),
                "Correct AZURE_AUTHORITY_HOST, or remove it for the public cloud. Check that this machine is online."
                    .to_owned(),
            ),
            SignInFailure::Refused | SignInFailure::Unreachable => (
                format!("{entra} cannot be reached."),
                "Check that login.microsoftonline.com, or AZURE_AUTHORITY_HOST, is reachable on port 443 from here."
                    .to_owned(),
            ),
            SignInFailure::TimedOut => (
                format!("{entra} did not answer in time."),
                "Try again. If it stays, check that login.microsoftonline.com, or AZURE_AUTHORITY_HOST, is reachable on port 443 from here."
                    .to_owned(),
            ),
            SignInFailure::NoTokenFile => (
                "The file that AZURE_FEDERATED_TOKEN_FILE names cannot be read.".to_owned(),
                "Check that the file is mounted at that path, and that this process may read it."
                    .to_owned(),
            ),
            SignInFailure::WrongSetting => (
                "AZURE_TENANT_ID or AZURE_CLIENT_ID has a form that it cannot have.".to_owned(),
                "Set both to the ids of the application's registration.".to_owned(),
            ),
            _ => (
                format!("{entra} gave no token for the {own}."),
                format!("Check AZURE_TENANT_ID, AZURE_CLIENT_ID and {secret}."),
            ),
        };
        (detail, Fix::without_command(fix))
    }

    fn tool(
        cause: SignInFailure,
        tool: &str,
        program: &str,
        sign_in: &str,
        from: &str,
    ) -> (String, Fix) {
        let first = tool.replacen('t', "T", 1);
        match cause {
            SignInFailure::ToolMissing => (
                format!("{first} ({program}) is not installed, or not on the path."),
                Fix::with(format!("Install it from {from} and sign in with"), sign_in),
            ),
            SignInFailure::NotSignedIn => (
                format!("Nobody is signed in with {tool} ({program})."),
                Fix::with("Sign in with", sign_in),
            ),
            SignInFailure::TimedOut => (
                format!("{first} ({program}) gave no token in time."),
                Fix::without_command(format!(
                    "Try again. If it stays, see whether {program} works by itself."
                )),
            ),
            _ => (
                format!("{first} ({program}) gave no token."),
                Fix::with("Sign in again with", sign_in),
            ),
        }
    }
}

/// Entra ID's own reasons, by their numbers.
/// Source: Microsoft Entra documentation, "Authentication and authorization error codes".
fn refused(own: &str, secret: &str, status: u16, aadsts: Option<u32>) -> (String, Fix) {
    let Some(number) = aadsts else {
        return (
            format!("Microsoft Entra ID answered HTTP {status} to the {own}."),
            Fix::without_command(format!(
                "Try again. If it stays, check AZURE_TENANT_ID, AZURE_CLIENT_ID and {secret}."
            )),
        );
    };
    let (what, fix) = match number {
        7_000_215 => (
            "the client secret is wrong",
            "Set AZURE_CLIENT_SECRET to the secret's value, not to its id.",
        ),
        7_000_222 => (
            "the client secret has expired",
            "Make a new secret for the application and set AZURE_CLIENT_SECRET to it.",
        ),
        700_016 => (
            "the tenant does not know the application",
            "Correct AZURE_CLIENT_ID or AZURE_TENANT_ID.",
        ),
        90_002 | 900_023 => (
            "there is no such tenant",
            "Correct AZURE_TENANT_ID, or AZURE_AUTHORITY_HOST for another cloud.",
        ),
        70_021 | 700_211..=700_213 => (
            "no federated credential of the application matches the token",
            "Compare issuer, subject and audience of the application's federated credentials with the token's.",
        ),
        _ => {
            return (
                format!("Microsoft Entra ID refuses the {own} (HTTP {status}, AADSTS{number})."),
                Fix::without_command(format!(
                    "See what the number means: https://login.microsoftonline.com/error?code={number}"
                )),
            );
        }
    };
    (
        format!("Microsoft Entra ID refuses the sign-in: {what} (AADSTS{number})."),
        Fix::without_command(fix),
    )
}
