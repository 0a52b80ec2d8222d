//! Why there is no token, by credential and cause.

use super::{
    Fix,
    case::{Case, Words},
    function_app::Identity,
};
use crate::key_vault::error::{CredentialError, CredentialKind, SignInFailure};

/// A tool that a developer signs in with.
struct Tool {
    name: &'static str,
    program: &'static str,
    sign_in: &'static str,
    download: &'static str,
}

const AZURE_CLI: Tool = Tool {
    name: "the Azure CLI",
    program: "az",
    sign_in: "az login",
    download: "https://aka.ms/installazurecli",
};
const AZURE_DEVELOPER_CLI: Tool = Tool {
    name: "the Azure Developer CLI",
    program: "azd",
    sign_in: "azd auth login",
    download: "https://aka.ms/azd-install",
};

impl Case<'_> {
    pub(super) fn without_token(&self, error: &CredentialError) -> Words {
        match error {
            CredentialError::NothingConfigured => self.nothing_configured(),
            CredentialError::NotOffered => self.not_offered(),
            CredentialError::Failed { credential, cause } => match credential {
                CredentialKind::ManagedIdentity => self.managed_identity(*cause),
                CredentialKind::ClientSecret => {
                    application("client secret", "AZURE_CLIENT_SECRET", *cause)
                }
                CredentialKind::WorkloadIdentity => {
                    application("federated token", "AZURE_FEDERATED_TOKEN_FILE", *cause)
                }
                CredentialKind::AzureCli => tool(&AZURE_CLI, *cause),
                CredentialKind::AzureDeveloperCli => tool(&AZURE_DEVELOPER_CLI, *cause),
            },
        }
    }

    fn nothing_configured(&self) -> Words {
        if self.is_on_azure() {
            return Words::new(
                "The app has no managed identity.",
                Fix::with(
                    "Once it has one, grant it access to the vault. Enable the system-assigned one with",
                    self.assign_identity(),
                ),
            );
        }
        Words::new(
            "There is no way to sign in: neither the Azure CLI (az) nor the Azure Developer CLI (azd) is installed, and no other credential is set.",
            Fix::with(
                "Install the Azure CLI from https://aka.ms/installazurecli and sign in with",
                "az login",
            ),
        )
    }

    fn not_offered(&self) -> Words {
        let detail = "AZURE_TOKEN_CREDENTIALS asks for a credential that is not configured here.";
        if !self.is_on_azure() {
            let fix = "Configure that credential, or remove AZURE_TOKEN_CREDENTIALS.";
            return Words::without_command(detail, fix);
        }
        let remove = self.remove_app_setting("AZURE_TOKEN_CREDENTIALS");
        let sentence = "Configure that credential, or remove the setting with";
        Words::new(detail, Fix::with(sentence, remove))
    }

    fn managed_identity(&self, cause: SignInFailure) -> Words {
        let is_on_azure = self.is_on_azure();
        if !self.surroundings.has_identity_endpoint && !is_on_azure {
            return Words::without_command(
                "The identity endpoint of virtual machines gave no token. There is no IDENTITY_ENDPOINT.",
                "Outside Azure there is no such endpoint: remove AZURE_TOKEN_CREDENTIALS to sign in with az.",
            );
        }
        let endpoint = "The identity endpoint (IDENTITY_ENDPOINT)";
        let detail = match cause {
            SignInFailure::IdentityNotAssigned => return self.not_assigned(),
            SignInFailure::TlsNotTrusted => {
                return Words::without_command(
                    "The certificate of the identity endpoint (IDENTITY_ENDPOINT) is not trusted.",
                    "Name its certificate authority in KEY_VAULT_CA_FILE.",
                );
            }
            SignInFailure::Answered { status, .. } => format!("{endpoint} answered HTTP {status}."),
            SignInFailure::Refused => {
                "Nothing listens at the identity endpoint (IDENTITY_ENDPOINT).".to_owned()
            }
            SignInFailure::NoSuchHost => {
                "The host name of IDENTITY_ENDPOINT does not exist.".to_owned()
            }
            SignInFailure::TimedOut => format!("{endpoint} did not answer in time."),
            SignInFailure::Unreachable => format!("{endpoint} cannot be reached."),
            _ => format!("{endpoint} gave no usable token."),
        };
        if !is_on_azure {
            return Words::without_command(
                detail,
                "Check that what serves IDENTITY_ENDPOINT runs, and that IDENTITY_HEADER is the one it printed. To sign in with az, remove both.",
            );
        }
        let sentence = match cause {
            SignInFailure::Answered { status, .. } if status < 500 => "Restart the app with",
            _ => "This usually passes. If it stays, restart the app with",
        };
        Words::new(detail, Fix::with(sentence, self.restart()))
    }

    fn not_assigned(&self) -> Words {
        let is_named = matches!(self.surroundings.identity, Identity::UserAssigned(_));
        match (self.is_on_azure(), is_named) {
            (false, true) => Words::without_command(
                "The identity endpoint (IDENTITY_ENDPOINT) does not know the identity that AZURE_CLIENT_ID names.",
                "Correct or remove AZURE_CLIENT_ID.",
            ),
            (false, false) => Words::without_command(
                "The identity endpoint (IDENTITY_ENDPOINT) answered HTTP 400.",
                "Check IDENTITY_ENDPOINT and IDENTITY_HEADER against what serves it. To sign in with az, remove both.",
            ),
            (true, true) => Words::new(
                "AZURE_CLIENT_ID names an identity that is not assigned to the app.",
                Fix::with(
                    "Correct AZURE_CLIENT_ID, or assign the identity with",
                    self.assign_identity(),
                ),
            ),
            (true, false) => Words::new(
                "The app has no system-assigned identity.",
                Fix::with(
                    "If the app has a user-assigned one, set AZURE_CLIENT_ID to its client id. Otherwise enable the system-assigned one with",
                    self.assign_identity(),
                ),
            ),
        }
    }
}

/// An application in Entra ID, which shows what the setting `secret` holds.
fn application(own: &str, secret: &str, cause: SignInFailure) -> Words {
    let entra = "Microsoft Entra ID";
    let check_port = "check that login.microsoftonline.com, or AZURE_AUTHORITY_HOST, is reachable on port 443 from here.";
    match cause {
        SignInFailure::Answered { status, aadsts } => refused(own, secret, status, aadsts),
        SignInFailure::TlsNotTrusted => Words::without_command(
            format!("The certificate of {entra}'s endpoint is not trusted here."),
            "If a proxy intercepts TLS, name its certificate authority in KEY_VAULT_CA_FILE.",
        ),
        SignInFailure::NoSuchHost => Words::without_command(
            format!("The host name of {entra}'s endpoint does not exist."),
            "Correct AZURE_AUTHORITY_HOST, or remove it for the public cloud. Check that this machine is online.",
        ),
        SignInFailure::OwnMachine => Words::without_command(
            format!(
                "The host name of {entra}'s endpoint resolves to an address of this machine, or of its own link. Nothing was sent."
            ),
            "Correct the DNS server's answer, or the hosts file. If that is meant, as for a stand-in, name its certificate authority in KEY_VAULT_CA_FILE.",
        ),
        SignInFailure::Refused | SignInFailure::Unreachable => Words::without_command(
            format!("{entra} cannot be reached."),
            check_port.replacen('c', "C", 1),
        ),
        SignInFailure::TimedOut => Words::without_command(
            format!("{entra} did not answer in time."),
            format!("Try again. If it stays, {check_port}"),
        ),
        SignInFailure::NoTokenFile => Words::without_command(
            "The file that AZURE_FEDERATED_TOKEN_FILE names cannot be read.",
            "Check that the file is mounted at that path, and that this process may read it.",
        ),
        SignInFailure::WrongSetting => Words::without_command(
            "AZURE_TENANT_ID or AZURE_CLIENT_ID has a form that it cannot have.",
            "Set both to the ids of the application's registration.",
        ),
        _ => Words::without_command(
            format!("{entra} gave no token for the {own}."),
            format!("Check AZURE_TENANT_ID, AZURE_CLIENT_ID and {secret}."),
        ),
    }
}

/// A tool that a developer signs in with.
fn tool(tool: &Tool, cause: SignInFailure) -> Words {
    let Tool {
        name,
        program,
        sign_in,
        download,
    } = tool;
    let first = name.replacen('t', "T", 1);
    match cause {
        SignInFailure::ToolMissing => Words::new(
            format!("{first} ({program}) is not installed, or not on the path."),
            Fix::with(
                format!("Install it from {download} and sign in with"),
                *sign_in,
            ),
        ),
        SignInFailure::NotSignedIn => Words::new(
            format!("Nobody is signed in with {name} ({program})."),
            Fix::with("Sign in with", *sign_in),
        ),
        SignInFailure::TimedOut => Words::without_command(
            format!("{first} ({program}) gave no token in time."),
            format!("Try again. If it stays, see whether {program} works by itself."),
        ),
        _ => Words::new(
            format!("{first} ({program}) gave no token."),
            Fix::with("Sign in again with", *sign_in),
        ),
    }
}

/// Entra ID's own reasons, by their numbers.
/// Source: Microsoft Entra documentation, "Authentication and authorization error codes".
fn refused(own: &str, secret: &str, status: u16, aadsts: Option<u32>) -> Words {
    let Some(number) = aadsts else {
        return Words::without_command(
            format!("Microsoft Entra ID answered HTTP {status} to the {own}."),
            format!("Try again. If it stays, check AZURE_TENANT_ID, AZURE_CLIENT_ID and {secret}."),
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
            return Words::without_command(
                format!("Microsoft Entra ID refuses the {own} (HTTP {status}, AADSTS{number})."),
                format!(
                    "See what the number means: https://login.microsoftonline.com/error?code={number}"
                ),
            );
        }
    };
    let detail = format!("Microsoft Entra ID refuses the sign-in: {what} (AADSTS{number}).");
    Words::without_command(detail, fix)
}
