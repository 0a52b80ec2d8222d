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
    /// None for a stand-in on this machine.
    tokens: Option<Tokens>,
}

#[derive(Clone)]
struct Tokens {
    token: Arc<SharedToken>,
    scope: &'static str,
}

impl Service {
    /// Over `transport`, signed with the tokens of `credential` for `scope`.
    #[must_use]
    pub fn new(
        transport: Arc<dyn HttpClient>,
        credential: Arc<dyn TokenCredential>,
        scope: &'static str,
    ) -> Self {
        let token = Arc::new(SharedToken::of(credential).for_scope(scope));
        Self::signed(transport, token, scope)
    }

    pub(super) fn signed(
        transport: Arc<dyn HttpClient>,
        token: Arc<SharedToken>,
        scope: &'static str,
    ) -> Self {
        let tokens = Some(Tokens { token, scope });
        Self { transport, tokens }
    }

    pub(super) fn unsigned(transport: Arc<dyn HttpClient>) -> Self {
        let tokens = None;
        Self { transport, tokens }
    }

    /// Signs `request`, which must be for the service.
    ///
    /// # Errors
    ///
    /// Why there is no token.
    pub async fn sign(&self, request: &mut Request) -> Result<(), Error> {
        let Some(Tokens { token, scope }) = &self.tokens else {
            return Ok(());
        };
        let token = token.get_token(&[*scope], None).await;
        let token = token.map_err(Error::from_sdk)?;
        request.insert_header(AUTHORIZATION, format!("Bearer {}", token.token.secret()));
        Ok(())
    }

    /// Forgets the token of a request that the service refused. False if another one has taken its
    /// place already, or there is none.
    pub fn forget(&self, request: &Request) -> bool {
        let authorization = request.headers().get_optional_str(&AUTHORIZATION);
        let (Some(authorization), Some(tokens)) = (authorization, &self.tokens) else {
            return false;
        };
        tokens.token.forget_refused(authorization)
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").finish_non_exhaustive()
    }
}
