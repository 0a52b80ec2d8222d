//! The network between the handler and a vault: who refuses, and how it is opened.
//!
//! An app's outbound addresses never help: the platform may fetch references from others.
//! Source: Azure documentation, "Use Key Vault references", on network-restricted vaults.

use std::net::IpAddr;

use super::{
    Fix, PathProblem,
    case::{Case, Words},
    function_app::{Plan, RunsIn},
};
use crate::key_vault::{Error, NetworkInfo, NetworkPath, VaultUrl, dns::is_private, error::Reach};

impl Case<'_> {
    /// `error`, with what the path to the vault tells about it.
    pub(super) fn on_the_path(&self, error: &Error, path: &NetworkPath) -> Words {
        let words = self.failed(error);
        let retry_after = words.retry_after;
        let (Some(problem), Some(vault)) = (PathProblem::of(error, path), self.azure_name()) else {
            return words;
        };
        let Words { detail, fix, .. } = match problem {
            PathProblem::NotKeyVault => self.not_key_vault(path),
            PathProblem::AddressNotAllowed => self.firewall(self.shown_info(path)),
            PathProblem::SubnetNotAllowed => self.subnet_not_allowed(vault, path),
            PathProblem::PrivateEndpointRefused => self.private_endpoint_refused(vault),
            PathProblem::PrivateEndpointNotUsed => {
                self.private_endpoint_not_used(vault, error, path)
            }
            PathProblem::PrivateEndpointNotApproved => self.private_endpoint_not_approved(vault),
            PathProblem::NoPrivateEndpoint => self.no_private_endpoint(path),
            PathProblem::PublicAccessDisabled => self.private_endpoints_only(Some(path)),
            PathProblem::PrivateAddressUnreachable => self.private_address_unreachable(path),
            PathProblem::NoDnsAnswer => self.unreachable(Reach::NameResolution),
            PathProblem::NoSuchName => self.vault_not_found(),
            PathProblem::OwnMachine => self.unreachable(Reach::OwnMachine),
            PathProblem::ProxyWithoutAddress
            | PathProblem::NoConnection
            | PathProblem::TlsFailed => words,
        };
        let whose = if self.is_platforms() {
            " This is the handler's own path; the platform's may differ."
        } else if self.surroundings.checks_an_app {
            " This is the path from here; the app's may differ."
        } else {
            ""
        };
        Words {
            detail: detail + whose,
            fix,
            retry_after,
        }
    }

    /// What the vault says of the path, for who may know ids and addresses.
    pub(super) fn shown_info<'p>(&self, path: &'p NetworkPath) -> Option<&'p NetworkInfo> {
        path.info().filter(|_| self.surroundings.is_for_admins)
    }

    /// "Selected networks", and the handler's is none of them.
    pub(super) fn firewall(&self, info: Option<&NetworkInfo>) -> Words {
        let vault = self.vault();
        // A rule takes public addresses of version 4 alone.
        let is_public = |address: &IpAddr| address.is_ipv4() && !is_private(*address);
        let address = info.and_then(|info| info.address).filter(is_public);
        let address = address.map(|address| address.to_string());
        let detail = match (self.is_on_azure(), &address) {
            (true, None) => format!("The firewall of {vault} does not accept the app's network."),
            (true, Some(address)) => format!(
                "The firewall of {vault} does not accept the app's network. The request came from {address}."
            ),
            (false, None) => {
                format!("The firewall of {vault} does not accept this machine's address.")
            }
            (false, Some(address)) => {
                format!(
                    "The firewall of {vault} does not accept this machine's address, {address}."
                )
            }
        };
        let own = address.as_deref().unwrap_or("<your-address>");
        let fix = self.open(
            |vault| accept_address(vault, own),
            |vault| Fix::with(
                "An app on the Consumption plan cannot join a network. Move it to Flex Consumption, or accept every network with",
                format!("az keyvault update --name {vault} --default-action Allow"),
            ),
            |vault| Fix::with_all(
                "Connect the app to a virtual network, and let the vault accept its subnet. The second command replaces the subnet's service endpoints, so name those that it has, too:",
                [
                    self.join_network(),
                    "az network vnet subnet update --ids <subnet-id> --service-endpoints Microsoft.KeyVault".to_owned(),
                    accept_subnet(vault, "<subnet-id>"),
                ],
            ),
        );
        Words::new(detail, fix)
    }

    /// The subnet has its service endpoint, and the vault has no rule for it.
    fn subnet_not_allowed(&self, vault: &str, path: &NetworkPath) -> Words {
        let info = self.shown_info(path);
        let subnet = info.and_then(|info| info.subnet.as_deref());
        let subnet = subnet.map_or_else(|| "<subnet-id>".to_owned(), |id| format!("\"{id}\""));
        Words::new(
            format!(
                "The request reached {} by the service endpoint of a subnet, and the vault's firewall does not accept that subnet.",
                self.vault()
            ),
            Fix::with(
                "Let the vault accept the subnet with",
                accept_subnet(vault, &subnet),
            ),
        )
    }

    /// Something answered that is not Key Vault: it lacks what Key Vault says in every answer.
    fn not_key_vault(&self, path: &NetworkPath) -> Words {
        let host = self.host();
        let addresses = path.addresses().unwrap_or_default();
        let address = match addresses.first() {
            Some(address) => format!(" The name resolves to {address} here."),
            None => String::new(),
        };
        Words::without_command(
            format!(
                "What answered for {host} is not Key Vault, but something on the way, such as a proxy.{address}"
            ),
            "If HTTPS_PROXY is set, let the proxy pass the vault's host, or name the host in NO_PROXY. Otherwise check the firewall on the way, and the address.",
        )
    }

    /// Opens a vault on Azure to a machine, or to an app by what its plan can.
    pub(super) fn open(
        &self,
        to_a_machine: impl Fn(&str) -> Fix,
        to_consumption: impl Fn(&str) -> Fix,
        to_an_app: impl Fn(&str) -> Fix,
    ) -> Fix {
        match (self.azure_name(), self.surroundings.app.plan()) {
            (None, _) => self.allow_elsewhere(),
            (Some(vault), _) if !self.is_on_azure() => to_a_machine(vault),
            (Some(vault), Some(Plan::Consumption)) => to_consumption(vault),
            (Some(vault), _) => to_an_app(vault),
        }
    }

    /// Puts the app into a network from which the vault takes requests.
    pub(super) fn join_network(&self) -> String {
        format!(
            "az functionapp vnet-integration add {} --vnet <vnet> --subnet <subnet>",
            self.app()
        )
    }

    /// The host name does not exist: a wrong name, or a private zone without a record.
    pub(super) fn vault_not_found(&self) -> Words {
        let (host, setting) = (self.name_in_dns(), self.where_it_is_set());
        if let RunsIn::Embedded(_) = self.surroundings.runs_in {
            return Words::without_command(
                format!("Only the embedded vault is connected here, and {host} is another one."),
                "To use real vaults, set KEY_VAULT_URL to the address of one.",
            );
        }
        let detail = format!("The host name {host} does not exist.");
        let fix = match (self.azure_name(), self.is_on_azure()) {
            (None, _) => Fix::without_command(format!("Correct the host name in {setting}.")),
            (Some(vault), true) if self.surroundings.app.plan() == Some(Plan::Consumption) => {
                Fix::with_all(
                    format!(
                        "Correct the vault's name in {setting}. The first command shows whether the vault exists, the second whether it is deleted:"
                    ),
                    [show_address(vault), show_deleted(vault)],
                )
            }
            (Some(vault), true) => Fix::with_all(
                format!(
                    "Correct the vault's name in {setting}. The first command shows whether the vault exists, the second whether it is deleted. If it exists, the app's DNS server or private zone ({}) has no record for it; in the zone, the third makes one:",
                    self.private_zone()
                ),
                [
                    show_address(vault),
                    show_deleted(vault),
                    add_record("<zone-id>", "<endpoint>", "<endpoint-group>"),
                ],
            ),
            (Some(vault), false) => Fix::with_all(
                format!(
                    "Correct the vault's name in {setting}, and check that this machine is online and in the right network (VPN). The first command shows whether the vault exists, the second whether it is deleted:"
                ),
                [show_address(vault), show_deleted(vault)],
            ),
        };
        Words::new(detail, fix)
    }

    /// The private DNS zone of vaults, in the vault's cloud.
    pub(super) fn private_zone(&self) -> &'static str {
        let zone = self.subject.vault.and_then(VaultUrl::private_zone);
        zone.unwrap_or_default()
    }
}

fn show_address(vault: &str) -> String {
    format!("az keyvault show --name {vault} --query properties.vaultUri -o tsv")
}

fn show_deleted(vault: &str) -> String {
    format!("az keyvault show-deleted --name {vault} --query properties.scheduledPurgeDate -o tsv")
}

fn accept_address(vault: &str, address: &str) -> Fix {
    Fix::with(
        "Accept this machine's public address with",
        format!("az keyvault network-rule add --name {vault} --ip-address {address}"),
    )
}

fn accept_subnet(vault: &str, subnet: &str) -> String {
    format!("az keyvault network-rule add --name {vault} --subnet {subnet}")
}

/// Puts the vault's name into the private zone.
pub(super) fn add_record(zone: &str, endpoint: &str, group: &str) -> String {
    format!(
        "az network private-endpoint dns-zone-group create --endpoint-name {endpoint} --resource-group {group} --name default --private-dns-zone {zone} --zone-name vault"
    )
}
