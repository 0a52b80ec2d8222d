//! Versions of secrets: what is set, what is kept, and what changes.

use std::{collections::BTreeMap, fmt};

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};
use time::OffsetDateTime;

use super::versions::Versioned;

/// One version of a secret.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) id: String,
    pub(super) value: SecretString,
    pub(super) content_type: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) attributes: Attributes,
    pub(super) created: i64,
    pub(super) updated: i64,
    /// A certificate's.
    pub(super) managed: bool,
}

impl Versioned for Version {
    fn id(&self) -> &str {
        &self.id
    }
}

/// The part of a version's attributes that its owner sets. Times in Unix seconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Attributes {
    /// Whether the value can be read.
    #[serde(default = "yes", deserialize_with = "yes_unless_given")]
    pub enabled: bool,
    /// Informational only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nbf: Option<i64>,
    /// Informational only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exp: Option<i64>,
}

fn yes() -> bool {
    true
}

/// `null` is as good as nothing: some clients write every member.
fn yes_unless_given<'de, D: Deserializer<'de>>(given: D) -> Result<bool, D::Error> {
    Ok(Option::deserialize(given)?.unwrap_or(true))
}

/// The same for what is empty by default.
fn default_unless_given<'de, T, D>(given: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(given)?.unwrap_or_default())
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            enabled: true,
            nbf: None,
            exp: None,
        }
    }
}

/// The body of a set request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewSecret {
    /// What is kept secret.
    pub value: SecretString,
    /// What the owner says the value is.
    #[serde(default)]
    pub content_type: Option<String>,
    /// The owner's own labels.
    #[serde(default, deserialize_with = "default_unless_given")]
    pub tags: BTreeMap<String, String>,
    /// Enabled unless said otherwise.
    #[serde(default, deserialize_with = "default_unless_given")]
    pub attributes: Attributes,
}

impl NewSecret {
    /// A secret with nothing but its value.
    #[must_use]
    pub fn of(value: &str) -> Self {
        Self {
            value: value.to_owned().into(),
            content_type: None,
            tags: BTreeMap::new(),
            attributes: Attributes::default(),
        }
    }
}

impl fmt::Debug for NewSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewSecret").finish_non_exhaustive()
    }
}

/// The body of an update request. What is absent stays as it is.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Change {
    pub(super) content_type: Option<String>,
    pub(super) tags: Option<BTreeMap<String, String>>,
    #[serde(default, deserialize_with = "default_unless_given")]
    attributes: AttributesChange,
}

#[derive(Debug, Default, Deserialize)]
struct AttributesChange {
    enabled: Option<bool>,
    nbf: Option<i64>,
    exp: Option<i64>,
}

impl Change {
    pub(super) fn apply(self, version: &mut Version) {
        let Self {
            content_type,
            tags,
            attributes,
        } = self;
        version.content_type = content_type.or(version.content_type.take());
        if let Some(tags) = tags {
            version.tags = tags;
        }
        let own = &mut version.attributes;
        own.enabled = attributes.enabled.unwrap_or(own.enabled);
        own.nbf = attributes.nbf.or(own.nbf);
        own.exp = attributes.exp.or(own.exp);
        version.updated = OffsetDateTime::now_utc().unix_timestamp();
    }
}

/// A secret that is deleted and can be recovered.
pub(super) struct Deleted {
    pub(super) name: String,
    pub(super) latest: Version,
    /// In Unix seconds.
    pub(super) at: i64,
}

impl Version {
    pub(super) fn new(id: String, new: NewSecret, at: OffsetDateTime, managed: bool) -> Self {
        let at = at.unix_timestamp();
        Self {
            id,
            value: new.value,
            content_type: new.content_type,
            tags: new.tags,
            attributes: new.attributes,
            created: at,
            updated: at,
            managed,
        }
    }
}

/// 128 random bits in lower-case hexadecimal.
pub(super) fn random_hex() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// 128 random bits in the shape of a GUID.
pub(super) fn random_guid() -> Result<String, getrandom::Error> {
    let mut digits = random_hex()?;
    for place in [20, 16, 12, 8] {
        digits.insert(place, '-');
    }
    Ok(digits)
}
