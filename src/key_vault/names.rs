//! Names that are safe to put into a URL, because nothing else can be made into one.
//!
//! The SDK splices names into the request path as they are, so `../keys/k` would leave the
//! process as an authorised request for a key. These types are the guard.

use std::{fmt, hash};

use azure_core::http::Url;
use serde::Serialize;

use super::dns::literal;

/// What a vault keeps. Key Vault calls all three objects, and each lives in a collection of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectKind {
    /// A text that is served to whoever may get it.
    Secret,
    /// A key that signs or encrypts within the vault.
    Key,
    /// A certificate, with a key and a secret of the same name.
    Certificate,
}

/// Name of an object: 1 to 127 ASCII letters, digits and hyphens. Compared without regard to
/// letter case, as Key Vault does.
#[derive(Debug, Clone)]
pub struct ObjectName(Box<str>);

/// Version of an object: 32 hexadecimal digits, kept in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectVersion(Box<str>);

/// Address of a vault: `https`, a host, perhaps a port, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VaultUrl(Url);

/// An object, or one version of it, in some vault.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ObjectId {
    /// What it is.
    pub kind: ObjectKind,
    /// Which one.
    pub name: ObjectName,
    /// Which version; the latest if `None`.
    pub version: Option<ObjectVersion>,
}

/// Text that is not the name of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 127 characters out of 0-9, a-z, A-Z and -")]
pub struct InvalidObjectName;

/// Text that is not the version of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a version has 32 hexadecimal digits")]
pub struct InvalidObjectVersion;

/// Text that is not the address of a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a vault's address looks like https://NAME.vault.azure.net, without a path")]
pub struct InvalidVaultUrl;

impl ObjectKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Secret, Self::Key, Self::Certificate];

    /// Its name in the singular.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Secret => "secret",
            Self::Key => "key",
            Self::Certificate => "certificate",
        }
    }

    /// What Key Vault's paths call the collection.
    #[must_use]
    pub fn collection(self) -> &'static str {
        match self {
            Self::Secret => "secrets",
            Self::Key => "keys",
            Self::Certificate => "certificates",
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ObjectName {
    /// Longest name that Key Vault takes.
    pub const MAX_LEN: usize = 127;

    /// Parses a name.
    ///
    /// # Errors
    ///
    /// Any character that Key Vault would not take.
    pub fn parse(text: &str) -> Result<Self, InvalidObjectName> {
        let is_valid = (1..=Self::MAX_LEN).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        is_valid.then(|| Self(text.into())).ok_or(InvalidObjectName)
    }

    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for ObjectName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for ObjectName {}

impl hash::Hash for ObjectName {
    fn hash<H: hash::Hasher>(&self, state: &mut H) {
        // In one piece: a hasher takes as long for one byte as for eight.
        let mut lower = [0; Self::MAX_LEN];
        let lower = &mut lower[..self.0.len()];
        lower.copy_from_slice(self.0.as_bytes());
        lower.make_ascii_lowercase();
        state.write(lower);
        state.write_u8(0xff);
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl ObjectVersion {
    /// Parses a version.
    ///
    /// # Errors
    ///
    /// Anything but 32 hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, InvalidObjectVersion> {
        let is_valid = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_valid
            .then(|| Self(text.to_ascii_lowercase().into()))
            .ok_or(InvalidObjectVersion)
    }

    /// The version in lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ObjectVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl VaultUrl {
    /// Parses an address.
    ///
    /// # Errors
    ///
    /// Another scheme, a user, a path, a query or a fragment.
    pub fn parse(text: &str) -> Result<Self, InvalidVaultUrl> {
        let url = Url::parse(text.trim()).map_err(|_| InvalidVaultUrl)?;
        let is_valid = url.scheme() == "https"
            && url.host_str().is_some_and(|host| !host.is_empty())
            && url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        is_valid.then_some(Self(url)).ok_or(InvalidVaultUrl)
    }

    /// The address of the vault called `name` in the public cloud.
    ///
    /// # Errors
    ///
    /// A name that cannot be the first label of a host.
    pub fn of_public_vault(name: &str) -> Result<Self, InvalidVaultUrl> {
        let is_label = (1..=63).contains(&name.len())
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_label {
            return Err(InvalidVaultUrl);
        }
        Self::parse(&format!("https://{name}.vault.azure.net"))
    }

    /// `https://HOST/`, with the port if it is not 443.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Host and, if it is not 443, port.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.0.authority()
    }

    /// The host alone.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// What `az keyvault --vault-name` takes, if the vault is one of Azure's.
    #[must_use]
    pub fn azure_name(&self) -> Option<&str> {
        on_azure(self.host()).map(|(name, _)| name)
    }

    /// The private DNS zone of vaults in the vault's cloud, if the vault is one of Azure's.
    #[must_use]
    pub fn private_zone(&self) -> Option<&'static str> {
        on_azure(self.host()).map(|(_, zone)| zone)
    }

    /// The name that a vault of Azure's has if it has a private endpoint. The vault's own name is
    /// an alias of it then.
    #[must_use]
    pub fn private_link_name(&self) -> Option<String> {
        on_azure(self.host()).map(|(name, zone)| format!("{name}.{zone}"))
    }

    /// Whether `url` points at this vault.
    #[must_use]
    pub fn is_origin_of(&self, url: &Url) -> bool {
        self.0.origin() == url.origin()
    }

    /// Whether the vault runs on this machine, as an emulator does.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(self.host())
    }

    /// The cloud in whose domain the vault is; a name of one's own tells none.
    #[must_use]
    pub fn cloud(&self) -> Option<Cloud> {
        let mut domains = DOMAINS.into_iter();
        let found = domains.find(|(domain, ..)| self.host().ends_with(domain));
        found.map(|(_, _, cloud)| cloud)
    }
}

/// Whether the host of a URL is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    host == "localhost" || literal(host).is_some_and(|address| address.is_loopback())
}

/// Whether a resource of Azure may have `byte` in its name. None of them does harm in a command, in
/// quotes.
pub(crate) fn is_of_resource_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'(' | b')')
}

/// One of Azure's clouds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cloud {
    /// The public one.
    Public,
    /// China's.
    China,
    /// The US Government's.
    Government,
}

/// The domains of vaults in Azure's clouds, and the private DNS zone of each.
/// Source: Azure documentation, "Azure Private Endpoint private DNS zone values".
const DOMAINS: [(&str, &str, Cloud); 3] = [
    (
        ".vault.azure.net",
        "privatelink.vaultcore.azure.net",
        Cloud::Public,
    ),
    (
        ".vault.azure.cn",
        "privatelink.vaultcore.azure.cn",
        Cloud::China,
    ),
    (
        ".vault.usgovcloudapi.net",
        "privatelink.vaultcore.usgovcloudapi.net",
        Cloud::Government,
    ),
];

/// The name of the vault that Azure serves at `host`, in any of its clouds, and its private zone.
fn on_azure(host: &str) -> Option<(&str, &'static str)> {
    DOMAINS
        .into_iter()
        .find_map(|(domain, zone, _)| Some((host.strip_suffix(domain)?, zone)))
        .filter(|(name, _)| name.starts_with(|c: char| c.is_ascii_alphanumeric()))
        .filter(|(name, _)| !name.contains('.'))
}

impl fmt::Display for VaultUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}/{version}", self.name),
            None => self.name.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_never_leave_its_path_segment() {
        for text in ["ExternalApiKey", "a", "0-9", &"x".repeat(127)] {
            assert!(ObjectName::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "../keys/k",
            "..",
            "a/b",
            "a b",
            "a_b",
            "ä",
            "%2e",
            "a?b",
            "{secret-version}",
            "a\n",
            &"x".repeat(128),
        ] {
            assert!(ObjectName::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_compare_as_key_vault_compares_them() {
        let hash = |text: &str| {
            use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
            BuildHasherDefault::<DefaultHasher>::new()
                .hash_one(ObjectName::parse(text).expect(text))
        };
        let name = |text| ObjectName::parse(text).expect("a name");
        assert_eq!(name("ApiKey"), name("apikey"));
        assert_eq!(hash("ApiKey"), hash("APIKEY"));
        assert_ne!(name("ApiKey"), name("ApiKey2"));
        assert_eq!(name("ApiKey").as_str(), "ApiKey");
    }

    #[test]
    fn a_version_is_32_hexadecimal_digits() {
        let version = ObjectVersion::parse("86126C1A06244D778606E003C7E7CB34").expect("valid");
        assert_eq!(version.as_str(), "86126c1a06244d778606e003c7e7cb34");
        for text in [
            "",
            "abc123def456",
            "86126c1a06244d778606e003c7e7cb3g",
            "versions",
        ] {
            assert!(ObjectVersion::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_is_https_and_a_host() {
        for text in [
            "https://your-kv.vault.azure.net/",
            "https://your-kv.vault.azure.net",
            " https://your-kv.vault.azure.cn ",
            "https://localhost:8443",
        ] {
            assert!(VaultUrl::parse(text).is_ok(), "{text}");
        }
        for text in [
            "",
            "your-kv",
            "http://your-kv.vault.azure.net",
            "https://h/secrets",
            "https://h?x=1",
            "https://user@h",
            "https://h/#f",
            "https://",
            "embedded",
        ] {
            assert!(VaultUrl::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_tells_its_vault() {
        let url = VaultUrl::of_public_vault("your-kv").expect("valid");
        assert_eq!(url.as_str(), "https://your-kv.vault.azure.net/");
        assert_eq!(
            (url.host(), url.azure_name()),
            ("your-kv.vault.azure.net", Some("your-kv"))
        );
        let own = VaultUrl::parse("https://127.0.0.1:8443").expect("valid");
        assert_eq!((own.host(), own.azure_name()), ("127.0.0.1", None));
        assert!(VaultUrl::of_public_vault("a.evil.example/").is_err());
        assert!(!url.is_loopback());
        for text in [
            "https://localhost:1",
            "https://127.0.0.1",
            "https://[::1]:1",
        ] {
            assert!(VaultUrl::parse(text).expect(text).is_loopback(), "{text}");
        }
        assert!(
            !VaultUrl::parse("https://127.0.0.1.example")
                .expect("valid")
                .is_loopback()
        );
    }
}
