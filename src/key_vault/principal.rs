//! As whom a token signs in, read from its claims. Nothing else of the token is kept.
//!
//! The signature is not checked: this tells an operator about the handler's own token, and decides
//! nothing about a caller. Shape: the payload of an access token of Microsoft Entra ID, version 1.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::names::is_of_resource_name;

/// Longest name of an app or an identity that is kept.
const NAME_LIMIT: usize = 128;

/// An id of Entra ID's: an object, a client or a tenant. 36 characters, in lower case.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Guid(Box<str>);

/// As whom the handler signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// What kind of identity it is.
    pub kind: PrincipalKind,
    /// What a role is assigned to.
    pub object_id: Option<Guid>,
    /// What `AZURE_CLIENT_ID` takes.
    pub client_id: Option<Guid>,
    /// Where it belongs.
    pub tenant: Option<Guid>,
}

/// The kinds of identity that a token can be for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrincipalKind {
    /// A resource's own managed identity; of an app, or of one of its slots.
    SystemAssigned {
        /// The resource's name.
        name: Option<String>,
        /// The app's slot.
        slot: Option<String>,
    },
    /// A managed identity that is a resource of its own.
    UserAssigned {
        /// Its name.
        name: Option<String>,
    },
    /// An application with a secret or a federated token.
    Application,
    /// A person.
    User,
}

impl Guid {
    /// Parses 32 hexadecimal digits in their five groups.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_valid = text.len() == 36
            && text.bytes().enumerate().all(|(index, byte)| match index {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            });
        is_valid.then(|| Self(text.to_ascii_lowercase().into()))
    }

    /// The id in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Guid {
    /// Ids are for those who may see them, and a line of the log is for everybody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guid")
    }
}

impl Principal {
    /// As whom `token` signs in; nothing if it has no claims that can be read.
    #[must_use]
    pub fn of_token(token: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Claims {
            oid: Option<String>,
            appid: Option<String>,
            tid: Option<String>,
            idtyp: Option<String>,
            scp: Option<String>,
            xms_mirid: Option<String>,
        }
        let payload = token.split('.').nth(1)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).ok()?;
        let claims: Claims = serde_json::from_slice(&payload).ok()?;
        let id = |text: Option<String>| text.as_deref().and_then(Guid::parse);
        // `idtyp` is optional. Only a person's token says what was delegated.
        let is_app = match claims.idtyp.as_deref() {
            Some(kind) => kind == "app",
            None => claims.scp.is_none(),
        };
        Some(Self {
            kind: match claims.xms_mirid.as_deref() {
                Some(resource) => PrincipalKind::of_resource(resource),
                None if is_app => PrincipalKind::Application,
                None => PrincipalKind::User,
            },
            object_id: id(claims.oid),
            client_id: id(claims.appid).filter(|_| is_app),
            tenant: id(claims.tid),
        })
    }
}

impl PrincipalKind {
    /// From the id of the resource that has the identity, or is it.
    fn of_resource(id: &str) -> Self {
        let segments: Vec<&str> = id.split('/').collect();
        let behind = |kind: &str| {
            let index = segments
                .iter()
                .position(|one| one.eq_ignore_ascii_case(kind))?;
            segments.get(index + 1).copied().and_then(name)
        };
        if let Some(name) = behind("userAssignedIdentities") {
            return Self::UserAssigned { name: Some(name) };
        }
        Self::SystemAssigned {
            name: behind("sites").or_else(|| segments.last().copied().and_then(name)),
            slot: behind("slots"),
        }
    }
}

/// A resource's name, if it is one.
fn name(text: &str) -> Option<String> {
    let is_valid = (1..=NAME_LIMIT).contains(&text.len()) && text.bytes().all(is_of_resource_name);
    is_valid.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const OBJECT: &str = "11111111-2222-3333-4444-55555555AbCd";
    const SITE: &str = "/subscriptions/s/resourcegroups/rg/providers/Microsoft.Web/sites/func-a";

    fn token(claims: &Value) -> String {
        format!(
            "e30.{}.signature",
            URL_SAFE_NO_PAD.encode(claims.to_string())
        )
    }

    fn kind(more: &Value) -> PrincipalKind {
        let mut claims = json!({"oid": OBJECT, "appid": OBJECT, "tid": OBJECT, "idtyp": "app"});
        let all = claims.as_object_mut().expect("an object");
        all.extend(more.as_object().expect("an object").clone());
        let principal = Principal::of_token(&token(&claims)).expect("a principal");
        let lower = OBJECT.to_ascii_lowercase();
        assert_eq!(principal.object_id.expect("an id").as_str(), lower);
        assert_eq!(principal.tenant.expect("an id").as_str(), lower);
        principal.kind
    }

    #[test]
    fn the_kind_of_an_identity_is_in_its_claims() {
        let own = |slot: Option<&str>| PrincipalKind::SystemAssigned {
            name: Some("func-a".into()),
            slot: slot.map(str::to_owned),
        };
        assert_eq!(kind(&json!({"xms_mirid": SITE})), own(None));
        let slot = format!("{SITE}/slots/staging");
        assert_eq!(kind(&json!({"xms_mirid": slot})), own(Some("staging")));
        let user_assigned = "/subscriptions/s/resourcegroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-a";
        let named = PrincipalKind::UserAssigned {
            name: Some("id-a".into()),
        };
        assert_eq!(kind(&json!({"xms_mirid": user_assigned})), named);
        let machine =
            "/subscriptions/s/resourcegroups/rg/providers/Microsoft.Compute/virtualMachines/vm-a";
        let machine = kind(&json!({"xms_mirid": machine}));
        assert!(
            matches!(machine, PrincipalKind::SystemAssigned { name: Some(name), slot: None } if name == "vm-a")
        );
        let odd = kind(&json!({"xms_mirid": "/x/sites/$(x)"}));
        let unnamed = PrincipalKind::SystemAssigned {
            name: None,
            slot: None,
        };
        assert_eq!(odd, unnamed);
        assert_eq!(kind(&json!({})), PrincipalKind::Application);
        assert_eq!(kind(&json!({"idtyp": "user"})), PrincipalKind::User);
        assert_eq!(kind(&json!({"idtyp": null})), PrincipalKind::Application);
        let delegated = json!({"idtyp": null, "scp": "user_impersonation"});
        assert_eq!(kind(&delegated), PrincipalKind::User);
    }

    #[test]
    fn what_is_no_token_of_entra_id_is_nobody() {
        for text in ["", "opaque", "a.b.c", "e30", "e30.e30x!.s"] {
            assert_eq!(Principal::of_token(text), None, "{text}");
        }
        let empty = Principal::of_token(&token(&json!({}))).expect("claims");
        assert_eq!((empty.object_id, empty.tenant), (None, None));
        let wrong = json!({"oid": "11111111-2222-3333-4444-5555555555", "tid": "common"});
        let wrong = Principal::of_token(&token(&wrong)).expect("claims");
        assert_eq!((wrong.object_id, wrong.tenant), (None, None));
    }

    #[test]
    fn ids_do_not_show_in_what_is_logged() {
        let claims = json!({"oid": OBJECT, "tid": OBJECT});
        let principal = Principal::of_token(&token(&claims));
        assert!(!format!("{principal:?}").contains("11111111"));
    }
}
