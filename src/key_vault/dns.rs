//! From a host's name to its addresses, and what it means when there are none.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::time::timeout;

/// Time for one look-up. Shorter than the time to open a connection, so that a silent name
/// server is not taken for a silent vault.
const LOOK_UP_LIMIT: Duration = Duration::from_millis(1_500);

/// Looks up the addresses of a host.
pub type LookUp = dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync;

/// Resolves the names of hosts, by the system or by what a test puts in its place.
#[derive(Clone)]
pub struct Resolver(Arc<LookUp>);

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum LookUpError {
    /// There is no such name, or it has no address.
    #[error("there is no such host")]
    NoSuchName(String),
    /// No name server could say. This passes.
    #[error("no name server answered")]
    NoAnswer(String),
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
        Self(Arc::new(look_up))
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
            let found = match timeout(LOOK_UP_LIMIT, found).await {
                Ok(Ok(addresses)) if addresses.is_empty() => Err(LookUpError::NoSuchName(name)),
                Ok(Ok(addresses)) => Ok(addresses),
                Ok(Err(error)) => Err(cause(&error, name)),
                Err(_) => Err(LookUpError::NoAnswer(name)),
            };
            let addresses = found?.into_iter().map(|ip| SocketAddr::new(ip, 0));
            Ok(Box::new(addresses) as Addrs)
        })
    }
}

/// Whether a failed look-up says that there is no such `name`.
///
/// The standard library keeps the number of `getaddrinfo` for itself and shows its text, which
/// each C library words in its own way; Windows has numbers. What is not in the table passes, as
/// "try again" and "no server answered" do.
fn cause(error: &io::Error, name: String) -> LookUpError {
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
    let is_known = TEXTS.iter().any(|known| text.ends_with(known))
        || error.raw_os_error().is_some_and(|n| NUMBERS.contains(&n));
    if is_known {
        LookUpError::NoSuchName(name)
    } else {
        LookUpError::NoAnswer(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_does_not_exist_is_final() {
        let (no_such_name, no_answer) = (
            LookUpError::NoSuchName("x".into()),
            LookUpError::NoAnswer("x".into()),
        );
        for (text, expected) in [
            // glibc
            ("Name or service not known", &no_such_name),
            ("No address associated with hostname", &no_such_name),
            ("Temporary failure in name resolution", &no_answer),
            ("Non-recoverable failure in name resolution", &no_answer),
            // musl
            ("Name does not resolve", &no_such_name),
            ("Name has no usable address", &no_such_name),
            ("Try again", &no_answer),
            ("Non-recoverable error", &no_answer),
            ("Unknown error", &no_answer),
            // macOS
            (
                "nodename nor servname provided, or not known",
                &no_such_name,
            ),
            ("something new", &no_answer),
        ] {
            let whole = format!("failed to lookup address information: {text}");
            assert_eq!(
                &cause(&io::Error::other(whole), "x".into()),
                expected,
                "{text}"
            );
        }
        // A name server that cannot be reached shows as the system's own error.
        let refused = io::Error::from(io::ErrorKind::ConnectionRefused);
        assert_eq!(cause(&refused, "x".into()), no_answer);
    }
}
