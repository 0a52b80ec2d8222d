//! Secrets, keys and certificates as JSON.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    objects::{Certificate, Key, PublicKey},
    secrets::{Attributes, Deleted, Version},
};

/// How long a deleted secret can be recovered, in seconds: the service's default, 90 days.
const RETENTION: i64 = 90 * 24 * 60 * 60;

/// A secret without its value. Unset members are left out, as in the service.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    id: String,
    attributes: AllAttributes,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    managed: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AllAttributes {
    #[serde(flatten)]
    own: Attributes,
    created: i64,
    updated: i64,
    recovery_level: &'static str,
    recoverable_days: u8,
}

/// A secret with its value.
#[derive(Serialize)]
pub(super) struct Bundle<'a> {
    pub(super) value: &'a str,
    #[serde(flatten)]
    pub(super) item: Item,
}

/// A secret that can be recovered.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeletedBundle {
    recovery_id: String,
    deleted_date: i64,
    scheduled_purge_date: i64,
    #[serde(flatten)]
    item: Item,
}

impl AllAttributes {
    fn new(own: Attributes, created: i64, updated: i64) -> Self {
        Self {
            own,
            created,
            updated,
            recovery_level: "Recoverable+Purgeable",
            recoverable_days: 90,
        }
    }
}

/// A key or a certificate in a list.
#[derive(Serialize)]
pub(super) struct ListedObject {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    attributes: AllAttributes,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    managed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    x5t: Option<String>,
}

impl ListedObject {
    /// With the version in its identifier, or without.
    pub(super) fn of_key(host: &str, name: &str, key: &Key, with_version: bool) -> Self {
        Self {
            id: None,
            kid: Some(identifier(
                host,
                "keys",
                name,
                with_version.then_some(&key.id),
            )),
            attributes: AllAttributes::new(key.attributes, key.at, key.at),
            tags: key.tags.clone(),
            managed: key.managed,
            x5t: None,
        }
    }

    /// With the version in its identifier, or without.
    pub(super) fn of_certificate(
        host: &str,
        name: &str,
        certificate: &Certificate,
        with_version: bool,
    ) -> Self {
        let version = with_version.then_some(&certificate.id);
        Self {
            id: Some(identifier(host, "certificates", name, version)),
            kid: None,
            attributes: AllAttributes::new(certificate.attributes, certificate.at, certificate.at),
            tags: certificate.tags.clone(),
            managed: false,
            x5t: Some(certificate.thumbprint.clone()),
        }
    }
}

fn identifier(host: &str, collection: &str, name: &str, version: Option<&String>) -> String {
    let version = version.map(|version| format!("/{version}"));
    format!(
        "https://{host}/{collection}/{name}{}",
        version.unwrap_or_default()
    )
}

/// A key with its public part.
#[derive(Serialize)]
pub(super) struct KeyBundle {
    key: Value,
    attributes: AllAttributes,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    managed: bool,
}

impl KeyBundle {
    pub(super) fn new(host: &str, name: &str, key: &Key) -> Self {
        let kid = identifier(host, "keys", name, Some(&key.id));
        Self {
            key: match &key.public {
                PublicKey::Elliptic { x, y } => json!({
                    "kid": kid, "kty": "EC", "key_ops": ["sign", "verify"],
                    "crv": "P-256", "x": x, "y": y,
                }),
                PublicKey::Rsa { n } => json!({
                    "kid": kid, "kty": "RSA",
                    "key_ops": ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"],
                    "n": n, "e": "AQAB",
                }),
            },
            attributes: AllAttributes::new(key.attributes, key.at, key.at),
            tags: key.tags.clone(),
            managed: key.managed,
        }
    }
}

/// A certificate with its policy.
#[derive(Serialize)]
pub(super) struct CertificateBundle {
    id: String,
    kid: String,
    sid: String,
    x5t: String,
    cer: String,
    attributes: AllAttributes,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    policy: Value,
}

impl CertificateBundle {
    pub(super) fn new(host: &str, name: &str, certificate: &Certificate) -> Self {
        let of = |collection| identifier(host, collection, name, Some(&certificate.id));
        Self {
            id: of("certificates"),
            kid: of("keys"),
            sid: of("secrets"),
            x5t: certificate.thumbprint.clone(),
            cer: STANDARD.encode(&certificate.der),
            attributes: AllAttributes::new(certificate.attributes, certificate.at, certificate.at),
            tags: certificate.tags.clone(),
            policy: policy(host, name, certificate),
        }
    }
}

/// How a certificate was made. Nothing renews it here.
pub(super) fn policy(host: &str, name: &str, certificate: &Certificate) -> Value {
    let common_name = certificate.dns_names.first().map_or("", String::as_str);
    json!({
        "id": format!("https://{host}/certificates/{name}/policy"),
        "key_props": {"exportable": true, "kty": "EC", "crv": "P-256", "key_size": 256, "reuse_key": false},
        "secret_props": {"contentType": "application/x-pem-file"},
        "x509_props": {
            "subject": format!("CN={common_name}"),
            "sans": {"dns_names": certificate.dns_names},
            "validity_months": 12,
        },
        "lifetime_actions": [
            {"trigger": {"lifetime_percentage": 80}, "action": {"action_type": "AutoRenew"}},
        ],
        "issuer": {"name": "Self"},
        "attributes": {
            "enabled": true, "created": certificate.at, "updated": certificate.at,
        },
    })
}

impl Item {
    pub(super) fn of_version(host: &str, name: &str, version: &Version) -> Self {
        let mut item = Self::of_secret(host, name, version);
        item.id = format!("{}/{}", item.id, version.id);
        item
    }

    pub(super) fn of_secret(host: &str, name: &str, version: &Version) -> Self {
        Self {
            id: identifier(host, "secrets", name, None),
            attributes: AllAttributes::new(version.attributes, version.created, version.updated),
            tags: version.tags.clone(),
            content_type: version.content_type.clone(),
            managed: version.managed,
        }
    }
}

impl DeletedBundle {
    pub(super) fn of_version(host: &str, deleted: &Deleted) -> Self {
        Self {
            recovery_id: format!("https://{host}/deletedsecrets/{}", deleted.name),
            deleted_date: deleted.at,
            scheduled_purge_date: deleted.at + RETENTION,
            item: Item::of_version(host, &deleted.name, &deleted.latest),
        }
    }

    pub(super) fn of_secret(host: &str, deleted: &Deleted) -> Self {
        Self {
            item: Item::of_secret(host, &deleted.name, &deleted.latest),
            ..Self::of_version(host, deleted)
        }
    }
}
