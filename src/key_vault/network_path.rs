//! How requests reach a vault, as far as both ends tell: the addresses of its name from here, and
//! what the vault says about where they come from.

use std::{
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use azure_core::http::headers::{HeaderName, Headers};
use serde::Serialize;
use tokio::time::Instant;

use super::{
    dns::{NoAddress, Resolver, is_private},
    limits::PATH_LIFE,
    names::VaultUrl,
};

const NETWORK_INFO: HeaderName = HeaderName::from_static("x-ms-keyvault-network-info");
/// Longest header that is kept. The id of an endpoint has a few hundred characters.
const HEADER_LIMIT: usize = 2_048;

/// The path between the handler and a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPath {
    /// The addresses of the vault's name from here; `None` where no name is resolved.
    pub resolves_to: Option<Result<Vec<IpAddr>, NoAddress>>,
    /// Whether the vault has a private endpoint, as far as DNS tells: whether the name exists that
    /// its own one is an alias of then.
    pub has_alias: Option<bool>,
    /// Who answered the latest request.
    pub answer: Answer,
}

/// Who answered a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Answer {
    /// Nobody, or nothing was asked.
    #[default]
    Nobody,
    /// Something that does not say what every Key Vault says.
    Other,
    /// Key Vault.
    KeyVault(NetworkInfo),
}

/// What Key Vault says about the path of a request, in `x-ms-keyvault-network-info`.
/// Source: Azure documentation, "Diagnose private links configuration issues on Azure Key Vault",
/// and recordings of the service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetworkInfo {
    /// Over which kind of network; `None` if the header does not tell.
    pub arrived_by: Option<Arrival>,
    /// The caller's address.
    pub address: Option<IpAddr>,
    /// The resource id of the private endpoint.
    pub private_endpoint: Option<String>,
    /// The resource id of the subnet with the service endpoint.
    pub subnet: Option<String>,
}

/// The kinds of network that a request can arrive by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Arrival {
    /// A private endpoint.
    PrivateLink,
    /// A service endpoint: Azure's own network, from a subnet.
    ServiceEndpoint,
    /// One of the two above. Old answers do not say which.
    PrivateNetwork,
    /// The public network.
    PublicNetwork,
}

impl NetworkPath {
    /// Whether the vault's name resolves to private addresses alone.
    #[must_use]
    pub fn is_private(&self) -> Option<bool> {
        let addresses = self.addresses()?;
        Some(addresses.iter().all(|address| is_private(*address)))
    }

    /// The addresses of the vault's name.
    #[must_use]
    pub fn addresses(&self) -> Option<&[IpAddr]> {
        self.resolves_to.as_ref()?.as_deref().ok()
    }

    /// What Key Vault says.
    #[must_use]
    pub fn info(&self) -> Option<&NetworkInfo> {
        match &self.answer {
            Answer::KeyVault(info) => Some(info),
            Answer::Nobody | Answer::Other => None,
        }
    }

    /// Over which kind of network requests arrive.
    #[must_use]
    pub fn arrived_by(&self) -> Option<Arrival> {
        self.info()?.arrived_by
    }
}

impl NetworkInfo {
    /// Reads the header: `name=value`, separated by `;`, in any order. What is not known is left
    /// out, and is no error.
    #[must_use]
    pub fn parse(header: &str) -> Self {
        let mut info = Self::default();
        let mut conn_type = None;
        let parts = header.split(';').filter_map(|part| part.split_once('='));
        for (name, value) in parts.map(|(name, value)| (name.trim(), value.trim())) {
            let id = || is_resource_id(value).then(|| value.to_owned());
            match &*name.to_ascii_lowercase() {
                "conn_type" => conn_type = Some(value.to_ascii_lowercase()),
                "addr" => info.address = value.parse().ok(),
                "private_endpoint" => info.private_endpoint = id(),
                "subnet" => info.subnet = id(),
                _ => {}
            }
        }
        info.arrived_by = match conn_type.as_deref() {
            Some("privatelink") => Some(Arrival::PrivateLink),
            Some("subnet") => Some(Arrival::ServiceEndpoint),
            Some("ipv4" | "ipv6") => Some(Arrival::PublicNetwork),
            Some(_) => None,
            // The answers of earlier years have the address alone.
            None => info.address.map(|address| {
                if is_private(address) {
                    Arrival::PrivateNetwork
                } else {
                    Arrival::PublicNetwork
                }
            }),
        };
        info
    }
}

/// Whether `text` can stand in a command in quotes.
fn is_resource_id(text: &str) -> bool {
    text.starts_with('/')
        && text.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'(' | b')')
        })
}

/// Who answered a vault's latest request, for as long as the vault is open.
#[derive(Debug, Default)]
pub(super) struct LatestAnswer(Mutex<Answer>);

impl LatestAnswer {
    /// Waits for the answer to a request. If none comes, that is kept.
    pub(super) fn awaited(&self) -> Awaited<'_> {
        Awaited {
            latest: self,
            answer: Answer::Nobody,
        }
    }

    pub(super) fn get(&self) -> Answer {
        let latest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        latest.clone()
    }
}

/// The answer to a request under way.
pub(super) struct Awaited<'a> {
    latest: &'a LatestAnswer,
    answer: Answer,
}

impl Awaited<'_> {
    /// It has come with these headers.
    pub(super) fn came(mut self, headers: &Headers) {
        let info = headers.get_optional_str(&NETWORK_INFO);
        self.answer = match info.filter(|info| info.len() <= HEADER_LIMIT) {
            Some(info) => Answer::KeyVault(NetworkInfo::parse(info)),
            None => Answer::Other,
        };
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        let mut latest = self.latest.0.lock().unwrap_or_else(PoisonError::into_inner);
        *latest = std::mem::take(&mut self.answer);
    }
}

/// What DNS says about a vault: asked when somebody wants to know, and again after a while.
#[derive(Debug, Default)]
pub(super) struct Dns(tokio::sync::Mutex<Option<(Instant, Looked)>>);

#[derive(Debug, Clone)]
pub(super) struct Looked {
    pub(super) resolves_to: Result<Vec<IpAddr>, NoAddress>,
    pub(super) has_alias: Option<bool>,
}

impl Dns {
    /// Callers share one look-up.
    pub(super) async fn look_up(&self, vault: &VaultUrl, resolver: &Arc<Resolver>) -> Looked {
        let mut latest = self.0.lock().await;
        if let Some((at, looked)) = &*latest
            && at.elapsed() < PATH_LIFE
        {
            return looked.clone();
        }
        let alias = async {
            match resolver.look_up(&vault.private_link_name()?).await {
                Ok(_) => Some(true),
                Err(NoAddress::NoSuchName) => Some(false),
                Err(_) => None,
            }
        };
        let (resolves_to, has_alias) = tokio::join!(resolver.look_up(vault.host()), alias);
        let looked = Looked {
            resolves_to,
            has_alias,
        };
        *latest = Some((Instant::now(), looked.clone()));
        looked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_documented_form_is_read() {
        let endpoint =
            "/subscriptions/S/resourceGroups/RG/providers/Microsoft.Network/privateEndpoints/PE";
        let private_link = format!(
            "conn_type=PrivateLink;private_endpoint={endpoint};addr=10.10.1.5;act_addr_fam=InterNetworkV6;"
        );
        for (header, arrived_by, address) in [
            (
                "conn_type=Ipv4;addr=192.0.2.20;act_addr_fam=InterNetwork;",
                Some(Arrival::PublicNetwork),
                Some("192.0.2.20"),
            ),
            (&private_link, Some(Arrival::PrivateLink), Some("10.10.1.5")),
            (
                "conn_type=Subnet;subnet=/subscriptions/S;addr=10.0.0.5;act_addr_fam=InterNetworkV6",
                Some(Arrival::ServiceEndpoint),
                Some("10.0.0.5"),
            ),
            (
                "addr=192.0.2.20;act_addr_fam=InterNetwork;",
                Some(Arrival::PublicNetwork),
                Some("192.0.2.20"),
            ),
            (
                "addr=10.4.5.6;act_addr_fam=InterNetworkV6;",
                Some(Arrival::PrivateNetwork),
                Some("10.4.5.6"),
            ),
            (
                "addr=192.0.2.20",
                Some(Arrival::PublicNetwork),
                Some("192.0.2.20"),
            ),
            // What may come.
            (
                " ADDR = fd00::1 ; new = x ;; Conn_Type = NSP",
                None,
                Some("fd00::1"),
            ),
            ("addr=nonsense", None, None),
            ("", None, None),
        ] {
            let info = NetworkInfo::parse(header);
            assert_eq!(info.arrived_by, arrived_by, "{header}");
            assert_eq!(
                info.address.map(|address| address.to_string()).as_deref(),
                address,
                "{header}"
            );
        }
        let info = NetworkInfo::parse(&private_link);
        assert_eq!(info.private_endpoint.as_deref(), Some(endpoint));
        assert_eq!(NetworkInfo::parse("subnet=$(x)").subnet, None);
    }
}
