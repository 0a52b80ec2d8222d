//! What the embedded vault is called.

use super::caller::NOBODY;
use crate::key_vault::VaultUrl;

/// Its name in references: `VaultName=embedded`.
pub(super) const VAULT_NAME: &str = "embedded";

/// Where it is, as far as the SDK knows.
pub(super) fn url() -> Option<VaultUrl> {
    VaultUrl::of_public_vault(VAULT_NAME).ok()
}

/// Which resource it is, as if Azure had it.
pub(super) fn resource_id() -> String {
    let group = format!("/subscriptions/{NOBODY}/resourceGroups/rg-dev");
    format!("{group}/providers/Microsoft.KeyVault/vaults/{VAULT_NAME}")
}
