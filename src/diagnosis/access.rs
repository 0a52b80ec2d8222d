//! Whom a vault refuses, and what gives access.

use super::{
    Fix,
    case::{Case, Words},
    function_app::Identity,
};
use crate::key_vault::error::Denial;

impl Case<'_> {
    pub(super) fn denied(&self, denial: Denial) -> Words {
        let (vault, who) = (self.vault(), self.who());
        let verb = if self.is_list() { "list" } else { "read" };
        let kinds = self.subject.kind.collection();
        let detail = match denial {
            Denial::Role => {
                format!("{who} has no role that allows it to {verb} {kinds} in {vault}.")
            }
            Denial::AccessPolicy => {
                format!("{who} has no access policy that allows it to {verb} {kinds} in {vault}.")
            }
            Denial::Policy => format!(
                "A policy of {vault} refuses this operation (ForbiddenByPolicy). Some pages use this word for the vault's firewall."
            ),
            Denial::Other => format!(
                "{} refuses access for a reason that this handler does not know.",
                self.vault_first()
            ),
        };
        let detail = if self.surroundings.checks_an_app {
            format!("{detail} The app's own identity may be allowed.")
        } else {
            detail
        };
        Words::new(detail, self.allow(denial))
    }

    fn allow(&self, denial: Denial) -> Fix {
        let Some(vault) = self.azure_name() else {
            return self.allow_elsewhere();
        };
        if denial == Denial::Policy {
            return Fix::with(
                "See whether the vault has a firewall with",
                format!("az keyvault show --name {vault} --query properties.networkAcls"),
            );
        }
        let (role, policy) = (self.grant_role(vault), self.grant_policy(vault));
        // The platform resolves with the app's own identity, unless it is told another one.
        if self.is_platforms() {
            match &self.surroundings.identity {
                Identity::SystemAssigned => {}
                Identity::UserAssigned(id) => {
                    return Fix::with_all(
                        "Grant the identity a role (first command) or, if the vault uses them, an access policy (second), and let references use it (third):",
                        [role, policy, self.use_identity_for_references(id)],
                    );
                }
                Identity::Application(_) | Identity::Developer => return self.grant_the_app(),
            }
        }
        match denial {
            Denial::Role => Fix::with(
                "If you have just granted one, wait some minutes. Otherwise grant it with",
                role,
            ),
            Denial::AccessPolicy => Fix::with("Grant it with", policy),
            Denial::Policy | Denial::Other => Fix::with_all(
                "If the vault uses roles, grant one with the first command; if it uses access policies, with the second:",
                [role, policy],
            ),
        }
    }

    /// What lets the platform read the vault as the app.
    pub(super) fn grant_the_app(&self) -> Fix {
        match self.azure_name() {
            Some(vault) => Fix::with_all(
                "The platform resolves references with the app's managed identity. Give the app one, and grant it a role, or an access policy if the vault uses those, with",
                [
                    self.assign_identity(),
                    self.grant_role(vault),
                    self.grant_policy(vault),
                ],
            ),
            None => self.allow_elsewhere(),
        }
    }

    /// The identity that was refused, at the start of a sentence.
    fn who(&self) -> &'static str {
        match self.surroundings.identity {
            Identity::SystemAssigned if self.is_on_azure() => "The app's managed identity",
            Identity::SystemAssigned => "The managed identity",
            Identity::UserAssigned(_) => "The user-assigned identity of AZURE_CLIENT_ID",
            Identity::Application(_) => "The application of AZURE_CLIENT_ID",
            Identity::Developer => "The account that is signed in with az or azd",
        }
    }

    pub(super) fn token_refused(&self) -> Words {
        let fix = match self.azure_name() {
            Some(vault) => {
                let commands = self.compare_tenants(vault);
                let sentence = if commands.len() > 1 {
                    "The usual reason is that the vault belongs to another tenant than the identity. Compare the two with"
                } else {
                    "The usual reason is that the vault belongs to another tenant than the identity. Compare AZURE_TENANT_ID with the vault's:"
                };
                Fix::with_all(sentence, commands)
            }
            None => Fix::without_command(
                "If the emulator was started again, set what it printed this time, and start the handler again.",
            ),
        };
        Words::new(
            format!(
                "{} refuses the token of the identity. It does not say why.",
                self.vault_first()
            ),
            fix,
        )
    }
}
