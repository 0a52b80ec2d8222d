//! From a host's name to its addresses, and what it means when there are none.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
};

use futures_util::future::{BoxFuture, FutureExt};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time::timeout;

use super::limits::LOOK_UP_LIMIT;

/// Looks up the addresses of a host.
type LookUp = dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync;

/// Resolves the names of hosts, by the system or by what a test puts in its place.
pub struct Resolver(Box<LookUp>);

/// A name has no address.
#[derive(Debug, thiserror::Error)]
#[error("no address")]
pub(super) struct LookUpError {
    pub(super) name: String,
    /// There is no such name, or it has no address. Otherwise no name server could say, which
    /// passes.
    pub(super) is_no_such_name: bool,
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
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let name = name.as_str().to_owned();
        let found = (self.0)(name.clone());
        Box::pin(async move {
            let is_no_such_name = match timeout(LOOK_UP_LIMIT, found).await {
                Ok(Ok(addresses)) if !addresses.is_empty() => {
                    let addresses = addresses.into_iter().map(|ip| SocketAddr::new(ip, 0));
                    return Ok(Box::new(addresses) as Addrs);
                }
                Ok(Ok(_)) => true,
                Ok(Err(error)) => is_no_such_name(&error),
                Err(_) => false,
            };
            Err(LookUpError {
                name,
                is_no_such_name,
            }
            .into())
        })
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
