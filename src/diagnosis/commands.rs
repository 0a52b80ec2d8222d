//! The commands that do it, with the real names filled in.
//!
//! A command is one line with no pipe, no `&&` and no tool but `az`. What a person has to fill in
//! stands in `<angle brackets>`, which a shell refuses.

use time::{OffsetDateTime, format_description::FormatItem, macros::format_description};

use super::{
    Fix, Named,
    case::Case,
    function_app::{Identity, RunsIn, is_harmless},
};
use crate::key_vault::ObjectKind;

const APP_SETTINGS: &str = "az functionapp config appsettings";
/// What a person replaces by a time.
pub(super) const DATE: &str = "<yyyy-mm-dd>T00:00:00Z";
/// What a person replaces by a reference.
const FORM: &str = "@Microsoft.KeyVault(VaultName=...;SecretName=...)";

impl Case<'_> {
    pub(super) fn app(&self) -> String {
        self.surroundings.app.options()
    }

    /// Gives the app its system-assigned identity (step 1 of the recipe), or the user-assigned
    /// one that `AZURE_CLIENT_ID` names.
    pub(super) fn assign_identity(&self) -> String {
        let app = self.app();
        match &self.surroundings.identity {
            Identity::UserAssigned(id) if is_harmless(id) => format!(
                "az functionapp identity assign {app} --identities \"{}\"",
                resource_id_of(id)
            ),
            _ => format!("az functionapp identity assign {app}"),
        }
    }

    /// Sets an app setting on Azure. Not for secrets: a command line is kept in a history.
    pub(super) fn set_to_a_value(&self, name: &str) -> String {
        self.set_app_settings(&format!("{name}=<value>"))
    }

    fn set_app_settings(&self, pair: &str) -> String {
        format!("{APP_SETTINGS} set {} --settings {pair}", self.app())
    }

    /// Sets the setting that is explained, in the list that it is in.
    fn set_in_its_list(&self, pair: &str) -> String {
        match self.subject.named {
            Named::ConnectionString { kind, .. } => format!(
                "az webapp config connection-string set {} --connection-string-type {kind} --settings {pair}",
                self.app()
            ),
            Named::KeyVaultUrl | Named::Setting(_) => self.set_app_settings(pair),
        }
    }

    /// Sets an app setting to a value that a person has to fill in.
    pub(super) fn set_app_setting(&self, name: &str, value: &str) -> Fix {
        if self.is_on_azure() {
            let command = self.set_app_settings(&format!("{name}={value}"));
            Fix::with(format!("Set {name} with"), command)
        } else {
            Fix::without_command(format!(
                "Set {name} to {value} in local.settings.json, or in the environment."
            ))
        }
    }

    /// Removes an app setting.
    pub(super) fn remove_app_setting(&self, name: &str) -> String {
        format!(
            "{APP_SETTINGS} delete {} --setting-names {name}",
            self.app()
        )
    }

    /// Step 4 of the recipe: sets the setting to a reference that a person has to write.
    pub(super) fn correct_reference(&self) -> Fix {
        let setting = self.subject.named.setting();
        let (list, placeholder) = match self.subject.named {
            Named::ConnectionString { .. } => {
                ("ConnectionStrings of local.settings.json", "<name>")
            }
            Named::KeyVaultUrl | Named::Setting(_) => ("local.settings.json", "<setting>"),
        };
        if !self.settings_are_on_azure() {
            return Fix::without_command(format!("In {list}, set {setting} to {FORM}."));
        }
        let setting = harmless_or(setting, placeholder);
        Fix::with(
            format!("Correct the reference ({FORM}) and set it with"),
            self.set_in_its_list(&format!("{setting}=<reference-in-quotes>")),
        )
    }

    /// Sets the setting to `reference`, which is well-formed.
    pub(super) fn set_reference(&self, sentence: &str, reference: &str) -> Fix {
        match self.set_to(reference) {
            Some(command) => Fix::with(sentence, command),
            None => Fix::without_command(format!(
                "Set {} to {reference}",
                self.subject.named.setting()
            )),
        }
    }

    /// The command that sets the setting to `reference`, if a command can name the setting.
    pub(super) fn set_to(&self, reference: &str) -> Option<String> {
        let setting = self.subject.named.setting();
        (self.settings_are_on_azure() && is_harmless(setting))
            .then(|| self.set_in_its_list(&format!("\"{setting}={reference}\"")))
    }

    /// Which identity the platform resolves references with.
    pub(super) fn use_identity_for_references(&self, client_id: &str) -> String {
        format!(
            "az functionapp update {} --set keyVaultReferenceIdentity=\"{}\"",
            self.app(),
            resource_id_of(client_id)
        )
    }

    /// Makes the platform look at every reference again.
    pub(super) fn refresh(&self) -> String {
        if matches!(self.subject.named, Named::ConnectionString { .. }) {
            // The refresh call is documented for app settings alone.
            return self.touch_app_settings();
        }
        format!(
            "az rest --method post --url \"{}/config/configreferences/appsettings/refresh?api-version=2022-03-01\"",
            self.surroundings.app.resource_path()
        )
    }

    /// Changes a setting, for which the platform resolves every reference and starts the app again.
    pub(super) fn touch_app_settings(&self) -> String {
        let touched = format!("KEY_VAULT_REFERENCES_TOUCHED={}", iso(self.now));
        self.set_app_settings(&touched)
    }

    /// What the platform itself says about every reference of the app settings.
    pub(super) fn platforms_list(&self) -> String {
        format!(
            "az rest --method get --url \"{}/config/configreferences/appsettings?api-version=2022-03-01\"",
            self.surroundings.app.resource_path()
        )
    }

    /// What the platform itself says about the reference.
    pub(super) fn platforms_reason(&self) -> String {
        let (list, name) = match self.subject.named {
            Named::ConnectionString { name, .. } => ("connectionstrings", name),
            named => ("appsettings", named.setting()),
        };
        format!(
            "az rest --method get --url \"{}/config/configreferences/{list}/{}?api-version=2022-03-01\" --query properties",
            self.surroundings.app.resource_path(),
            harmless_or(name, "<setting>")
        )
    }

    /// Makes whoever resolves references try again.
    pub(super) fn try_again(&self) -> Fix {
        match self.surroundings.runs_in {
            RunsIn::Azure => Fix::with("Make the platform try again with", self.refresh()),
            RunsIn::Local | RunsIn::Embedded(_) => {
                Fix::without_command("Wait a moment. The handler tries again by itself.")
            }
        }
    }

    /// Which versions of the object are there.
    pub(super) fn list_versions(&self, vault: &str) -> String {
        format!(
            "az keyvault {} list-versions {} -o table",
            self.subject.kind,
            of_object(vault, self.name())
        )
    }

    /// Changes the attributes of the version, of the latest if none is given; `change` is an
    /// option of the command.
    pub(super) fn set_attributes(&self, vault: &str, change: &str) -> String {
        let version = self.subject.version;
        let version = version.map(|version| format!(" --version {version}"));
        format!(
            "az keyvault {} set-attributes {}{} {change}",
            self.subject.kind,
            of_object(vault, self.name()),
            version.unwrap_or_default()
        )
    }

    pub(super) fn allow_elsewhere(&self) -> Fix {
        Fix::without_command(format!(
            "Allow it in the configuration of what serves {}.",
            self.host()
        ))
    }

    /// A command for vaults on Azure; for others, `otherwise`.
    pub(super) fn for_azure(
        &self,
        sentence: &str,
        command: impl Fn(&str) -> String,
        otherwise: Fix,
    ) -> Fix {
        match self.azure_name() {
            Some(vault) => Fix::with(sentence, command(vault)),
            None => otherwise,
        }
    }

    /// The last row of the recipe's troubleshooting table.
    pub(super) fn restart(&self) -> String {
        format!("az functionapp restart {}", self.app())
    }
}

/// The resource id of a user-assigned identity.
fn resource_id_of(client_id: &str) -> String {
    format!("$({})", user_assigned(client_id, "id"))
}

/// Shows one property of a user-assigned identity.
pub(super) fn user_assigned(client_id: &str, property: &str) -> String {
    let client_id = harmless_or(client_id, "<client-id>");
    format!("az identity list --query \"[?clientId=='{client_id}'].{property}\" -o tsv")
}

/// The resource id of a vault.
pub(super) fn vault_id(vault: &str) -> String {
    format!("$(az keyvault show --name {vault} --query id -o tsv)")
}

pub(super) fn harmless_or<'a>(text: &'a str, placeholder: &'a str) -> &'a str {
    if is_harmless(text) { text } else { placeholder }
}

/// Which objects of a kind are there.
pub(super) fn list(vault: &str, kind: ObjectKind) -> String {
    format!("az keyvault {kind} list --vault-name {vault} --query \"[].name\" -o tsv")
}

/// Whether one version is there. Its value is not shown.
pub(super) fn show_version(vault: &str, secret: &str, version: &str) -> String {
    let secret = of_object(vault, secret);
    format!("az keyvault secret show {secret} --version {version} --query attributes")
}

/// Takes a deletion back.
pub(super) fn recover(vault: &str, secret: &str) -> String {
    format!("az keyvault secret recover {}", of_object(vault, secret))
}

/// Stores a new value, which is read from a file: a command line is kept in a history.
pub(super) fn set_secret(vault: &str, secret: &str) -> String {
    let secret = of_object(vault, secret);
    format!("az keyvault secret set {secret} --file <file> --expires {DATE}")
}

/// Makes a new version of a key, of the same type.
pub(super) fn rotate_key(vault: &str, key: &str) -> String {
    format!("az keyvault key rotate {}", of_object(vault, key))
}

/// How a certificate is made and renewed.
pub(super) fn show_policy(vault: &str, certificate: &str) -> String {
    let certificate = of_object(vault, certificate);
    format!("az keyvault certificate show {certificate} --query policy")
}

pub(super) fn of_object(vault: &str, name: &str) -> String {
    // A name may begin with a hyphen, which would make it an option.
    let equals = if name.starts_with('-') { '=' } else { ' ' };
    format!("--vault-name {vault} --name{equals}{name}")
}

/// A time as `az` takes it.
fn iso(time: OffsetDateTime) -> String {
    const FORMAT: &[FormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
    let time = time.to_offset(time::UtcOffset::UTC);
    time.format(FORMAT).unwrap_or_default()
}
