//! Where the handler runs, and for which Function App.

use super::{names, reader::Reader, vault::VaultSetting};
use crate::{
    diagnosis::{DevVaultAlias, FunctionApp, Identity, Plan, RunsIn, Surroundings},
    key_vault::credential::{ChosenCredential, CredentialSettings},
    references::Resolves,
};

impl Reader<'_> {
    /// Whether this is a Function App on Azure. `WEBSITE_INSTANCE_ID` alone does not tell: Flex
    /// Consumption and Linux Consumption do not set it. `CONTAINER_NAME` alone does not either:
    /// developers' containers have it.
    /// Source: the Functions host, `EnvironmentExtensions.cs`.
    pub(super) fn is_on_azure(&self) -> bool {
        let is_set = |name| self.text(name).is_some();
        let signs = [
            names::WEBSITE_INSTANCE_ID,
            names::WEBSITE_POD_NAME,
            names::LEGION_SERVICE_HOST,
            names::WEBSITE_SKU,
        ];
        signs.into_iter().any(is_set)
            || (is_set(names::CONTAINER_NAME) && is_set(names::WEBSITE_SITE_NAME))
    }

    /// Who resolves references. On Azure nothing makes the handler do it: it reads no value
    /// there, whatever the app's settings say.
    pub(super) fn resolves(&self) -> Resolves {
        let is_standalone = self.environment.host_port().is_none();
        let environment = self.text(names::AZURE_FUNCTIONS_ENVIRONMENT);
        let is_core_tools = self.text(names::FUNCTIONS_CORETOOLS_ENVIRONMENT).is_some()
            || environment.is_some_and(|e| e.eq_ignore_ascii_case("Development"));
        if !self.is_on_azure() && (is_standalone || is_core_tools) {
            Resolves::Handler
        } else {
            Resolves::Platform
        }
    }

    pub(super) fn surroundings(
        &self,
        credential: &CredentialSettings,
        vault: &VaultSetting,
    ) -> Surroundings {
        let runs_in = match (vault, self.resolves()) {
            #[cfg(feature = "dev-vault")]
            (VaultSetting::Embedded(url), _) if !self.is_on_azure() => {
                RunsIn::Embedded(url.clone())
            }
            (_, Resolves::Handler) => RunsIn::Local,
            // A host that does not say where it runs is taken for one of Azure's.
            (_, Resolves::Platform) => RunsIn::Azure,
        };
        // Which developer tool is there does not matter for who is signed in with it.
        let identity = match credential.choose(|_| false) {
            Some(ChosenCredential::ManagedIdentity { client_id: None }) => Identity::SystemAssigned,
            Some(ChosenCredential::ManagedIdentity {
                client_id: Some(id),
            }) => Identity::UserAssigned(id),
            Some(
                ChosenCredential::ClientSecret { client_id, .. }
                | ChosenCredential::WorkloadIdentity { client_id, .. },
            ) => Identity::Application(client_id),
            None if runs_in == RunsIn::Azure => Identity::SystemAssigned,
            Some(ChosenCredential::AzureCli | ChosenCredential::AzureDeveloperCli) | None => {
                Identity::Developer
            }
        };
        Surroundings {
            runs_in,
            app: self.function_app(),
            identity,
            has_identity_endpoint: credential.has_identity_endpoint,
            checks_an_app: false,
            dev_vault: dev_vault(vault),
            is_for_admins: false,
            principal: None,
        }
    }

    fn function_app(&self) -> FunctionApp {
        FunctionApp::new(
            self.text(names::WEBSITE_SITE_NAME),
            self.resource_group(),
            self.text(names::WEBSITE_SLOT_NAME),
            self.plan(),
        )
        .in_subscription(self.subscription())
    }

    /// The id in `SUBSCRIPTION+GROUP-REGIONwebspace[-Linux]`.
    pub(super) fn subscription(&self) -> Option<&str> {
        let owner = self.text(names::WEBSITE_OWNER_NAME)?;
        owner.split_once('+').map(|(subscription, _)| subscription)
    }

    pub(super) fn resource_group(&self) -> Option<&str> {
        let group = self.text(names::WEBSITE_RESOURCE_GROUP);
        let owner = self.text(names::WEBSITE_OWNER_NAME);
        group.or_else(|| owner.and_then(group_of_owner))
    }

    /// Source: the Functions host, `EnvironmentExtensions.cs`.
    fn plan(&self) -> Option<Plan> {
        let is_set = |name| self.text(name).is_some();
        let sku = self.text(names::WEBSITE_SKU);
        let is_sku = |name: &str| sku.is_some_and(|sku| sku.eq_ignore_ascii_case(name));
        let has_instance = is_set(names::WEBSITE_INSTANCE_ID);
        let is_flex = is_sku("FlexConsumption")
            || (!has_instance && is_set(names::LEGION_SERVICE_HOST) && sku.is_none());
        if is_flex {
            Some(Plan::FlexConsumption)
        } else if is_sku("Dynamic") || (!has_instance && is_set(names::CONTAINER_NAME)) {
            Some(Plan::Consumption)
        } else {
            has_instance.then_some(Plan::Dedicated)
        }
    }
}

/// With `KEY_VAULT_URL` on this machine, the embedded vault's name means that vault.
#[cfg(feature = "dev-vault")]
fn dev_vault(vault: &VaultSetting) -> Option<DevVaultAlias> {
    let VaultSetting::Url(real) = vault else {
        return None;
    };
    let alias = crate::dev_vault::DevVault::url().filter(|_| real.is_loopback())?;
    let real = real.clone();
    Some(DevVaultAlias { alias, real })
}

#[cfg(not(feature = "dev-vault"))]
fn dev_vault(_: &VaultSetting) -> Option<DevVaultAlias> {
    None
}

/// The resource group in `SUBSCRIPTION+GROUP-REGIONwebspace[-Linux]`.
fn group_of_owner(owner: &str) -> Option<&str> {
    let (_, rest) = owner.split_once('+')?;
    let rest = rest.strip_suffix("-Linux").unwrap_or(rest);
    let (group, region) = rest.rsplit_once('-')?;
    region.ends_with("webspace").then_some(group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Environment, Settings};

    const PORT: (&str, &str) = (names::FUNCTIONS_CUSTOMHANDLER_PORT, "8001");
    const DEVELOPMENT: (&str, &str) = (names::AZURE_FUNCTIONS_ENVIRONMENT, "Development");
    const CORE_TOOLS: (&str, &str) = (names::FUNCTIONS_CORETOOLS_ENVIRONMENT, "yes");

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        Settings::read(&Environment::of(pairs)).expect("valid")
    }

    #[test]
    fn each_plan_is_known_and_is_azure() {
        let site = (names::WEBSITE_SITE_NAME, "func-a");
        let instance = (names::WEBSITE_INSTANCE_ID, "i");
        let container = (names::CONTAINER_NAME, "c");
        let legion = (names::LEGION_SERVICE_HOST, "l");
        let pod = (names::WEBSITE_POD_NAME, "p");
        let sku = |sku| (names::WEBSITE_SKU, sku);
        for (pairs, plan) in [
            (vec![sku("FlexConsumption")], Some(Plan::FlexConsumption)),
            (vec![pod, legion], Some(Plan::FlexConsumption)),
            (vec![container, site], Some(Plan::Consumption)),
            (vec![instance, sku("Dynamic")], Some(Plan::Consumption)),
            (vec![instance, sku("ElasticPremium")], Some(Plan::Dedicated)),
            (vec![instance], Some(Plan::Dedicated)),
            (vec![pod], None),
        ] {
            // Whoever sets this on Azure must not make the handler read values.
            let pairs = [&pairs[..], &[PORT, DEVELOPMENT, CORE_TOOLS]].concat();
            let settings = settings(&pairs);
            assert_eq!(settings.resolves, Resolves::Platform, "{pairs:?}");
            assert_eq!(settings.surroundings.runs_in, RunsIn::Azure, "{pairs:?}");
            assert_eq!(settings.surroundings.app.plan(), plan, "{pairs:?}");
            assert!(settings.credential.is_on_azure, "{pairs:?}");
        }
    }

    #[test]
    fn a_developers_machine_is_not_azure() {
        let container = (names::CONTAINER_NAME, "devcontainer");
        for pairs in [
            vec![],
            vec![container],
            vec![PORT, DEVELOPMENT],
            vec![PORT, CORE_TOOLS],
        ] {
            let settings = settings(&pairs);
            assert_eq!(settings.resolves, Resolves::Handler, "{pairs:?}");
            assert_eq!(settings.surroundings.runs_in, RunsIn::Local, "{pairs:?}");
            assert_eq!(settings.surroundings.identity, Identity::Developer);
            assert!(!settings.credential.is_on_azure, "{pairs:?}");
        }
    }

    #[test]
    fn the_resource_group_is_found_in_either_variable() {
        let owner = |owner| {
            let pairs = [PORT, (names::WEBSITE_OWNER_NAME, owner)];
            settings(&pairs)
                .surroundings
                .app
                .resource_group()
                .to_owned()
        };
        assert_eq!(owner("0a1b+my-rg-EastUSwebspace-Linux"), "my-rg");
        assert_eq!(owner("0a1b+my-rg-EastUSwebspace"), "my-rg");
        assert_eq!(owner("0a1b"), "<group>");
        let both = [
            PORT,
            (names::WEBSITE_OWNER_NAME, "0a1b+other-EastUSwebspace"),
            (names::WEBSITE_RESOURCE_GROUP, "rg-a"),
        ];
        assert_eq!(settings(&both).surroundings.app.resource_group(), "rg-a");
    }
}
