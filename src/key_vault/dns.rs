//! From a host's name to its addresses, and what it means when there are none.

use std::{
    collections::HashSet,
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::{BoxFuture, FutureExt};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time::timeout;

use super::{
    error::{Error, Reach},
    limits::LOOK_UP_LIMIT,
};

/// Looks up the addresses of a host.
type LookUp = dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync;

/// Resolves the names of hosts, by the system or by what a test gives instead.
pub struct Resolver(Box<LookUp>);

/// Why a name has no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoAddress {
    /// There is no such name, or it has no address.
    #[error("no such name")]
    NoSuchName,
    /// No name server could say. This passes.
    #[error("no name server answered")]
    NoAnswer,
}

/// A name has no address that a request may go to.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {cause}")]
pub(super) struct LookUpError {
    pub(super) name: String,
    /// What it means if the request is for that name.
    pub(super) cause: Error,
}

impl Resolver {
    /// The system's resolver.
    #[must_use]
    pub fn system() -> Self {
        Self::of(|name| {
            async move {
                // The caller puts the port in.
                let found = tokio::net::lookup_host((name, 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            }
            .boxed()
        })
    }

    /// Resolves with `look_up`.
    pub fn of(
        look_up: impl Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(look_up))
    }

    /// The addresses of `name`, at least one. Takes [`LOOK_UP_LIMIT`] at most.
    pub(super) async fn look_up(&self, name: &str) -> Result<Vec<IpAddr>, NoAddress> {
        match timeout(LOOK_UP_LIMIT, (self.0)(name.to_owned())).await {
            Ok(Ok(addresses)) if addresses.is_empty() => Err(NoAddress::NoSuchName),
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(error)) if is_no_such_name(&error) => Err(NoAddress::NoSuchName),
            Ok(Err(_)) | Err(_) => Err(NoAddress::NoAnswer),
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

/// Resolves for the requests of one client.
pub(super) struct ForRequests {
    pub(super) resolver: Arc<Resolver>,
    /// The hosts that requests are for. Whatever else is looked up is a proxy's name.
    pub(super) hosts: Arc<Hosts>,
    /// Stand-ins are on this machine, under any name.
    pub(super) has_stand_ins: bool,
}

/// The hosts that a client was asked for: a vault each, and Entra ID.
#[derive(Debug, Default)]
pub(super) struct Hosts(Mutex<HashSet<String>>);

impl Hosts {
    pub(super) fn add(&self, host: &str) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !hosts.contains(host) {
            hosts.insert(host.to_owned());
        }
    }

    fn contains(&self, host: &str) -> bool {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.contains(host)
    }
}

impl Resolve for ForRequests {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolver, name) = (self.resolver.clone(), name.as_str().to_owned());
        // A token must not go to whatever listens here under a vault's name.
        let may_be_here = self.has_stand_ins || is_localhost(&name) || !self.hosts.contains(&name);
        Box::pin(async move {
            let is_here = |addresses: &[IpAddr]| addresses.iter().copied().any(is_own_machines);
            let cause = match resolver.look_up(&name).await {
                Ok(addresses) if may_be_here || !is_here(&addresses) => {
                    let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0));
                    return Ok(Box::new(addresses) as Addrs);
                }
                Ok(_) => Error::Unreachable(Reach::OwnMachine),
                Err(NoAddress::NoSuchName) => Error::VaultNotFound,
                Err(NoAddress::NoAnswer) => Error::Unreachable(Reach::NameResolution),
            };
            Err(LookUpError { name, cause }.into())
        })
    }
}

fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// Whether `host` is an address of this machine's link, or none at all. A loopback address is what a
/// stand-in has.
pub(super) fn is_on_own_link(host: &str) -> bool {
    literal(host)
        .is_some_and(|address| is_own_machines(address) && !address.to_canonical().is_loopback())
}

/// The address that a URL has instead of a name.
pub(super) fn literal(host: &str) -> Option<IpAddr> {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    address.parse().ok()
}

/// Whether `address` is this machine's, or one that any machine on the same link can take.
#[must_use]
pub fn is_own_machines(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.is_unspecified(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified(),
    }
}

/// Whether `address` belongs to a private network: RFC 1918, the shared addresses of RFC 6598, which
/// virtual networks may have too, or their like in IPv6.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_private() || (first == 100 && second & 0b1100_0000 == 64)
        }
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

/// Whether a failed look-up says that there is no such name.
///
/// The standard library keeps the number of `getaddrinfo` for itself and shows its text, which
/// each C library words in its own way; Windows has numbers. What is not in the table passes, as
/// "try again" and "no server answered" do.
fn is_no_such_name(error: &io::Error) -> bool {
    const TEXTS: [&str; 5] = [
        // glibc: EAI_NONAME, EAI_NODATA
        "Name or service not known",
        "No address associated with hostname",
        // musl: the same
        "Name does not resolve",
        "Name has no usable address",
        // macOS: EAI_NONAME
        "nodename nor servname provided, or not known",
    ];
    /// `WSAHOST_NOT_FOUND` and `WSANO_DATA` of Windows.
    const NUMBERS: [i32; 2] = [11_001, 11_004];
    let text = error.to_string();
    TEXTS.iter().any(|known| text.ends_with(known))
        || error.raw_os_error().is_some_and(|n| NUMBERS.contains(&n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_does_not_exist_is_final() {
        for (text, expected) in [
            // glibc
            ("Name or service not known", true),
            ("No address associated with hostname", true),
            ("Temporary failure in name resolution", false),
            ("Non-recoverable failure in name resolution", false),
            // musl
            ("Name does not resolve", true),
            ("Name has no usable address", true),
            ("Try again", false),
            ("Non-recoverable error", false),
            ("Unknown error", false),
            // macOS
            ("nodename nor servname provided, or not known", true),
            ("something new", false),
        ] {
            let whole = format!("failed to lookup address information: {text}");
            assert_eq!(
                is_no_such_name(&io::Error::other(whole)),
                expected,
                "{text}"
            );
        }
        // A name server that cannot be reached shows as the system's own error.
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert!(!is_no_such_name(&refused));
    }
}
