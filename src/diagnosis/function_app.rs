//! What is known about the Function App that is diagnosed, and about where the handler runs.

use crate::key_vault::{Principal, VaultUrl};

/// Where the handler runs, for which app, and as whom it signs in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Where the handler runs.
    pub runs_in: RunsIn,
    /// The app whose settings are looked at.
    pub app: FunctionApp,
    /// As whom the handler signs in to vaults.
    pub identity: Identity,
    /// Whether `IDENTITY_ENDPOINT` says where managed identities sign in.
    pub has_identity_endpoint: bool,
    /// The settings that are explained are those of an app on Azure, although this runs elsewhere.
    pub checks_an_app: bool,
    /// Where `handler dev-vault` stands in for a vault on Azure.
    pub dev_vault: Option<DevVaultAlias>,
    /// Whether ids of identities and resources, and addresses, may be shown.
    pub is_for_admins: bool,
    /// Whose token it is, where that may be shown and is known.
    pub principal: Option<Principal>,
}

/// The dev vault of this machine, and the address under which references know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DevVaultAlias {
    /// The address in references.
    pub alias: VaultUrl,
    /// Where it listens.
    pub real: VaultUrl,
}

/// Where the handler runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum RunsIn {
    /// In a Function App on Azure, whose platform resolves references.
    #[default]
    Azure,
    /// On a developer's machine, under Core Tools or standalone. Settings come from
    /// `local.settings.json`, and the handler resolves references.
    Local,
    /// The same, and the only vault is the one inside this process, at this address.
    Embedded(VaultUrl),
}

/// As whom the handler signs in to vaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Identity {
    /// The app's own managed identity.
    #[default]
    SystemAssigned,
    /// A managed identity that `AZURE_CLIENT_ID` names by its client id.
    UserAssigned(String),
    /// An application in Entra ID, by its client id.
    Application(String),
    /// Whoever is signed in with `az` or `azd`.
    Developer,
}

/// The Function App that is diagnosed. A name is kept only if a shell cannot take it for more
/// than a name, since it is printed in commands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FunctionApp {
    name: Option<String>,
    resource_group: Option<String>,
    slot: Option<String>,
    plan: Option<Plan>,
    subscription: Option<String>,
}

/// What the app pays for, as far as it decides which network features it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// Joins networks; its subnet is delegated to `Microsoft.App/environments`.
    FlexConsumption,
    /// Cannot join a network.
    Consumption,
    /// Elastic Premium or Dedicated: joins networks; its subnet is delegated to
    /// `Microsoft.Web/serverFarms`.
    Dedicated,
}

impl Surroundings {
    /// Whether the platform resolves references here, and app settings come from it.
    #[must_use]
    pub fn is_on_azure(&self) -> bool {
        self.runs_in == RunsIn::Azure
    }

    /// The same for who may know ids, once the handler signs in as `principal`.
    #[must_use]
    pub fn for_admins(&self, principal: Option<Principal>) -> Self {
        Self {
            is_for_admins: true,
            principal,
            ..self.clone()
        }
    }

    /// Whether the only vault is the one inside this process.
    #[must_use]
    pub fn has_embedded_vault(&self) -> bool {
        matches!(self.runs_in, RunsIn::Embedded(_))
    }

    /// Whether `vault` is the one inside this process.
    #[must_use]
    pub fn is_embedded(&self, vault: &VaultUrl) -> bool {
        matches!(&self.runs_in, RunsIn::Embedded(embedded) if embedded == vault)
    }
}

impl FunctionApp {
    /// An app as the platform names it. The slot `Production` is no slot for `az`.
    #[must_use]
    pub fn new(
        name: Option<&str>,
        resource_group: Option<&str>,
        slot: Option<&str>,
        plan: Option<Plan>,
    ) -> Self {
        let harmless =
            |text: Option<&str>| text.filter(|text| is_harmless(text)).map(str::to_owned);
        Self {
            name: harmless(name),
            resource_group: harmless(resource_group),
            slot: harmless(slot).filter(|slot| !slot.eq_ignore_ascii_case("production")),
            plan,
            subscription: None,
        }
    }

    /// The same app, with the id of its subscription, which only admins are shown.
    #[must_use]
    pub fn in_subscription(self, id: Option<&str>) -> Self {
        let subscription = id.filter(|id| is_harmless(id)).map(str::to_owned);
        Self {
            subscription,
            ..self
        }
    }

    /// What the app pays for, if that is known.
    #[must_use]
    pub fn plan(&self) -> Option<Plan> {
        self.plan
    }

    /// `--name … --resource-group …`, with the slot if it is one. What is not known is a
    /// placeholder that no shell takes for a name.
    #[must_use]
    pub fn options(&self) -> String {
        let (name, group) = (self.name(), self.resource_group());
        let slot = self.slot.as_ref();
        let slot = slot.map_or_else(String::new, |slot| format!(" --slot {slot}"));
        format!("--name {name} --resource-group {group}{slot}")
    }

    /// The resource's path for `az rest`, which fills in the subscription and the cloud.
    #[must_use]
    pub fn resource_path(&self) -> String {
        let (name, group) = (self.name(), self.resource_group());
        let slot = self.slot.as_ref();
        let slot = slot.map_or_else(String::new, |slot| format!("/slots/{slot}"));
        format!(
            "/subscriptions/{{subscriptionId}}/resourceGroups/{group}/providers/Microsoft.Web/sites/{name}{slot}"
        )
    }

    /// The app's name and its slot, as a person says them; nothing if the name is not known.
    #[must_use]
    pub fn title(&self) -> Option<String> {
        let name = self.name.as_deref()?;
        Some(match &self.slot {
            Some(slot) => format!("{name}, slot {slot}"),
            None => name.to_owned(),
        })
    }

    /// The same path in the app's own subscription, where every part of it is known.
    pub(super) fn resource_id(&self) -> Option<String> {
        let subscription = self.subscription.as_ref()?;
        let is_known = self.name.is_some() && self.resource_group.is_some();
        is_known.then(|| {
            self.resource_path()
                .replace("{subscriptionId}", subscription)
        })
    }

    fn name(&self) -> &str {
        self.name.as_deref().unwrap_or("<app>")
    }

    /// The app's resource group, or a placeholder.
    #[must_use]
    pub fn resource_group(&self) -> &str {
        self.resource_group.as_deref().unwrap_or("<group>")
    }
}

/// Whether a shell takes `text` for one word, and `az` for no option.
pub(super) fn is_harmless(text: &str) -> bool {
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
    fn a_slot_is_named_and_production_is_none() {
        let app = |slot| FunctionApp::new(Some("func-a"), Some("rg_b"), slot, None);
        let staging = app(Some("staging"));
        assert_eq!(
            staging.options(),
            "--name func-a --resource-group rg_b --slot staging"
        );
        assert!(
            staging
                .resource_path()
                .ends_with("/sites/func-a/slots/staging")
        );
        for production in [None, Some("Production"), Some("production")] {
            let app = app(production);
            assert_eq!(app.options(), "--name func-a --resource-group rg_b");
            assert!(app.resource_path().ends_with("/sites/func-a"));
        }
    }

    #[test]
    fn a_name_that_could_do_harm_in_a_shell_is_left_out() {
        for name in ["a;rm -rf /", "$(x)", "a b", "\"", "--x", "`x`", ""] {
            let app = FunctionApp::new(Some(name), Some(name), Some(name), None);
            assert_eq!(app.options(), "--name <app> --resource-group <group>");
        }
    }
}
