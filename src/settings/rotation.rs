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
        let name = names::ROTATION_REFRESH;
        if !self.switch(name, false) {
            return None;
        }
        let url = self.management_url(vault);
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
        let expected = "https://management.azure.com, .chinacloudapi.cn or .usgovcloudapi.net, or an address on this machine";
        if let Some(text) = self.text(name) {
            let url = ManagementUrl::parse(text);
            if url.is_none() {
                let found = "text that is not the address of a known cloud's Resource Manager";
                self.refuse_or(name, found, expected, ", or remove it");
            }
            return url;
        }
        let url = match (self.text(names::WEBSITE_CLOUD_NAME), vault) {
            (Some(cloud), _) => ManagementUrl::of_cloud(cloud),
            (None, VaultSetting::Url(vault)) => ManagementUrl::of_vault(vault),
            (None, _) => ManagementUrl::public(),
        };
        if url.is_none() {
            let found =
                "nothing, and neither WEBSITE_CLOUD_NAME nor KEY_VAULT_URL tells a known cloud";
            self.refuse(name, found, expected);
        }
        url
    }

    fn site_id(&self) -> Option<SiteId> {
        let slot = self.text(names::WEBSITE_SLOT_NAME);
        let slot = slot.filter(|slot| !slot.eq_ignore_ascii_case("production"));
        let name = self.text(names::WEBSITE_SITE_NAME)?;
        SiteId::new(self.subscription()?, self.resource_group()?, name, slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Environment, Settings};

    /// Who is asked, or what is wrong.
    fn read(extra: &[(&'static str, &str)]) -> Result<Option<RefreshSetting>, String> {
        let of_platform = [
            (names::FUNCTIONS_CUSTOMHANDLER_PORT, "8080"),
            (names::WEBSITE_SITE_NAME, "func-a"),
            (names::WEBSITE_OWNER_NAME, "sub-a+rg-a-WestEuropewebspace"),
        ];
        let all = [extra, &of_platform].concat();
        let settings = Settings::read(&Environment::of(&all)).expect("a host's");
        let wrong: Vec<_> = settings.wrong.iter().map(ToString::to_string).collect();
        if !wrong.is_empty() {
            return Err(wrong.join("\n"));
        }
        Ok(settings.rotation)
    }

    #[test]
    fn off_reads_nothing_else() {
        let bad = (names::AZURE_RESOURCE_MANAGER_URL, "https://evil.example");
        assert_eq!(read(&[bad]), Ok(None));
        assert_eq!(read(&[bad, (names::ROTATION_REFRESH, "off")]), Ok(None));
        let error = read(&[bad, (names::ROTATION_REFRESH, "on")]).expect_err("refused");
        assert!(error.starts_with("AZURE_RESOURCE_MANAGER_URL: "), "{error}");
    }

    #[test]
    fn azure_is_asked_in_the_apps_own_cloud() {
        let on = (names::ROTATION_REFRESH, "on");
        let vault = |url| (names::KEY_VAULT_URL, url);
        for (extra, host) in [
            (vec![], "management.azure.com"),
            (
                vec![vault("https://v.vault.azure.net")],
                "management.azure.com",
            ),
            (
                vec![vault("https://v.vault.azure.cn")],
                "management.chinacloudapi.cn",
            ),
            // What the platform says counts more than a name.
            (
                vec![
                    vault("https://kv.contoso.example"),
                    (names::WEBSITE_CLOUD_NAME, "Fairfax"),
                ],
                "management.usgovcloudapi.net",
            ),
        ] {
            let found = read(&[vec![on], extra].concat()).expect("fitting");
            let expected = RefreshSetting {
                url: ManagementUrl::parse(&format!("https://{host}")).expect("a cloud's"),
                site: SiteId::new("sub-a", "rg-a", "func-a", None).expect("names"),
            };
            assert_eq!(found, Some(expected));
        }
        for unknown in [
            vault("https://kv.contoso.example"),
            (names::WEBSITE_CLOUD_NAME, "USSec"),
        ] {
            let error = read(&[on, unknown]).expect_err("refused");
            assert!(
                error.starts_with("AZURE_RESOURCE_MANAGER_URL: found nothing"),
                "{error}"
            );
        }
    }

    #[test]
    fn an_app_without_an_id_cannot_be_refreshed() {
        let on = (names::ROTATION_REFRESH, "on");
        let error = read(&[on, (names::WEBSITE_OWNER_NAME, "")]).expect_err("refused");
        assert!(
            error.starts_with("ROTATION_REFRESH: found on, and"),
            "{error}"
        );
    }
}
