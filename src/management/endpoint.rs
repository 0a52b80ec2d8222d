//! Where Azure Resource Manager is, and what it calls the app.

use azure_core::http::Url;

use crate::key_vault::VaultUrl;

/// The clouds that are known, by the domain of their vaults: address and scope of a token.
/// Source: the Azure CLI, `cloud.py`.
const CLOUDS: [(&str, &str, &str); 3] = [
    (
        ".vault.azure.net",
        "https://management.azure.com/",
        "https://management.azure.com/.default",
    ),
    (
        ".vault.azure.cn",
        "https://management.chinacloudapi.cn/",
        "https://management.chinacloudapi.cn/.default",
    ),
    (
        ".vault.usgovcloudapi.net",
        "https://management.usgovcloudapi.net/",
        "https://management.usgovcloudapi.net/.default",
    ),
];

/// The address of a cloud's Resource Manager, or of a stand-in on this machine. A token for the
/// management of an app goes nowhere else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagementUrl {
    url: Url,
    scope: &'static str,
}

/// What Resource Manager calls the app, or one of its slots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteId(String);

impl ManagementUrl {
    /// The public cloud's, or that of the cloud in which `vault` is.
    #[must_use]
    pub fn of_vault(vault: Option<&VaultUrl>) -> Option<Self> {
        let host = vault.map_or("", VaultUrl::host);
        let known = CLOUDS.iter().find(|(domain, ..)| host.ends_with(domain));
        let (_, url, scope) = known.unwrap_or(&CLOUDS[0]);
        let url = Url::parse(url).ok()?;
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
        let of_cloud = CLOUDS.iter().find(|(_, known, _)| url.as_str() == *known);
        match of_cloud {
            Some((_, _, scope)) => Some(Self { url, scope }),
            None if is_loopback(&url) => Some(Self {
                url,
                scope: CLOUDS[0].2,
            }),
            None => None,
        }
    }

    /// Whether it is a stand-in.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }

    /// What a token is asked for.
    pub(super) fn scope(&self) -> &'static str {
        self.scope
    }

    /// The address of `path` with `query`.
    pub(super) fn at(&self, path: &str, query: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(path);
        url.set_query(Some(query));
        url
    }

    /// Whether `url` is at the same place.
    pub(super) fn is_origin_of(&self, url: &Url) -> bool {
        self.url.origin() == url.origin()
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_address = || {
        let address: Result<std::net::IpAddr, _> = address.parse();
        address.is_ok_and(|address| address.is_loopback())
    };
    matches!(url.scheme(), "http" | "https") && (host == "localhost" || is_address())
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
        && text.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'(' | b')')
        })
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
            let url = ManagementUrl::of_vault(Some(&vault)).expect("a cloud");
            (url.at("/a", "b=c").to_string(), url.scope())
        };
        let (url, scope) = of("https://v.vault.azure.cn");
        assert_eq!(url, "https://management.chinacloudapi.cn/a?b=c");
        assert_eq!(scope, "https://management.chinacloudapi.cn/.default");
        assert_eq!(
            of("https://v.vault.azure.net").0,
            "https://management.azure.com/a?b=c"
        );
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
