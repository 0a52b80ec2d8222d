//! The tokens that the vault accepts.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use axum::http::{HeaderMap, header};
use azure_core::{
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    error::ErrorKind,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use time::OffsetDateTime;

use super::{
    caller::{Caller, NOBODY, issuer_of},
    secrets::random_hex,
};

/// Whom a token for a vault is for.
pub(super) const AUDIENCE: &str = "https://vault.azure.net";
/// How long a token is valid: the platform's own time.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// Tokens that are remembered; the oldest goes first.
const KEPT: usize = 256;

/// Why a token opens nothing, in the words of the service.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unauthorized {
    /// There is none, or the vault has not given it out.
    #[error("AKV10000: Request is missing a Bearer, PoP, or MTLS_POP token.")]
    NoToken,
    /// It is for another service.
    #[error("AKV10022: Invalid audience. Expected {AUDIENCE}, found: {0}.")]
    OtherAudience(String),
    /// It is for an identity of another tenant. Whoever follows the challenge finds the right one.
    #[error("AKV10032: Invalid issuer. Expected one of {}, found {}.", issuer_of(NOBODY), issuer_of(.0))]
    OtherTenant(String),
    /// Its time is over.
    #[error("Error validating token: IDX10223")]
    Expired,
}

/// The tokens that were given out, and whether a request carries one.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    given: Mutex<VecDeque<Given>>,
}

struct Given {
    digest: [u8; 32],
    audience: String,
    tenant: String,
    expires: OffsetDateTime,
}

/// Gives out tokens of one identity.
#[derive(Debug, Clone, Default)]
pub(super) struct Identity {
    pub(super) tokens: Arc<Tokens>,
    pub(super) caller: Arc<Caller>,
}

/// A new token.
pub(super) struct Token {
    pub(super) text: SecretString,
    pub(super) expires: OffsetDateTime,
}

impl Identity {
    /// Gives out a token.
    ///
    /// It has the shape of a JSON web token, because some clients look into theirs. It is
    /// valid because it is remembered, not because it is signed.
    pub(super) fn give(&self, audience: &str) -> Result<Token, getrandom::Error> {
        let now = OffsetDateTime::now_utc();
        let expires = now + LIFE;
        let part = |json: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        let head = part(json!({"typ": "JWT", "alg": "HS256"}));
        let (from, until) = (now.unix_timestamp(), expires.unix_timestamp());
        let claims = part(self.caller.claims(audience, from, until));
        let text = format!("{head}.{claims}.{}{}", random_hex()?, random_hex()?);
        let given = &self.tokens.given;
        let mut given = given.lock().unwrap_or_else(PoisonError::into_inner);
        if given.len() == KEPT {
            given.pop_front();
        }
        given.push_back(Given {
            digest: Sha256::digest(&text).into(),
            audience: audience.to_owned(),
            tenant: self.caller.tenant.clone(),
            expires,
        });
        Ok(Token {
            text: text.into(),
            expires,
        })
    }
}

impl Tokens {
    /// Whether a request carries a token for a vault whose time is not over.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Unauthorized> {
        let token = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))
            .ok_or(Unauthorized::NoToken)?;
        self.check_at(token, OffsetDateTime::now_utc())
    }

    fn check_at(&self, token: &[u8], now: OffsetDateTime) -> Result<(), Unauthorized> {
        let digest = Sha256::digest(token);
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |given: &&Given| given.digest.ct_eq(&digest).into();
        let given = given.iter().find(is_it).ok_or(Unauthorized::NoToken)?;
        if given.expires <= now {
            return Err(Unauthorized::Expired);
        }
        if given.audience != AUDIENCE {
            return Err(Unauthorized::OtherAudience(given.audience.clone()));
        }
        if given.tenant != NOBODY {
            return Err(Unauthorized::OtherTenant(given.tenant.clone()));
        }
        Ok(())
    }
}

/// For the SDK in this process, which needs no identity endpoint.
#[async_trait]
impl TokenCredential for Identity {
    async fn get_token(
        &self,
        _scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let token = self.give(AUDIENCE).map_err(|_| {
            azure_core::Error::with_message(
                ErrorKind::Credential,
                "the system has no randomness to give",
            )
        })?;
        Ok(AccessToken::new(token.reveal().to_owned(), token.expires))
    }
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Given").finish_non_exhaustive()
    }
}

impl Token {
    /// For whoever asked for it, and nobody else.
    pub(super) fn reveal(&self) -> &str {
        self.text.expose_secret()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_audience_until_its_time_is_over() {
        let identity = Identity::default();
        let token = identity.give(AUDIENCE).expect("randomness");
        let check = |at| identity.tokens.check_at(token.reveal().as_bytes(), at);
        assert_eq!(check(token.expires - Duration::from_secs(1)), Ok(()));
        assert_eq!(check(token.expires), Err(Unauthorized::Expired));
        let changed = format!("{}0", token.reveal());
        let changed = identity
            .tokens
            .check_at(changed.as_bytes(), token.expires - LIFE);
        assert_eq!(changed, Err(Unauthorized::NoToken));

        let other = "https://management.azure.com";
        let token = identity.give(other).expect("randomness");
        let refused = identity
            .tokens
            .check_at(token.reveal().as_bytes(), token.expires - LIFE);
        assert_eq!(refused, Err(Unauthorized::OtherAudience(other.into())));
    }

    #[test]
    fn only_so_many_tokens_are_remembered() {
        let identity = Identity::default();
        let first = identity.give(AUDIENCE).expect("randomness");
        for _ in 1..KEPT {
            identity.give(AUDIENCE).expect("randomness");
        }
        let check = || {
            identity
                .tokens
                .check_at(first.reveal().as_bytes(), first.expires - LIFE)
        };
        assert_eq!(check(), Ok(()));
        identity.give(AUDIENCE).expect("randomness");
        assert_eq!(check(), Err(Unauthorized::NoToken));
    }
}
