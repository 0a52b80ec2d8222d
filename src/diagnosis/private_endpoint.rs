//! A private endpoint of a vault: that it is needed, not used, not accepted or not reached, and what
//! leads there.

use super::{
    Fix,
    case::{Case, Words},
    commands,
    function_app::Plan,
    network::add_record,
};
use crate::key_vault::{Arrival, Error, NetworkPath};

impl Case<'_> {
    /// Public access is disabled: no rule for addresses or subnets helps.
    pub(super) fn private_endpoints_only(&self, path: Option<&NetworkPath>) -> Words {
        let zone = self.private_zone();
        let fix = self.reach_private_endpoint(&format!("Connect the app to the network of the vault's private endpoint with the first command. If the vault has none, or the zone {zone} is not linked to that network, the others make both:"));
        Words::new(self.accepts_private_endpoints_only(path), fix)
    }

    fn accepts_private_endpoints_only(&self, path: Option<&NetworkPath>) -> String {
        let how = match path.and_then(NetworkPath::arrived_by) {
            Some(Arrival::ServiceEndpoint) => "by a service endpoint",
            _ => "over the public network",
        };
        format!(
            "{} accepts only private endpoints, and the request came {how}.",
            self.vault_first()
        )
    }

    /// The same, and DNS knows none.
    pub(super) fn no_private_endpoint(&self, path: &NetworkPath) -> Words {
        let zone = self.private_zone();
        let fix = self.reach_private_endpoint(&format!("Connect the app to a virtual network with the first command. The others make a private endpoint for the vault in that network, and the zone {zone}:"));
        Words::new(
            format!(
                "{} As far as DNS tells here, the vault has no private endpoint that is approved.",
                self.accepts_private_endpoints_only(Some(path))
            ),
            fix,
        )
    }

    /// There is a private endpoint, and its address is not the one that is used.
    pub(super) fn private_endpoint_not_used(
        &self,
        vault: &str,
        error: &Error,
        path: &NetworkPath,
    ) -> Words {
        let refused = if *error == Error::ForbiddenByFirewall {
            self.firewall(self.shown_info(path))
        } else {
            self.private_endpoints_only(Some(path))
        };
        let detail = format!(
            "{} The vault has a private endpoint, but its name resolves to a public address here.",
            refused.detail
        );
        let may_join = self.surroundings.app.plan() != Some(Plan::Consumption);
        if !self.is_on_azure() || !may_join {
            return Words::new(detail, refused.fix);
        }
        let zone = self.private_zone();
        Words::new(
            detail,
            Fix::with_all(
                format!(
                    "Connect the app to the network of the private endpoint with the first command. If the zone {zone} is not linked to that network, link it with the second:"
                ),
                [self.join_network(), link_zone(vault, zone, "<zone-group>")],
            ),
        )
    }

    /// The vault's firewall does not look at private endpoints, as documented.
    pub(super) fn private_endpoint_refused(&self, vault: &str) -> Words {
        Words::new(
            format!(
                "The firewall of {} refuses the request, although it came by a private endpoint.",
                self.vault()
            ),
            Fix::with(
                "See the vault's firewall and the state of its private endpoint connections with",
                format!(
                    "az keyvault show --name {vault} --query \"properties.[networkAcls, privateEndpointConnections]\""
                ),
            ),
        )
    }

    /// The private endpoint is used, and the vault does not accept it.
    pub(super) fn private_endpoint_not_approved(&self, vault: &str) -> Words {
        Words::new(
            format!(
                "{} accepts only approved private endpoints, and refused the request as not approved.",
                self.vault_first()
            ),
            Fix::with_all(
                "See the state of the vault's private endpoint connections with the first command, and approve the one of this network with the second:",
                [
                    format!(
                        "az keyvault show --name {vault} --query \"properties.privateEndpointConnections[].[id, privateLinkServiceConnectionState.status]\" -o tsv"
                    ),
                    "az network private-endpoint-connection approve --id <connection-id>"
                        .to_owned(),
                ],
            ),
        )
    }

    /// The path ends before the private endpoint.
    pub(super) fn private_address_unreachable(&self, path: &NetworkPath) -> Words {
        let addresses = path.addresses().unwrap_or_default();
        let address = addresses.first().map(ToString::to_string);
        let detail = format!(
            "The name of {} resolves to the private address {}, and no answer came from there.",
            self.vault(),
            address.unwrap_or_default()
        );
        let rules = "Check the network security group and the route table between the two networks, port 443.";
        let fix = match (self.is_on_azure(), self.surroundings.app.plan()) {
            (false, _) => Fix::without_command(
                "Connect this machine to the private endpoint's network (VPN), and check its rules, port 443.",
            ),
            (true, Some(Plan::Consumption)) => Fix::without_command(
                "An app on the Consumption plan cannot reach a private address. Move it to Flex Consumption.",
            ),
            (true, Some(Plan::FlexConsumption)) => Fix::with(
                format!(
                    "{rules} If the app is not connected to a network with the private endpoint, connect it with"
                ),
                self.join_network(),
            ),
            (true, Some(Plan::Dedicated) | None) => Fix::with_all(
                format!(
                    "{rules} If the app is not connected to a network with the private endpoint, connect it with the first command. If only a part of its traffic goes there, send all of it with the second:"
                ),
                [self.join_network(), self.route_all()],
            ),
        };
        Words::new(detail, fix)
    }

    /// Opens the path to a private endpoint, or the vault to the public network. `for_an_app` says
    /// what the commands do for an app that can join a network.
    fn reach_private_endpoint(&self, for_an_app: &str) -> Fix {
        let or_allow_public_access = |sentence: &str, vault: &str| {
            Fix::with(
                format!("{sentence}, or allow public access with"),
                format!("az keyvault update --name {vault} --public-network-access Enabled"),
            )
        };
        self.open(
            |vault| or_allow_public_access(
                "Connect this machine to the private endpoint's network (VPN)",
                vault,
            ),
            |vault| or_allow_public_access(
                "An app on the Consumption plan cannot reach a private endpoint. Move it to Flex Consumption",
                vault,
            ),
            |vault| self.private_endpoint(vault, for_an_app),
        )
    }

    /// The app in the network of a private endpoint, and the endpoint.
    fn private_endpoint(&self, vault: &str, sentence: &str) -> Fix {
        let group = self.surroundings.app.resource_group();
        let zone = self.private_zone();
        Fix::with_all(
            sentence,
            [
                self.join_network(),
                format!(
                    "az network private-endpoint create --name {vault}-endpoint --resource-group {group} --vnet-name <vnet> --subnet <endpoint-subnet> --private-connection-resource-id \"{}\" --group-id vault --connection-name {vault}-endpoint",
                    commands::vault_id(vault)
                ),
                format!(
                    "az network private-dns zone create --name {zone} --resource-group {group}"
                ),
                link_zone(vault, zone, group),
                add_record(zone, &format!("{vault}-endpoint"), group),
            ],
        )
    }

    /// Sends all of the app's traffic through its virtual network.
    fn route_all(&self) -> String {
        format!(
            "az functionapp config set {} --vnet-route-all-enabled true",
            self.app()
        )
    }
}

/// Lets a network see the records of the private zone.
fn link_zone(vault: &str, zone: &str, group: &str) -> String {
    format!(
        "az network private-dns link vnet create --name {vault}-link --resource-group {group} --zone-name {zone} --virtual-network <vnet-id> --registration-enabled false"
    )
}
