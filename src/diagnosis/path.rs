//! The path that requests take to a vault: what is wrong with it, and what is shown of it.

use std::{fmt::Write as _, net::IpAddr};

use serde::Serialize;

use crate::key_vault::{
    Answer, Arrival, Error, NetworkPath,
    dns::is_own_machines,
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
    /// The vault accepts only private endpoints, and the request came over the public network.
    PublicAccessDisabled,
}

impl PathProblem {
    /// What is wrong with `path`, on which a request met `error`.
    pub(super) fn of(error: &Error, path: &NetworkPath) -> Option<Self> {
        let is_private = path.is_private();
        let arrived_by = path.arrived_by();
        match error {
            Error::Unreachable(Reach::Proxy) => Some(Self::ProxyWithoutAddress),
            Error::Unreachable(Reach::NameResolution) => Some(Self::NoDnsAnswer),
            Error::Unreachable(Reach::OwnMachine) => Some(Self::OwnMachine),
            Error::VaultNotFound => Some(Self::NoSuchName),
            Error::TimedOut | Error::Unreachable(_) if is_private == Some(true) => {
                Some(Self::PrivateAddressUnreachable)
            }
            Error::TimedOut | Error::Unreachable(_) => Some(Self::NoConnection),
            Error::TlsFailed(_) => Some(Self::TlsFailed),
            // A gateway of Azure's own may answer 503 in the vault's place.
            Error::UnexpectedAnswer | Error::AccessDenied(Denial::Other)
                if path.answer == Answer::Other =>
            {
                Some(Self::NotKeyVault)
            }
            Error::ForbiddenByFirewall if arrived_by == Some(Arrival::ServiceEndpoint) => {
                Some(Self::SubnetNotAllowed)
            }
            Error::ForbiddenByFirewall if arrived_by == Some(Arrival::PrivateLink) => {
                Some(Self::PrivateEndpointRefused)
            }
            Error::ForbiddenByConnection
                if is_private == Some(true) || arrived_by == Some(Arrival::PrivateLink) =>
            {
                Some(Self::PrivateEndpointNotApproved)
            }
            Error::ForbiddenByFirewall | Error::ForbiddenByConnection
                if path.has_alias == Some(true) && is_private == Some(false) =>
            {
                Some(Self::PrivateEndpointNotUsed)
            }
            Error::ForbiddenByFirewall => Some(Self::AddressNotAllowed),
            Error::ForbiddenByConnection if path.has_alias == Some(false) => {
                Some(Self::NoPrivateEndpoint)
            }
            Error::ForbiddenByConnection => Some(Self::PublicAccessDisabled),
            _ => None,
        }
    }
}

/// What is shown of the path to a vault. What is not known is null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathReport {
    /// The addresses of the vault's name from here; none if it has none.
    resolves_to: Option<Vec<IpAddr>>,
    /// Whether all of them are private, and so a private endpoint's.
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
            Some(false) => parts.push("DNS knows no private endpoint of the vault".to_owned()),
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
