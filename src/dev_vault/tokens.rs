//! The tokens that the vault accepts.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::http::{HeaderMap, header};
use azure_core::{
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    error::ErrorKind,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use time::OffsetDateTime;

use super::{
    caller::{Caller, NOBODY, issuer_of},
    secrets::random_hex,
};

/// Whom a token for a vault is for.
pub(super) const AUDIENCE: &str = "https://vault.azure.net";
/// How long a token is valid: the platform's own time.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);

/// Why a token opens nothing, in the words of the service.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unauthorized {
    /// There is none.
    #[error("AKV10000: Request is missing a Bearer, PoP, or MTLS_POP token.")]
    NoToken,
    /// It is not signed with this vault's key.
    #[error("AKV10046: Unable to resolve the key used for signature validation.")]
    OtherKey,
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

/// Signs tokens, and knows its own again. None has to be remembered, so no client's token is ever
/// forgotten before its time.
pub(super) struct Tokens {
    /// Nothing if the system has no randomness to give.
    key: Option<hmac::Key>,
}

/// What a token says of itself, as far as the vault looks at it.
#[derive(Deserialize)]
struct Claims {
    aud: String,
    tid: String,
    exp: i64,
}

impl Default for Tokens {
    fn default() -> Self {
        let mut key = [0; 32];
        match getrandom::fill(&mut key) {
            Ok(()) => Self::signed_with(&key),
            Err(_) => Self { key: None },
        }
    }
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
    /// Gives out a token: a JSON web token, signed.
    pub(super) fn give(&self, audience: &str) -> Result<Token, getrandom::Error> {
        let key = self.tokens.key.as_ref();
        let key = key.ok_or(getrandom::Error::UNEXPECTED)?;
        let now = OffsetDateTime::now_utc();
        let expires = now + LIFE;
        let part = |json: serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
        let head = part(json!({"typ": "JWT", "alg": "HS256"}));
        let (from, until) = (now.unix_timestamp(), expires.unix_timestamp());
        let mut claims = self.caller.claims(audience, from, until);
        claims["uti"] = random_hex()?.into();
        let signed = format!("{head}.{}", part(claims));
        let signature = BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(key, signed.as_bytes()));
        Ok(Token {
            text: format!("{signed}.{signature}").into(),
            expires,
        })
    }
}

impl Tokens {
    pub(super) fn signed_with(key: &[u8; 32]) -> Self {
        let key = Some(hmac::Key::new(hmac::HMAC_SHA256, key));
        Self { key }
    }

    /// Whether a request carries a token for a vault whose time is not over.
    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Unauthorized> {
        let token = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.as_bytes().strip_prefix(b"Bearer "))
            .ok_or(Unauthorized::NoToken)?;
        self.check_at(token, OffsetDateTime::now_utc())
    }

    fn check_at(&self, token: &[u8], now: OffsetDateTime) -> Result<(), Unauthorized> {
        let claims = self.claims(token).ok_or(Unauthorized::OtherKey)?;
        if claims.exp <= now.unix_timestamp() {
            return Err(Unauthorized::Expired);
        }
        if claims.aud != AUDIENCE {
            return Err(Unauthorized::OtherAudience(claims.aud));
        }
        if claims.tid != NOBODY {
            return Err(Unauthorized::OtherTenant(claims.tid));
        }
        Ok(())
    }

    /// The claims of a token that is signed with the key.
    fn claims(&self, token: &[u8]) -> Option<Claims> {
        let (signed, signature) = std::str::from_utf8(token).ok()?.rsplit_once('.')?;
        let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
        hmac::verify(self.key.as_ref()?, signed.as_bytes(), &signature).ok()?;
        let (_, claims) = signed.split_once('.')?;
        let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).ok()?;
        serde_json::from_slice(&claims).ok()
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

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
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
        assert_eq!(changed, Err(Unauthorized::OtherKey));

        let other = "https://management.azure.com";
        let token = identity.give(other).expect("randomness");
        let refused = identity
            .tokens
            .check_at(token.reveal().as_bytes(), token.expires - LIFE);
        assert_eq!(refused, Err(Unauthorized::OtherAudience(other.into())));
    }

    #[test]
    fn however_many_tokens_are_given_none_is_forgotten() {
        let identity = Identity::default();
        let first = identity.give(AUDIENCE).expect("randomness");
        for _ in 0..1_000 {
            identity.give(AUDIENCE).expect("randomness");
        }
        let at = first.expires - LIFE;
        let check = |tokens: &Tokens| tokens.check_at(first.reveal().as_bytes(), at);
        assert_eq!(check(&identity.tokens), Ok(()));
        // Another vault's key has not signed it.
        assert_eq!(check(&Tokens::default()), Err(Unauthorized::OtherKey));
    }

    #[test]
    fn nobody_writes_claims_of_their_own() {
        let identity = Identity::default();
        let token = identity.give("https://management.azure.com");
        let token = token.expect("randomness");
        let mut parts: Vec<_> = token.reveal().split('.').map(str::to_owned).collect();
        let claims = BASE64_URL_SAFE_NO_PAD.decode(&parts[1]).expect("base64");
        let claims = String::from_utf8(claims).expect("text");
        let claims = claims.replace("https://management.azure.com", AUDIENCE);
        parts[1] = BASE64_URL_SAFE_NO_PAD.encode(claims);
        for forged in [
            parts.join("."),
            format!("{}.{}.", parts[0], parts[1]),
            String::new(),
        ] {
            let check = identity
                .tokens
                .check_at(forged.as_bytes(), token.expires - LIFE);
            assert_eq!(check, Err(Unauthorized::OtherKey));
        }
    }
}
