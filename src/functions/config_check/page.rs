//! The page that a person sees who opens `config-check` in a browser: first what is broken and the
//! command that fixes it, then what is fine. It opens with a function key, so it holds no ids.

use std::{collections::BTreeSet, sync::Arc};

use axum::body::Bytes;
use maud::{Markup, html};
use time::OffsetDateTime;

use super::{answer::Answer, rotation};
use crate::{
    answer::page::{Page, verdict},
    diagnosis::{Cause, Fix, Subject, explain, iso_format},
    functions::{
        Shared,
        page::{context, expires, explanation, facts, heading, named, path, version},
    },
    key_vault::{Error, error::SettingError},
    references::{Freshness, ReferenceKind, ReferenceReport, SOON, Source, Status},
};

/// The answer of the moment `made` as a page.
pub(super) fn render(answer: &Answer, app: &Shared, made: OffsetDateTime) -> Bytes {
    let of = |urgency| {
        let mut all = answer.references.iter();
        all.by_ref()
            .filter(|reference| Urgency::of(reference) == urgency)
            .collect::<Vec<_>>()
    };
    let unresolved = of(Urgency::Unresolved);
    let ending = [of(Urgency::Expired), of(Urgency::Soon), of(Urgency::Stale)];
    let [expired, soon, _] = &ending;
    let mut verdicts = Vec::new();
    verdicts.extend(wrong_settings(answer.settings.len()));
    verdicts.push(summary(
        unresolved.len(),
        answer.references.len(),
        answer.not_listed,
    ));
    verdicts.extend(expiring(expired.len(), "has expired", "have expired"));
    verdicts.extend(expiring(
        soon.len(),
        "expires within 30 days",
        "expire within 30 days",
    ));
    let is_broken = !(unresolved.is_empty() && answer.settings.is_empty());
    let class = match (is_broken, expired.is_empty(), soon.is_empty()) {
        (true, _, _) | (false, false, _) => "bad",
        (false, true, false) => "soon",
        (false, true, true) if answer.references.is_empty() => "later",
        (false, true, true) => "good",
    };
    let header = html! {
        p.eyebrow { "Key Vault references" }
        (verdict(class, &verdicts[0]))
        @for also in &verdicts[1..] { p.also { (also) } }
        (context(app, iso_format(made).as_deref()))
    };
    let main = html! {
        @if !answer.settings.is_empty() {
            h2 { "Settings of this handler" }
            ul.cards {
                @for setting in &answer.settings { (wrong_setting(setting, app, made)) }
            }
        }
        (cards("Not resolved", &unresolved))
        @if let Some(rotation) = &answer.rotation { (rotation::card(rotation)) }
        (cards("Resolved, but needs attention", &ending.concat()))
        (table(&of(Urgency::Fine)))
        (cards("Resolved, but something is unknown", &of(Urgency::Unknown)))
        h2 { "App settings" }
        dl.facts {
            dt { code { "EXTERNAL_API_KEY" } }
            dd {
                (is_set(answer.external_api_key_set))
                @if answer.external_api_key_set {
                    ", begins with " code { (answer.api_key_prefix.as_str()) }
                }
            }
            dt { code { "DATABASE_PASSWORD" } }
            dd { (is_set(answer.database_password_set)) }
        }
    };
    let footer = html! {
        (facts(app, answer.identity.as_ref()))
        (legend(&answer.references))
    };
    let page = Page {
        title: &format!("{} – config-check", verdicts.join("; ")),
        header,
        main,
        footer: Some(footer),
    };
    page.render()
}

fn summary(unresolved: usize, all: usize, not_listed: usize) -> String {
    let more = match not_listed {
        0 => String::new(),
        1 => "; 1 more reference is not listed".to_owned(),
        more => format!("; {more} more references are not listed"),
    };
    match (unresolved, all, not_listed) {
        (_, 0, 0) => "No Key Vault references in this app".to_owned(),
        (0, 1, 0) => "The reference is resolved".to_owned(),
        (0, all, 0) => format!("All {all} references are resolved"),
        _ => format!("{unresolved} of {all} references not resolved{more}"),
    }
}

fn expiring(count: usize, one: &str, many: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 secret {one}")),
        count => Some(format!("{count} secrets {many}")),
    }
}

fn wrong_settings(count: usize) -> Option<String> {
    match count {
        0 => None,
        1 => Some("1 setting cannot be used".to_owned()),
        count => Some(format!("{count} settings cannot be used")),
    }
}

fn wrong_setting(setting: &SettingError, app: &Shared, now: OffsetDateTime) -> Markup {
    let fix = if setting.is_reference {
        // Its own entry is on this page.
        Fix::without_command(format!("Give {}.", setting.expected))
    } else {
        let cause = Cause::Failed(Error::WrongSetting(Arc::new(setting.clone())));
        let surroundings = app.references.surroundings();
        explain(&cause, &Subject::OF_THE_HANDLER, surroundings, now).fix
    };
    let detail = format!("This is {}.", setting.found);
    html! {
        li.bad {
            (heading("bad", setting.name, "WrongSetting"))
            (explanation(Some(&detail), Some(&fix)))
        }
    }
}

/// How soon a person has to do something about a reference; the soonest first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Urgency {
    Unresolved,
    Expired,
    Soon,
    /// The app holds an older value than the vault.
    Stale,
    Fine,
    /// The app has its value, and the handler could not read the rest.
    Unknown,
}

impl Urgency {
    fn of(reference: &ReferenceReport) -> Self {
        let days_left = reference.expiry.and_then(|expiry| expiry.days_left);
        match days_left {
            _ if !reference.is_resolved() => Self::Unresolved,
            Some(..0) => Self::Expired,
            Some(0..=SOON) => Self::Soon,
            _ if reference.freshness == Some(Freshness::Stale) => Self::Stale,
            _ if reference.detail.is_some() => Self::Unknown,
            Some(_) | None => Self::Fine,
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Unresolved | Self::Expired => "bad",
            Self::Soon | Self::Stale => "soon",
            Self::Fine | Self::Unknown => "good",
        }
    }
}

fn is_set(is_set: bool) -> &'static str {
    if is_set { "set" } else { "not set" }
}

fn cards(title: &str, references: &[&ReferenceReport]) -> Markup {
    html! {
        @if !references.is_empty() {
            h2 { (title) }
            ul.cards {
                @for reference in references { (card(reference)) }
            }
        }
    }
}

fn card(reference: &ReferenceReport) -> Markup {
    let class = Urgency::of(reference).class();
    // Nothing is broken, and a person did not ask for it.
    let is_folded = reference.is_resolved()
        && reference.expiry.is_none()
        && reference.freshness.is_none()
        && reference.detail.is_some();
    let explained = explanation(reference.detail.as_deref(), reference.fix.as_ref());
    html! {
        li class=(class) {
            (heading(class, &reference.setting, &reference.status.to_string()))
            @if is_folded {
                details {
                    summary { "When it expires is unknown" }
                    (explained)
                }
            } @else {
                (explained)
            }
            p.place { (place(reference)) }
            (path(reference.path.as_ref()))
        }
    }
}

/// Where the value comes from, and whose word the status is.
fn place(reference: &ReferenceReport) -> Markup {
    html! {
        @if let Some(secret) = &reference.secret {
            "Secret " b { (secret) } ", " (version(reference.version.as_deref())) ", "
        }
        @if let Some(vault) = &reference.vault { "in " b { (vault) } " – " }
        @if reference.kind == ReferenceKind::AppConfiguration { "App Configuration – " }
        @else if reference.vault.is_none() { "Status " }
        (source(reference))
        @if let Some(freshness) = reference.freshness { " – " (held(freshness)) }
        @if let Some(ends) = ends(reference) { " – " b { (ends) } }
    }
}

fn source(reference: &ReferenceReport) -> &'static str {
    match reference.source {
        Source::Platform => "reported by the platform",
        Source::Handler => "checked by this handler",
    }
}

fn held(freshness: Freshness) -> &'static str {
    match freshness {
        Freshness::Current => "current value",
        Freshness::Stale => "an older value",
        Freshness::Unknown => "freshness unknown",
    }
}

fn ends(reference: &ReferenceReport) -> Option<String> {
    let expiry = reference.expiry?;
    Some(match expiry.days_left {
        Some(days_left) => expires(days_left),
        None => "never expires".to_owned(),
    })
}

/// What is fine, a line each. The roles are named because a narrow page shows the rows as blocks,
/// which would take them away.
fn table(references: &[&ReferenceReport]) -> Markup {
    html! {
        @if !references.is_empty() {
            h2 #resolved { "Resolved" }
            table role="table" aria-labelledby="resolved" {
                thead role="rowgroup" {
                    tr role="row" {
                        @for column in ["Setting", "Status", "Secret", "Expiry"] {
                            th role="columnheader" scope="col" { (column) }
                        }
                    }
                }
                tbody role="rowgroup" {
                    @for reference in references { (line(reference)) }
                }
            }
        }
    }
}

fn line(reference: &ReferenceReport) -> Markup {
    html! {
        tr.good role="row" {
            th role="rowheader" scope="row" {
                (named("good", &reference.setting))
            }
            td.status role="cell" {
                (reference.status.to_string())
                " " small { (source(reference)) }
            }
            td role="cell" {
                @if reference.kind == ReferenceKind::AppConfiguration { "App Configuration" }
                @if let Some(secret) = &reference.secret { (secret) }
                " "
                small {
                    @if reference.secret.is_some() { (version(reference.version.as_deref())) }
                    @if let Some(vault) = &reference.vault { ", in " (vault) }
                    @if let Some(freshness) = reference.freshness { ", " (held(freshness)) }
                }
                (path(reference.path.as_ref()))
            }
            td role="cell" { (ends(reference).unwrap_or_default()) }
        }
    }
}

/// What the words mean that are on the page.
fn legend(references: &[ReferenceReport]) -> Markup {
    let met: BTreeSet<_> = references
        .iter()
        .map(|reference| reference.status.to_string())
        .collect();
    let met = Status::ALL.iter().filter(|(word, _)| met.contains(*word));
    let secrets = || references.iter().filter(|one| one.secret.is_some());
    html! {
        @if !references.is_empty() {
            h2 { "What the words mean" }
            dl.facts {
                @for (word, status) in met {
                    dt { (word) }
                    dd { (status.meaning()) }
                }
                @if secrets().any(|one| one.version.is_none()) {
                    dt { "latest version" }
                    dd { "The reference names no version and follows the latest one, on Azure within 24 hours." }
                }
                @if secrets().any(|one| one.version.is_some()) {
                    dt { "pinned" }
                    dd { "The reference names one version and stays with it." }
                }
            }
        }
    }
}
