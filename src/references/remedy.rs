//! The recipe's commands, with the names filled in: ready to be pasted.
//!
//! Names reach these commands only if they are harmless in a shell; otherwise the recipe's
//! placeholder stands in their place.

use std::fmt;

use serde::{Serialize, Serializer};

use super::syntax::Reference;
use crate::key_vault::VaultUrl;

/// What mends something: a sentence and, at its end, the command that does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fix {
    /// Ends where the command follows.
    pub sentence: String,
    /// To be pasted as it is.
    pub command: Option<String>,
}

impl Fix {
    /// "`sentence` `command`".
    #[must_use]
    pub fn with(sentence: impl Into<String>, command: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            command: Some(command.into()),
        }
    }

    /// A sentence alone.
    #[must_use]
    pub fn without_command(sentence: impl Into<String>) -> Self {
        Self {
            sentence: sentence.into(),
            command: None,
        }
    }
}

impl fmt::Display for Fix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)?;
        match &self.command {
            Some(command) => write!(f, " {command}"),
            None => Ok(()),
        }
    }
}

impl Serialize for Fix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What is known about the Function App that this handler runs in.
#[derive(Debug, Clone, Default)]
pub struct Site {
    app: Option<String>,
    resource_group: Option<String>,
    client_id: Option<String>,
    is_local: bool,
    embedded: Option<VaultUrl>,
}

impl Site {
    /// Outside Azure, where settings come from `local.settings.json`; with the address of the
    /// embedded vault if that is in use.
    #[must_use]
    pub fn local(embedded: Option<VaultUrl>) -> Self {
        Self {
            is_local: true,
            embedded,
            ..Self::default()
        }
    }

    /// On Azure: `app` and `resource_group` as the platform names them, and the `client_id` of
    /// a user-assigned identity.
    #[must_use]
    pub fn new(app: Option<&str>, resource_group: Option<&str>, client_id: Option<&str>) -> Self {
        let harmless =
            |text: Option<&str>| text.filter(|text| is_harmless(text)).map(str::to_owned);
        Self {
            app: harmless(app),
            resource_group: harmless(resource_group),
            client_id: harmless(client_id),
            is_local: false,
            embedded: None,
        }
    }

    /// Whether `authority` is that of the embedded vault.
    #[must_use]
    pub fn is_embedded(&self, authority: &str) -> bool {
        let embedded = self.embedded.as_ref();
        embedded.is_some_and(|vault| vault.authority() == authority)
    }

    /// Whether references may use another identity than this handler does: the handler has
    /// a user-assigned one, and references use the system-assigned one unless told otherwise.
    #[must_use]
    pub fn has_user_assigned_identity(&self) -> bool {
        self.client_id.is_some()
    }

    fn app(&self) -> String {
        let app = self.app.as_deref().unwrap_or("your-func");
        let group = self.resource_group.as_deref().unwrap_or("your-rg");
        format!("--name {app} --resource-group {group}")
    }

    /// Whether settings come from `local.settings.json`.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.is_local
    }

    /// Whether only the embedded vault is connected.
    #[must_use]
    pub fn has_embedded_vault(&self) -> bool {
        self.embedded.is_some()
    }

    /// Step 1 of the recipe; outside Azure, the developer's own identity.
    #[must_use]
    pub fn assign_identity(&self) -> String {
        if self.is_local {
            return "az login".to_owned();
        }
        format!("az functionapp identity assign {}", self.app())
    }

    fn object_id(&self) -> String {
        if self.is_local {
            return "$(az ad signed-in-user show --query id -o tsv)".to_owned();
        }
        match &self.client_id {
            Some(id) => format!("$(az ad sp show --id {id} --query id -o tsv)"),
            None => format!(
                "$(az functionapp identity show {} --query principalId -o tsv)",
                self.app()
            ),
        }
    }

    /// Step 3 of the recipe, for a vault with roles.
    #[must_use]
    pub fn grant_role(&self, vault: &str) -> String {
        format!(
            "az role assignment create --assignee \"{}\" --role \"Key Vault Secrets User\" --scope \"$(az keyvault show --name {vault} --query id -o tsv)\"",
            self.object_id()
        )
    }

    /// Step 3 of the recipe, for a vault with access policies.
    #[must_use]
    pub fn grant_policy(&self, vault: &str) -> String {
        format!(
            "az keyvault set-policy --name {vault} --object-id \"{}\" --secret-permissions get list",
            self.object_id()
        )
    }

    /// Lets the app's addresses through the vault's firewall.
    #[must_use]
    pub fn allow_network(&self, vault: &str) -> String {
        let addresses = if self.is_local {
            "<your-address>".to_owned()
        } else {
            // Flex Consumption has it one level deeper.
            format!(
                "$(az functionapp show {} --query \"possibleOutboundIpAddresses || properties.possibleOutboundIpAddresses\" -o tsv | tr , ' ')",
                self.app()
            )
        };
        format!("az keyvault network-rule add --name {vault} --ip-address {addresses}")
    }

    /// Step 4 of the recipe: sets `setting` to a reference that a person has to write. What is
    /// to be filled in is written so that a shell refuses it until it is.
    #[must_use]
    pub fn set_reference(&self, setting: &str) -> Fix {
        if self.is_local {
            return Fix::without_command(format!(
                "In local.settings.json, set {setting} to @Microsoft.KeyVault(VaultName=...;SecretName=...)"
            ));
        }
        let setting = if is_harmless(setting) {
            setting
        } else {
            "<setting>"
        };
        Fix::with(
            "Correct the reference, @Microsoft.KeyVault(VaultName=...;SecretName=...), and set it with",
            format!(
                "az functionapp config appsettings set {} --settings {setting}=<reference>",
                self.app()
            ),
        )
    }

    /// Sets `setting` to the reference that it has, in the documented spelling.
    #[must_use]
    pub fn respell(&self, setting: &str, reference: &Reference) -> Fix {
        if self.is_local || !is_harmless(setting) {
            return Fix::without_command(format!("Set {setting} to {reference}"));
        }
        Fix::with(
            "Write it as it is documented, with",
            format!(
                "az functionapp config appsettings set {} --settings \"{setting}={reference}\"",
                self.app()
            ),
        )
    }

    /// Tells the platform which identity references use.
    #[must_use]
    pub fn use_identity_for_references(&self) -> String {
        let id = self.client_id.as_deref().unwrap_or("<client-id>");
        // An empty id would take the property away.
        format!(
            "id=$(az identity list --query \"[?clientId=='{id}'].id\" -o tsv) && [ -n \"$id\" ] && az functionapp update {} --set keyVaultReferenceIdentity=\"$id\"",
            self.app()
        )
    }

    /// Makes whoever puts references into effect try again.
    #[must_use]
    pub fn refresh(&self) -> Fix {
        if self.is_local {
            return Fix::without_command("Wait a moment: the handler tries again by itself.");
        }
        let command = format!(
            "az rest --method post --url \"https://management.azure.com$(az functionapp show {} --query id -o tsv)/config/configreferences/appsettings/refresh?api-version=2022-03-01\"",
            self.app()
        );
        Fix::with("Make the platform try again with", command)
    }

    /// The recipe's last troubleshooting row.
    #[must_use]
    pub fn restart(&self) -> String {
        format!("az functionapp restart {}", self.app())
    }
}

/// Which secrets are there.
#[must_use]
pub fn list_secrets(vault: &str) -> String {
    format!("az keyvault secret list --vault-name {vault} --query \"[].name\" -o tsv")
}

/// Which versions of a secret are there.
#[must_use]
pub fn list_versions(vault: &str, secret: &str) -> String {
    format!(
        "az keyvault secret list-versions {} -o table",
        of_secret(vault, secret)
    )
}

/// Takes a deletion back.
#[must_use]
pub fn recover(vault: &str, secret: &str) -> String {
    format!("az keyvault secret recover {}", of_secret(vault, secret))
}

/// Changes the attributes of one version, of the latest if it is `None`; `change` is an
/// option of the command.
#[must_use]
pub fn set_attributes(vault: &str, secret: &str, version: Option<&str>, change: &str) -> String {
    let version = version.map(|version| format!(" --version {version}"));
    let version = version.unwrap_or_default();
    let secret = of_secret(vault, secret);
    format!("az keyvault secret set-attributes {secret}{version} {change}")
}

fn of_secret(vault: &str, secret: &str) -> String {
    // A name may begin with a hyphen, which would make it an option.
    let equals = if secret.starts_with('-') { '=' } else { ' ' };
    format!("--vault-name {vault} --name{equals}{secret}")
}

fn is_harmless(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in() {
        let site = Site::new(Some("func-a"), Some("rg_b"), None);
        assert_eq!(
            site.assign_identity(),
            "az functionapp identity assign --name func-a --resource-group rg_b"
        );
        assert!(
            site.grant_role("kv")
                .contains("--role \"Key Vault Secrets User\"")
        );
        assert!(site.grant_policy("kv").contains("principalId"));
        let user_assigned = Site::new(None, None, Some("0a1b-2c"));
        assert!(
            user_assigned
                .grant_policy("kv")
                .contains("az ad sp show --id 0a1b-2c")
        );
        assert!(
            user_assigned
                .restart()
                .contains("--name your-func --resource-group your-rg")
        );
    }

    #[test]
    fn a_name_that_could_do_harm_in_a_shell_is_left_out() {
        for name in ["a;rm -rf /", "$(x)", "a b", "\"", "--x", "`x`", ""] {
            let site = Site::new(Some(name), Some(name), Some(name));
            assert!(!site.has_user_assigned_identity(), "{name}");
            assert!(
                site.restart()
                    .ends_with("--name your-func --resource-group your-rg")
            );
            let command = site.set_reference(name).to_string();
            assert!(
                command.ends_with(" --settings <setting>=<reference>"),
                "{command}"
            );
        }
    }
}
