//! What a file says is in the vault from the start.

use std::{collections::BTreeMap, mem};

use secrecy::SecretString;
use serde::Deserialize;
use time::{Duration, OffsetDateTime};

use super::{
    DevVault,
    address::VaultName,
    certificates::CertificateError,
    objects::{KeyType, NewCertificate, NewKey},
    secrets::{Attributes, NewSecret},
    store::Store,
};
use crate::{
    jsonc::{self, Cause, Invalid},
    key_vault::ObjectName,
};

/// Secrets, keys and certificates by their names.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contents {
    #[serde(default)]
    secrets: BTreeMap<String, Secret>,
    #[serde(default)]
    keys: BTreeMap<String, Key>,
    #[serde(default)]
    certificates: BTreeMap<String, Certificate>,
    /// What is in other vaults, by their names.
    #[serde(default)]
    vaults: BTreeMap<String, Contents>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Secret {
    value: SecretString,
    content_type: Option<String>,
    /// Days do not age with the file, as a date would.
    expires_in_days: Option<i64>,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    #[serde(default = "elliptic", rename = "key_type")]
    of: KeyType,
    expires_in_days: Option<i64>,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Certificate {
    dns_names: Vec<String>,
    expires_in_days: Option<i64>,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default)]
    tags: BTreeMap<String, String>,
}

fn yes() -> bool {
    true
}

fn elliptic() -> KeyType {
    KeyType::Elliptic
}

/// Why a file says nothing that can be in a vault.
#[derive(Debug, thiserror::Error)]
pub enum ContentsError {
    /// It is not what can be in a vault. Nothing of it is quoted: it may hold a secret.
    #[error("line {}, column {}: {}", .0.line, .0.column, what(.0.cause))]
    File(Invalid),
    /// A name that no object can have.
    #[error("{0:?} cannot be a name: 1 to 127 letters, digits and hyphens")]
    Name(String),
    /// A time too far away, of this object.
    #[error("{0}: expires_in_days is too far away")]
    Time(String),
    /// A vault that is not there.
    #[error("there is no vault {0:?}: start with --vault {0}, in lower case")]
    Vault(String),
    /// A certificate could not be made.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

fn what(cause: Cause) -> String {
    match cause {
        Cause::Shape => {
            "a member that nothing here has, or one of another type than it should have".to_owned()
        }
        cause => cause.to_string(),
    }
}

impl Contents {
    /// Reads the text of a file: JSON, in which comments and trailing commas may stand.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, ContentsError> {
        jsonc::parse(text).map_err(ContentsError::File)
    }

    /// Puts everything into `vaults`: what is in none by name, into the first.
    ///
    /// # Errors
    ///
    /// The first object that cannot be, or a vault that is not among them.
    pub fn put_into(mut self, vaults: &[(VaultName, DevVault)]) -> Result<(), ContentsError> {
        for (name, contents) in mem::take(&mut self.vaults) {
            let mut named = vaults.iter();
            let found = named.find(|(known, _)| known.as_str() == name);
            let (_, vault) = found.ok_or(ContentsError::Vault(name))?;
            contents.put_into_store(vault.store())?;
        }
        let first = vaults.first();
        first.map_or(Ok(()), |(_, vault)| self.put_into_store(vault.store()))
    }

    fn put_into_store(self, store: &Store) -> Result<(), ContentsError> {
        if let Some(name) = self.vaults.into_keys().next() {
            return Err(ContentsError::Vault(name));
        }
        let now = OffsetDateTime::now_utc();
        let attributes = |name: &str, enabled, days: Option<i64>| {
            let exp = days.map(|days| {
                let end = days
                    .checked_mul(24 * 60 * 60)
                    .and_then(|seconds| now.checked_add(Duration::seconds(seconds)));
                end.map(OffsetDateTime::unix_timestamp)
                    .ok_or_else(|| ContentsError::Time(name.to_owned()))
            });
            Ok::<_, ContentsError>(Attributes {
                enabled,
                exp: exp.transpose()?,
                ..Attributes::default()
            })
        };
        for (name, secret) in self.secrets {
            let new = NewSecret {
                value: secret.value,
                content_type: secret.content_type,
                tags: secret.tags,
                attributes: attributes(&name, secret.enabled, secret.expires_in_days)?,
            };
            let set = store.set(&checked(name)?, new);
            set.map_err(CertificateError::from)?;
        }
        for (name, key) in self.keys {
            let new = NewKey {
                key_type: key.of,
                attributes: attributes(&name, key.enabled, key.expires_in_days)?,
                tags: key.tags,
            };
            store.add_key(&checked(name)?, new, now)?;
        }
        for (name, certificate) in self.certificates {
            let new = NewCertificate {
                dns_names: certificate.dns_names,
                attributes: attributes(&name, certificate.enabled, certificate.expires_in_days)?,
                tags: certificate.tags,
            };
            store.add_certificate(&checked(name)?, new, now)?;
        }
        Ok(())
    }
}

fn checked(name: String) -> Result<String, ContentsError> {
    match ObjectName::parse(&name) {
        Ok(_) => Ok(name),
        Err(_) => Err(ContentsError::Name(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_is_there() {
        let text = r#"{
            // Comments may stand here.
            "secrets": {"Old": {"value": "canary", "expires_in_days": -3}},
            "keys": {"Signs": {"key_type": "RSA", "enabled": false}},
            "certificates": {"Web": {"dns_names": ["a.example"], "expires_in_days": 9}},
            "vaults": {"shop": {"secrets": {"Other": {"value": "canary"}}}},
        }"#;
        let vaults = ["embedded", "shop"].map(|name| {
            let name = VaultName::parse(name).expect("a name");
            (name, DevVault::default())
        });
        let contents = Contents::parse(text).expect("valid");
        contents.put_into(&vaults).expect("put");
        let (store, shop) = (vaults[0].1.store(), vaults[1].1.store());
        assert!(shop.get("Other", None).is_some());
        let names: Vec<_> = store.latest().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["Old", "Web"]);
        let keys = store.keys(super::super::objects::Collection::latest);
        let keys: Vec<_> = keys
            .into_iter()
            .map(|(name, key)| (name, key.managed))
            .collect();
        assert_eq!(
            keys,
            [("Signs".to_owned(), false), ("Web".to_owned(), true)]
        );
    }

    #[test]
    fn what_is_wrong_is_told_by_its_place_and_never_quoted() {
        for (text, place) in [
            ("{", "line 1, column 1: not JSON"),
            (
                "{\n\"secrets\": {\"A\": {\"value\": \"canary\", \"canary\": 1}}}",
                "line 2, column 45: a member that nothing here has",
            ),
            (
                r#"{"secrets": {"A": "canary"}}"#,
                "line 1, column 26: a member that nothing here has",
            ),
        ] {
            let error = Contents::parse(text).expect_err("refused").to_string();
            assert!(error.starts_with(place), "{text}: {error}");
            assert!(!error.contains("canary"), "{error}");
        }
        for (text, told) in [
            (r#"{"keys": {"a_b": {}}}"#, "\"a_b\" cannot be a name"),
            (
                r#"{"keys": {"A": {"expires_in_days": 9223372036854775807}}}"#,
                "A: expires_in_days is too far away",
            ),
            (r#"{"vaults": {"a": {}}}"#, "start with --vault a"),
            (
                r#"{"vaults": {"embedded": {"vaults": {"a": {}}}}}"#,
                "start with --vault a",
            ),
        ] {
            let contents = Contents::parse(text).expect("JSON");
            let vaults = [(VaultName::default(), DevVault::default())];
            let error = contents.put_into(&vaults).expect_err("refused");
            assert!(error.to_string().contains(told), "{error}");
        }
    }
}
