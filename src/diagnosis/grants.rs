//! The commands that give an identity its right, and tell whose tenant it is.

use super::{
    case::Case,
    commands::{harmless_or, user_assigned, vault_id},
    function_app::Identity,
};
use crate::key_vault::{Guid, ObjectKind, PrincipalKind};

impl Case<'_> {
    /// Who needs a right, as `az` finds it without asking Microsoft Graph where it can.
    fn principal(&self) -> (String, &'static str) {
        if let Some((id, kind)) = self.known_principal() {
            return (id.to_string(), kind);
        }
        let command = match &self.surroundings.identity {
            _ if self.is_the_apps_alone() => self.own_identity("principalId"),
            Identity::SystemAssigned => self.own_identity("principalId"),
            Identity::UserAssigned(id) => user_assigned(id, "principalId"),
            Identity::Application(id) => format!(
                "az ad sp show --id {} --query id -o tsv",
                harmless_or(id, "<client-id>")
            ),
            Identity::Developer => {
                return (
                    "$(az ad signed-in-user show --query id -o tsv)".into(),
                    "User",
                );
            }
        };
        (format!("$({command})"), "ServicePrincipal")
    }

    /// Who needs a right, where the token tells and its ids may be shown.
    fn known_principal(&self) -> Option<(&Guid, &'static str)> {
        let principal = self.surroundings.principal.as_ref();
        let principal = principal.filter(|_| !self.is_the_apps_alone())?;
        let id = principal.object_id.as_ref()?;
        let kind = match principal.kind {
            PrincipalKind::User => "User",
            _ => "ServicePrincipal",
        };
        Some((id, kind))
    }

    /// Whether the platform resolves what is explained as the app, and the handler signs in as
    /// somebody else.
    pub(super) fn is_the_apps_alone(&self) -> bool {
        let identity = &self.surroundings.identity;
        self.is_platforms() && matches!(identity, Identity::Application(_) | Identity::Developer)
    }

    /// Shows one property of the app's system-assigned identity.
    fn own_identity(&self, property: &str) -> String {
        format!(
            "az functionapp identity show {} --query {property} -o tsv",
            self.app()
        )
    }

    /// Step 3 of the recipe, for a vault with roles.
    pub(super) fn grant_role(&self, vault: &str) -> String {
        let (principal, kind) = self.principal();
        let role = if self.needs_reader() {
            "Key Vault Reader"
        } else {
            "Key Vault Secrets User"
        };
        format!(
            "az role assignment create --role \"{role}\" --assignee-object-id \"{principal}\" --assignee-principal-type {kind} --scope \"{}\"",
            vault_id(vault)
        )
    }

    /// The right to ask the platform to resolve the app's references again.
    pub(super) fn grant_site_role(&self) -> String {
        let (principal, kind) = self.principal();
        format!(
            "az role assignment create --role \"Website Contributor\" --assignee-object-id \"{principal}\" --assignee-principal-type {kind} --scope \"$(az functionapp show {} --query id -o tsv)\"",
            self.app()
        )
    }

    /// Step 3 of the recipe, for a vault with access policies. They replace those of the same
    /// kind, so a policy on secrets has what references need, too.
    pub(super) fn grant_policy(&self, vault: &str) -> String {
        let (principal, _) = self.principal();
        let permissions = if self.needs_reader() {
            "--secret-permissions get list --key-permissions get list --certificate-permissions get list"
        } else {
            "--secret-permissions get list"
        };
        format!("az keyvault set-policy --name {vault} --object-id \"{principal}\" {permissions}")
    }

    /// Whether the role that resolves references is not the one that is needed: it opens no list
    /// of keys and of certificates.
    fn needs_reader(&self) -> bool {
        self.is_list() || self.subject.kind != ObjectKind::Secret
    }

    /// The tenants of the vault and of the identity.
    pub(super) fn compare_tenants(&self, vault: &str) -> Vec<String> {
        let own = self.show_own_tenant();
        [Some(show_tenant(vault)), own]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Shows the identity's tenant, where a command can.
    fn show_own_tenant(&self) -> Option<String> {
        Some(match &self.surroundings.identity {
            Identity::SystemAssigned if !self.is_on_azure() => return None,
            Identity::SystemAssigned => self.own_identity("tenantId"),
            Identity::UserAssigned(id) => user_assigned(id, "tenantId"),
            Identity::Application(_) => return None,
            Identity::Developer => "az account show --query tenantId -o tsv".to_owned(),
        })
    }

    /// Puts the vault into the identity's tenant.
    pub(super) fn move_vault(&self, vault: &str) -> String {
        let principal = self.surroundings.principal.as_ref();
        let known = principal.and_then(|principal| principal.tenant.as_ref());
        let tenant = match (known, self.show_own_tenant()) {
            (Some(known), _) => known.to_string(),
            (None, Some(show)) => format!("$({show})"),
            (None, None) => "<tenant>".to_owned(),
        };
        format!("az keyvault update --name {vault} --set properties.tenantId=\"{tenant}\"")
    }
}

/// Shows the tenant that a vault belongs to.
pub(super) fn show_tenant(vault: &str) -> String {
    format!("az keyvault show --name {vault} --query properties.tenantId -o tsv")
}
