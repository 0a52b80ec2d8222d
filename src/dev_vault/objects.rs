//! Keys and certificates: what is public about them. They are made at start and only read: the
//! vault signs nothing, imports nothing, and keeps no private part of a key.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use serde::Deserialize;
use sha1::{Digest, Sha1};
use time::{Duration, OffsetDateTime};

use super::{
    certificates::CertificateError,
    secrets::{Attributes, NewSecret, random_hex},
    versions::{Named, Versioned, key},
};

/// Bytes of the modulus of an RSA key: 2,048 bits.
const MODULUS: usize = 256;

/// The type of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum KeyType {
    /// On the curve P-256.
    #[serde(rename = "EC")]
    Elliptic,
    /// With 2,048 bits. Its modulus is random, so that nothing can be verified with it.
    #[serde(rename = "RSA")]
    Rsa,
}

/// A key that is to be there.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// Its type.
    pub key_type: KeyType,
    /// Enabled unless said otherwise.
    pub attributes: Attributes,
    /// The owner's own labels.
    pub tags: BTreeMap<String, String>,
}

/// A certificate that is to be there, self-signed.
#[derive(Debug, Clone)]
pub struct NewCertificate {
    /// The DNS names that it is for; the first one is its common name.
    pub dns_names: Vec<String>,
    /// Its first and last day. A certificate without a last day gets a year.
    pub attributes: Attributes,
    /// The owner's own labels.
    pub tags: BTreeMap<String, String>,
}

/// One version of a key.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) id: String,
    pub(super) public: PublicKey,
    pub(super) attributes: Attributes,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) at: i64,
    /// A certificate's.
    pub(super) managed: bool,
}

/// The numbers of a public key, in base64url.
#[derive(Debug, Clone)]
pub(super) enum PublicKey {
    Elliptic { x: String, y: String },
    Rsa { n: String },
}

/// One version of a certificate.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    pub(super) id: String,
    pub(super) der: Vec<u8>,
    /// SHA-1 of the whole, in base64url.
    pub(super) thumbprint: String,
    pub(super) dns_names: Vec<String>,
    pub(super) attributes: Attributes,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) at: i64,
}

/// Every key or every certificate of a vault.
#[derive(Debug)]
pub(super) struct Collection<V>(BTreeMap<String, Named<V>>);

impl Versioned for Key {
    fn id(&self) -> &str {
        &self.id
    }
}

impl Versioned for Certificate {
    fn id(&self) -> &str {
        &self.id
    }
}

impl<V> Default for Collection<V> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<V: Versioned> Collection<V> {
    /// Adds a version.
    pub(super) fn push(&mut self, name: &str, version: V) {
        let named = self.0.entry(key(name));
        named.or_insert_with(|| Named::new(name)).push(version);
    }

    /// How the name of one was first spelt.
    pub(super) fn name(&self, name: &str) -> Option<&String> {
        self.0.get(&key(name)).map(|named| &named.name)
    }

    /// The latest version of each with its name.
    pub(super) fn latest(&self) -> Vec<(String, V)> {
        self.0.values().filter_map(|one| one.get(None)).collect()
    }

    /// The versions of one with its name; empty if there is none.
    pub(super) fn versions(&self, name: &str) -> Vec<(String, V)> {
        let named = self.0.get(&key(name));
        named.map(Named::versions).unwrap_or_default()
    }

    /// One version with its name, the latest if `version` is `None`.
    pub(super) fn get(&self, name: &str, version: Option<&str>) -> Option<(String, V)> {
        self.0.get(&key(name))?.get(version)
    }
}

impl Key {
    pub(super) fn make(new: NewKey, at: OffsetDateTime) -> Result<Self, CertificateError> {
        let public = match new.key_type {
            KeyType::Elliptic => PublicKey::of(&pair()?),
            KeyType::Rsa => {
                let mut modulus = [0; MODULUS];
                getrandom::fill(&mut modulus)?;
                modulus[0] |= 0x80;
                PublicKey::Rsa {
                    n: URL_SAFE_NO_PAD.encode(modulus),
                }
            }
        };
        Ok(Self {
            id: random_hex()?,
            public,
            attributes: new.attributes,
            tags: new.tags,
            at: at.unix_timestamp(),
            managed: false,
        })
    }
}

impl PublicKey {
    fn of(pair: &KeyPair) -> Self {
        // 4, then the two coordinates.
        let point = pair.public_key_raw();
        let (x, y) = point.get(1..).unwrap_or_default().split_at(point.len() / 2);
        Self::Elliptic {
            x: URL_SAFE_NO_PAD.encode(x),
            y: URL_SAFE_NO_PAD.encode(y),
        }
    }
}

fn pair() -> Result<KeyPair, CertificateError> {
    Ok(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?)
}

impl Certificate {
    /// A certificate with the key and the secret that belong to it, all of one version.
    pub(super) fn make(
        new: NewCertificate,
        at: OffsetDateTime,
    ) -> Result<(Self, Key, NewSecret), CertificateError> {
        let id = random_hex()?;
        let time = |seconds: Option<i64>, otherwise| {
            let time =
                seconds.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
            time.unwrap_or(otherwise)
        };
        let mut parameters = CertificateParams::new(new.dns_names.clone())?;
        parameters.not_before = time(new.attributes.nbf, at);
        parameters.not_after = time(new.attributes.exp, at + Duration::days(365));
        let name = new.dns_names.first().cloned().unwrap_or_default();
        parameters.distinguished_name.push(DnType::CommonName, name);
        // Whoever gets the secret gets certificate and key, as from the service.
        let pair = pair()?;
        let certificate = parameters.self_signed(&pair)?;
        let pem = format!("{}{}", pair.serialize_pem(), certificate.pem());
        let attributes = Attributes {
            nbf: Some(parameters.not_before.unix_timestamp()),
            exp: Some(parameters.not_after.unix_timestamp()),
            ..new.attributes
        };
        let key = Key {
            id: id.clone(),
            public: PublicKey::of(&pair),
            attributes,
            tags: new.tags.clone(),
            at: at.unix_timestamp(),
            managed: true,
        };
        let secret = NewSecret {
            content_type: Some("application/x-pem-file".to_owned()),
            tags: new.tags.clone(),
            attributes,
            ..NewSecret::of(&pem)
        };
        let der = certificate.der().to_vec();
        let certificate = Self {
            id,
            thumbprint: URL_SAFE_NO_PAD.encode(Sha1::digest(&der)),
            der,
            dns_names: new.dns_names,
            attributes,
            tags: new.tags,
            at: at.unix_timestamp(),
        };
        Ok((certificate, key, secret))
    }
}
