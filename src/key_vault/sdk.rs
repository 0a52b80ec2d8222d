//! Our causes inside the SDK's errors: a transport puts them in, whoever called the SDK finds
//! them again.

use azure_core::{
    error::ErrorKind,
    http::{ClientOptions, ExponentialRetryOptions, RetryOptions, Transport, headers::HeaderName},
};

use super::error::Error;

/// Where the transport keeps the vault's own `Retry-After`, in seconds, for the handler's caller.
pub(super) const ASKED_WAIT: HeaderName = HeaderName::from_static("x-asked-wait");

/// Where the transport says of a refused token whose tenant is the vault's: [`SAME_TENANT`], or the
/// id of another one.
pub(super) const VAULTS_TENANT: HeaderName = HeaderName::from_static("x-vaults-tenant");
/// The token is of the vault's own tenant.
pub(super) const SAME_TENANT: &str = "same";

/// Wraps `cause` so that the SDK carries it through and does not try again.
pub(crate) fn final_failure(cause: Error) -> azure_core::Error {
    azure_core::Error::with_error(ErrorKind::Other, cause, "refused by the transport")
}

/// Wraps `cause` so that the SDK carries it through and tries again within its limits.
pub(super) fn passing_failure(cause: Error) -> azure_core::Error {
    azure_core::Error::with_error(ErrorKind::Io, cause, "failed in the transport")
}

/// The cause that this crate's own transport or credential put into the chain.
pub(super) fn own_cause(error: &azure_core::Error) -> Option<&Error> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// An error and what caused it, outermost first.
pub(super) fn chain<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| {
        match error.downcast_ref::<std::io::Error>() {
            // Its `source` skips the error that it wraps.
            Some(error) => error
                .get_ref()
                .map(|inner| inner as &(dyn std::error::Error + 'static)),
            None => error.source(),
        }
    })
}

/// A client over `transport` that tries again as `retries` say.
pub(super) fn client_options(
    transport: Transport,
    retries: ExponentialRetryOptions,
) -> ClientOptions {
    ClientOptions {
        transport: Some(transport),
        retry: RetryOptions::exponential(retries),
        ..Default::default()
    }
}
