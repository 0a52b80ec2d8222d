//! What the pages of functions have in common: a fix with its commands, and the facts that a person
//! needs to believe a page: which app, which identity, which vault, and when.

use maud::{Markup, html};

use super::Shared;
use crate::{
    answer::page::{sign, to_copy},
    diagnosis::{Cause, Fix, IdentityReport, PathReport, PortalLink, RunsIn},
};

/// What an entry is about, and how that is. The status says the same as the sign to a screen reader.
pub(super) fn heading(class: &str, name: &str, status: &str) -> Markup {
    html! {
        h3 { (named(class, name)) span.status { (status) } }
    }
}

/// A name with the sign of its state.
pub(super) fn named(class: &str, name: &str) -> Markup {
    html! {
        span.name {
            span.sign aria-hidden="true" { (sign(class)) }
            span.setting { (name) }
        }
    }
}

/// Which version a reference gets.
pub(super) fn version(pinned: Option<&str>) -> Markup {
    html! {
        @match pinned {
            Some(version) => { "pinned to version " code { (version) } },
            None => { "latest version" },
        }
    }
}

/// What is wrong, and what to do.
pub(super) fn explanation(detail: Option<&str>, fix: Option<&Fix>) -> Markup {
    html! {
        @if let Some(detail) = detail { p.detail { (detail) } }
        @if let Some(fix) = fix {
            p.fix { b { "Fix:" } " " (fix.sentence) }
            @for command in &fix.commands { (to_copy(command)) }
        }
    }
}

/// Which path requests take to a vault.
pub(super) fn path(path: Option<&PathReport>) -> Markup {
    let line = path.map(PathReport::line).unwrap_or_default();
    html! {
        @if !line.is_empty() { p.place { "Path of this handler: " (line) "." } }
    }
}

/// Which app a page is about, and when that was so, in ISO 8601. The link asks again. Its address is
/// empty, which means the page's own: the key in it is not repeated.
pub(super) fn context(app: &Shared, at: Option<&str>) -> Markup {
    html! {
        p.context {
            span { (where_it_runs(app)) }
            @if let Some(at) = at { span { "checked " (moment(at)) } }
            a href="" { "Check again" }
        }
    }
}

/// What the page is about, for who does not know this app by heart.
pub(super) fn facts(app: &Shared, identity: Option<&IdentityReport>) -> Markup {
    let surroundings = app.references.surroundings();
    let identity = match identity {
        Some(identity) => identity.line(),
        None if surroundings.has_embedded_vault() => {
            "none: the embedded vault needs no sign-in".to_owned()
        }
        None => "none: the app has no managed identity".to_owned(),
    };
    let vault = match &app.described {
        Ok(_) if surroundings.has_embedded_vault() => "embedded in this process",
        Ok(own) => own.url.authority(),
        Err(Cause::NoVault) => "none: KEY_VAULT_URL is not set",
        Err(_) => "none: KEY_VAULT_URL cannot be used",
    };
    html! {
        h2 { "About this check" }
        dl.facts {
            dt { "App" }
            dd { (where_it_runs(app)) }
            dt { "Identity" }
            dd { (identity) }
            dt { "Vault" }
            dd { (vault) }
        }
        p { "One click on a command selects all of it." }
    }
}

fn where_it_runs(app: &Shared) -> String {
    let surroundings = app.references.surroundings();
    match (surroundings.app.title(), &surroundings.runs_in) {
        (Some(title), _) => title,
        (None, RunsIn::Azure) => "An app whose name is not known".to_owned(),
        (None, RunsIn::Local | RunsIn::Embedded(_)) => "This machine".to_owned(),
    }
}

/// `2026-11-27T22:04:16+00:00` as a person reads it.
pub(super) fn moment(iso: &str) -> Markup {
    let shown = iso.get(..19).unwrap_or(iso).replace('T', " ");
    html! {
        time datetime=(iso) { (shown) " UTC" }
    }
}

/// Where to go on in the Azure portal.
pub(super) fn links(links: &[PortalLink]) -> Markup {
    html! {
        @if !links.is_empty() {
            p.place {
                "In the Azure portal: "
                @for (index, link) in links.iter().enumerate() {
                    @if index > 0 { ", " }
                    a href=(link.address) { (link.text) }
                }
            }
        }
    }
}

/// How long until something expires, as a person says it.
pub(super) fn expires(days_left: i64) -> String {
    match days_left {
        -1 => "expired within the last day".to_owned(),
        -2 => "expired 1 day ago".to_owned(),
        days @ ..0 => format!("expired {} days ago", -days - 1),
        0 => "expires within a day".to_owned(),
        1 => "expires in 1 day".to_owned(),
        days => format!("expires in {days} days"),
    }
}
