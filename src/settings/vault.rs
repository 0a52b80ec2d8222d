//! The vault whose secrets are described, and whom to trust when it answers.

use super::{names, reader::Reader};
#[cfg(feature = "dev-vault")]
use crate::dev_vault::DevVault;
use crate::key_vault::{VaultUrl, tls::OwnCa};

/// `KEY_VAULT_URL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VaultSetting {
    /// There is none, or none that can be used: `secrets-metadata` says so when it is called.
    NotSet,
    /// The vault inside this process, at this address.
    #[cfg(feature = "dev-vault")]
    Embedded(VaultUrl),
    /// A vault.
    Url(VaultUrl),
}

impl Reader<'_> {
    pub(super) fn vault(&mut self) -> VaultSetting {
        let Some(text) = self.text(names::KEY_VAULT_URL) else {
            return VaultSetting::NotSet;
        };
        if text.trim().eq_ignore_ascii_case("embedded") {
            return self.embedded();
        }
        if let Ok(url) = VaultUrl::parse(text) {
            return VaultSetting::Url(url);
        }
        let expected = "https://NAME.vault.azure.net, without a path";
        let found = "text that is not a vault's address";
        self.refuse(names::KEY_VAULT_URL, found, expected);
        VaultSetting::NotSet
    }

    #[cfg(feature = "dev-vault")]
    #[expect(clippy::unused_self, reason = "without the feature, it reports")]
    fn embedded(&mut self) -> VaultSetting {
        DevVault::url().map_or(VaultSetting::NotSet, VaultSetting::Embedded)
    }

    #[cfg(not(feature = "dev-vault"))]
    fn embedded(&mut self) -> VaultSetting {
        let found = "the word embedded, and no such vault in this build";
        let expected = "https://NAME.vault.azure.net";
        let otherwise = ", or build with the feature dev-vault";
        self.refuse_or(names::KEY_VAULT_URL, found, expected, otherwise);
        VaultSetting::NotSet
    }

    pub(super) fn own_ca(&mut self) -> Option<OwnCa> {
        let name = names::KEY_VAULT_CA_FILE;
        let file = self.text(name)?;
        let expected = "the path of a PEM file with certificates";
        let Ok(pem) = std::fs::read(file) else {
            let found = "the path of a file that cannot be read";
            self.refuse_or(name, found, expected, ", or remove it");
            return None;
        };
        let own_ca = OwnCa::from_pem(&pem).ok();
        if own_ca.is_none() {
            let found = "the path of a file without a PEM certificate";
            self.refuse_or(name, found, expected, ", or remove it");
        }
        own_ca
    }
}
