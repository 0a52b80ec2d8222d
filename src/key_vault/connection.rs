//! How requests to vaults travel, and as whom they are made.

use std::{fmt, sync::Arc, time::Duration};

use azure_core::{credentials::TokenCredential, http::HttpClient};

use super::{dns::Resolver, pacing::Budget, token::SharedToken};

/// How requests travel and as whom they are made.
#[derive(Clone)]
pub struct Connection {
    /// Carries every vault's requests.
    pub(super) transport: Arc<dyn HttpClient>,
    /// Signs them.
    pub(super) token: Arc<SharedToken>,
    /// What a token may take beyond [`CALL_LIMIT`](super::limits::CALL_LIMIT).
    pub(super) token_time: Duration,
    /// What all vaults together may be asked.
    pub(super) budget: Arc<Budget>,
    /// Resolves the vaults' names, if anything does.
    pub(super) resolver: Option<Arc<Resolver>>,
}

impl Connection {
    /// A connection whose tokens come at once.
    #[must_use]
    pub fn new(transport: Arc<dyn HttpClient>, credential: Arc<dyn TokenCredential>) -> Self {
        Self {
            transport,
            token: Arc::new(SharedToken::of(credential)),
            token_time: Duration::ZERO,
            budget: Arc::default(),
            resolver: None,
        }
    }

    /// With what resolves the names of the vaults for the transport.
    #[must_use]
    pub fn resolving_with(self, resolver: Arc<Resolver>) -> Self {
        let resolver = Some(resolver);
        Self { resolver, ..self }
    }

    /// Without a limit for the requests to all vaults together.
    #[must_use]
    pub fn without_budget(self) -> Self {
        Self {
            budget: Arc::new(Budget::unlimited()),
            ..self
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}
