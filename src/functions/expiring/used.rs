//! The secrets that the app's references point at.

use std::collections::HashMap;

use crate::{
    functions::Shared,
    key_vault::{ObjectId, VaultUrl},
    references::{AppSetting, Reference},
};

/// One secret, or one version of it, and the settings that use it.
pub(super) struct Used<'a> {
    /// Where it is read.
    pub(super) vault: &'a VaultUrl,
    pub(super) id: ObjectId,
    /// At least one.
    pub(super) by: Vec<(&'a AppSetting, &'a Reference)>,
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
