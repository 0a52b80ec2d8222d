//! The way to another service of Azure's, for who signs in as the handler does.

use std::{fmt, sync::Arc};

use azure_core::{
    credentials::TokenCredential,
    http::{HttpClient, Request, headers::AUTHORIZATION},
};

use crate::key_vault::{error::Error, token::SharedToken};

/// Signs requests to one service, and carries them.
#[derive(Clone)]
pub struct Service {
    /// Carries the requests.
    pub transport: Arc<dyn HttpClient>,
    pub(super) token: Arc<SharedToken>,
    pub(super) scope: &'static str,
}

impl Service {
    /// Over `transport`, signed with the tokens of `credential` for `scope`.
    #[must_use]
    pub fn new(
        transport: Arc<dyn HttpClient>,
        credential: Arc<dyn TokenCredential>,
        scope: &'static str,
    ) -> Self {
        Self {
            transport,
            token: Arc::new(SharedToken::of(credential).for_scope(scope)),
            scope,
        }
    }

    /// Signs `request`, which must be for the service.
    ///
    /// # Errors
    ///
    /// Why there is no token.
    pub async fn sign(&self, request: &mut Request) -> Result<(), Error> {
        let token = self.token.get_token(&[self.scope], None).await;
        let token = token.map_err(Error::from_sdk)?;
        request.insert_header(AUTHORIZATION, format!("Bearer {}", token.token.secret()));
        Ok(())
    }

    /// Forgets the token of a request that the service refused.
    pub fn forget(&self, request: &Request) {
        if let Some(authorization) = request.headers().get_optional_str(&AUTHORIZATION) {
            self.token.forget_refused(authorization);
        }
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}
