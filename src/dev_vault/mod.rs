//! An embedded Key Vault for development: the service's REST API for secrets, and for keys and
//! certificates as far as they are only read, in memory, for the real SDK to talk to.
//!
//! Compiled only with the feature `dev-vault`, so that the packaged handler contains
//! neither it nor its demo secrets. What it does it does as the service does: the challenge
//! before everything else, the JSON, the error bodies, the paging. It speaks the api-versions
//! up to 2026-04-01 as far as plain secrets go. What the service does and this does not is
//! listed in `docs/dev-vault.md`.
//!
//! `handler dev-vault` serves the same vault to other programs, over TLS ([`TlsListener`],
//! [`Certificates`]) and with a managed identity ([`DevVault::identity_endpoint`]), and tells one
//! receiver of new versions as Event Grid does ([`DevVault::events`]).

mod address;
mod bundles;
mod caller;
mod certificates;
mod contents;
mod events;
mod identity;
mod in_process;
mod kept;
mod life;
mod network;
mod objects;
mod query;
mod reading;
mod refusal;
mod routes;
mod secrets;
mod sign_in;
mod store;
#[cfg(test)]
mod tests;
mod tls;
mod tokens;
mod versions;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use axum::Router;
use azure_core::credentials::TokenCredential;
use secrecy::SecretString;
use time::{Duration as TimeSpan, OffsetDateTime};

use tokens::{Identity, Tokens};

pub use address::{Address, VaultName, router_of};
pub use caller::{Caller, CallerKind, NOBODY};
pub use certificates::{CertificateError, Certificates};
pub use contents::{Contents, ContentsError};
pub use events::{EventReceiver, ReceiverError, ReceiverUrl, Subscription, UrlError};
pub use identity::IDENTITY_PATH;
pub use in_process::InProcess;
pub use kept::{Kept, NotKept};
pub use network::NetworkInfo;
pub use objects::{KeyType, NewCertificate, NewKey};
pub use secrets::{Attributes, NewSecret};
pub use store::Store;
pub use tls::TlsListener;

use crate::key_vault::{Connection, VaultUrl};

/// The embedded vault with its contents; by default it is empty.
#[derive(Debug, Clone, Default)]
pub struct DevVault {
    store: Arc<Store>,
    identity: Identity,
    network_info: NetworkInfo,
}

impl DevVault {
    /// What `cargo run` has: the recipe's two secrets, a key and a certificate.
    ///
    /// # Errors
    ///
    /// The operating system has no randomness to give.
    pub fn seeded() -> Result<Self, CertificateError> {
        let vault = Self::of_the_recipe()?;
        let now = OffsetDateTime::now_utc();
        let key = NewKey {
            key_type: KeyType::Elliptic,
            attributes: Attributes::default(),
            tags: BTreeMap::new(),
        };
        vault.store.add_key("SigningKey", key, now)?;
        let certificate = NewCertificate {
            dns_names: vec!["www.example.com".to_owned()],
            attributes: expiring_in_days(20),
            tags: BTreeMap::new(),
        };
        let store = &vault.store;
        store.add_certificate("WebCertificate", certificate, now)?;
        Ok(vault)
    }

    /// A vault with the recipe's two secrets, as its step 2 sets them. One expires in five days.
    ///
    /// # Errors
    ///
    /// The operating system has no randomness to give.
    pub fn of_the_recipe() -> Result<Self, getrandom::Error> {
        let vault = Self::default();
        let api_key = NewSecret {
            content_type: Some("text/plain".into()),
            attributes: expiring_in_days(365),
            ..NewSecret::of("sk-abc123def456")
        };
        vault.store.set("ExternalApiKey", api_key)?;
        let password = NewSecret {
            attributes: expiring_in_days(5),
            ..NewSecret::of("super-secret-password")
        };
        vault.store.set("DatabasePassword", password)?;
        Ok(vault)
    }

    /// An empty vault that the same tokens open.
    #[must_use]
    pub fn sibling(&self) -> Self {
        Self {
            store: Arc::default(),
            ..self.clone()
        }
    }

    /// The same vault with another identity: its credential and its identity endpoint give
    /// tokens for `caller`. Tokens that were given before stay valid.
    #[must_use]
    pub fn with_caller(mut self, caller: Caller) -> Self {
        self.identity.caller = Arc::new(caller);
        self
    }

    /// The same vault with tokens that hold beyond this process.
    #[must_use]
    pub fn with_kept(mut self, kept: &Kept) -> Self {
        if let Some(key) = kept.token_key() {
            self.identity.tokens = Arc::new(Tokens::signed_with(&key));
        }
        self
    }

    /// The same vault, in which it takes so long to delete, recover or purge a secret.
    #[must_use]
    pub fn with_deletion_that_takes(self, time: Duration) -> Self {
        self.store.take_time(time);
        self
    }

    /// The same vault on another network path, as far as its answers tell.
    #[must_use]
    pub fn with_network_info(mut self, network_info: NetworkInfo) -> Self {
        self.network_info = network_info;
        self
    }

    /// Gives tokens for the caller. This vault accepts them if the tenant is its own.
    #[must_use]
    pub fn credential(&self) -> Arc<dyn TokenCredential> {
        Arc::new(self.identity.clone())
    }

    /// What is in it.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The REST API.
    pub fn router(&self) -> Router {
        let tokens = self.identity.tokens.clone();
        routes::router(self.store.clone(), tokens, self.network_info)
    }

    /// A managed identity for this vault, as App Service offers one: `GET` [`IDENTITY_PATH`]
    /// gives a token to whoever sends `header` as `X-IDENTITY-HEADER`.
    pub fn identity_endpoint(&self, header: SecretString) -> Router {
        identity::router(self.identity.clone(), header)
    }

    /// Where an app registration of the vault's tenant signs in with `secret`, as at Entra ID. Tenant
    /// and client id are [`NOBODY`].
    pub fn sign_in_endpoint(&self, secret: SecretString) -> Router {
        sign_in::router(&self.identity, secret)
    }

    /// Begins a subscription to the events of this vault. What was made before is no event.
    /// Events are sent while the future is polled; it completes only if the receiver refuses them.
    ///
    /// # Errors
    ///
    /// The operating system has no randomness to give.
    pub fn events(
        &self,
        subscription: Subscription,
    ) -> Result<impl Future<Output = ()> + Send + use<>, getrandom::Error> {
        subscription.begin(&self.store)
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

fn expiring_in_days(days: i64) -> Attributes {
    // And an hour, so that whole days are left for a while.
    let end = OffsetDateTime::now_utc() + TimeSpan::hours(24 * days + 1);
    Attributes {
        exp: Some(end.unix_timestamp()),
        ..Attributes::default()
    }
}
