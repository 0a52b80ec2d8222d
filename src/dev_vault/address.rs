//! What the embedded vault is called.

use crate::key_vault::VaultUrl;

/// Its name in references: `VaultName=embedded`.
pub(super) const VAULT_NAME: &str = "embedded";

/// Where it is, as far as the SDK knows.
pub(super) fn url() -> Option<VaultUrl> {
    VaultUrl::of_public_vault(VAULT_NAME).ok()
}
