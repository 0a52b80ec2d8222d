//! Who may call a function.
//!
//! Under the host, the host has checked the key already and an envelope carries its
//! verdict as claims, which are checked again here. Standalone, nobody is in front, and
//! the same levels are enforced with [`Keys`].

use std::fmt;

use axum::http::{HeaderMap, Uri};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use subtle::{Choice, ConstantTimeEq};

use super::json::Text;

/// `authLevel` of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthLevel {
    /// Anybody.
    Anonymous,
    /// A function key or the master key.
    Function,
    /// The master key.
    Admin,
}

impl fmt::Display for AuthLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anonymous => "anonymous",
            Self::Function => "function",
            Self::Admin => "admin",
        })
    }
}

/// The claim type in which the Functions host writes the level of the presented key.
const LEVEL_CLAIM: &str = "http://schemas.microsoft.com/2017/07/functions/claims/authlevel";

/// The `AuthenticationType` of the identity that the Functions host makes of a key.
/// Source: the Functions host, `AuthenticationLevelHandler.cs`.
const HOSTS_IDENTITY: &str = "WebJobsAuthLevel";

/// One of the identities that the host found in a request.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Identity<'a> {
    #[serde(default, borrow)]
    authentication_type: Option<Text<'a>>,
    #[serde(default)]
    is_authenticated: Option<bool>,
    #[serde(default, borrow)]
    claims: Option<Vec<Claim<'a>>>,
}

#[derive(Debug, Deserialize)]
struct Claim<'a> {
    #[serde(rename = "Type", borrow)]
    kind: Option<Text<'a>>,
    #[serde(rename = "Value", borrow)]
    value: Option<Text<'a>>,
}

impl Identity<'_> {
    /// Whether the host itself found this identity, from a key.
    fn is_the_hosts(&self) -> bool {
        self.is_authenticated == Some(true)
            && self.authentication_type.as_deref() == Some(HOSTS_IDENTITY)
    }
}

impl AuthLevel {
    /// Whether the host's claims reach this level. With Easy Auth the identity that
    /// carries them is not the first one, so all are searched; what another identity claims
    /// comes from its provider and does not count.
    #[must_use]
    pub fn is_met_by(self, identities: &[Identity<'_>]) -> bool {
        let claims = || {
            identities
                .iter()
                .filter(|identity| identity.is_the_hosts())
                .filter_map(|identity| identity.claims.as_deref())
                .flatten()
        };
        let has = |level: &str| {
            claims().any(|claim| {
                claim.kind.as_deref() == Some(LEVEL_CLAIM) && claim.value.as_deref() == Some(level)
            })
        };
        match self {
            Self::Anonymous => true,
            Self::Function => has("Function") || has("Admin"),
            Self::Admin => has("Admin"),
        }
    }
}

/// A key that opens functions. It cannot be printed.
#[derive(Clone)]
pub struct FunctionKey(SecretString);

/// A key that cannot be sent in a header.
#[derive(Debug, thiserror::Error)]
#[error("found text that cannot be an HTTP header value")]
pub struct KeyError;

impl FunctionKey {
    /// Takes an operator's key: one or more visible ASCII characters.
    ///
    /// # Errors
    ///
    /// Anything else could never be presented.
    pub fn parse(text: String) -> Result<Self, KeyError> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(KeyError);
        }
        Ok(Self(text.into()))
    }

    /// 128 random bits, URL-safe, in 22 characters.
    ///
    /// # Errors
    ///
    /// The operating system has no randomness to give.
    pub fn random() -> Result<Self, getrandom::Error> {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes).into()))
    }

    /// Whether it is the same in a query as in a header: unreserved characters alone (RFC 3986).
    #[must_use]
    pub fn is_url_safe(&self) -> bool {
        let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        self.0.expose_secret().bytes().all(is_unreserved)
    }

    /// For the one line at start that shows a random key to the person who started it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }

    /// Takes the same time wherever the two differ; the length is not hidden.
    fn matches(&self, presented: &[u8]) -> Choice {
        self.0.expose_secret().as_bytes().ct_eq(presented)
    }
}

impl fmt::Debug for FunctionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FunctionKey")
    }
}

/// Why a request may not run a function. The caller gets an empty 401, as from the host, and a
/// browser a page; this is for the log, and never has a key's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Neither a header nor a query parameter, or an empty one.
    #[error("no key was shown; send it as x-functions-key, or as code in the query")]
    NoKey,
    /// Neither of the two keys.
    #[error("the key is unknown")]
    UnknownKey,
    /// The function key at a function of level `admin`.
    #[error("this is the function key; this route needs the master key")]
    FunctionKey,
    /// What the host claims about the caller.
    #[error("the host's claims do not reach this function's level")]
    Claims,
}

/// The keys of a standalone handler.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Opens `function` level.
    pub function: FunctionKey,
    /// Opens everything.
    pub master: FunctionKey,
}

impl Keys {
    /// Whether a request may run a function of `level`. As in the host, the header
    /// `x-functions-key` is looked at first, and a wrong one is not rescued by `?code=`.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn admit(&self, level: AuthLevel, headers: &HeaderMap, uri: &Uri) -> Result<(), Refused> {
        if level == AuthLevel::Anonymous {
            return Ok(());
        }
        let header = headers
            .get("x-functions-key")
            .map(axum::http::HeaderValue::as_bytes);
        let code = || {
            let query = uri.query().unwrap_or_default().as_bytes();
            form_urlencoded::parse(query).find_map(|(key, value)| (key == "code").then_some(value))
        };
        let check = |presented: &[u8]| {
            // Both, whichever is needed, so that the time tells nothing.
            let master = bool::from(self.master.matches(presented));
            let function = bool::from(self.function.matches(presented));
            match level {
                _ if master => Ok(()),
                AuthLevel::Anonymous | AuthLevel::Function if function => Ok(()),
                _ if function => Err(Refused::FunctionKey),
                _ if presented.is_empty() => Err(Refused::NoKey),
                _ => Err(Refused::UnknownKey),
            }
        };
        match header {
            Some(key) => check(key),
            None => code().map_or(Err(Refused::NoKey), |code| check(code.as_bytes())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_met(level: AuthLevel, identities: &serde_json::Value) -> bool {
        let json = identities.to_string();
        let identities: Vec<Identity<'_>> = serde_json::from_str(&json).expect("identities");
        level.is_met_by(&identities)
    }

    fn claimed(level: &str) -> serde_json::Value {
        serde_json::json!({"AuthenticationType": "WebJobsAuthLevel", "IsAuthenticated": true, "Claims": [
            {"Type": LEVEL_CLAIM, "Value": level, "Issuer": "LOCAL AUTHORITY"}]})
    }

    #[test]
    fn a_claim_opens_its_level_and_admin_opens_all() {
        for (claim, function, admin) in [
            ("Admin", true, true),
            ("Function", true, false),
            ("System", false, false),
            ("Anonymous", false, false),
        ] {
            let found = serde_json::json!([claimed(claim)]);
            assert_eq!(is_met(AuthLevel::Function, &found), function, "{claim}");
            assert_eq!(is_met(AuthLevel::Admin, &found), admin, "{claim}");
            assert!(is_met(AuthLevel::Anonymous, &found));
        }
        assert!(!AuthLevel::Function.is_met_by(&[]));
    }

    #[test]
    fn the_claim_is_found_behind_an_easy_auth_identity() {
        let easy_auth = serde_json::json!({"AuthenticationType": "aad", "IsAuthenticated": true,
            "Claims": [{"Type": "name", "Value": "Admin"}]});
        let both = serde_json::json!([easy_auth, claimed("Admin")]);
        assert!(is_met(AuthLevel::Admin, &both));
        let alone = serde_json::json!([easy_auth]);
        assert!(!is_met(AuthLevel::Function, &alone));
    }

    /// An identity provider may name its claims as it likes.
    #[test]
    fn only_the_hosts_own_authenticated_identity_claims_a_level() {
        use serde_json::Value;
        for (member, value) in [
            ("IsAuthenticated", Some(Value::from(false))),
            ("IsAuthenticated", Some(Value::Null)),
            ("IsAuthenticated", None),
            ("AuthenticationType", Some("aad".into())),
            ("AuthenticationType", Some("webjobsauthlevel".into())),
            ("AuthenticationType", Some(Value::Null)),
            ("AuthenticationType", None),
        ] {
            let mut identity = claimed("Admin");
            match &value {
                Some(value) => identity[member] = value.clone(),
                None => drop(identity.as_object_mut().expect("object").remove(member)),
            }
            let found = serde_json::json!([identity]);
            assert!(!is_met(AuthLevel::Admin, &found), "{member}: {value:?}");
            assert!(!is_met(AuthLevel::Function, &found), "{member}: {value:?}");
        }
    }

    fn keys() -> Keys {
        let key = |text: &str| FunctionKey::parse(text.to_owned()).expect("a key");
        Keys {
            function: key("the-function-key"),
            master: key("the-master-key"),
        }
    }

    fn refused(level: AuthLevel, header: Option<&str>, query: &str) -> Result<(), Refused> {
        let mut headers = HeaderMap::new();
        if let Some(key) = header {
            headers.insert("x-functions-key", key.parse().expect("a header"));
        }
        let uri = format!("/api/x{query}").parse().expect("a uri");
        keys().admit(level, &headers, &uri)
    }

    fn admits(level: AuthLevel, header: Option<&str>, query: &str) -> bool {
        refused(level, header, query).is_ok()
    }

    #[test]
    fn keys_open_what_the_host_would_open() {
        use AuthLevel::{Admin, Anonymous, Function};
        assert!(admits(Anonymous, None, ""));
        assert!(!admits(Function, None, ""));
        assert!(!admits(Function, Some("wrong"), ""));
        assert!(!admits(Function, Some(""), "?code="));
        assert!(admits(Function, Some("the-function-key"), ""));
        assert!(admits(Function, None, "?a=b&code=the-function-key"));
        assert!(admits(Function, None, "?code=the%2Dfunction%2Dkey"));
        assert!(admits(Function, Some("the-master-key"), ""));
        assert!(!admits(Admin, Some("the-function-key"), ""));
        assert!(admits(Admin, None, "?code=the-master-key"));
    }

    #[test]
    fn a_refusal_says_which_key_was_shown() {
        use AuthLevel::{Admin, Function};
        for (level, header, query, cause) in [
            (Function, None, "", Refused::NoKey),
            (Function, Some(""), "", Refused::NoKey),
            (Admin, None, "?code=", Refused::NoKey),
            (Function, Some("wrong"), "", Refused::UnknownKey),
            (Admin, None, "?code=wrong", Refused::UnknownKey),
            (Admin, Some("the-function-key"), "", Refused::FunctionKey),
        ] {
            assert_eq!(
                refused(level, header, query),
                Err(cause),
                "{header:?} {query}"
            );
        }
    }

    #[test]
    fn a_wrong_header_is_not_rescued_by_a_right_code() {
        assert!(!admits(
            AuthLevel::Admin,
            Some("wrong"),
            "?code=the-master-key"
        ));
    }

    #[test]
    fn keys_cannot_be_printed_and_random_ones_differ() {
        assert!(!format!("{:?}", keys()).contains("the-"));
        let (one, two) = (FunctionKey::random(), FunctionKey::random());
        let (one, two) = (one.expect("random"), two.expect("random"));
        assert_ne!(one.reveal(), two.reveal());
        assert_eq!(one.reveal().len(), 22);
        assert!(one.is_url_safe());
        assert!(FunctionKey::parse("with space".into()).is_err());
    }
}
