//! Whom a vault refuses, and what gives access.

use std::fmt::Write as _;

use super::{
    Fix,
    case::{Case, Words},
    function_app::Identity,
    grants::show_tenant,
};
use crate::key_vault::{
    Guid,
    error::{Denial, Tenants},
};

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

    /// The vault refuses the token itself, and not what is done with it.
    pub(super) fn token_refused(&self, tenants: &Tenants) -> Words {
        let vault_first = self.vault_first();
        let Some(vault) = self.azure_name() else {
            return Words::without_command(
                format!("{vault_first} refuses the token of the identity. It does not say why."),
                "If the emulator was started again, set what it printed this time, and start the handler again.",
            );
        };
        match tenants {
            Tenants::Different(tenant) => self.other_tenant(vault, tenant),
            Tenants::Same => Words::new(
                format!(
                    "{vault_first} refuses the token of the identity, although both belong to one tenant. It does not say why."
                ),
                match &self.surroundings.identity {
                    _ if self.is_on_azure() => {
                        let sentence = "The handler asks for another token by itself. If it stays, restart the app with";
                        Fix::with(sentence, self.restart())
                    }
                    Identity::Developer => {
                        Fix::without_command("Check the date of this machine, and sign in again.")
                    }
                    _ => Fix::without_command("Check the date of this machine."),
                },
            ),
            Tenants::Unknown => {
                let commands = self.compare_tenants(vault);
                let sentence = if commands.len() > 1 {
                    "The usual reason is that the vault belongs to another tenant than the identity. Compare the two with"
                } else {
                    "The usual reason is that the vault belongs to another tenant than the identity. Compare AZURE_TENANT_ID with the vault's:"
                };
                Words::new(
                    format!(
                        "{vault_first} refuses the token of the identity. It does not say why."
                    ),
                    Fix::with_all(sentence, commands),
                )
            }
        }
    }

    fn other_tenant(&self, vault: &str, tenant: &Guid) -> Words {
        let shown = Some(tenant).filter(|_| self.surroundings.is_for_admins);
        let who = self.who().replacen('T', "t", 1);
        let mut detail = format!(
            "{} belongs to another tenant than {who}.",
            self.vault_first()
        );
        let principal = self.surroundings.principal.as_ref();
        if let (Some(vaults), Some(own)) = (shown, principal.and_then(|one| one.tenant.as_ref())) {
            let _ = write!(detail, " The vault's is {vaults}, the identity's is {own}.");
        }
        let fix = match &self.surroundings.identity {
            // The platform has nothing to do with the handler's own sign-in.
            _ if self.is_the_apps_alone() => self.grant_the_app(),
            Identity::SystemAssigned | Identity::UserAssigned(_) if self.is_on_azure() => {
                Fix::with_all(
                    "A managed identity can only read vaults of its own tenant: use one of those. The first command shows the vault's tenant. If its subscription has moved to the identity's tenant, the second moves the vault, too; its access policies and role assignments must be made again then:",
                    [show_tenant(vault), self.move_vault(vault)],
                )
            }
            Identity::SystemAssigned | Identity::UserAssigned(_) => Fix::with(
                "A managed identity can only read vaults of its own tenant. Sign in as one of the vault's tenant, which is shown by",
                show_tenant(vault),
            ),
            Identity::Application(_) => {
                let tenant = match shown {
                    Some(tenant) => tenant.to_string(),
                    None if self.is_on_azure() => format!("\"$({})\"", show_tenant(vault)),
                    None => "<tenant-of-the-vault>".to_owned(),
                };
                let sentence =
                    "If the application is registered in the vault's tenant, name that tenant.";
                let fix = self.set_app_setting("AZURE_TENANT_ID", &tenant);
                Fix::with_all(format!("{sentence} {}", fix.sentence), fix.commands)
            }
            Identity::Developer => {
                let tenant = shown.map_or("<tenant-of-the-vault>", Guid::as_str);
                Fix::with_all(
                    "Sign in to the vault's tenant with the first command or, if you use azd, with the second:",
                    [
                        format!("az login --tenant {tenant}"),
                        format!("azd auth login --tenant-id {tenant}"),
                    ],
                )
            }
        };
        Words::new(detail, fix)
    }
}
