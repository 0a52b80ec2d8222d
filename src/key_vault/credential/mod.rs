//! As whom the handler signs in to a vault.
//!
//! One credential is chosen once, from what the environment offers, in this order; the
//! choice is logged. There is no fallback: if the chosen credential fails, no other is tried,
//! because a chain that falls through would hide a broken identity until it matters.
//!
//! 1. `AZURE_TENANT_ID` + `AZURE_CLIENT_ID` + `AZURE_CLIENT_SECRET`: client secret
//! 2. `AZURE_FEDERATED_TOKEN_FILE` + `AZURE_TENANT_ID` + `AZURE_CLIENT_ID`: workload identity
//! 3. `IDENTITY_ENDPOINT` + `IDENTITY_HEADER`: managed identity of App Service and Functions
//! 4. outside Azure: Azure CLI, then Azure Developer CLI
//!
//! `AZURE_TOKEN_CREDENTIALS` narrows this to `prod` (1–3), `dev` (4) or one credential by
//! name. Only `managedidentitycredential` reaches for the virtual machine's identity
//! endpoint: off Azure that would wait for minutes.

mod choice;
mod cli;
mod endpoint;
mod failure;

use std::{sync::Arc, time::Duration};

use azure_core::{
    credentials::{Secret, TokenCredential},
    http::{ClientOptions, ExponentialRetryOptions, HttpClient, RetryOptions, Transport},
};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, AzureDeveloperCliCredential,
    AzureDeveloperCliCredentialOptions, ClientAssertionCredentialOptions, ClientSecretCredential,
    ClientSecretCredentialOptions, ManagedIdentityCredential, ManagedIdentityCredentialOptions,
    UserAssignedId, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use secrecy::ExposeSecret;

use cli::CliExecutor;
use endpoint::TokenEndpoint;

pub(super) use failure::explain;

pub use choice::{ChosenCredential, CredentialFilter, CredentialSettings, is_on_path};

use super::{
    client::Connection,
    dns::Resolver,
    error::{CredentialError, Error, SignInFailure},
    https::{Https, Proxy},
    tls::OwnCa,
    token::{MakeCredential, SharedToken},
};

/// Time for a token where an endpoint gives it.
const TOKEN_LIMIT: Duration = Duration::from_secs(3);
/// Time for a token where a developer tool has to start first.
const TOOL_LIMIT: Duration = Duration::from_secs(10);

/// Sets up the transport, which trusts `own_ca` too, and the chosen credential. Takes tens of
/// milliseconds.
///
/// # Errors
///
/// The credential refuses its settings.
pub fn connect(choice: &ChosenCredential, own_ca: Option<&OwnCa>) -> Result<Connection, Error> {
    let vault_transport = Arc::new(Https::new(
        Proxy::FromEnvironment,
        own_ca,
        Resolver::system(),
    )?);
    let identity_transport: Arc<dyn HttpClient> = match choice {
        ChosenCredential::ManagedIdentity { .. } => {
            Arc::new(Https::new(Proxy::Never, own_ca, Resolver::system())?)
        }
        _ => vault_transport.clone(),
    };
    // What the settings rule out shows now.
    let credential = choice.kind();
    choice.credential(&identity_transport).map_err(|error| {
        let cause = explain(credential, &error).unwrap_or(SignInFailure::WrongSetting);
        Error::Credential(CredentialError::Failed { credential, cause })
    })?;
    Ok(Connection {
        transport: vault_transport,
        token: Arc::new(shared_token(choice, identity_transport)),
        token_time: if choice.is_tool() {
            TOOL_LIMIT
        } else {
            Duration::ZERO
        },
        budget: Arc::default(),
    })
}

/// The tokens of the chosen credential, which asks for them through `transport`.
fn shared_token(choice: &ChosenCredential, transport: Arc<dyn HttpClient>) -> SharedToken {
    let chosen = choice.clone();
    let transport: Arc<dyn HttpClient> = Arc::new(TokenEndpoint {
        credential: choice.kind(),
        inner: transport,
    });
    let make: MakeCredential = Box::new(move || chosen.credential(&transport));
    let limit = if choice.is_tool() {
        TOOL_LIMIT
    } else {
        TOKEN_LIMIT
    };
    SharedToken::new(choice.kind(), make, limit)
}

impl ChosenCredential {
    /// A credential of the identity library that has no token yet.
    fn credential(
        &self,
        transport: &Arc<dyn HttpClient>,
    ) -> azure_core::Result<Arc<dyn TokenCredential>> {
        let client_options = client_options(Transport::new(transport.clone()));
        Ok(match self {
            Self::ClientSecret {
                tenant_id,
                client_id,
                client_secret,
            } => ClientSecretCredential::new(
                tenant_id,
                client_id.clone(),
                Secret::new(client_secret.expose_secret().to_owned()),
                Some(ClientSecretCredentialOptions { client_options }),
            )?,
            Self::WorkloadIdentity {
                tenant_id,
                client_id,
                token_file,
            } => WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
                credential_options: ClientAssertionCredentialOptions { client_options },
                client_id: Some(client_id.clone()),
                tenant_id: Some(tenant_id.clone()),
                token_file_path: Some(token_file.clone()),
            }))?,
            Self::ManagedIdentity { client_id } => {
                ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
                    user_assigned_id: client_id.clone().map(UserAssignedId::ClientId),
                    client_options,
                }))?
            }
            Self::AzureCli => AzureCliCredential::new(Some(AzureCliCredentialOptions {
                executor: Some(Arc::new(CliExecutor)),
                ..Default::default()
            }))?,
            Self::AzureDeveloperCli => {
                AzureDeveloperCliCredential::new(Some(AzureDeveloperCliCredentialOptions {
                    executor: Some(Arc::new(CliExecutor)),
                    ..Default::default()
                }))?
            }
        })
    }
}

fn client_options(transport: Transport) -> ClientOptions {
    ClientOptions {
        transport: Some(transport),
        retry: RetryOptions::exponential(ExponentialRetryOptions {
            initial_delay: azure_core::time::Duration::milliseconds(100),
            max_retries: 1,
            max_total_elapsed: azure_core::time::Duration::seconds(2),
            max_delay: azure_core::time::Duration::milliseconds(500),
        }),
        ..Default::default()
    }
}
