//! The page that a person sees who opens `config-check` in a browser: one file, no script,
//! nothing from elsewhere. Every text from outside is escaped by the template.

use axum::body::Bytes;
use maud::{Markup, html};

use super::answer::Answer;
use crate::{
    functions::page::{expires, explanation, frame, identity, path},
    key_vault::error::SettingError,
    references::{Freshness, ReferenceKind, ReferenceReport, SOON, Source},
};

/// The answer as a page.
pub(super) fn render(answer: &Answer) -> Bytes {
    let all = answer.references.len();
    // What needs a person comes first; the sort keeps the settings' order otherwise.
    let mut references: Vec<_> = answer.references.iter().collect();
    references.sort_by_key(|reference| Urgency::of(reference));
    let count = |urgency| {
        let of_reference = |reference: &&&ReferenceReport| Urgency::of(reference) == urgency;
        references.iter().filter(of_reference).count()
    };
    let summary = summary(count(Urgency::Unresolved), all, answer.not_listed)
        + &expiring(count(Urgency::Expired), "has expired", "have expired")
        + &expiring(
            count(Urgency::Soon),
            "expires within 30 days",
            "expire within 30 days",
        );
    let wrong = wrong_settings(answer.settings.len());
    let title = format!("{} – config-check", wrong.as_deref().unwrap_or(&summary));
    let main = html! {
        @if let Some(wrong) = wrong {
            h1 { "Settings of this handler" }
            p.summary { (wrong) }
            ul.references {
                @for setting in &answer.settings { (wrong_setting(setting)) }
            }
        }
        h1 { "Key Vault references" }
        p.summary { (summary) }
        @if all > 0 {
            ul.references {
                @for reference in references { (row(reference)) }
            }
        }
        h2 { "App settings" }
        dl {
            dt { "EXTERNAL_API_KEY" }
            dd {
                (is_set(answer.external_api_key_set))
                @if answer.external_api_key_set {
                    ", begins with " code { (answer.api_key_prefix.as_str()) }
                }
            }
            dt { "DATABASE_PASSWORD" }
            dd { (is_set(answer.database_password_set)) }
        }
        (identity(answer.identity.as_ref()))
    };
    frame(&title, &main)
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

fn expiring(count: usize, one: &str, many: &str) -> String {
    match count {
        0 => String::new(),
        1 => format!("; 1 secret {one}"),
        count => format!("; {count} secrets {many}"),
    }
}

fn wrong_settings(count: usize) -> Option<String> {
    match count {
        0 => None,
        1 => Some("1 setting cannot be used".to_owned()),
        count => Some(format!("{count} settings cannot be used")),
    }
}

fn wrong_setting(setting: &SettingError) -> Markup {
    html! {
        li.bad {
            h3 {
                span.name {
                    span.sign aria-hidden="true" { "✗" }
                    span.setting { (setting.name) }
                }
                span.status { "WrongSetting" }
            }
            p.detail { "This is " (setting.found) "." }
            p.fix { "Give " (setting.expected) "." }
        }
    }
}

/// How soon a person has to do something about a reference; the soonest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    Unresolved,
    Expired,
    Soon,
    Fine,
}

impl Urgency {
    fn of(reference: &ReferenceReport) -> Self {
        let days_left = reference.expiry.and_then(|expiry| expiry.days_left);
        match days_left {
            _ if !reference.is_resolved() => Self::Unresolved,
            Some(..0) => Self::Expired,
            Some(0..=SOON) => Self::Soon,
            Some(_) | None => Self::Fine,
        }
    }
}

fn is_set(is_set: bool) -> &'static str {
    if is_set { "set" } else { "not set" }
}

fn row(reference: &ReferenceReport) -> Markup {
    let (class, sign) = match Urgency::of(reference) {
        Urgency::Unresolved => ("bad", "✗"),
        Urgency::Expired => ("bad", "!"),
        Urgency::Soon => ("soon", "!"),
        Urgency::Fine => ("good", "✓"),
    };
    let source = match reference.source {
        Source::Platform => "reported by the platform",
        Source::Handler => "checked by this handler",
    };
    let freshness = reference.freshness.map(|freshness| match freshness {
        Freshness::Current => "current value",
        Freshness::Stale => "an older value",
        Freshness::Unknown => "freshness unknown",
    });
    html! {
        li class=(class) {
            h3 {
                span.name {
                    // The status says the same to a screen reader.
                    span.sign aria-hidden="true" { (sign) }
                    span.setting { (reference.setting) }
                }
                span.status { (reference.status.to_string()) }
            }
            p.place {
                @if let Some(secret) = &reference.secret { "secret " b { (secret) } }
                @if let Some(version) = &reference.version { ", version " b { (version) } }
                @if let Some(vault) = &reference.vault { " in " b { (vault) } " – " }
                @if reference.kind == ReferenceKind::AppConfiguration { "App Configuration – " }
                (source)
                @if let Some(freshness) = freshness { " – " (freshness) }
                @if let Some(expiry) = &reference.expiry { " – " b { (expiry.days_left.map_or_else(|| "never expires".to_owned(), expires)) } }
            }
            // Nothing is broken, and a person did not ask for it.
            @if reference.is_resolved() && reference.expiry.is_none() && reference.freshness.is_none()
                && reference.detail.is_some() {
                details {
                    summary { "When it expires is unknown" }
                    (explanation(reference.detail.as_deref(), reference.fix.as_ref()))
                }
            } @else {
                (explanation(reference.detail.as_deref(), reference.fix.as_ref()))
            }
            (path(reference.path.as_ref()))
        }
    }
}
