//! An embedded Key Vault for development: the secrets part of the service's REST API, in
//! memory, for the real SDK to talk to.
//!
//! Compiled only with the feature `dev-vault`, so that the packaged handler contains
//! neither it nor its demo secrets. What it does it does as the service does: the challenge
//! before everything else, the JSON, the error bodies, the paging. It speaks the api-versions
//! up to 2026-04-01 as far as plain secrets go. What the service does and this does not is
//! listed in `docs/dev-vault.md`.
//!
//! `handler dev-vault` serves the same vault to other programs, over TLS ([`TlsListener`],
//! [`Certificates`]) and with a managed identity ([`DevVault::identity_endpoint`]).

mod address;
mod bundles;
mod certificates;
mod identity;
mod in_process;
mod query;
mod refusal;
mod routes;
mod store;
#[cfg(test)]
mod tests;
mod tls;
mod tokens;

use std::sync::Arc;

use axum::Router;
use azure_core::credentials::TokenCredential;
use secrecy::SecretString;
use time::{Duration as TimeSpan, OffsetDateTime};

use tokens::Tokens;

pub use certificates::{CertificateError, Certificates};
pub use identity::IDENTITY_PATH;
pub use in_process::InProcess;
pub use store::{Attributes, NewSecret, Store};
pub use tls::TlsListener;

use crate::key_vault::{Connection, VaultUrl};

/// The embedded vault with its contents; by default it is empty.
#[derive(Debug, Clone, Default)]
pub struct DevVault {
    store: Arc<Store>,
    tokens: Arc<Tokens>,
}

impl DevVault {
    /// A vault with the recipe's two secrets, as its step 2 sets them.
    ///
    /// # Errors
    ///
    /// The operating system has no randomness to give.
    pub fn seeded() -> Result<Self, getrandom::Error> {
        let vault = Self::default();
        let expires = OffsetDateTime::now_utc() + TimeSpan::days(365);
        vault.store.set(
            "ExternalApiKey",
            NewSecret {
                content_type: Some("text/plain".into()),
                attributes: Attributes {
                    exp: Some(expires.unix_timestamp()),
                    ..Attributes::default()
                },
                ..NewSecret::of("sk-abc123def456")
            },
        )?;
        let password = NewSecret::of("super-secret-password");
        vault.store.set("DatabasePassword", password)?;
        Ok(vault)
    }

    /// Gives the tokens that this vault accepts.
    #[must_use]
    pub fn credential(&self) -> Arc<dyn TokenCredential> {
        self.tokens.clone()
    }

    /// What is in it.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The REST API.
    pub fn router(&self) -> Router {
        routes::router(self.store.clone(), self.tokens.clone())
    }

    /// A managed identity for this vault, as App Service offers one: `GET` [`IDENTITY_PATH`]
    /// gives a token to whoever sends `header` as `X-IDENTITY-HEADER`.
    pub fn identity_endpoint(&self, header: SecretString) -> Router {
        identity::router(self.tokens.clone(), header)
    }

    /// Where the embedded vault is, as far as the SDK knows.
    #[must_use]
    pub fn url() -> Option<VaultUrl> {
        address::url()
    }

    /// A connection that never leaves the process.
    #[must_use]
    pub fn connection(&self) -> Connection {
        Connection::new(Arc::new(InProcess::new(self.router())), self.credential())
    }
}
