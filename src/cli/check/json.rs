//! The report for programs.

use keyvault_functions::diagnosis::{Fix, IdentityReport, PathReport, iso_format};
use serde::Serialize;

use super::report::{Checked, CheckedAs, Report, Row};

#[derive(Serialize)]
struct Answer<'a> {
    /// With which credential; absent where none was needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    checked_as: Option<&'a str>,
    /// As whom; absent where none was needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<&'a IdentityReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    apps: Option<Vec<App<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secrets: Option<Vec<Secret<'a>>>,
    /// What names no secret, and inputs that were not understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    others: Option<Vec<App<'a>>>,
}

#[derive(Serialize)]
struct App<'a> {
    #[serde(rename = "app")]
    name: &'a str,
    file: &'a str,
    /// Why it was not understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    references: Vec<Named<'a>>,
}

#[derive(Serialize)]
struct Named<'a> {
    setting: &'a str,
    #[serde(flatten)]
    found: Found<'a>,
}

#[derive(Serialize)]
struct Secret<'a> {
    #[serde(flatten)]
    found: Found<'a>,
    used_by: Vec<Use<'a>>,
}

#[derive(Serialize)]
struct Use<'a> {
    app: &'a str,
    setting: &'a str,
}

#[derive(Serialize)]
struct Found<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    vault: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    state: &'a str,
    expires_on: Option<String>,
    days_left: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<&'a Fix>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<&'a PathReport>,
}

impl<'a> App<'a> {
    fn of(checked: &'a Checked<'a>, rows: impl Iterator<Item = &'a Row<'a>>) -> Self {
        let named = |row: &'a Row<'a>| Named {
            setting: row.setting.name(),
            found: Found::of(row),
        };
        Self {
            name: &checked.app.title,
            file: &checked.app.file,
            error: checked.app.settings.as_ref().err().map(String::as_str),
            references: rows.map(named).collect(),
        }
    }
}

impl<'a> Found<'a> {
    fn of(row: &'a Row<'a>) -> Self {
        let reference = row.reference;
        Self {
            vault: reference.map(|one| one.vault.authority()),
            secret: reference.map(|one| one.name.as_str()),
            version: reference.and_then(|one| one.version.as_deref()),
            state: row.state,
            expires_on: row.expires.and_then(iso_format),
            days_left: row.days_left,
            detail: row.detail.as_deref(),
            fix: row.fix.as_ref(),
            path: row.path.as_ref(),
        }
    }
}

pub(super) fn of<'a>(
    report: &'a Report<'a>,
    checked_as: Option<&'a CheckedAs>,
    by_secret: bool,
) -> String {
    let apps = report.apps.iter();
    let others = apps.clone().map(|app| App::of(app, app.others()));
    let others = others.filter(|app| app.error.is_some() || !app.references.is_empty());
    let apps = apps.map(|app| App::of(app, app.rows.iter()));
    let secrets = report.secrets.iter().map(|secret| Secret {
        found: Found::of(&secret.row),
        used_by: secret
            .used_by
            .iter()
            .map(|(app, setting)| Use { app, setting })
            .collect(),
    });
    let answer = Answer {
        checked_as: checked_as.map(|one| &*one.credential),
        identity: checked_as.and_then(|one| one.identity.as_ref()),
        apps: (!by_secret).then(|| apps.collect()),
        secrets: by_secret.then(|| secrets.collect()),
        others: by_secret.then(|| others.collect()),
    };
    serde_json::to_string_pretty(&answer).unwrap_or_default()
}
