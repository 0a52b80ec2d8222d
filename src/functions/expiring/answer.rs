//! What `expiring` answers. It shows no secret.

use serde::Serialize;
use time::OffsetDateTime;

use super::{
    rows::{Row, rows},
    snapshot::Snapshot,
};
use crate::{
    diagnosis::{
        Cause, Expires, Explanation, Fix, IdentityReport, Named, PathReport, PortalLink, Subject,
        Surroundings, days_left, explain, iso_format,
    },
    functions::Shared,
    key_vault::{Error, ObjectKind, ObjectVersion, VaultUrl},
};

/// Most objects of an answer besides those that the app uses.
const ITEMS_LIMIT: usize = 1_000;

/// What expires, soonest first.
#[derive(Serialize)]
pub(super) struct Answer {
    /// When the oldest part of this was read.
    pub(super) as_of: Option<String>,
    /// The time that was asked for, such as `30d`.
    pub(super) within: String,
    /// Whether every vault has told everything.
    pub(super) complete: bool,
    /// What could not be read, and why.
    pub(super) incomplete: Vec<Incomplete>,
    /// How many objects never expire.
    pub(super) no_expiry: usize,
    /// Which ones, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) never_expire: Option<Vec<Unending>>,
    /// What has expired or does within the time.
    pub(super) items: Vec<Item>,
    /// How many more do that the app does not use; absent if there are none.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) not_listed: usize,
    /// As whom the vaults were asked; absent for the one inside this process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) identity: Option<IdentityReport>,
    /// Whether everything that the app uses is known.
    #[serde(skip)]
    knows_what_is_used: bool,
}

/// What could not be read.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Incomplete {
    /// Host of the vault, with its port if it is not 443; absent if no usable setting names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) vault: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) kind: Option<ObjectKind>,
    /// One secret; all objects of the kind, if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    pub(super) code: &'static str,
    pub(super) detail: String,
    pub(super) fix: Fix,
    /// The path to the vault, where that may be the cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) path: Option<PathReport>,
    /// Where a person finds it in the Azure portal.
    #[serde(skip)]
    pub(super) links: Vec<PortalLink>,
}

/// An object that never expires.
#[derive(Serialize)]
pub(super) struct Unending {
    pub(super) kind: ObjectKind,
    pub(super) name: String,
    pub(super) vault: String,
    /// The version that a reference is pinned to; null for the latest one.
    pub(super) version: Option<String>,
    pub(super) used_by: Vec<String>,
}

/// One version of an object that has expired, or does within the time.
#[derive(Serialize)]
pub(super) struct Item {
    pub(super) kind: ObjectKind,
    pub(super) name: String,
    /// Host of the vault, with its port if it is not 443.
    pub(super) vault: String,
    /// The version that a reference is pinned to; null for the latest one.
    pub(super) version: Option<String>,
    pub(super) expires_on: Option<String>,
    /// Whole days; negative once it has expired.
    pub(super) days_left: i64,
    pub(super) enabled: bool,
    /// The app's settings whose reference points at it.
    pub(super) used_by: Vec<String>,
    /// What the secret has by now, if a reference is pinned to this version.
    pub(super) newer_version: Option<String>,
    pub(super) detail: String,
    pub(super) fix: Fix,
    #[serde(skip)]
    pub(super) expires: OffsetDateTime,
    /// Where a person finds it, and the settings that use it, in the Azure portal.
    #[serde(skip)]
    pub(super) links: Vec<PortalLink>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde hands over")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// What one request asks for.
pub(super) struct Asked<'a> {
    pub(super) now: OffsetDateTime,
    /// What expires later is left out.
    pub(super) until: OffsetDateTime,
    /// How the time was written.
    pub(super) within: &'a str,
    pub(super) names_of_unending: bool,
}

impl Answer {
    pub(super) fn new(app: &Shared, snapshot: &Snapshot, asked: &Asked<'_>) -> Self {
        let surroundings = app.seen_by_admins();
        let (rows, without_row) = rows(app, snapshot);
        // An old version that does not end says nothing about the object.
        let unending = |row: &&Row<'_>| row.expires.is_none() && row.newer.is_none();
        let no_expiry = rows.iter().filter(unending).count();
        let never_expire = asked.names_of_unending.then(|| {
            let unending = rows.iter().filter(unending);
            let mut room = ITEMS_LIMIT;
            let unending = unending.filter(|row| is_kept(row, &mut room));
            unending.map(Row::unending).collect()
        });
        let mut rows: Vec<_> = rows
            .into_iter()
            .filter_map(|row| Some((row.expires.filter(|on| *on <= asked.until)?, row)))
            .collect();
        rows.sort_by(|(a, first), (b, second)| {
            let key = |row: &Row<'_>| (row.kind, row.name.as_str().to_ascii_lowercase());
            a.cmp(b).then_with(|| key(first).cmp(&key(second)))
        });
        let (mut room, mut not_listed) = (ITEMS_LIMIT, 0);
        rows.retain(|(_, row)| {
            let is_kept = is_kept(row, &mut room);
            not_listed += usize::from(!is_kept);
            is_kept
        });
        let items = rows
            .into_iter()
            .map(|(on, row)| row.item(on, &surroundings, asked.now));
        let incomplete = incomplete(app, snapshot, &surroundings, asked.now);
        Self {
            as_of: snapshot.as_of().and_then(iso_format),
            within: asked.within.to_owned(),
            complete: incomplete.is_empty(),
            knows_what_is_used: without_row == 0 && may_be_believed(app, snapshot),
            incomplete,
            no_expiry,
            never_expire,
            items: items.collect(),
            not_listed,
            identity: IdentityReport::of(&surroundings),
        }
    }

    /// Whether all that the app uses is known to be valid for the whole time.
    pub(super) fn is_healthy(&self) -> bool {
        self.knows_what_is_used && self.items.iter().all(|item| item.used_by.is_empty())
    }

    /// Whether a vault is still being read.
    pub(super) fn is_being_read(&self) -> bool {
        let mut incomplete = self.incomplete.iter();
        incomplete.any(|one| one.code == Cause::Listing.code())
    }
}

impl Row<'_> {
    fn used_by(&self) -> Vec<String> {
        let settings = self.used_by.iter();
        settings
            .map(|(setting, _)| setting.name().to_owned())
            .collect()
    }

    fn unending(&self) -> Unending {
        Unending {
            kind: self.kind,
            name: self.name.to_string(),
            vault: self.vault.authority().to_owned(),
            version: self.version.map(ToString::to_string),
            used_by: self.used_by(),
        }
    }

    fn item(self, on: OffsetDateTime, surroundings: &Surroundings, now: OffsetDateTime) -> Item {
        let is_pinned = self.used_by.iter().any(|(_, one)| one.version.is_some());
        let explained = |named: Named<'_>, newer| {
            let subject = Subject {
                vault: Some(self.vault),
                kind: self.kind,
                name: Some(self.name.as_str()),
                version: self
                    .version
                    .filter(|_| is_pinned)
                    .map(ObjectVersion::as_str),
                named,
            };
            let cause = Cause::Expires(Expires {
                on,
                is_certificates: false,
                is_disabled: !self.enabled,
                newer,
            });
            explain(&cause, &subject, surroundings, now)
        };
        let mut users = self.used_by.iter().map(|(setting, reference)| {
            let newer = self.newer.filter(|_| self.is_outlived);
            let newer = newer.map(|newer| reference.at_version(newer).to_string());
            explained(setting.named(), newer)
        });
        let first = users.next();
        let Explanation {
            detail, mut fix, ..
        } = first.unwrap_or_else(|| explained(Named::KeyVaultUrl, None));
        if self.is_outlived {
            // Each setting that is pinned to an old version has a command of its own.
            fix.commands
                .extend(users.flat_map(|other| other.fix.commands));
        }
        let name = Some(self.name.as_str());
        let object = surroundings.vault_in_portal(self.vault, self.kind, name);
        let is_used = !self.used_by.is_empty();
        let settings = is_used.then(|| surroundings.settings_in_portal(self.vault));
        Item {
            links: object.into_iter().chain(settings.flatten()).collect(),
            kind: self.kind,
            used_by: self.used_by(),
            name: self.name.to_string(),
            vault: self.vault.authority().to_owned(),
            version: self.version.map(ToString::to_string),
            expires_on: iso_format(on),
            days_left: days_left(on, now),
            enabled: self.enabled,
            newer_version: self.newer.map(ToString::to_string),
            detail,
            fix,
            expires: on,
        }
    }
}

/// Whether there is room for a row. There always is for what the app uses.
fn is_kept(row: &Row<'_>, room: &mut usize) -> bool {
    if !row.used_by.is_empty() {
        return true;
    }
    let is_kept = *room > 0;
    *room = room.saturating_sub(1);
    is_kept
}

/// What could not be read, each kind of each vault by itself.
fn incomplete(
    app: &Shared,
    snapshot: &Snapshot,
    surroundings: &Surroundings,
    now: OffsetDateTime,
) -> Vec<Incomplete> {
    let because = |cause: &Cause, subject: &Subject<'_>| explain(cause, subject, surroundings, now);
    let own = app.without_own_vault().map(|cause| {
        let subject = Subject::OF_THE_HANDLER;
        Incomplete::new(&subject, surroundings, because(cause, &subject))
    });
    let listings = snapshot.listings.iter().filter_map(|listing| {
        let subject = Subject {
            vault: Some(&listing.vault),
            kind: listing.kind,
            name: None,
            version: None,
            named: app.named_by(&listing.vault),
        };
        let found = because(listing.lacks.as_ref()?, &subject);
        Some(Incomplete::new(&subject, surroundings, found))
    });
    let pinned = snapshot.pinned.iter().filter_map(|pinned| {
        let cause = pinned
            .found
            .as_ref()
            .err()
            .filter(|cause| !is_gone(cause))?;
        let name = pinned.id.name.as_str();
        let subject = Subject {
            vault: Some(&pinned.vault),
            kind: pinned.id.kind,
            name: Some(name),
            version: pinned.id.version.as_ref().map(ObjectVersion::as_str),
            named: app.pinned_by(&pinned.vault, &pinned.id),
        };
        let found = because(cause, &subject);
        Some(Incomplete::new(&subject, surroundings, found))
    });
    own.into_iter().chain(listings).chain(pinned).collect()
}

impl Incomplete {
    fn new(subject: &Subject<'_>, surroundings: &Surroundings, found: Explanation) -> Self {
        let vault = subject.vault;
        let link =
            vault.and_then(|vault| surroundings.vault_in_portal(vault, subject.kind, subject.name));
        let settings = vault.and_then(|vault| surroundings.settings_in_portal(vault));
        Self {
            vault: vault.map(|vault| vault.authority().to_owned()),
            // Without a vault, nothing of any kind is known.
            kind: vault.map(|_| subject.kind),
            name: subject.name.map(str::to_owned),
            links: link.into_iter().chain(settings).collect(),
            code: found.code,
            detail: found.detail,
            fix: found.fix,
            path: found.path,
        }
    }
}

/// What is gone does not expire, and `config-check` tells that it is gone.
fn is_gone(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::Failed(Error::NotFound(_) | Error::VersionNotFound(_))
    )
}

/// Whether what is told about the secrets of the app is not older than this reading.
fn may_be_believed(app: &Shared, snapshot: &Snapshot) -> bool {
    let is_failure = |cause: &Cause| {
        let is_cut = *cause == Cause::Failed(Error::TooManyObjects);
        !is_cut && *cause != Cause::Listing
    };
    let is_used = |vault: &VaultUrl| {
        let mut references = app.references.references();
        references.any(|(_, one)| app.vaults.meant(&one.vault) == vault)
    };
    let mut listings = snapshot.listings.iter();
    listings.all(|one| {
        let has_failed = one.lacks.as_ref().is_some_and(is_failure);
        one.kind != ObjectKind::Secret || !has_failed || !is_used(&one.vault)
    })
}
