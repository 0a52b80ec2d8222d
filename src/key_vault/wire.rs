//! What Key Vault says about an object: its metadata, without a secret's value.

use std::{collections::BTreeMap, fmt::Write as _};

use azure_core::http::Url;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};
use time::OffsetDateTime;

use super::{
    error::Error,
    names::{ObjectKind, ObjectName, ObjectVersion},
};

/// A version that no object has.
pub(super) const NO_VERSION: &str = "00000000000000000000000000000000";

/// What Key Vault says about one version of an object, a secret's value excepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// As the vault spells it.
    pub name: ObjectName,
    /// Which version this is about.
    pub version: Option<ObjectVersion>,
    /// Whether it can be used.
    pub enabled: Option<bool>,
    /// When this version was created.
    pub created: Option<OffsetDateTime>,
    /// When this version's attributes last changed.
    pub updated: Option<OffsetDateTime>,
    /// For a secret informational: the vault serves the value before it all the same. A key
    /// cannot be used before it.
    pub not_before: Option<OffsetDateTime>,
    /// For a secret informational: the vault serves the value after it all the same. A key is
    /// refused after it.
    pub expires: Option<OffsetDateTime>,
    /// The owner's own labels.
    pub tags: BTreeMap<String, String>,
    /// Whether a certificate's life cycle owns the secret or the key.
    pub managed: bool,
    /// Of the latest version: the others that were created in the same second. Times are whole
    /// seconds and the service lists by random ids, so each of them may be the latest.
    pub also_latest: Vec<ObjectVersion>,
    /// What only one kind of object has.
    pub details: Details,
}

/// What only one kind of object has. A list of versions tells nothing of it but a secret's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Details {
    /// A secret's.
    Secret {
        /// What the owner says the value is.
        content_type: Option<String>,
    },
    /// A key's.
    Key {
        /// Its public part.
        key: KeyDetails,
        /// What it may be used for, such as `sign`.
        operations: Vec<String>,
    },
    /// A certificate's.
    Certificate(Box<CertificateDetails>),
}

/// What is public about a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyDetails {
    /// `RSA`, `EC` or `oct`, with `-HSM` behind it where hardware keeps it.
    pub key_type: Option<String>,
    /// In bits.
    pub size: Option<usize>,
    /// Of an elliptic key, such as `P-256`.
    pub curve: Option<String>,
}

/// What is public about a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateDetails {
    /// Of the whole certificate, SHA-1, as tools show it: 40 hexadecimal digits.
    pub thumbprint: Option<String>,
    /// Whom it is for.
    pub subject: Option<String>,
    /// The DNS names that it is for.
    pub dns_names: Vec<String>,
    /// Who renews it: an issuer that the vault knows, `Self`, or `Unknown` for nobody.
    pub issuer: Option<String>,
    /// Its key.
    pub key: KeyDetails,
    /// What the vault does before the end, such as `AutoRenew` or `EmailContacts`.
    pub lifetime_actions: Vec<String>,
}

impl Metadata {
    /// Whether this can be used, and for longer than until `expires`.
    #[must_use]
    pub fn outlives(&self, expires: Option<OffsetDateTime>) -> bool {
        let is_later = match (self.expires, expires) {
            (None, _) => true,
            (Some(own), Some(other)) => own > other && own > OffsetDateTime::now_utc(),
            (Some(_), None) => false,
        };
        is_later && self.enabled != Some(false)
    }

    /// Which of two versions is the latest, `other` being listed behind `self`.
    ///
    /// Within one second the last update decides, and then the order of the list: it is the best
    /// guess, and `also_latest` says that it is one.
    pub(super) fn or_later(self, other: Self) -> Self {
        let is_tie = self.created.is_some() && self.created == other.created;
        let is_later = (other.created, other.updated) > (self.created, self.updated);
        let (mut latest, mut earlier) = if is_later {
            (other, self)
        } else {
            (self, other)
        };
        if is_tie {
            latest.also_latest.append(&mut earlier.also_latest);
            latest.also_latest.extend(earlier.version);
        }
        latest
    }
}

/// The objects or versions on one page of a list, without values.
pub(super) fn page(kind: ObjectKind, body: &[u8]) -> Result<Vec<Metadata>, Error> {
    // The SDK's own model takes any object for an empty page.
    #[derive(Deserialize)]
    struct Page {
        value: Vec<Object>,
    }
    let page: Page = parsed(body)?;
    let items = page.value.into_iter();
    items.map(|item| item.into_metadata(kind)).collect()
}

/// One version of an object, from an answer that has a secret's value too.
pub(super) fn object(kind: ObjectKind, body: &[u8]) -> Result<Metadata, Error> {
    parsed::<Object>(body)?.into_metadata(kind)
}

/// The value alone.
pub(super) fn value(body: &[u8]) -> Result<SecretString, Error> {
    #[derive(Deserialize)]
    struct WithValue {
        value: SecretString,
    }
    let with_value: WithValue = parsed(body)?;
    Ok(with_value.value)
}

/// Whether the answer of `url` holds a secret's value, if there is one: `secrets/NAME[/VERSION]`.
pub(super) fn may_carry_a_value(url: &Url) -> bool {
    let mut parts = url.path_segments().into_iter().flatten();
    let is_secret = parts.next() == Some("secrets") && parts.next().is_some();
    is_secret && !matches!(parts.next(), Some("versions" | NO_VERSION))
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|_| Error::UnexpectedAnswer)
}

/// An object of any kind. A secret's value is skipped while it is parsed, so that it never
/// becomes a string.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Object {
    id: Option<String>,
    /// A key's own identifier, and of the others that of their key.
    kid: Option<String>,
    content_type: Option<String>,
    key: Option<JsonWebKey>,
    x5t: Option<String>,
    policy: Option<CertificatePolicy>,
    #[serde(default)]
    attributes: Attributes,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    managed: bool,
    #[serde(default, rename = "value")]
    _value: serde::de::IgnoredAny,
}

#[derive(Deserialize, Default)]
struct Attributes {
    enabled: Option<bool>,
    created: Option<i64>,
    updated: Option<i64>,
    nbf: Option<i64>,
    exp: Option<i64>,
}

/// The public part of a key.
#[derive(Deserialize)]
struct JsonWebKey {
    kid: Option<String>,
    kty: Option<String>,
    crv: Option<String>,
    #[serde(default)]
    key_ops: Vec<String>,
    /// The modulus of an RSA key.
    n: Option<String>,
}

/// How the vault makes and renews a certificate.
#[derive(Deserialize)]
struct CertificatePolicy {
    key_props: Option<KeyProperties>,
    #[serde(rename = "x509_props")]
    x509: Option<X509Properties>,
    issuer: Option<Issuer>,
    #[serde(default)]
    lifetime_actions: Vec<LifetimeAction>,
}

#[derive(Deserialize)]
struct KeyProperties {
    kty: Option<String>,
    key_size: Option<usize>,
    crv: Option<String>,
}

#[derive(Deserialize)]
struct X509Properties {
    subject: Option<String>,
    sans: Option<SubjectAlternativeNames>,
}

#[derive(Deserialize)]
struct SubjectAlternativeNames {
    #[serde(default)]
    dns_names: Vec<String>,
}

#[derive(Deserialize)]
struct Issuer {
    name: Option<String>,
}

#[derive(Deserialize)]
struct LifetimeAction {
    action: Option<Action>,
}

#[derive(Deserialize)]
struct Action {
    action_type: Option<String>,
}

impl Object {
    fn into_metadata(mut self, kind: ObjectKind) -> Result<Metadata, Error> {
        // `https://HOST/secrets/NAME/VERSION`
        let id = match kind {
            ObjectKind::Key => self
                .key
                .as_mut()
                .and_then(|key| key.kid.take())
                .or(self.kid),
            ObjectKind::Secret | ObjectKind::Certificate => self.id,
        };
        let id = id.ok_or(Error::UnexpectedAnswer)?;
        let mut path = id.split('/').skip(3);
        let (Some(collection), Some(name), version, None) =
            (path.next(), path.next(), path.next(), path.next())
        else {
            return Err(Error::UnexpectedAnswer);
        };
        if collection != kind.collection() {
            return Err(Error::UnexpectedAnswer);
        }
        let name = ObjectName::parse(name).map_err(|_| Error::UnexpectedAnswer)?;
        let version = version.map(ObjectVersion::parse).transpose();
        let time = |seconds: Option<i64>| {
            let time = seconds.map(OffsetDateTime::from_unix_timestamp).transpose();
            time.map_err(|_| Error::UnexpectedAnswer)
        };
        let details = match kind {
            ObjectKind::Secret => Details::Secret {
                content_type: self.content_type,
            },
            ObjectKind::Key => key_details(self.key),
            ObjectKind::Certificate => {
                Details::Certificate(Box::new(certificate_details(self.x5t, self.policy)))
            }
        };
        Ok(Metadata {
            name,
            version: version.map_err(|_| Error::UnexpectedAnswer)?,
            enabled: self.attributes.enabled,
            created: time(self.attributes.created)?,
            updated: time(self.attributes.updated)?,
            not_before: time(self.attributes.nbf)?,
            expires: time(self.attributes.exp)?,
            tags: self.tags,
            managed: self.managed,
            also_latest: Vec::new(),
            details,
        })
    }
}

fn key_details(key: Option<JsonWebKey>) -> Details {
    let Some(key) = key else {
        return Details::Key {
            key: KeyDetails::default(),
            operations: Vec::new(),
        };
    };
    // Nobody makes a modulus whose first bit is not set, but for the zero byte that some put first.
    let modulus = key.n.and_then(|n| URL_SAFE_NO_PAD.decode(n).ok());
    let bits = |modulus: Vec<u8>| 8 * modulus.iter().skip_while(|byte| **byte == 0).count();
    Details::Key {
        key: KeyDetails {
            key_type: key.kty,
            size: modulus.map(bits).or_else(|| size_of(key.crv.as_deref())),
            curve: key.crv,
        },
        operations: key.key_ops,
    }
}

/// The bits of a key on a curve that Key Vault has.
fn size_of(curve: Option<&str>) -> Option<usize> {
    match curve? {
        "P-256" | "P-256K" => Some(256),
        "P-384" => Some(384),
        "P-521" => Some(521),
        _ => None,
    }
}

fn certificate_details(
    thumbprint: Option<String>,
    policy: Option<CertificatePolicy>,
) -> CertificateDetails {
    let thumbprint = thumbprint.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    let thumbprint = thumbprint.map(|bytes| {
        bytes.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02X}");
            hex
        })
    });
    let Some(policy) = policy else {
        return CertificateDetails {
            thumbprint,
            ..Default::default()
        };
    };
    let (subject, names) = match policy.x509 {
        Some(x509) => (x509.subject, x509.sans.map(|sans| sans.dns_names)),
        None => (None, None),
    };
    let key = policy.key_props.map(|key| KeyDetails {
        key_type: key.kty,
        size: key.key_size.or_else(|| size_of(key.crv.as_deref())),
        curve: key.crv,
    });
    let actions = policy.lifetime_actions.into_iter();
    CertificateDetails {
        thumbprint,
        subject,
        dns_names: names.unwrap_or_default(),
        issuer: policy.issuer.and_then(|issuer| issuer.name),
        key: key.unwrap_or_default(),
        lifetime_actions: actions
            .filter_map(|action| action.action?.action_type)
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> Result<Metadata, Error> {
        object(ObjectKind::Secret, json.as_bytes())
    }

    #[test]
    fn a_secret_is_read_without_its_value() {
        let metadata = parsed(
            r#"{"value":"not kept","id":"https://v.vault.azure.net/secrets/Ab/86126c1a06244d778606e003c7e7cb34",
               "attributes":{"enabled":true,"nbf":1781524800,"exp":1784116800,"created":1781649311,
               "updated":1781649311,"recoveryLevel":"Recoverable+Purgeable","recoverableDays":90}}"#,
        )
        .expect("valid");
        assert_eq!(metadata.name.as_str(), "Ab");
        assert_eq!(metadata.enabled, Some(true));
        assert_eq!(
            metadata.expires.map(OffsetDateTime::unix_timestamp),
            Some(1_784_116_800)
        );
        assert!(!format!("{metadata:?}").contains("not kept"));
    }

    #[test]
    fn an_answer_out_of_contract_is_refused() {
        for json in [
            "{}",
            r#"{"id":"https://v/secrets"}"#,
            r#"{"id":"https://v/keys/n/86126c1a06244d778606e003c7e7cb34"}"#,
            r#"{"id":"https://v/secrets/n/short"}"#,
            r#"{"id":"https://v/secrets/<script>"}"#,
            r#"{"id":"https://v/secrets/n","attributes":{"created":99999999999999999}}"#,
        ] {
            assert_eq!(parsed(json), Err(Error::UnexpectedAnswer), "{json}");
        }
    }
}
