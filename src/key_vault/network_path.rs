//! How requests reach a vault, as far as both ends tell: the addresses of its name from here, and
//! what the vault says about where they come from.

use std::{
    convert::Infallible,
    fmt,
    future::pending,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use azure_core::http::headers::{HeaderName, Headers};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{
    dns::{NoAddress, Resolver, is_private},
    limits::{ANSWER_LIFE, LOOK_AFTER, PATH_LIFE},
    names::{VaultUrl, is_of_resource_name},
    single_flight::SingleFlight,
};

const NETWORK_INFO: HeaderName = HeaderName::from_static("x-ms-keyvault-network-info");
/// Longest header that is kept. The id of an endpoint has a few hundred characters.
const HEADER_LIMIT: usize = 2_048;

/// The path between the handler and a vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPath {
    /// Whether the vault is one of Azure's, which says in every answer how the request arrived.
    pub is_azures: bool,
    /// The addresses of the vault's name from here; `None` where it was not looked up.
    pub resolves_to: Option<Result<Vec<IpAddr>, NoAddress>>,
    /// Whether the vault has a private endpoint, as far as DNS tells from here: whether the name
    /// exists that its own one is an alias of then.
    pub has_alias: Option<bool>,
    /// Who has answered lately.
    pub answered: Answered,
    /// No request was answered lately, and at least one was sent.
    pub is_silent: bool,
}

/// Who answered a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Answered {
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
#[derive(Clone, Default, PartialEq, Eq)]
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

impl fmt::Debug for NetworkInfo {
    /// Ids and addresses are for those who may see them, and a line of the log is for everybody.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NetworkInfo")
            .field(&self.arrived_by)
            .finish()
    }
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

    /// Whether the vault has a private endpoint, and its name resolves to another address.
    #[must_use]
    pub fn passes_private_endpoint_by(&self) -> bool {
        self.has_alias == Some(true) && self.is_private() == Some(false)
    }

    /// What Key Vault says.
    #[must_use]
    pub fn info(&self) -> Option<&NetworkInfo> {
        match &self.answered {
            Answered::KeyVault(info) => Some(info),
            Answered::Nobody | Answered::Other => None,
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
        && text
            .bytes()
            .all(|byte| byte == b'/' || is_of_resource_name(byte))
}

/// What is known of the path to a vault, for as long as the vault is open.
#[derive(Debug)]
pub(super) struct WatchedPath {
    vault: VaultUrl,
    resolver: Option<Arc<Resolver>>,
    looked_up: SingleFlight<LookedUp>,
    latest: Mutex<Latest>,
}

#[derive(Debug, Clone)]
struct LookedUp {
    resolves_to: Result<Vec<IpAddr>, NoAddress>,
    has_alias: Option<bool>,
}

#[derive(Debug, Default)]
struct Latest {
    answer: Option<(Instant, Answered)>,
    /// When a request ended without an answer.
    unanswered: Option<Instant>,
}

impl WatchedPath {
    pub(super) fn new(vault: VaultUrl, resolver: Option<Arc<Resolver>>) -> Arc<Self> {
        Arc::new(Self {
            vault,
            resolver,
            looked_up: SingleFlight::new(|_| PATH_LIFE),
            latest: Mutex::default(),
        })
    }

    /// What is known now, without asking anybody.
    pub(super) fn known(&self) -> NetworkPath {
        let (resolves_to, has_alias) = match self.looked_up.standing() {
            Some(found) => (Some(found.resolves_to), found.has_alias),
            None => (None, None),
        };
        let latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let is_lately = |at: Instant| at.elapsed() < ANSWER_LIFE;
        let answer = latest.answer.as_ref().filter(|(at, _)| is_lately(*at));
        NetworkPath {
            is_azures: self.vault.azure_name().is_some(),
            resolves_to,
            has_alias,
            is_silent: answer.is_none() && latest.unanswered.is_some_and(is_lately),
            answered: answer.map(|(_, answer)| answer.clone()).unwrap_or_default(),
        }
    }

    /// Asks DNS, unless it has been asked lately. Callers share one look-up.
    pub(super) async fn look_up(&self) {
        if let Some(resolver) = self.resolver.clone() {
            let vault = self.vault.clone();
            let looking = || async move { look_up(&vault, &resolver).await };
            self.looked_up.get(looking).await;
        }
    }

    /// Runs `read`, and asks DNS beside it if it takes long.
    pub(super) async fn beside<T>(&self, read: impl Future<Output = T>) -> T {
        let look = async {
            sleep(LOOK_AFTER).await;
            self.look_up().await;
            pending::<Infallible>().await
        };
        tokio::select! {
            biased;
            read = read => read,
            never = look => match never {},
        }
    }

    /// Waits for the answer to a request. That none comes is noted, too.
    pub(super) fn awaited(&self) -> Awaited<'_> {
        let latest = &self.latest;
        Awaited {
            latest,
            answer: None,
        }
    }
}

async fn look_up(vault: &VaultUrl, resolver: &Resolver) -> LookedUp {
    let alias = async {
        // A search domain must not be put behind it.
        let name = format!("{}.", vault.private_link_name()?);
        Some(resolver.look_up(&name).await)
    };
    let (resolves_to, alias) = tokio::join!(resolver.look_up(vault.host()), alias);
    // A private zone without a record for the vault hides both names.
    let has_alias = match (&resolves_to, alias) {
        (Ok(_), Some(Ok(_))) => Some(true),
        (Ok(_), Some(Err(NoAddress::NoSuchName))) => Some(false),
        _ => None,
    };
    LookedUp {
        resolves_to,
        has_alias,
    }
}

/// The answer to a request under way.
pub(super) struct Awaited<'a> {
    latest: &'a Mutex<Latest>,
    answer: Option<Answered>,
}

impl Awaited<'_> {
    /// It has come with these headers.
    pub(super) fn came(mut self, headers: &Headers) {
        let info = headers.get_optional_str(&NETWORK_INFO);
        self.answer = Some(match info.filter(|info| info.len() <= HEADER_LIMIT) {
            Some(info) => Answered::KeyVault(NetworkInfo::parse(info)),
            None => Answered::Other,
        });
    }
}

impl Drop for Awaited<'_> {
    fn drop(&mut self) {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match self.answer.take() {
            Some(answer) => latest.answer = Some((now, answer)),
            None => latest.unanswered = Some(now),
        }
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
