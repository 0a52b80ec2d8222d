//! Why a vault, or what answers instead of it, cannot be talked to, or does not serve now.

use std::time::Duration;

use super::{
    Named,
    case::{Case, Words},
};
use crate::key_vault::error::{Reach, TlsFailure};

impl Case<'_> {
    pub(super) fn unreachable(&self, reach: Reach) -> Words {
        let host = self.host();
        let (detail, fix) = match reach {
            Reach::Proxy => (
                "The host name of the proxy (HTTPS_PROXY or ALL_PROXY) has no address.".to_owned(),
                "Correct it, or name the vault's host in NO_PROXY.",
            ),
            Reach::NameResolution => (
                format!("No name server answered for {}.", self.name_in_dns()),
                if self.is_on_azure() {
                    "This usually passes. If it stays, check the DNS servers of the virtual network and WEBSITE_DNS_SERVER."
                } else {
                    "Check that this machine is online, and its VPN and DNS servers."
                },
            ),
            Reach::OwnMachine => (
                format!(
                    "{} resolves to an address of this machine, or of its own link. Nothing was sent.",
                    self.name_in_dns()
                ),
                "Correct the DNS server's answer, or the hosts file. If that is meant, as for a stand-in or a tunnel, name its certificate authority in KEY_VAULT_CA_FILE.",
            ),
            Reach::Refused if self.is_local_vault() => (
                format!("Nothing listens at {host}."),
                "Start the emulator, or correct the port.",
            ),
            Reach::Refused => (
                format!("{host} refuses connections."),
                "Key Vault never does. Check the proxy (HTTPS_PROXY), if there is one, and which address the vault's name resolves to.",
            ),
            Reach::Connection => (
                format!("No connection to {host} could be made."),
                "Check the network between here and the vault: port 443 must be open, and a proxy must let the vault's address through.",
            ),
            Reach::Interrupted => (
                format!("The connection to {host} broke off."),
                "Try again. If it stays, check what stands between here and the vault.",
            ),
        };
        Words::without_command(detail, fix)
    }

    pub(super) fn timed_out(&self) -> Words {
        let fix = if self.is_local_vault() {
            "Try again. If it stays, look at what serves this address."
        } else if self.is_on_azure() {
            "Try again. If it stays, something drops the traffic: check the network security group, the route table and the firewall between the app's network and the vault, port 443."
        } else {
            "Try again. If it stays, check this machine's network, VPN and proxy."
        };
        Words::without_command(
            format!("{} did not answer in time.", self.vault_first()),
            fix,
        )
    }

    pub(super) fn tls_failed(&self, failure: TlsFailure) -> Words {
        let (host, setting) = (self.host(), self.where_it_is_set());
        let (detail, fix) = match failure {
            TlsFailure::UnknownIssuer => (
                format!("The certificate of {host} is from an authority that is not trusted here."),
                "If a proxy intercepts TLS, or the vault is an emulator, put its certificate authority into a PEM file and name it in KEY_VAULT_CA_FILE.".to_owned(),
            ),
            TlsFailure::WrongName => (
                format!("The certificate of {host} is another host's."),
                format!("Correct the host name in {setting}, or check which machine answers there."),
            ),
            TlsFailure::Expired => (
                format!("The certificate of {host} has expired, or is not valid yet."),
                "Check the date of this machine. If it is right, the certificate must be renewed.".to_owned(),
            ),
            TlsFailure::NotTls => (
                format!("What answers at {host} does not speak TLS."),
                format!("Check the port in {setting}, and that no proxy answers instead."),
            ),
            TlsFailure::Other => (
                format!("No TLS connection to {host} could be made."),
                format!("Check that {setting} names a vault, and that no proxy intercepts TLS."),
            ),
        };
        Words::without_command(detail, fix)
    }

    pub(super) fn request_refused(&self) -> Words {
        Words::without_command(
            format!(
                "{} refused the request as malformed. It may not support this API version.",
                self.host()
            ),
            if self.azure_name().is_some() {
                "This is a defect in the handler. Please report it."
            } else {
                "Use a newer version of the emulator."
            },
        )
    }

    pub(super) fn unexpected_answer(&self) -> Words {
        Words::without_command(
            format!("The answer of {} is not Key Vault's.", self.host()),
            format!(
                "Check that {} names a vault, and that no proxy answers instead.",
                self.where_it_is_set()
            ),
        )
    }

    pub(super) fn throttled(&self, retry_after: Option<Duration>) -> Words {
        Words::without_command(
            format!("{} limits the number of requests.", self.vault_first()), match self.subject.named {
                Named::KeyVaultUrl => {
                    "Wait. If this happens often, raise SECRET_CACHE_TTL_SECONDS or give the vault fewer clients."
                }
                _ => "Wait. The handler tries again by itself. If this happens often, give the vault fewer clients.",
            })
        .passing(retry_after)
    }

    pub(super) fn unavailable(&self, retry_after: Option<Duration>) -> Words {
        Words::without_command(
            format!("{} reports a problem of its own.", self.vault_first()),
            if self.azure_name().is_some() {
                "Wait. If it stays, see https://status.azure.com"
            } else {
                "Wait. If it stays, look at the log of what serves this address."
            },
        )
        .passing(retry_after)
    }
}
