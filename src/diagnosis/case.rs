//! A subject in the place where the handler runs: what its vault is called there, and in which
//! words it is explained. The families of causes add their words, `commands` the commands.

use std::time::Duration;

use time::OffsetDateTime;

use super::{Fix, Subject, function_app::Surroundings};
use crate::key_vault::VaultUrl;

/// What a caller is asked to wait when the vault does not say.
const WAIT: Duration = Duration::from_secs(10);
/// The longest wait that is passed on.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// One subject where the handler runs.
pub(super) struct Case<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) surroundings: &'a Surroundings,
    pub(super) now: OffsetDateTime,
}

impl Case<'_> {
    /// What a person calls the vault.
    pub(super) fn vault(&self) -> String {
        match self.azure_name() {
            Some(name) => format!("the vault {name}"),
            None if self.is_embedded() => "the embedded vault".to_owned(),
            None if self.is_dev_vault() => "the dev vault".to_owned(),
            None => format!("the vault at {}", self.host()),
        }
    }

    /// The same at the start of a sentence.
    pub(super) fn vault_first(&self) -> String {
        self.vault().replacen('t', "T", 1)
    }

    /// The object's name; empty where all of a kind are meant.
    pub(super) fn name(&self) -> &str {
        self.subject.name.unwrap_or_default()
    }

    /// The object as a person calls it: "the secret Ab".
    pub(super) fn object(&self) -> String {
        format!("the {} {}", self.subject.kind, self.name())
    }

    /// The same at the start of a sentence.
    pub(super) fn object_first(&self) -> String {
        self.object().replacen('t', "T", 1)
    }

    /// Whether what a vault has is listed, and not one object asked for by name.
    pub(super) fn is_list(&self) -> bool {
        self.subject.name.is_none()
    }

    /// Where the vault is asked: host and, if it is not 443, port.
    pub(super) fn host(&self) -> &str {
        self.asked().map_or("", VaultUrl::authority)
    }

    /// The vault's host alone, which is what a name server is asked for.
    pub(super) fn name_in_dns(&self) -> &str {
        self.asked().map_or("", VaultUrl::host)
    }

    fn asked(&self) -> Option<&VaultUrl> {
        let vault = self.subject.vault;
        match &self.surroundings.dev_vault {
            Some(dev_vault) if vault == Some(&dev_vault.alias) => Some(&dev_vault.real),
            _ => vault,
        }
    }

    /// The setting that says where the vault is.
    pub(super) fn where_it_is_set(&self) -> &str {
        if self.is_dev_vault() {
            "KEY_VAULT_URL"
        } else {
            self.subject.named.setting()
        }
    }

    /// What `az keyvault` calls the vault. An emulator or the embedded vault has no such name.
    pub(super) fn azure_name(&self) -> Option<&str> {
        let vault = self.subject.vault?;
        if self.is_embedded() || self.is_dev_vault() {
            return None;
        }
        vault.azure_name()
    }

    pub(super) fn is_embedded(&self) -> bool {
        let vault = self.subject.vault;
        vault.is_some_and(|vault| self.surroundings.is_embedded(vault))
    }

    pub(super) fn is_dev_vault(&self) -> bool {
        let alias = self.surroundings.dev_vault.as_ref().map(|one| &one.alias);
        self.subject.vault.is_some() && self.subject.vault == alias
    }

    pub(super) fn is_on_azure(&self) -> bool {
        self.surroundings.is_on_azure()
    }

    /// Whether the settings that are explained are kept on Azure.
    pub(super) fn settings_are_on_azure(&self) -> bool {
        self.is_on_azure() || self.surroundings.checks_an_app
    }

    /// Whether the platform resolves what is explained, with an identity of its own.
    pub(super) fn is_platforms(&self) -> bool {
        self.is_on_azure() && self.subject.named.is_reference() && !self.is_list()
    }

    pub(super) fn is_local_vault(&self) -> bool {
        self.asked().is_some_and(VaultUrl::is_loopback)
    }
}

/// An explanation without its code, which the cause has.
pub(super) struct Words {
    pub(super) detail: String,
    pub(super) fix: Fix,
    pub(super) retry_after: Option<Duration>,
}

impl Words {
    pub(super) fn new(detail: impl Into<String>, fix: Fix) -> Self {
        Self {
            detail: detail.into(),
            fix,
            retry_after: None,
        }
    }

    pub(super) fn without_command(detail: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self::new(detail, Fix::without_command(sentence))
    }

    /// It passes by itself, after `wait` if the vault said so.
    pub(super) fn passing(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = Some(wait.unwrap_or(WAIT).min(LONGEST_WAIT));
        self
    }
}
