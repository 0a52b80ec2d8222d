//! The secrets that the app's references point at.

use std::collections::HashMap;

use super::Shared;
use crate::{
    diagnosis::Named,
    key_vault::{ObjectId, ObjectName, VaultUrl, Vaults},
    references::{AppSetting, Inspector, Reference},
};

/// A secret of some vault, whatever its version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Secret {
    /// Where it is read.
    pub(super) vault: VaultUrl,
    pub(super) name: ObjectName,
}

/// The app settings that get whatever version of each secret is the latest; at least one.
pub(super) type Followers<'a> = HashMap<Secret, Vec<&'a AppSetting>>;

/// One secret, or one version of it, and the settings that use it.
pub(super) struct Used<'a> {
    /// Where it is read.
    pub(super) vault: &'a VaultUrl,
    pub(super) id: ObjectId,
    /// At least one.
    pub(super) by: Vec<(&'a AppSetting, &'a Reference)>,
}

impl Secret {
    /// What `reference` points at.
    pub(super) fn of(reference: &Reference, vaults: &Vaults) -> Self {
        Self {
            vault: vaults.meant(&reference.vault).clone(),
            name: reference.name.clone(),
        }
    }
}

impl Used<'_> {
    pub(super) fn secret(&self) -> Secret {
        Secret {
            vault: self.vault.clone(),
            name: self.id.name.clone(),
        }
    }
}

/// What the references point at, each once, in the settings' order.
pub(super) fn used(app: &Shared) -> Vec<Used<'_>> {
    let mut used: Vec<Used<'_>> = Vec::new();
    let mut known = HashMap::new();
    for (setting, reference) in app.references.references() {
        let Ok(id) = reference.secret() else { continue };
        let vault = app.vaults.meant(&reference.vault);
        let index = *known.entry((vault, id.clone())).or_insert(used.len());
        let by = (setting, reference);
        match used.get_mut(index) {
            Some(one) => one.by.push(by),
            None => used.push(Used {
                vault,
                id,
                by: vec![by],
            }),
        }
    }
    used
}

/// Each secret that references without a version point at.
pub(super) fn followers<'a>(references: &'a Inspector, vaults: &Vaults) -> Followers<'a> {
    let mut followers = Followers::new();
    for (setting, reference) in references.references() {
        // The platform is known to look again at app settings alone.
        let is_app_setting = !matches!(setting.named(), Named::ConnectionString { .. });
        if reference.version.is_none() && is_app_setting {
            let of_it = followers.entry(Secret::of(reference, vaults));
            of_it.or_default().push(setting);
        }
    }
    followers
}
