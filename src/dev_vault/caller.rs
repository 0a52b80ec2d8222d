//! Whom the tokens of a vault are for, and what they say about that identity.
//!
//! Source: the shape of v1 access tokens of Entra ID for Key Vault, from public captures.

use serde_json::{Value, json};

/// An id that nobody takes for a real one. The vault belongs to this tenant.
pub const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

/// An identity. By default it is the system-assigned one of the app `dev-vault`, and its ids
/// have no digits but 0.
#[derive(Debug, Clone)]
pub struct Caller {
    /// What it is.
    pub kind: CallerKind,
    /// The id of its tenant. The vault refuses every tenant but its own, the default one.
    pub tenant: String,
    /// Its object id, which roles are assigned to.
    pub object_id: String,
    /// Its client id.
    pub client_id: String,
}

/// What an identity is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerKind {
    /// The identity of one app or of one of its slots.
    SystemAssigned {
        /// The app's name.
        app: String,
        /// The slot, unless it is the production slot.
        slot: Option<String>,
    },
    /// An identity of its own that apps may share.
    UserAssigned {
        /// Its name.
        name: String,
    },
    /// An app registration with a client secret.
    Application,
    /// A person who has signed in, with `az login` for example.
    User,
}

impl Default for Caller {
    fn default() -> Self {
        Self {
            kind: CallerKind::SystemAssigned {
                app: "dev-vault".to_owned(),
                slot: None,
            },
            tenant: NOBODY.to_owned(),
            object_id: NOBODY.to_owned(),
            client_id: NOBODY.to_owned(),
        }
    }
}

/// Who vouches for the identities of `tenant`.
pub(super) fn issuer_of(tenant: &str) -> String {
    format!("https://sts.windows.net/{tenant}/")
}

impl Caller {
    /// The payload of a token for `audience`. `from` and `until` are Unix seconds.
    pub(super) fn claims(&self, audience: &str, from: i64, until: i64) -> Value {
        let (credential, kind) = match self.kind {
            CallerKind::SystemAssigned { .. } | CallerKind::UserAssigned { .. } => ("2", "app"),
            CallerKind::Application => ("1", "app"),
            CallerKind::User => ("0", "user"),
        };
        let issuer = issuer_of(&self.tenant);
        let mut claims = json!({
            "aud": audience,
            "iss": issuer,
            "iat": from,
            "nbf": from,
            "exp": until,
            "appid": self.client_id,
            "appidacr": credential,
            "idp": issuer,
            "idtyp": kind,
            "oid": self.object_id,
            "sub": self.object_id,
            "tid": self.tenant,
            "ver": "1.0",
        });
        if let Some(resource) = self.resource() {
            claims["xms_mirid"] = resource.into();
        }
        claims
    }

    /// The Azure resource that a managed identity is, or belongs to. The spelling of
    /// `resourcegroups` is the service's own.
    fn resource(&self) -> Option<String> {
        let path = match &self.kind {
            CallerKind::SystemAssigned { app, slot: None } => format!("Microsoft.Web/sites/{app}"),
            CallerKind::SystemAssigned {
                app,
                slot: Some(slot),
            } => format!("Microsoft.Web/sites/{app}/slots/{slot}"),
            CallerKind::UserAssigned { name } => {
                format!("Microsoft.ManagedIdentity/userAssignedIdentities/{name}")
            }
            CallerKind::Application | CallerKind::User => return None,
        };
        let group = format!("/subscriptions/{NOBODY}/resourcegroups/rg-dev");
        Some(format!("{group}/providers/{path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims_of(kind: CallerKind) -> Value {
        let caller = Caller {
            kind,
            ..Caller::default()
        };
        caller.claims("https://vault.azure.net", 1, 2)
    }

    #[test]
    fn a_managed_identity_has_the_whole_payload() {
        let caller = Caller {
            tenant: "t".to_owned(),
            object_id: "o".to_owned(),
            client_id: "c".to_owned(),
            ..Caller::default()
        };
        assert_eq!(
            caller.claims("https://vault.azure.net", 1, 2),
            json!({
                "aud": "https://vault.azure.net",
                "iss": "https://sts.windows.net/t/",
                "iat": 1, "nbf": 1, "exp": 2,
                "appid": "c",
                "appidacr": "2",
                "idp": "https://sts.windows.net/t/",
                "idtyp": "app",
                "oid": "o", "sub": "o", "tid": "t",
                "ver": "1.0",
                "xms_mirid": "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/rg-dev/providers/Microsoft.Web/sites/dev-vault",
            })
        );
    }

    #[test]
    fn only_managed_identities_name_their_resource() {
        let app = || "shop".to_owned();
        let slot = Some("staging".to_owned());
        let name = "id-shop".to_owned();
        for (kind, credential, word, end) in [
            (
                CallerKind::SystemAssigned {
                    app: app(),
                    slot: None,
                },
                "2",
                "app",
                Some("/Microsoft.Web/sites/shop"),
            ),
            (
                CallerKind::SystemAssigned { app: app(), slot },
                "2",
                "app",
                Some("/Microsoft.Web/sites/shop/slots/staging"),
            ),
            (
                CallerKind::UserAssigned { name },
                "2",
                "app",
                Some("/Microsoft.ManagedIdentity/userAssignedIdentities/id-shop"),
            ),
            (CallerKind::Application, "1", "app", None),
            (CallerKind::User, "0", "user", None),
        ] {
            let claims = claims_of(kind.clone());
            assert_eq!(claims["appidacr"], credential, "{kind:?}");
            assert_eq!(claims["idtyp"], word, "{kind:?}");
            let resource = claims.get("xms_mirid").and_then(Value::as_str);
            assert_eq!(resource.is_some(), end.is_some(), "{kind:?}");
            assert!(
                resource
                    .unwrap_or_default()
                    .ends_with(end.unwrap_or_default())
            );
        }
    }
}
