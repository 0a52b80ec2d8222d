//! What the vault says about the way that a request took: the header
//! `x-ms-keyvault-network-info`, in every form that the service is known to send.
//!
//! Source: Microsoft's article on diagnosing private links of Key Vault, and recordings and
//! labs of the real service. The addresses are of the ranges for documentation and of a private
//! one, the ids have no digits but 0.

/// A form of the header. The same form is sent with every answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NetworkInfo {
    /// The public endpoint, called from this machine: what is true here.
    #[default]
    Loopback,
    /// The public endpoint.
    Public,
    /// A private endpoint.
    PrivateLink,
    /// A subnet with a service endpoint.
    Subnet,
    /// The public endpoint as before 2020, without `conn_type`.
    OldPublic,
    /// A private endpoint as before 2020, without `conn_type`.
    OldPrivate,
    /// A managed HSM.
    ManagedHsm,
    /// A managed HSM that sends the address only.
    ManagedHsmAddress,
    /// No header, and none of the others that name Key Vault: something else answers in the
    /// vault's place, such as a proxy.
    Absent,
}

impl NetworkInfo {
    /// What each form is called on the command line.
    pub const WORDS: [(&str, Self); 9] = [
        ("loopback", Self::Loopback),
        ("public", Self::Public),
        ("private-link", Self::PrivateLink),
        ("subnet", Self::Subnet),
        ("old-public", Self::OldPublic),
        ("old-private", Self::OldPrivate),
        ("managed-hsm", Self::ManagedHsm),
        ("managed-hsm-address", Self::ManagedHsmAddress),
        ("absent", Self::Absent),
    ];

    /// The form that is called `word`.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        let mut words = Self::WORDS.into_iter();
        words.find_map(|(known, form)| (known == word).then_some(form))
    }

    /// The header's value, punctuation and all. `InterNetworkV6` beside an IPv4 address is the
    /// service's own.
    #[must_use]
    pub fn value(self) -> Option<&'static str> {
        match self {
            Self::Loopback => Some("conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;"),
            Self::Public => Some("conn_type=Ipv4;addr=203.0.113.10;act_addr_fam=InterNetwork;"),
            Self::PrivateLink => Some(
                "conn_type=PrivateLink;private_endpoint=/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-dev/providers/Microsoft.Network/privateEndpoints/pe-dev;addr=10.1.2.4;act_addr_fam=InterNetworkV6;",
            ),
            Self::Subnet => Some(
                "conn_type=Subnet;subnet=/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-dev/providers/Microsoft.Network/virtualNetworks/vnet-dev/subnets/snet-dev;addr=10.1.2.4;act_addr_fam=InterNetworkV6",
            ),
            Self::OldPublic => Some("addr=198.51.100.10;act_addr_fam=InterNetwork;"),
            Self::OldPrivate => Some("addr=10.1.2.4;act_addr_fam=InterNetworkV6;"),
            Self::ManagedHsm => Some("conn_type=Ipv4;addr=192.0.2.10;act_addr_fam=Ipv4;"),
            Self::ManagedHsmAddress => Some("addr=192.0.2.10"),
            Self::Absent => None,
        }
    }
}
