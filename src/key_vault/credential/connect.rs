//! The chosen credential, set up.

use std::{sync::Arc, time::Duration};

use azure_core::{
    credentials::{Secret, TokenCredential},
    http::{HttpClient, Transport},
};
use azure_identity::{
    AzureCliCredential, AzureCliCredentialOptions, AzureDeveloperCliCredential,
    AzureDeveloperCliCredentialOptions, ClientAssertionCredentialOptions, ClientSecretCredential,
    ClientSecretCredentialOptions, ManagedIdentityCredential, ManagedIdentityCredentialOptions,
    UserAssignedId, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use futures_util::FutureExt;
use secrecy::ExposeSecret;

use super::{
    choice::ChosenCredential, cli::CliExecutor, endpoint::TokenEndpoint, failure::explain,
    service::Service,
};
use crate::key_vault::{
    connection::Connection,
    dns::Resolver,
    error::{CredentialError, CredentialKind, Error, SignInFailure},
    https::{Https, Proxy},
    limits::{TOKEN_LIMIT, TOKEN_RETRIES, TOOL_LIMIT},
    sdk::client_options,
    tls::OwnCa,
    token::SharedToken,
};

/// Sets up the transport, which trusts `own_ca` too, and the chosen credential. Takes tens of
/// milliseconds.
///
/// # Errors
///
/// The credential refuses its settings.
pub fn connect(choice: &ChosenCredential, own_ca: Option<&OwnCa>) -> Result<Connection, Error> {
    let resolver = Arc::new(Resolver::system());
    let vault_transport = https(Proxy::FromEnvironment, own_ca, &resolver)?;
    let identity_transport = match choice {
        ChosenCredential::ManagedIdentity { .. } => https(Proxy::Never, own_ca, &resolver)?,
        _ => vault_transport.clone(),
    };
    // What the settings rule out shows now.
    let credential = choice.kind();
    choice.credential(&identity_transport).map_err(|error| {
        let cause = explain(credential, &error).unwrap_or(SignInFailure::WrongSetting);
        Error::Credential(CredentialError::Failed { credential, cause })
    })?;
    let is_tool = credential.is_tool();
    Ok(Connection {
        transport: vault_transport,
        token: Arc::new(shared_token(choice, identity_transport)),
        token_time: if is_tool { TOOL_LIMIT } else { Duration::ZERO },
        budget: Arc::default(),
        resolver: Some(resolver),
    })
}

/// Sets up the way to another service than a vault, which takes up to `limit` for an answer.
/// Requests are signed for `scope`. `own_ca` is trusted where the credential signs in, as for a
/// vault, and not by that service.
///
/// # Errors
///
/// The machine has no certificate authorities.
pub fn connect_to(
    choice: &ChosenCredential,
    own_ca: Option<&OwnCa>,
    scope: &'static str,
    limit: Duration,
) -> Result<Service, Error> {
    let resolver = Arc::new(Resolver::system());
    let proxy = match choice {
        ChosenCredential::ManagedIdentity { .. } => Proxy::Never,
        _ => Proxy::FromEnvironment,
    };
    let token = shared_token(choice, https(proxy, own_ca, &resolver)?).for_scope(scope);
    let transport = Https::with_limit(Proxy::FromEnvironment, None, resolver, limit)?;
    Ok(Service::signed(Arc::new(transport), Arc::new(token), scope))
}

/// Sets up the way to a stand-in of a service on this machine, which takes up to `limit` for an
/// answer. It gets no token.
///
/// # Errors
///
/// The machine has no certificate authorities.
pub fn connect_to_stand_in(own_ca: Option<&OwnCa>, limit: Duration) -> Result<Service, Error> {
    let resolver = Arc::new(Resolver::system());
    let transport = Https::with_limit(Proxy::Never, own_ca, resolver, limit)?;
    Ok(Service::unsigned(Arc::new(transport)))
}

fn https(
    proxy: Proxy,
    own_ca: Option<&OwnCa>,
    resolver: &Arc<Resolver>,
) -> Result<Arc<dyn HttpClient>, Error> {
    Ok(Arc::new(Https::new(proxy, own_ca, resolver.clone())?))
}

/// The tokens of the chosen credential, which asks for them through `transport`.
pub(super) fn shared_token(
    choice: &ChosenCredential,
    transport: Arc<dyn HttpClient>,
) -> SharedToken {
    let (choice, kind) = (choice.clone(), choice.kind());
    let transport: Arc<dyn HttpClient> = Arc::new(TokenEndpoint {
        credential: kind,
        inner: transport,
    });
    tokens(kind, move || choice.credential(&transport))
}

/// The tokens of the credentials that `make` makes: one for each sign-in, because those of the
/// identity library keep the token that they got, whatever a vault says about it.
pub(super) fn tokens(
    kind: CredentialKind,
    make: impl Fn() -> azure_core::Result<Arc<dyn TokenCredential>> + Send + Sync + 'static,
) -> SharedToken {
    let explain = move |error| explain(kind, &error);
    let sign_in = move |scope| {
        let credential = make();
        let token = async move {
            let credential = credential
                .map_err(|error| explain(error).unwrap_or(SignInFailure::WrongSetting))?;
            let token = credential.get_token(&[scope], None).await;
            token.map_err(|error| explain(error).unwrap_or(SignInFailure::Other))
        };
        token.boxed()
    };
    let limit = if kind.is_tool() {
        TOOL_LIMIT
    } else {
        TOKEN_LIMIT
    };
    SharedToken::new(kind, limit, sign_in)
}

impl ChosenCredential {
    /// A credential of the identity library that has no token yet.
    fn credential(
        &self,
        transport: &Arc<dyn HttpClient>,
    ) -> azure_core::Result<Arc<dyn TokenCredential>> {
        let client_options = client_options(Transport::new(transport.clone()), TOKEN_RETRIES);
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
