//! The network between the handler and a vault: who refuses, and how the way is opened.
//!
//! An app's outbound addresses never help: the platform may fetch references from others.
//! Source: Azure documentation, "Use Key Vault references", on network-restricted vaults.

use super::{
    Fix,
    case::{Case, Words},
    commands,
    function_app::{Plan, RunsIn},
};

impl Case<'_> {
    /// "Selected networks", and the handler's is none of them.
    pub(super) fn firewall(&self) -> Words {
        let vault = self.vault();
        let detail = if self.is_on_azure() {
            format!("The firewall of {vault} does not accept the app's network.")
        } else {
            format!("The firewall of {vault} does not accept this machine's address.")
        };
        let fix = self.open(
            |vault| Fix::with(
                "Accept this machine's public address with",
                format!("az keyvault network-rule add --name {vault} --ip-address <your-address>"),
            ),
            |vault| Fix::with(
                "An app on the Consumption plan cannot join a network. Move it to Flex Consumption, or accept every network with",
                format!("az keyvault update --name {vault} --default-action Allow"),
            ),
            |vault| Fix::with_all(
                "Connect the app to a virtual network, and let the vault accept its subnet. The second command replaces the subnet's service endpoints, so name those that it has, too:",
                [
                    self.join_network(),
                    "az network vnet subnet update --ids <subnet-id> --service-endpoints Microsoft.KeyVault".to_owned(),
                    format!("az keyvault network-rule add --name {vault} --subnet <subnet-id>"),
                ],
            ),
        );
        Words::new(detail, fix)
    }

    /// Public access is disabled: no rule for addresses or subnets helps.
    pub(super) fn private_endpoints_only(&self) -> Words {
        let vault = self.vault_first();
        let detail = format!(
            "{vault} accepts only private endpoints, and the request came over the public network."
        );
        let or_allow_public_access = |sentence: &str, vault: &str| {
            Fix::with(
                format!("{sentence}, or allow public access with"),
                format!("az keyvault update --name {vault} --public-network-access Enabled"),
            )
        };
        let fix = self.open(
            |vault| or_allow_public_access(
                "Connect this machine to the private endpoint's network (VPN)",
                vault,
            ),
            |vault| or_allow_public_access(
                "An app on the Consumption plan cannot reach a private endpoint. Move it to Flex Consumption",
                vault,
            ),
            |vault| self.private_endpoint(vault),
        );
        Words::new(detail, fix)
    }

    /// Opens a vault on Azure to a machine, or to an app by what its plan can.
    fn open(
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

    fn private_endpoint(&self, vault: &str) -> Fix {
        let group = self.surroundings.app.resource_group();
        let zone = self.private_zone();
        Fix::with_all(
            format!(
                "Connect the app to the network of the vault's private endpoint with the first command. If the vault has none, or the zone {zone} is not linked to that network, the others make both:"
            ),
            [
                self.join_network(),
                format!(
                    "az network private-endpoint create --name {vault}-endpoint --resource-group {group} --vnet-name <vnet> --subnet <endpoint-subnet> --private-connection-resource-id \"{}\" --group-id vault --connection-name {vault}-endpoint",
                    commands::vault_id(vault)
                ),
                format!(
                    "az network private-dns zone create --name {zone} --resource-group {group}"
                ),
                format!(
                    "az network private-dns link vnet create --name {vault}-link --resource-group {group} --zone-name {zone} --virtual-network <vnet> --registration-enabled false"
                ),
                format!(
                    "az network private-endpoint dns-zone-group create --endpoint-name {vault}-endpoint --resource-group {group} --name default --private-dns-zone {zone} --zone-name vault"
                ),
            ],
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
            (Some(vault), true) => {
                let zone = self.private_zone();
                Fix::with(
                    format!(
                        "Correct the vault's name in {setting}. If the vault exists, the private zone {zone} of the app's network has no record for it. See whether it exists with"
                    ),
                    format!("az keyvault show --name {vault} --query properties.vaultUri -o tsv"),
                )
            }
            (Some(vault), false) => Fix::with(
                format!(
                    "Correct the vault's name in {setting}, and check that this machine is online and in the right network (VPN). See whether the vault exists with"
                ),
                format!("az keyvault show --name {vault} --query properties.vaultUri -o tsv"),
            ),
        };
        Words::new(detail, fix)
    }

    /// The private DNS zone of vaults, in the vault's cloud.
    fn private_zone(&self) -> &'static str {
        let host = self.host();
        if host.ends_with(".azure.cn") {
            "privatelink.vaultcore.azure.cn"
        } else if host.ends_with(".usgovcloudapi.net") {
            "privatelink.vaultcore.usgovcloudapi.net"
        } else {
            "privatelink.vaultcore.azure.net"
        }
    }
}
