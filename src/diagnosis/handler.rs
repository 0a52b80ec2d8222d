//! What the handler lacks itself: settings, and its own limits.

use std::time::Duration;

use super::{
    Fix,
    case::{Case, Words},
};
use crate::key_vault::error::SettingError;

impl Case<'_> {
    pub(super) fn no_vault(&self) -> Words {
        Words::new(
            "The app setting KEY_VAULT_URL is not set.",
            self.set_app_setting("KEY_VAULT_URL", "<vault-url>"),
        )
    }

    pub(super) fn wrong_setting(&self, wrong: &SettingError) -> Words {
        let SettingError {
            name,
            found,
            expected,
            is_reference,
            ..
        } = wrong;
        let is_about_a_reference = self.subject.named.is_reference();
        let detail = if is_about_a_reference {
            format!("The handler cannot check this reference: it needs {name}, which is {found}.")
        } else {
            format!("The setting {name} is {found}. The handler needs it to read a vault.")
        };
        let fix = match (is_about_a_reference, self.is_on_azure()) {
            (true, true) => Fix::with(
                "See what the platform says about it with",
                self.platforms_reason(),
            ),
            (false, true) if *is_reference => Fix::without_command(format!(
                "See the entry of {name} in config-check, or set the value itself."
            )),
            (false, true) => Fix::with(
                format!("Give {expected}. Set it with"),
                self.set_to_a_value(name),
            ),
            (_, false) => {
                Fix::without_command(format!("In local.settings.json, set {name} to {expected}."))
            }
        };
        Words::new(detail, fix)
    }

    pub(super) fn budget_spent(retry_after: Duration) -> Words {
        Words::without_command(
            "This instance has sent as many requests to vaults as it may (400 in 10 s).", "Wait. If this happens often, ask for fewer secrets at a time, or raise SECRET_CACHE_TTL_SECONDS. A secret with many versions takes a request for each 25 of them.")
        .passing(Some(retry_after))
    }

    pub(super) fn too_many_vaults(&self) -> Words {
        Words::new(
            "The app's settings name more vaults than the handler reads (64). This vault is one too many.",
            if self.is_on_azure() {
                Fix::with(
                    "The platform has no such limit. See what it says about this reference with",
                    self.platforms_reason(),
                )
            } else {
                Fix::without_command("Use fewer vaults in local.settings.json.")
            },
        )
    }

    pub(super) fn no_certificate_authorities(&self) -> Words {
        Words::without_command(
            "This machine has no certificate authorities to check the vault's certificate with.",
            if self.is_on_azure() {
                "Put a PEM file of authorities into the package, and name it in SSL_CERT_FILE."
            } else {
                "Install the package ca-certificates, or correct SSL_CERT_FILE and SSL_CERT_DIR."
            },
        )
    }
}
