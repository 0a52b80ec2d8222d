//! From a cause to a status, a code and the sentence that tells what to do.
//!
//! 4xx is the caller's to mend, 502 the app's set-up, 503 and 504 pass by themselves.

use std::time::Duration;

use axum::http::StatusCode;

use crate::{
    key_vault::{
        Error, SecretId, VaultUrl,
        error::{CredentialError, Denial, Reach, SignInFailure},
    },
    problem::Problem,
    references::{Site, remedy},
};

/// What a caller is asked to wait when the vault does not say.
const WAIT: Duration = Duration::from_secs(10);
/// The longest wait that is passed on.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

pub(super) fn invalid_name() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "InvalidSecretName",
        "This cannot be the name of a secret.",
        "Use 1 to 127 letters, digits and hyphens.",
    )
}

pub(super) fn invalid_version() -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "InvalidSecretVersion",
        "This cannot be the version of a secret.",
        "Use the 32 hexadecimal digits that end the secret's identifier, once, or leave ?version= out for the latest.",
    )
}

pub(super) fn not_a_switch(name: &str) -> Problem {
    Problem::new(
        StatusCode::BAD_REQUEST,
        "InvalidQuery",
        format!("{name} is either true or false."),
        format!("Write ?{name}=true, or leave it out."),
    )
}

pub(super) fn no_vault() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "KeyVaultUrlNotSet",
        "The app setting KEY_VAULT_URL is not set.",
        "Set it with az functionapp config appsettings set --name <app> --resource-group <group> --settings KEY_VAULT_URL=https://<vault>.vault.azure.net",
    )
}

/// The refusal for `error`, met while `id` was read from `vault`.
#[expect(clippy::too_many_lines, reason = "one arm for each cause")]
pub(super) fn because(error: &Error, id: &SecretId, vault: &VaultUrl, site: &Site) -> Problem {
    let name = vault.vault_name();
    let secret = &id.name;
    let bad_gateway =
        |code, error: String, fix: String| Problem::new(StatusCode::BAD_GATEWAY, code, error, fix);
    match error {
        Error::SecretNotFound => Problem::new(
            StatusCode::NOT_FOUND,
            "SecretNotFound",
            format!("Secret not found: {secret}"),
            format!("See which secrets there are with {}", remedy::list_secrets(vault.name_for_az())),
        ),
        Error::SecretVersionNotFound => Problem::new(
            StatusCode::NOT_FOUND,
            "SecretVersionNotFound",
            format!("Secret version not found: {id}"),
            format!("See which versions there are with {}", remedy::list_versions(vault.name_for_az(), secret.as_str())),
        ),
        Error::SecretDisabled => Problem::new(
            StatusCode::CONFLICT,
            "SecretDisabled",
            format!("Secret is disabled: {secret}"),
            "Set SECRET_METADATA_SOURCE=versions, which can describe disabled secrets, or enable the secret.",
        ),
        Error::AccessDenied(denial) => bad_gateway(
            "AccessToKeyVaultDenied",
            format!("The app's identity may not read the vault {name}."),
            access_fix(*denial, vault.name_for_az(), site),
        ),
        Error::ForbiddenByFirewall | Error::ForbiddenByConnection => bad_gateway(
            error.code(),
            format!("The network rules of the vault {name} refuse this app."),
            format!("Route the app's traffic through the virtual network of the private endpoint, or let its addresses through with {}", site.allow_network(vault.name_for_az())),
        ),
        Error::VaultNotFound => bad_gateway(
            "VaultNotFound",
            format!("The host name {} does not resolve.", vault.authority()),
            "Correct the app setting KEY_VAULT_URL, or the private DNS zone if the vault has a private endpoint.".into(),
        ),
        Error::TokenRefused => bad_gateway(
            "UnauthorizedClient",
            format!("The vault {name} refuses the app's token."),
            "Use an identity of the vault's own tenant, and check AZURE_TENANT_ID and AZURE_CLIENT_ID if they are set.".into(),
        ),
        Error::Credential(cause) => bad_gateway(
            "CredentialUnavailable",
            "The app has no token for Key Vault.".into(),
            credential_fix(*cause, &site.assign_identity()),
        ),
        Error::UnexpectedAnswer => bad_gateway(
            "UnexpectedAnswer",
            format!("The answer of {} is not Key Vault's.", vault.authority()),
            "Check that KEY_VAULT_URL names a vault and that no proxy stands in between.".into(),
        ),
        Error::TooManyVaults | Error::RequestRefused | Error::WrongSetting(_) => bad_gateway(
            error.code(),
            format!("The vault {name} cannot be read."),
            "Check KEY_VAULT_URL.".into(),
        ),
        Error::TooManyVersions => bad_gateway(
            "TooManyVersions",
            format!("The secret {secret} has more versions than can be listed in time."),
            "Set SECRET_METADATA_SOURCE=get, which asks for the latest version only.".into(),
        ),
        Error::NoCertificateAuthorities => bad_gateway(
            "NoCertificateAuthorities",
            "This machine has no certificate authorities to check the vault's certificate with."
                .into(),
            "Install the ca-certificates package, or correct SSL_CERT_FILE and SSL_CERT_DIR.".into(),
        ),
        Error::TlsFailed => bad_gateway(
            "VaultTlsFailed",
            format!("No trusted TLS connection to {}.", vault.authority()),
            "Check that KEY_VAULT_URL names a vault and that no proxy breaks TLS open.".into(),
        ),
        Error::Unreachable(reach) => unavailable(
            "VaultUnreachable",
            format!("The vault at {} cannot be reached.", vault.authority()),
            match reach {
                Reach::NameResolution | Reach::Refused | Reach::Connection => "Check the vault's firewall and private endpoint, then try again.",
                Reach::Interrupted => "Try again; if it stays, check what stands between the app and the vault.",
            },
            None,
        ),
        Error::Throttled { retry_after } => unavailable(
            "Throttled",
            format!("The vault {name} asks to slow down."),
            "Wait and try again; raise SECRET_CACHE_TTL_SECONDS if this happens often.",
            *retry_after,
        ),
        Error::Unavailable { retry_after } => unavailable(
            "VaultUnavailable",
            format!("The vault {name} has a problem of its own."),
            "Wait and try again; see https://status.azure.com if it stays.",
            *retry_after,
        ),
        Error::TimedOut => Problem::new(
            StatusCode::GATEWAY_TIMEOUT,
            "FetchTimedOut",
            format!("The vault {name} did not answer in time."),
            "Try again; if it stays, check the vault's firewall, private endpoint and DNS.",
        ),
    }
}

/// The refusal for every cause, for the contract.
#[cfg(feature = "openapi")]
pub(super) fn every() -> Vec<Problem> {
    use crate::key_vault::SecretName;
    let name = SecretName::parse("ExternalApiKey").ok();
    let vault = VaultUrl::of_public_vault("your-kv").ok();
    let Some((name, vault)) = name.zip(vault) else {
        return Vec::new();
    };
    let id = SecretId {
        name,
        version: None,
    };
    let of = |error: &Error| because(error, &id, &vault, &Site::default());
    Error::every().iter().map(of).collect()
}

fn unavailable(
    code: &'static str,
    error: String,
    fix: &str,
    retry_after: Option<Duration>,
) -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, error, fix)
        .retry_after(retry_after.unwrap_or(WAIT).min(LONGEST_WAIT))
}

/// Step 3 of the recipe, for the kind of vault that refused.
fn access_fix(denial: Denial, vault: &str, site: &Site) -> String {
    match denial {
        Denial::Role => format!(
            "Allow some minutes for a new role to spread, or grant it with {}",
            site.grant_role(vault)
        ),
        Denial::AccessPolicy => {
            format!("Grant the access policy with {}", site.grant_policy(vault))
        }
        Denial::Policy => format!(
            "Let the app through the firewall with {}",
            site.allow_network(vault)
        ),
        Denial::Other => format!(
            "Grant an access policy if the vault uses them, else the role with {}",
            site.grant_role(vault)
        ),
    }
}

fn credential_fix(cause: CredentialError, assign: &str) -> String {
    match cause {
        CredentialError::NothingConfigured => {
            format!("Looked for AZURE_CLIENT_SECRET, AZURE_FEDERATED_TOKEN_FILE, IDENTITY_ENDPOINT and, outside Azure, az and azd: outside Azure, sign in with az login; on Azure, enable the identity with {assign}")
        }
        CredentialError::NotOffered => {
            "AZURE_TOKEN_CREDENTIALS asks for a credential whose own settings are not all there: set them, or remove AZURE_TOKEN_CREDENTIALS."
                .to_owned()
        }
        CredentialError::Failed { cause: SignInFailure::IdentityNotAssigned, .. } => format!(
            "Correct AZURE_CLIENT_ID for a user-assigned identity, or enable the system-assigned one with {assign}"
        ),
        CredentialError::Failed { .. } => {
            "Look for the log line \"signing in to Key Vault\", which names the credential, and check that one; outside Azure, az login renews it."
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{http::header, response::IntoResponse};

    use super::*;
    use crate::key_vault::SecretName;

    fn refused(error: &Error) -> (u16, &'static str, Option<String>) {
        let id = SecretId {
            name: SecretName::parse("Ab").expect("a name"),
            version: None,
        };
        let vault = VaultUrl::of_public_vault("your-kv").expect("a vault");
        let problem = because(error, &id, &vault, &Site::default());
        let code = problem.code();
        let response = problem.into_response();
        let wait = response.headers().get(header::RETRY_AFTER);
        let wait = wait.and_then(|wait| wait.to_str().ok()).map(str::to_owned);
        (response.status().as_u16(), code, wait)
    }

    #[test]
    fn each_cause_has_its_status_and_code() {
        let wait = |seconds| Some(Duration::from_secs(seconds));
        for (error, status, code, retry_after) in [
            (Error::SecretNotFound, 404, "SecretNotFound", None),
            (
                Error::SecretVersionNotFound,
                404,
                "SecretVersionNotFound",
                None,
            ),
            (Error::SecretDisabled, 409, "SecretDisabled", None),
            (
                Error::AccessDenied(Denial::Role),
                502,
                "AccessToKeyVaultDenied",
                None,
            ),
            (Error::ForbiddenByFirewall, 502, "ForbiddenByFirewall", None),
            (Error::VaultNotFound, 502, "VaultNotFound", None),
            (Error::TokenRefused, 502, "UnauthorizedClient", None),
            (
                Error::Credential(CredentialError::NotOffered),
                502,
                "CredentialUnavailable",
                None,
            ),
            (Error::UnexpectedAnswer, 502, "UnexpectedAnswer", None),
            (Error::TlsFailed, 502, "VaultTlsFailed", None),
            (
                Error::Unreachable(Reach::Connection),
                503,
                "VaultUnreachable",
                Some("10"),
            ),
            (
                Error::Throttled { retry_after: None },
                503,
                "Throttled",
                Some("10"),
            ),
            (
                Error::Throttled {
                    retry_after: wait(7),
                },
                503,
                "Throttled",
                Some("7"),
            ),
            (
                Error::Unavailable {
                    retry_after: wait(9_999),
                },
                503,
                "VaultUnavailable",
                Some("300"),
            ),
            (Error::TimedOut, 504, "FetchTimedOut", None),
        ] {
            let expected = (status, code, retry_after.map(str::to_owned));
            assert_eq!(refused(&error), expected, "{error:?}");
            assert_eq!(error.code(), code, "counters and lines say the same");
        }
    }
}
