//! Whether the platform is asked to resolve references again, and where.

use super::{names, reader::Reader, vault::VaultSetting};
use crate::management::{ManagementUrl, SiteId};

/// Where the platform is asked, and what it calls the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshSetting {
    /// Azure Resource Manager, or a stand-in.
    pub url: ManagementUrl,
    /// The app, or one of its slots.
    pub site: SiteId,
}

impl Reader<'_> {
    pub(super) fn rotation(&mut self, vault: &VaultSetting) -> Option<RefreshSetting> {
        let url = self.management_url(vault);
        let name = names::ROTATION_REFRESH;
        match self.text(name).map(|text| text.trim().to_ascii_lowercase()) {
            None => return None,
            Some(word) if word == "off" => return None,
            Some(word) if word == "on" => {}
            Some(_) => {
                self.refuse(name, "an unknown word", "on or off");
                return None;
            }
        }
        let site = self.site_id();
        if site.is_none() {
            let found =
                "on, and the app's own id is not known (WEBSITE_OWNER_NAME, WEBSITE_SITE_NAME)";
            self.refuse(name, found, "off, where no platform resolves references");
        }
        Some(RefreshSetting {
            url: url?,
            site: site?,
        })
    }

    fn management_url(&mut self, vault: &VaultSetting) -> Option<ManagementUrl> {
        let name = names::AZURE_RESOURCE_MANAGER_URL;
        let Some(text) = self.text(name) else {
            let vault = match vault {
                VaultSetting::NotSet => None,
                #[cfg(feature = "dev-vault")]
                VaultSetting::Embedded(_) => None,
                VaultSetting::Url(url) => Some(url),
            };
            return ManagementUrl::of_vault(vault);
        };
        let url = ManagementUrl::parse(text);
        if url.is_none() {
            let found = "text that is not the address of a known cloud's Resource Manager";
            let expected = "https://management.azure.com, .chinacloudapi.cn or .usgovcloudapi.net, or an address on this machine";
            self.refuse_or(name, found, expected, ", or remove it");
        }
        url
    }

    fn site_id(&self) -> Option<SiteId> {
        let owner = self.text(names::WEBSITE_OWNER_NAME)?;
        let (subscription, _) = owner.split_once('+')?;
        let slot = self.text(names::WEBSITE_SLOT_NAME);
        let slot = slot.filter(|slot| !slot.eq_ignore_ascii_case("production"));
        let name = self.text(names::WEBSITE_SITE_NAME)?;
        SiteId::new(subscription, self.resource_group()?, name, slot)
    }
}
