//! What was found, for the app that it was found for: each reference with its state in words.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use keyvault_functions::{
    diagnosis::{
        Cause, Expires, Explanation, Fix, IdentityReport, PathReport, Surroundings, days_left,
        explain,
    },
    key_vault::{Error, Vaults},
    references::{
        AppSetting, Reference, SOON,
        check::{Readable, SecretKey},
    },
    settings::Listing,
};
use time::OffsetDateTime;

/// What the secrets of all apps were found to be.
pub(super) type Tried = HashMap<SecretKey, Result<Readable, Cause>>;

/// As whom the vaults were asked.
pub(super) struct CheckedAs {
    pub(super) credential: String,
    /// Once there is a token.
    pub(super) identity: Option<IdentityReport>,
}

/// One input.
pub(super) struct App {
    /// As the person called it.
    pub(super) file: String,
    /// What a report calls it. No two have the same.
    pub(super) title: String,
    pub(super) surroundings: Surroundings,
    /// Or why it was not understood.
    pub(super) settings: Result<Listing, String>,
}

impl App {
    pub(super) fn is_broken(&self) -> bool {
        self.settings.is_err()
    }

    pub(super) fn references(&self) -> impl Iterator<Item = &Reference> {
        self.meant().filter_map(AppSetting::reference)
    }

    fn meant(&self) -> impl Iterator<Item = &AppSetting> {
        let listing = self.settings.iter();
        listing.flat_map(|listing| &listing.references)
    }
}

/// All apps.
pub(super) struct Report<'a> {
    pub(super) apps: Vec<Checked<'a>>,
    pub(super) secrets: Vec<UsedSecret<'a>>,
    /// What must not have expired by then.
    until: Option<OffsetDateTime>,
}

/// One app with its references, in the settings' order.
pub(super) struct Checked<'a> {
    pub(super) app: &'a App,
    pub(super) rows: Vec<Row<'a>>,
}

impl<'a> Checked<'a> {
    /// The references that name no secret.
    pub(super) fn others(&self) -> impl Iterator<Item = &Row<'a>> {
        self.rows.iter().filter(|row| row.reference.is_none())
    }
}

/// One secret, and who uses it.
pub(super) struct UsedSecret<'a> {
    pub(super) row: Row<'a>,
    /// The app and the setting.
    pub(super) used_by: Vec<(&'a str, &'a str)>,
}

/// One reference.
#[derive(Clone)]
pub(super) struct Row<'a> {
    pub(super) setting: &'a AppSetting,
    pub(super) reference: Option<&'a Reference>,
    /// `Readable`, `NotChecked`, or the code of the cause.
    pub(super) state: &'static str,
    pub(super) expires: Option<OffsetDateTime>,
    pub(super) days_left: Option<i64>,
    /// What is wrong, or worth a word.
    pub(super) detail: Option<String>,
    pub(super) fix: Option<Fix>,
    /// The path to the vault, where that may be the cause.
    pub(super) path: Option<PathReport>,
}

pub(super) const READABLE: &str = "Readable";
/// Only the platform resolves references to App Configuration.
const NOT_CHECKED: &str = "NotChecked";

impl Row<'_> {
    pub(super) fn is_readable(&self) -> bool {
        self.state == READABLE
    }

    /// Whether it is fine, as far as it can be told.
    pub(super) fn is_fine(&self) -> bool {
        matches!(self.state, READABLE | NOT_CHECKED)
    }

    pub(super) fn expires_soon(&self) -> bool {
        self.days_left.is_some_and(|days| days <= SOON)
    }
}

impl<'a> Report<'a> {
    pub(super) fn new(
        apps: &'a [App],
        tried: &Tried,
        vaults: &Vaults,
        now: OffsetDateTime,
        within: Option<Duration>,
    ) -> Self {
        let apps: Vec<_> = apps
            .iter()
            .map(|app| Checked {
                app,
                rows: app
                    .meant()
                    .map(|one| row(app, one, tried, vaults, now))
                    .collect(),
            })
            .collect();
        let mut secrets: BTreeMap<SecretKey, UsedSecret<'a>> = BTreeMap::new();
        for checked in &apps {
            for row in &checked.rows {
                let Some(reference) = row.reference else {
                    continue;
                };
                let key = SecretKey::of(reference, vaults);
                let secret = secrets.entry(key).or_insert_with(|| UsedSecret {
                    row: row.clone(),
                    used_by: Vec::new(),
                });
                secret
                    .used_by
                    .push((&*checked.app.title, row.setting.name()));
            }
        }
        Self {
            apps,
            secrets: secrets.into_values().collect(),
            until: within.map(|within| now + within),
        }
    }

    /// Whether every reference is readable and, if that was asked, lasts long enough.
    pub(super) fn is_healthy(&self) -> bool {
        let mut rows = self.apps.iter().flat_map(|app| &app.rows);
        rows.all(|row| {
            let lasts = match (self.until, row.expires) {
                (Some(until), Some(expires)) => expires > until,
                _ => true,
            };
            row.is_fine() && lasts
        })
    }
}

fn row<'a>(
    app: &'a App,
    setting: &'a AppSetting,
    tried: &Tried,
    vaults: &Vaults,
    now: OffsetDateTime,
) -> Row<'a> {
    let reference = setting.reference();
    let because = |cause: &Cause| explain(cause, &setting.subject(), &app.surroundings, now);
    let row = |state, found: Option<Explanation>, expires: Option<OffsetDateTime>| {
        let (detail, fix, path) = match found {
            Some(found) => (Some(found.detail), Some(found.fix), found.path),
            None => (None, None, None),
        };
        Row {
            setting,
            reference,
            state,
            expires,
            days_left: expires.map(|expires| days_left(expires, now)),
            detail,
            fix,
            path,
        }
    };
    if let Some(error) = setting.syntax_error() {
        let found = because(&Cause::Syntax(error.to_string()));
        return row(found.code, Some(found), None);
    }
    let Some(reference) = reference else {
        let mut row = row(NOT_CHECKED, None, None);
        row.detail = Some("Only the platform resolves App Configuration references.".to_owned());
        return row;
    };
    match tried.get(&SecretKey::of(reference, vaults)) {
        Some(Ok(readable)) => {
            let end = readable.expires.filter(|on| days_left(*on, now) <= SOON);
            let found = end.map(|on| {
                because(&Cause::Expires(Expires {
                    on,
                    is_certificates: readable.is_certificates,
                    is_disabled: false,
                    newer: None,
                }))
            });
            row(READABLE, found, readable.expires)
        }
        // May it be got? Yes. Is it there? Nobody knows without reading it.
        Some(Err(cause @ Cause::MayNotList)) => row("MayNotList", Some(because(cause)), None),
        Some(Err(cause)) => {
            let found = because(cause);
            row(found.code, Some(found), None)
        }
        // Every reference was tried.
        None => {
            let found = because(&Error::UnexpectedAnswer.into());
            row(found.code, Some(found), None)
        }
    }
}
