//! Every vault that the handler reads, each opened when it is first needed.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

use super::{
    connection::Connection, error::Error, limits::VAULTS_LIMIT, names::VaultUrl,
    network_path::NetworkPath, principal::Principal, vault::Vault,
};
use crate::telemetry::spans;

/// Every vault that the handler reads, each with one client that lives as long as this.
pub struct Vaults {
    connect: Box<dyn Fn() -> BoxFuture<'static, Result<Connection, Error>> + Send + Sync>,
    connection: OnceCell<Connection>,
    #[cfg(feature = "dev-vault")]
    alias: Option<(VaultUrl, VaultUrl)>,
    open: Mutex<HashMap<VaultUrl, Arc<Vault>>>,
}

impl fmt::Debug for Vaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vaults").finish_non_exhaustive()
    }
}

impl Vaults {
    /// `connect` is slow (certificates, credentials) and runs when a vault is first needed.
    pub fn new<F>(connect: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<Connection, Error>> + Send + 'static,
    {
        Self {
            connect: Box::new(move || Box::pin(connect())),
            connection: OnceCell::new(),
            #[cfg(feature = "dev-vault")]
            alias: None,
            open: Mutex::default(),
        }
    }

    /// Reads the vault `meant` where `named` is asked for: the name of the embedded vault means
    /// nothing outside its process, and whoever has that name on the internet must not be asked.
    #[cfg(feature = "dev-vault")]
    #[must_use]
    pub fn with_alias(self, named: VaultUrl, meant: VaultUrl) -> Self {
        let alias = Some((named, meant));
        Self { alias, ..self }
    }

    /// The vault that is read where `named` is asked for: two addresses can mean one vault.
    #[must_use]
    pub fn meant<'a>(&'a self, named: &'a VaultUrl) -> &'a VaultUrl {
        #[cfg(feature = "dev-vault")]
        if let Some((alias, meant)) = &self.alias
            && alias == named
        {
            return meant;
        }
        named
    }

    /// The client of one vault.
    ///
    /// # Errors
    ///
    /// The connection could not be set up, or too many vaults are open.
    pub async fn open(&self, url: &VaultUrl) -> Result<Arc<Vault>, Error> {
        let connection = self.connection.get_or_try_init(&self.connect).await;
        let connection =
            connection.inspect_err(|error| spans::count_read("connect", error.code()))?;
        let url = self.meant(url);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vault) = open.get(url) {
            return Ok(vault.clone());
        }
        if open.len() >= VAULTS_LIMIT {
            return Err(Error::TooManyVaults);
        }
        let vault = Arc::new(Vault::new(url, connection)?);
        open.insert(url.clone(), vault.clone());
        Ok(vault)
    }

    /// As whom the handler signs in, once it has had a token.
    #[must_use]
    pub fn principal(&self) -> Option<Principal> {
        self.connection.get()?.token.principal()
    }

    /// Which path requests to the vault at `url` take, if `error` is one that the network may
    /// explain.
    pub async fn path_of(&self, url: &VaultUrl, error: &Error) -> Option<Arc<NetworkPath>> {
        if !error.is_about_the_network() {
            return None;
        }
        let vault = self.open(url).await.ok()?;
        Some(Arc::new(vault.path().await))
    }

    /// What is known of the path to the vault at `url` by now, if it has been opened.
    #[must_use]
    pub fn known_path(&self, url: &VaultUrl) -> Option<Arc<NetworkPath>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let vault = open.get(self.meant(url))?;
        Some(Arc::new(vault.known_path()))
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use azure_core::{
        credentials::{AccessToken, TokenCredential, TokenRequestOptions},
        http::{AsyncRawResponse, HttpClient, Request},
    };

    use super::*;
    use crate::key_vault::sdk::final_failure;

    #[derive(Debug)]
    struct Nobody;

    #[async_trait]
    impl HttpClient for Nobody {
        async fn execute_request(&self, _: &Request) -> azure_core::Result<AsyncRawResponse> {
            Err(final_failure(Error::VaultNotFound))
        }
    }

    #[async_trait]
    impl TokenCredential for Nobody {
        async fn get_token(
            &self,
            _: &[&str],
            _: Option<TokenRequestOptions<'_>>,
        ) -> azure_core::Result<AccessToken> {
            Err(final_failure(Error::VaultNotFound))
        }
    }

    #[tokio::test]
    async fn one_vault_too_many_is_named_as_such() {
        let connection = Connection::new(Arc::new(Nobody), Arc::new(Nobody));
        let vaults = Vaults::new(move || std::future::ready(Ok(connection.clone())));
        let url = |number: usize| VaultUrl::of_public_vault(&format!("v{number}")).expect("valid");
        for number in 0..VAULTS_LIMIT {
            vaults.open(&url(number)).await.expect("open");
        }
        let refused = vaults.open(&url(VAULTS_LIMIT)).await.err();
        assert_eq!(refused, Some(Error::TooManyVaults));
        vaults.open(&url(0)).await.expect("open already");
    }
}
