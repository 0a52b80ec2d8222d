//! Where Azure Resource Manager is, and what it calls the app.

use azure_core::http::Url;

use crate::key_vault::{
    VaultUrl,
    names::{Cloud, is_loopback, is_of_resource_name},
};

struct Endpoint {
    cloud: Cloud,
    /// In `WEBSITE_CLOUD_NAME`. Source: the Functions host, `ScriptConstants.cs`.
    name: &'static str,
    /// Of Resource Manager. Source: the Azure CLI, `cloud.py`.
    url: &'static str,
    /// Of a token for it.
    scope: &'static str,
}

const ENDPOINTS: [Endpoint; 3] = [
    Endpoint {
        cloud: Cloud::Public,
        name: "Azure",
        url: "https://management.azure.com/",
        scope: "https://management.azure.com/.default",
    },
    Endpoint {
        cloud: Cloud::China,
        name: "Mooncake",
        url: "https://management.chinacloudapi.cn/",
        scope: "https://management.chinacloudapi.cn/.default",
    },
    Endpoint {
        cloud: Cloud::Government,
        name: "Fairfax",
        url: "https://management.usgovcloudapi.net/",
        scope: "https://management.usgovcloudapi.net/.default",
    },
];

/// The address of a cloud's Resource Manager, or of a stand-in on this machine. A token for the
/// management of an app goes to a cloud's alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagementUrl {
    url: Url,
    /// None for a stand-in.
    scope: Option<&'static str>,
}

/// What Resource Manager calls the app, or one of its slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteId(String);

impl ManagementUrl {
    /// The one of the cloud that the platform calls `name`.
    #[must_use]
    pub fn of_cloud(name: &str) -> Option<Self> {
        Self::of(|one| one.name.eq_ignore_ascii_case(name))
    }

    /// The one of the cloud in which `vault` is. A name of one's own tells no cloud.
    #[must_use]
    pub fn of_vault(vault: &VaultUrl) -> Option<Self> {
        let cloud = vault.cloud()?;
        Self::of(|one| one.cloud == cloud)
    }

    /// The public cloud's.
    #[must_use]
    pub fn public() -> Option<Self> {
        Self::of(|one| one.cloud == Cloud::Public)
    }

    fn of(is_it: impl Fn(&Endpoint) -> bool) -> Option<Self> {
        let found = ENDPOINTS.iter().find(|one| is_it(one))?;
        let url = Url::parse(found.url).ok()?;
        let scope = Some(found.scope);
        Some(Self { url, scope })
    }

    /// `text`, if it is a known cloud's, or on loopback.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text.trim()).ok()?;
        let is_plain = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        if !is_plain {
            return None;
        }
        let of_cloud = Self::of(|one| url.as_str() == one.url);
        of_cloud.or_else(|| is_here(&url).then_some(Self { url, scope: None }))
    }

    /// For what a token is asked; nothing for a stand-in, which gets none.
    #[must_use]
    pub fn scope(&self) -> Option<&'static str> {
        self.scope
    }

    /// The address of `path` with `query`.
    pub(super) fn at(&self, path: &str, query: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(path);
        url.set_query(Some(query));
        url
    }

    /// Whether `url` has the same origin.
    pub(super) fn is_origin_of(&self, url: &Url) -> bool {
        self.url.origin() == url.origin()
    }
}

fn is_here(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(is_loopback)
}

impl SiteId {
    /// The app `name`, or its `slot`. Nothing if a part could be more than a name.
    #[must_use]
    pub fn new(subscription: &str, group: &str, name: &str, slot: Option<&str>) -> Option<Self> {
        let parts = [Some(subscription), Some(group), Some(name), slot];
        if !parts.into_iter().flatten().all(is_name) {
            return None;
        }
        let slot = slot.map_or_else(String::new, |slot| format!("/slots/{slot}"));
        Some(Self(format!(
            "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.Web/sites/{name}{slot}"
        )))
    }

    pub(super) fn path(&self) -> &str {
        &self.0
    }
}

fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text != "."
        && text != ".."
        && text.bytes().all(is_of_resource_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_clouds_and_this_machine_are_asked() {
        for text in [
            "https://management.azure.com",
            "https://management.azure.com/",
            "https://management.chinacloudapi.cn",
            "https://management.usgovcloudapi.net",
            "http://127.0.0.1:8080",
            "http://localhost:1/",
            "https://[::1]:8080",
        ] {
            assert!(ManagementUrl::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "management.azure.com",
            "http://management.azure.com",
            "https://management.azure.com:444",
            "https://management.azure.com.evil.example",
            "https://evil.example",
            "https://user@localhost",
            "https://localhost/path",
            "http://127.0.0.1.evil.example",
            "ftp://localhost",
        ] {
            assert!(ManagementUrl::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_vault_names_its_cloud() {
        let of = |text: &str| {
            let vault = VaultUrl::parse(text).expect("an address");
            let url = ManagementUrl::of_vault(&vault)?;
            Some((url.at("/a", "b=c").to_string(), url.scope()))
        };
        let china = (
            "https://management.chinacloudapi.cn/a?b=c".to_owned(),
            Some("https://management.chinacloudapi.cn/.default"),
        );
        assert_eq!(of("https://v.vault.azure.cn"), Some(china));
        let (url, _) = of("https://v.vault.azure.net").expect("a cloud");
        assert_eq!(url, "https://management.azure.com/a?b=c");
        assert_eq!(of("https://kv.contoso.example"), None);
    }

    #[test]
    fn the_platform_names_its_cloud() {
        let of = |name| {
            ManagementUrl::of_cloud(name).map(|url| url.at("/", "").host_str().map(str::to_owned))
        };
        let host = |text: &str| Some(Some(text.to_owned()));
        assert_eq!(of("Azure"), host("management.azure.com"));
        assert_eq!(of("fairfax"), host("management.usgovcloudapi.net"));
        assert_eq!(of("USSec"), None);
    }

    #[test]
    fn a_stand_in_gets_no_token() {
        let url = ManagementUrl::parse("https://localhost:8443").expect("on loopback");
        assert_eq!(url.scope(), None);
    }

    #[test]
    fn nothing_but_names_gets_into_a_path() {
        let id = SiteId::new("s", "rg", "func-a", Some("staging")).expect("an id");
        assert_eq!(
            id.path(),
            "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Web/sites/func-a/slots/staging"
        );
        for bad in ["", "..", "a/b", "a?b", "a b", "a%2f"] {
            assert_eq!(SiteId::new("s", bad, "n", None), None, "{bad}");
        }
    }
}
