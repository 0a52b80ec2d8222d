//! What could sign in to a vault.

use std::path::PathBuf;

use super::{names, reader::Reader};
use crate::key_vault::{
    VaultUrl,
    credential::{CredentialFilter, CredentialSettings},
};

impl Reader<'_> {
    pub(super) fn credential(&mut self) -> CredentialSettings {
        let name = names::AZURE_TOKEN_CREDENTIALS;
        let filter = self.text(name).map(CredentialFilter::parse);
        if filter == Some(None) {
            let words = CredentialFilter::WORDS.map(|(word, _)| word).join(", ");
            let (found, expected) = (
                "a word that this handler does not support",
                format!("one of {words}"),
            );
            self.refuse_or(name, found, expected, ", or remove it");
        }
        let authority = names::AZURE_AUTHORITY_HOST;
        if self
            .text(authority)
            .is_some_and(|text| VaultUrl::parse(text).is_err())
        {
            let found = "text that is not an https address";
            let expected = "https://HOST of the cloud's Entra ID";
            self.refuse_or(authority, found, expected, ", or remove it");
        }
        let owned = |name| self.text(name).map(str::to_owned);
        let in_process = |name| self.environment.get_from_process(name).is_some();
        CredentialSettings {
            filter: filter.flatten(),
            tenant_id: owned(names::AZURE_TENANT_ID),
            client_id: owned(names::AZURE_CLIENT_ID),
            client_secret: owned(names::AZURE_CLIENT_SECRET).map(Into::into),
            federated_token_file: owned(names::AZURE_FEDERATED_TOKEN_FILE).map(PathBuf::from),
            // From local.settings.json they would not reach the SDK, which would then turn to
            // the virtual machine's endpoint and wait for minutes.
            has_identity_endpoint: in_process(names::IDENTITY_ENDPOINT)
                && in_process(names::IDENTITY_HEADER),
            is_on_azure: self.is_on_azure(),
        }
    }
}
