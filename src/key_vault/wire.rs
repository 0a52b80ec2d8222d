//! What Key Vault says about a secret: its metadata, without the value.

use std::collections::BTreeMap;

use azure_core::http::Url;
use secrecy::SecretString;
use serde::{Deserialize, de::DeserializeOwned};
use time::OffsetDateTime;

use super::{
    error::Error,
    names::{SecretName, SecretVersion},
};

/// A version that no secret has.
pub(super) const NO_VERSION: &str = "00000000000000000000000000000000";

/// What Key Vault says about one version of a secret, its value excepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretMetadata {
    /// As the vault spells it.
    pub name: String,
    /// Which version this is about.
    pub version: Option<SecretVersion>,
    /// Whether the value can be read.
    pub enabled: Option<bool>,
    /// When this version was created.
    pub created: Option<OffsetDateTime>,
    /// When this version's attributes last changed.
    pub updated: Option<OffsetDateTime>,
    /// Informational: the vault serves the value before it all the same.
    pub not_before: Option<OffsetDateTime>,
    /// Informational: the vault serves the value after it all the same.
    pub expires: Option<OffsetDateTime>,
    /// What the owner says the value is.
    pub content_type: Option<String>,
    /// The owner's own labels.
    pub tags: BTreeMap<String, String>,
    /// Whether a certificate's life cycle owns the secret.
    pub managed: bool,
    /// Of the latest version: the others that were created in the same second. Times are whole
    /// seconds and the service lists by random ids, so each of them may be the latest.
    pub also_latest: Vec<SecretVersion>,
}

impl SecretMetadata {
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

/// The versions on one page of a list, without their values.
pub(super) fn page(body: &[u8]) -> Result<Vec<SecretMetadata>, Error> {
    // The SDK's own model takes any object for an empty page.
    #[derive(Deserialize)]
    struct Page {
        value: Vec<WithoutValue>,
    }
    let page: Page = parsed(body)?;
    let items = page.value.into_iter();
    items.map(WithoutValue::into_metadata).collect()
}

/// One version, from an answer that has the value too.
pub(super) fn secret(body: &[u8]) -> Result<SecretMetadata, Error> {
    parsed::<WithoutValue>(body)?.into_metadata()
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

/// A secret whose value is skipped while it is parsed, so that it never becomes a string.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WithoutValue {
    id: String,
    content_type: Option<String>,
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

impl WithoutValue {
    fn into_metadata(self) -> Result<SecretMetadata, Error> {
        // `https://HOST/secrets/NAME/VERSION`
        let mut path = self.id.split('/').skip(3);
        let (Some("secrets"), Some(name), version, None) =
            (path.next(), path.next(), path.next(), path.next())
        else {
            return Err(Error::UnexpectedAnswer);
        };
        let name = SecretName::parse(name).map_err(|_| Error::UnexpectedAnswer)?;
        let version = version.map(SecretVersion::parse).transpose();
        let time = |seconds: Option<i64>| {
            let time = seconds.map(OffsetDateTime::from_unix_timestamp).transpose();
            time.map_err(|_| Error::UnexpectedAnswer)
        };
        Ok(SecretMetadata {
            name: name.as_str().to_owned(),
            version: version.map_err(|_| Error::UnexpectedAnswer)?,
            enabled: self.attributes.enabled,
            created: time(self.attributes.created)?,
            updated: time(self.attributes.updated)?,
            not_before: time(self.attributes.nbf)?,
            expires: time(self.attributes.exp)?,
            content_type: self.content_type,
            tags: self.tags,
            managed: self.managed,
            also_latest: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(json: &str) -> Result<SecretMetadata, Error> {
        secret(json.as_bytes())
    }

    #[test]
    fn a_secret_is_read_without_its_value() {
        let metadata = parsed(
            r#"{"value":"not kept","id":"https://v.vault.azure.net/secrets/Ab/86126c1a06244d778606e003c7e7cb34",
               "attributes":{"enabled":true,"nbf":1781524800,"exp":1784116800,"created":1781649311,
               "updated":1781649311,"recoveryLevel":"Recoverable+Purgeable","recoverableDays":90}}"#,
        )
        .expect("valid");
        assert_eq!(metadata.name, "Ab");
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
