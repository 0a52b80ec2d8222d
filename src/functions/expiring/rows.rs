//! What the vaults have, joined to the settings that use it: one row for each version that a
//! person would look for.

use std::collections::{HashMap, HashSet};

use time::OffsetDateTime;

use super::snapshot::{Pinned, Snapshot};
use crate::{
    functions::{Shared, used::used},
    key_vault::{ObjectId, ObjectKind, ObjectName, ObjectVersion, VaultUrl},
    references::{AppSetting, Reference},
};

/// One version of an object, and who uses it.
pub(super) struct Row<'a> {
    pub(super) vault: &'a VaultUrl,
    pub(super) kind: ObjectKind,
    pub(super) name: &'a ObjectName,
    /// The version that a reference is pinned to; `None` for the latest one.
    pub(super) version: Option<&'a ObjectVersion>,
    /// What the secret has by now, if this is an older version.
    pub(super) newer: Option<&'a ObjectVersion>,
    /// Whether that can be used, and for longer.
    pub(super) is_outlived: bool,
    pub(super) enabled: bool,
    pub(super) expires: Option<OffsetDateTime>,
    pub(super) used_by: Vec<(&'a AppSetting, &'a Reference)>,
}

/// The settings by what their references point at.
type Users<'a> = HashMap<(&'a VaultUrl, ObjectId), Vec<(&'a AppSetting, &'a Reference)>>;

/// Every row, in no order, and how many references point at none.
pub(super) fn rows<'a>(app: &'a Shared, snapshot: &'a Snapshot) -> (Vec<Row<'a>>, usize) {
    let used = used(app).into_iter();
    let mut users: Users<'_> = used.map(|one| ((one.vault, one.id), one.by)).collect();
    let pinned = snapshot.pinned.iter();
    let mut rows: Vec<Row<'_>> = pinned
        .filter_map(|pinned| pinned_row(pinned, &mut users))
        .collect();
    rows.extend(listed_rows(snapshot, &mut users));
    let known: usize = rows.iter().map(|row| row.used_by.len()).sum();
    (rows, app.references.count() - known)
}

/// The row of a version that references are pinned to, unless the secret or the version is gone,
/// which `config-check` tells.
fn pinned_row<'a>(pinned: &'a Pinned, users: &mut Users<'a>) -> Option<Row<'a>> {
    let version = pinned.found.as_ref().ok()?;
    let key = |id: &ObjectId| (&pinned.vault, id.clone());
    let mut used_by = users.remove(&key(&pinned.id)).unwrap_or_default();
    let is_latest = version.latest == pinned.id.version;
    if is_latest {
        // It is one version, whoever asks for it.
        let latest = ObjectId {
            version: None,
            ..pinned.id.clone()
        };
        used_by.extend(users.remove(&key(&latest)).unwrap_or_default());
    }
    Some(Row {
        vault: &pinned.vault,
        kind: if version.managed {
            ObjectKind::Certificate
        } else {
            ObjectKind::Secret
        },
        name: &pinned.id.name,
        version: pinned.id.version.as_ref(),
        newer: version.latest.as_ref().filter(|_| !is_latest),
        is_outlived: version.is_outlived,
        enabled: version.enabled,
        expires: version.expires,
        used_by,
    })
}

/// One row for the latest version of each object. A certificate is one, although it has a key and
/// a secret.
fn listed_rows<'a>(snapshot: &'a Snapshot, users: &mut Users<'a>) -> Vec<Row<'a>> {
    // What a pinned row has told already.
    let told = snapshot.pinned.iter().filter_map(|pinned| {
        let version = pinned.found.as_ref().ok()?;
        let is_latest = version.latest == pinned.id.version;
        is_latest.then_some((&pinned.vault, &pinned.id.name))
    });
    let told: HashSet<_> = told.collect();
    let mut certificates = HashSet::new();
    let mut rows = Vec::new();
    // Certificates first, so that what stands for them is theirs.
    for kind in [ObjectKind::Certificate, ObjectKind::Secret, ObjectKind::Key] {
        for listing in snapshot.listings.iter().filter(|one| one.kind == kind) {
            for object in &listing.objects {
                let is_certificate = kind == ObjectKind::Certificate || object.managed;
                let name = (&listing.vault, &object.name);
                if is_certificate && !certificates.insert(name) {
                    continue;
                }
                let kind = if is_certificate {
                    ObjectKind::Certificate
                } else {
                    kind
                };
                if kind != ObjectKind::Key && told.contains(&name) {
                    continue;
                }
                let id = ObjectId {
                    kind: ObjectKind::Secret,
                    name: object.name.clone(),
                    version: None,
                };
                let used_by = match kind {
                    ObjectKind::Key => None,
                    // A reference to a certificate gets its secret.
                    ObjectKind::Secret | ObjectKind::Certificate => {
                        users.remove(&(&listing.vault, id))
                    }
                };
                rows.push(Row {
                    vault: &listing.vault,
                    kind,
                    name: &object.name,
                    version: None,
                    newer: None,
                    is_outlived: false,
                    enabled: object.enabled,
                    expires: object.expires,
                    used_by: used_by.unwrap_or_default(),
                });
            }
        }
    }
    rows
}
