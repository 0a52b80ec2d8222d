//! As whom the handler signs in, as far as it is shown.

use serde::Serialize;

use super::function_app::{Identity, Surroundings};
use crate::key_vault::{Guid, Principal, PrincipalKind};

/// As whom the handler signs in. Ids and names are for admins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IdentityReport {
    kind: Kind,
    #[serde(flatten)]
    details: Option<Details>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    SystemAssigned,
    UserAssigned,
    Application,
    User,
    /// Whoever is signed in with `az` or `azd`, a person or not.
    Developer,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Details {
    /// Of the app that has the identity, or of the identity itself.
    name: Option<String>,
    /// The app's slot; absent in production.
    #[serde(skip_serializing_if = "Option::is_none")]
    slot: Option<String>,
    object_id: Option<Guid>,
    client_id: Option<Guid>,
    tenant: Option<Guid>,
}

impl IdentityReport {
    /// What `surroundings` tell; nothing for the vault inside this process, which needs none, and
    /// for an app without an identity.
    #[must_use]
    pub fn of(surroundings: &Surroundings) -> Option<Self> {
        if surroundings.has_embedded_vault() {
            return None;
        }
        let principal = surroundings.principal.as_ref();
        let kind = match principal {
            Some(principal) => Kind::of(&principal.kind),
            None => Kind::configured(surroundings)?,
        };
        Some(Self {
            kind,
            details: principal.map(Details::of),
        })
    }

    /// The same in a few words, for a person.
    #[must_use]
    pub fn line(&self) -> String {
        let kind = match self.kind {
            Kind::SystemAssigned => "a system-assigned identity",
            Kind::UserAssigned => "a user-assigned identity",
            Kind::Application => "an application",
            Kind::User => "a person",
            Kind::Developer => "whoever is signed in with az or azd",
        };
        let details = self.details();
        if details.is_empty() {
            return kind.to_owned();
        }
        format!("{kind}: {details}")
    }

    /// The name and the ids, without the kind; empty where they may not be shown.
    #[must_use]
    pub fn details(&self) -> String {
        let Some(details) = &self.details else {
            return String::new();
        };
        let labelled = |label: &str, text: Option<&str>| text.map(|text| format!("{label}{text}"));
        let id = |id: &Option<Guid>| id.as_ref().map(ToString::to_string);
        let parts = [
            details.name.clone(),
            labelled("slot ", details.slot.as_deref()),
            labelled("object id ", id(&details.object_id).as_deref()),
            labelled("tenant ", id(&details.tenant).as_deref()),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        parts.join(", ")
    }
}

impl Kind {
    fn of(kind: &PrincipalKind) -> Self {
        match kind {
            PrincipalKind::SystemAssigned { .. } => Self::SystemAssigned,
            PrincipalKind::UserAssigned { .. } => Self::UserAssigned,
            PrincipalKind::Application => Self::Application,
            PrincipalKind::User => Self::User,
        }
    }

    /// What the settings say, before there is a token and where its claims are not shown.
    fn configured(surroundings: &Surroundings) -> Option<Self> {
        let is_managed = surroundings.has_identity_endpoint;
        match &surroundings.identity {
            Identity::SystemAssigned => is_managed.then_some(Self::SystemAssigned),
            Identity::UserAssigned(_) => is_managed.then_some(Self::UserAssigned),
            Identity::Application(_) => Some(Self::Application),
            Identity::Developer => Some(Self::Developer),
        }
    }
}

impl Details {
    fn of(principal: &Principal) -> Self {
        let (name, slot) = match &principal.kind {
            PrincipalKind::SystemAssigned { name, slot } => (name.clone(), slot.clone()),
            PrincipalKind::UserAssigned { name } => (name.clone(), None),
            PrincipalKind::Application | PrincipalKind::User => (None, None),
        };
        Self {
            name,
            slot,
            object_id: principal.object_id.clone(),
            client_id: principal.client_id.clone(),
            tenant: principal.tenant.clone(),
        }
    }
}
