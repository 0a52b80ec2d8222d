//! The path that requests take to a vault: what is wrong with it, and what is shown of it.

use std::{fmt::Write as _, net::IpAddr};

use serde::Serialize;

use crate::key_vault::{
    Answered, Arrival, Error, NetworkPath,
    dns::{NoAddress, is_own_machines},
    error::{Denial, Reach},
};

/// Most addresses that a person is shown.
const SHOWN_ADDRESSES: usize = 4;

/// What is wrong with the path to a vault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum PathProblem {
    /// The proxy that the environment names has no address.
    ProxyWithoutAddress,
    /// No name server answered.
    NoDnsAnswer,
    /// The vault's name does not exist, as seen from here.
    NoSuchName,
    /// The vault's name is this machine's.
    OwnMachine,
    /// The vault's name resolves to a private address, and nothing answers there.
    PrivateAddressUnreachable,
    /// Nothing answers.
    NoConnection,
    /// There is no trusted TLS connection.
    TlsFailed,
    /// Something else answered in the vault's place.
    NotKeyVault,
    /// The firewall does not accept the address that the request came from.
    AddressNotAllowed,
    /// The firewall does not accept the subnet that the request came from.
    SubnetNotAllowed,
    /// The firewall does not accept a request that came by a private endpoint.
    PrivateEndpointRefused,
    /// The vault has a private endpoint, and the request came over the public network.
    PrivateEndpointNotUsed,
    /// The vault's name resolves to a private endpoint that the vault does not accept.
    PrivateEndpointNotApproved,
    /// The vault accepts only private endpoints and has none.
    NoPrivateEndpoint,
    /// The vault accepts only private endpoints, and the request came another way.
    PublicAccessDisabled,
}

impl PathProblem {
    /// What is wrong with `path`, on which a request met `error`.
    ///
    /// What the vault says about the request counts more than DNS: a proxy may have resolved the
    /// name elsewhere.
    pub(super) fn of(error: &Error, path: &NetworkPath) -> Option<Self> {
        match error {
            Error::Unreachable(Reach::Proxy) => Some(Self::ProxyWithoutAddress),
            Error::Unreachable(Reach::NameResolution) => Some(Self::NoDnsAnswer),
            Error::Unreachable(Reach::OwnMachine) => Some(Self::OwnMachine),
            Error::VaultNotFound => Some(Self::NoSuchName),
            Error::TlsFailed(_) => Some(Self::TlsFailed),
            Error::TimedOut => Self::of_silence(path, path.is_silent),
            Error::Unreachable(Reach::Interrupted) => Self::of_silence(path, false),
            Error::Unreachable(Reach::Refused | Reach::Connection) => Self::of_silence(path, true),
            _ if !path.is_azures => None,
            // A gateway of Azure's own may answer 503 in the vault's place.
            Error::UnexpectedAnswer | Error::AccessDenied(Denial::Other) => {
                (path.answered == Answered::Other).then_some(Self::NotKeyVault)
            }
            Error::ForbiddenByFirewall => Self::of_firewall(path),
            Error::ForbiddenByConnection => Some(Self::of_closed_vault(path)),
            _ => None,
        }
    }

    /// No answer came. Only where `is_certain` was nothing reached.
    fn of_silence(path: &NetworkPath, is_certain: bool) -> Option<Self> {
        match &path.resolves_to {
            Some(Err(NoAddress::NoAnswer)) => Some(Self::NoDnsAnswer),
            Some(Err(NoAddress::NoSuchName)) => Some(Self::NoSuchName),
            _ if !is_certain => None,
            _ if path.is_azures && path.is_private() == Some(true) => {
                Some(Self::PrivateAddressUnreachable)
            }
            _ => Some(Self::NoConnection),
        }
    }

    fn of_firewall(path: &NetworkPath) -> Option<Self> {
        match path.arrived_by() {
            Some(Arrival::ServiceEndpoint) => Some(Self::SubnetNotAllowed),
            Some(Arrival::PrivateLink) => Some(Self::PrivateEndpointRefused),
            // An old answer does not say which of the two it is.
            Some(Arrival::PrivateNetwork) => None,
            Some(Arrival::PublicNetwork) | None if path.passes_private_endpoint_by() => {
                Some(Self::PrivateEndpointNotUsed)
            }
            Some(Arrival::PublicNetwork) | None => Some(Self::AddressNotAllowed),
        }
    }

    fn of_closed_vault(path: &NetworkPath) -> Self {
        match path.arrived_by() {
            Some(Arrival::PrivateLink | Arrival::PrivateNetwork) => {
                Self::PrivateEndpointNotApproved
            }
            None if path.is_private() == Some(true) => Self::PrivateEndpointNotApproved,
            Some(_) | None if path.passes_private_endpoint_by() => Self::PrivateEndpointNotUsed,
            Some(_) | None if path.has_alias == Some(false) => Self::NoPrivateEndpoint,
            Some(_) | None => Self::PublicAccessDisabled,
        }
    }
}

/// What is shown of the path to a vault. What is not known is null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathReport {
    /// The addresses of the vault's name from here; none if it has none.
    resolves_to: Option<Vec<IpAddr>>,
    /// Whether all of them are private, as a private endpoint's are.
    private: Option<bool>,
    /// Whether the name is an alias of one under `privatelink`: the vault has a private endpoint.
    alias: Option<bool>,
    /// How the latest request arrived, as the vault says.
    arrived_by: Option<Arrival>,
    /// Where the vault saw it come from, for who may know.
    #[serde(skip_serializing_if = "Option::is_none")]
    vault_sees: Option<VaultSees>,
    /// What is wrong.
    problem: Option<PathProblem>,
}

/// Where a request came from, in the vault's eyes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct VaultSees {
    address: Option<IpAddr>,
    /// Resource id.
    #[serde(skip_serializing_if = "Option::is_none")]
    private_endpoint: Option<String>,
    /// Resource id.
    #[serde(skip_serializing_if = "Option::is_none")]
    subnet: Option<String>,
}

impl PathReport {
    /// On `path`, on which a request met `error`, if it did. Ids of resources and the caller's
    /// address are for admins.
    #[must_use]
    pub fn new(path: &NetworkPath, error: Option<&Error>, is_for_admins: bool) -> Self {
        let info = path.info().filter(|_| is_for_admins);
        Self {
            resolves_to: path
                .resolves_to
                .as_ref()
                .map(|found| found.clone().unwrap_or_default()),
            private: path.is_private(),
            alias: path.has_alias,
            arrived_by: path.arrived_by(),
            vault_sees: info.map(|info| VaultSees {
                address: info.address,
                private_endpoint: info.private_endpoint.clone(),
                subnet: info.subnet.clone(),
            }),
            problem: error.and_then(|error| PathProblem::of(error, path)),
        }
    }

    /// The same in one line, for a person; empty if nothing is known.
    #[must_use]
    pub fn line(&self) -> String {
        let mut parts: Vec<String> = Vec::new();
        match self.resolves_to.as_deref() {
            None => {}
            Some([]) => parts.push("the name has no address".to_owned()),
            Some(addresses) => {
                let shown = addresses.iter().take(SHOWN_ADDRESSES);
                let shown: Vec<_> = shown.map(ToString::to_string).collect();
                let kind = if self.private == Some(true) {
                    "private"
                } else if addresses.iter().any(|address| is_own_machines(*address)) {
                    "this machine"
                } else {
                    "public"
                };
                parts.push(format!(
                    "the name resolves to {} ({kind})",
                    shown.join(", ")
                ));
            }
        }
        match self.alias {
            Some(true) => parts.push("the vault has a private endpoint".to_owned()),
            Some(false) => parts.push("DNS here knows no private endpoint of the vault".to_owned()),
            None => {}
        }
        if let Some(arrived_by) = self.arrived_by {
            let mut part = match arrived_by {
                Arrival::PrivateLink => "requests arrive by a private endpoint",
                Arrival::ServiceEndpoint => "requests arrive by a service endpoint",
                Arrival::PrivateNetwork => "requests arrive over a private network",
                Arrival::PublicNetwork => "requests arrive over the public network",
            }
            .to_owned();
            if let Some(address) = self.vault_sees.as_ref().and_then(|sees| sees.address) {
                let _ = write!(part, " from {address}");
            }
            parts.push(part);
        }
        parts.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_vault::{NetworkInfo, error::TlsFailure};

    fn path(address: Option<[u8; 4]>, alias: Option<bool>, header: Option<&str>) -> NetworkPath {
        NetworkPath {
            is_azures: true,
            resolves_to: address.map(|address| Ok(vec![IpAddr::from(address)])),
            has_alias: alias,
            answered: header.map_or(Answered::Nobody, |header| {
                Answered::KeyVault(NetworkInfo::parse(header))
            }),
            is_silent: header.is_none(),
        }
    }

    const PUBLIC: Option<[u8; 4]> = Some([203, 0, 113, 1]);
    const PRIVATE: Option<[u8; 4]> = Some([10, 0, 0, 1]);
    const BY_PUBLIC: Option<&str> = Some("conn_type=Ipv4;addr=203.0.113.9");
    const BY_LINK: Option<&str> = Some("conn_type=PrivateLink;addr=10.0.0.9");
    const BY_SUBNET: Option<&str> = Some("conn_type=Subnet;addr=10.0.0.9");
    const BY_OLD_PRIVATE: Option<&str> = Some("addr=10.0.0.9");
    const YES: Option<bool> = Some(true);
    const NO: Option<bool> = Some(false);

    #[test]
    #[rustfmt::skip]
    fn what_the_vault_says_counts_more_than_dns() {
        use PathProblem as P;
        for (error, path, problem) in [
            (Error::ForbiddenByFirewall, path(PUBLIC, NO, BY_PUBLIC), Some(P::AddressNotAllowed)),
            (Error::ForbiddenByFirewall, path(PUBLIC, YES, BY_PUBLIC), Some(P::PrivateEndpointNotUsed)),
            (Error::ForbiddenByFirewall, path(None, None, None), Some(P::AddressNotAllowed)),
            (Error::ForbiddenByFirewall, path(PUBLIC, YES, BY_SUBNET), Some(P::SubnetNotAllowed)),
            (Error::ForbiddenByFirewall, path(PUBLIC, NO, BY_LINK), Some(P::PrivateEndpointRefused)),
            (Error::ForbiddenByFirewall, path(PRIVATE, YES, BY_OLD_PRIVATE), None),
            // A proxy goes out over the public network, whatever DNS says here.
            (Error::ForbiddenByFirewall, path(PRIVATE, YES, BY_PUBLIC), Some(P::AddressNotAllowed)),
            (Error::ForbiddenByConnection, path(PRIVATE, YES, BY_PUBLIC), Some(P::PublicAccessDisabled)),
            (Error::ForbiddenByConnection, path(PUBLIC, YES, BY_PUBLIC), Some(P::PrivateEndpointNotUsed)),
            (Error::ForbiddenByConnection, path(PUBLIC, NO, BY_PUBLIC), Some(P::NoPrivateEndpoint)),
            (Error::ForbiddenByConnection, path(PUBLIC, None, BY_PUBLIC), Some(P::PublicAccessDisabled)),
            (Error::ForbiddenByConnection, path(PUBLIC, NO, BY_SUBNET), Some(P::NoPrivateEndpoint)),
            (Error::ForbiddenByConnection, path(PRIVATE, YES, BY_LINK), Some(P::PrivateEndpointNotApproved)),
            (Error::ForbiddenByConnection, path(PRIVATE, YES, None), Some(P::PrivateEndpointNotApproved)),
            (Error::VaultNotFound, path(None, None, None), Some(P::NoSuchName)),
            (Error::Unreachable(Reach::Proxy), path(PRIVATE, None, None), Some(P::ProxyWithoutAddress)),
            (Error::Unreachable(Reach::NameResolution), path(None, None, None), Some(P::NoDnsAnswer)),
            (Error::Unreachable(Reach::OwnMachine), path(None, None, None), Some(P::OwnMachine)),
            (Error::Unreachable(Reach::Connection), path(PRIVATE, YES, BY_LINK), Some(P::PrivateAddressUnreachable)),
            (Error::Unreachable(Reach::Refused), path(PUBLIC, NO, None), Some(P::NoConnection)),
            // An answer began, or came lately.
            (Error::Unreachable(Reach::Interrupted), path(PRIVATE, YES, None), None),
            (Error::TimedOut, path(PRIVATE, YES, BY_LINK), None),
            (Error::TimedOut, path(PRIVATE, YES, None), Some(P::PrivateAddressUnreachable)),
            (Error::TimedOut, path(PUBLIC, NO, None), Some(P::NoConnection)),
            (Error::TlsFailed(TlsFailure::WrongName), path(PUBLIC, NO, None), Some(P::TlsFailed)),
            (Error::AccessDenied(Denial::Role), path(PRIVATE, YES, BY_LINK), None),
            (Error::AccessDenied(Denial::Policy), path(PUBLIC, NO, BY_PUBLIC), None),
            (Error::UnexpectedAnswer, path(PUBLIC, NO, BY_PUBLIC), None),
        ] {
            assert_eq!(PathProblem::of(&error, &path), problem, "{error:?} {path:?}");
        }
    }

    #[test]
    fn a_name_server_that_says_nothing_is_no_silent_vault() {
        for (resolves_to, problem) in [
            (NoAddress::NoAnswer, PathProblem::NoDnsAnswer),
            (NoAddress::NoSuchName, PathProblem::NoSuchName),
        ] {
            let path = NetworkPath {
                resolves_to: Some(Err(resolves_to)),
                ..path(None, None, None)
            };
            assert_eq!(PathProblem::of(&Error::TimedOut, &path), Some(problem));
        }
    }

    #[test]
    fn only_azures_vaults_say_how_requests_arrive() {
        for is_azures in [true, false] {
            let path = NetworkPath {
                is_azures,
                answered: Answered::Other,
                ..path(PRIVATE, None, None)
            };
            let problem = is_azures.then_some(PathProblem::NotKeyVault);
            let found = PathProblem::of(&Error::AccessDenied(Denial::Other), &path);
            assert_eq!(found, problem);
        }
    }
}
