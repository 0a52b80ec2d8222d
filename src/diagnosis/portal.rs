//! Links into the Azure portal. They hold ids of subscriptions and tenants, so only admins get one.

use super::function_app::Surroundings;
use crate::key_vault::{ObjectKind, VaultUrl, names::Cloud};

/// Source: Azure documentation, "Azure Government" and "Azure China: endpoints".
fn portal_of(cloud: Cloud) -> &'static str {
    match cloud {
        Cloud::Public => "https://portal.azure.com",
        Cloud::China => "https://portal.azure.cn",
        Cloud::Government => "https://portal.azure.us",
    }
}

/// A place in the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalLink {
    /// What is there.
    pub text: String,
    /// Where it is.
    pub address: String,
}

impl Surroundings {
    /// Where the object called `name` is, with all its versions; the vaults, if it has no name. No
    /// link leads to the vault itself: its subscription and its group are not known.
    #[must_use]
    pub fn vault_in_portal(
        &self,
        vault: &VaultUrl,
        kind: ObjectKind,
        name: Option<&str>,
    ) -> Option<PortalLink> {
        let portal = self.portal(vault)?;
        let Some(name) = name else {
            return Some(PortalLink {
                text: "your key vaults".to_owned(),
                address: format!("{portal}browse/Microsoft.KeyVault%2Fvaults"),
            });
        };
        let page = match kind {
            ObjectKind::Secret => "Secret",
            ObjectKind::Key => "Key",
            ObjectKind::Certificate => "Certificate",
        };
        let (host, collection) = (vault.host(), kind.collection());
        Some(PortalLink {
            text: format!("the {kind} {name}"),
            address: format!(
                "{portal}asset/Microsoft_Azure_KeyVault/{page}/https://{host}/{collection}/{name}"
            ),
        })
    }

    /// Where the app's settings are. An app and the vaults that it reads are in one cloud, so
    /// `vault` tells which portal has them.
    #[must_use]
    pub fn settings_in_portal(&self, vault: &VaultUrl) -> Option<PortalLink> {
        let portal = self.portal(vault).filter(|_| self.is_on_azure())?;
        let app = self.app.resource_id()?;
        Some(PortalLink {
            text: format!("the settings of {}", self.app.title()?),
            address: format!("{portal}resource{app}/environmentVariablesAppSettings"),
        })
    }

    /// The portal of the cloud of `vault`, in the identity's tenant if that is known. Nothing where
    /// the vault is not one of Azure's, or the reader is no admin.
    fn portal(&self, vault: &VaultUrl) -> Option<String> {
        let is_stand_in = self.has_embedded_vault()
            || self
                .dev_vault
                .as_ref()
                .is_some_and(|dev| dev.alias == *vault);
        if !self.is_for_admins || is_stand_in || vault.azure_name().is_none() {
            return None;
        }
        let portal = portal_of(vault.cloud()?);
        let tenant = self.principal.as_ref().and_then(|one| one.tenant.as_ref());
        let tenant = tenant.map_or_else(String::new, |tenant| format!("@{tenant}/"));
        Some(format!("{portal}/#{tenant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::{FunctionApp, RunsIn};

    fn app(slot: Option<&str>) -> Surroundings {
        let app = FunctionApp::new(Some("func-a"), Some("rg-a"), slot, None);
        Surroundings {
            app: app.in_subscription(Some("sub-a")),
            ..Surroundings::default()
        }
    }

    fn vault(text: &str) -> VaultUrl {
        VaultUrl::parse(text).expect("an address")
    }

    #[test]
    fn an_admin_gets_links_in_the_vaults_cloud() {
        let admin = app(Some("staging")).for_admins(None);
        let settings = |address| {
            let link = admin.settings_in_portal(&vault(address))?;
            Some((link.text, link.address))
        };
        assert_eq!(
            settings("https://your-kv.vault.azure.net"),
            Some((
                "the settings of func-a, slot staging".to_owned(),
                "https://portal.azure.com/#resource/subscriptions/sub-a/resourceGroups/rg-a/providers/Microsoft.Web/sites/func-a/slots/staging/environmentVariablesAppSettings".to_owned()
            ))
        );
        let government = vault("https://your-kv.vault.usgovcloudapi.net");
        let of = |name| {
            let link = admin.vault_in_portal(&government, ObjectKind::Certificate, name);
            link.map(|link| link.address)
        };
        assert_eq!(
            of(Some("Web")).as_deref(),
            Some(
                "https://portal.azure.us/#asset/Microsoft_Azure_KeyVault/Certificate/https://your-kv.vault.usgovcloudapi.net/certificates/Web"
            )
        );
        assert_eq!(
            of(None).as_deref(),
            Some("https://portal.azure.us/#browse/Microsoft.KeyVault%2Fvaults")
        );
        for elsewhere in ["https://127.0.0.1:8443", "https://vault.example"] {
            assert_eq!(settings(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn nobody_else_gets_one_and_no_stand_in_has_one() {
        let kv = vault("https://your-kv.vault.azure.net");
        assert_eq!(app(None).settings_in_portal(&kv), None);
        let of_secret =
            |one: &Surroundings| one.vault_in_portal(&kv, ObjectKind::Secret, Some("A"));
        assert_eq!(of_secret(&app(None)), None);
        let embedded = Surroundings {
            runs_in: RunsIn::Embedded(kv.clone()),
            ..app(None).for_admins(None)
        };
        assert_eq!(of_secret(&embedded), None);
        let local = Surroundings {
            runs_in: RunsIn::Local,
            ..app(None).for_admins(None)
        };
        assert_eq!(local.settings_in_portal(&kv), None);
        assert!(of_secret(&local).is_some());
    }
}
