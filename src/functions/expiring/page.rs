//! The page that a person sees who opens `expiring` in a browser: what has expired, what is not
//! known, then the time that is looked ahead as a line, and below it what expires, soonest first.

use axum::body::Bytes;
use maud::{Markup, html};
use time::OffsetDateTime;

use super::answer::{Answer, Asked, Incomplete, Item};
use crate::{
    answer::page::{Page, verdict},
    functions::{
        Shared,
        page::{context, expires, explanation, facts, heading, links, path, version},
    },
    key_vault::ObjectKind,
    references::SOON,
};

/// Where the line begins and ends, in hundredths of its picture's width. Before it is room for
/// what has expired, behind it for half a label.
const LINE: (f64, f64) = (10.0, 97.0);
const DAY: f64 = 24.0 * 60.0 * 60.0;
/// Places along the line at which dots are drawn. What is nearer together shares one.
const PLACES: usize = 60;

/// The answer as a page.
pub(super) fn render(answer: &Answer, app: &Shared, asked: &Asked<'_>) -> Bytes {
    let verdicts = verdicts(answer);
    let summary = verdicts.join("; ");
    let expired = answer.items.partition_point(|item| item.days_left < 0);
    let (expired, ahead) = answer.items.split_at(expired);
    let has_failed = expired.iter().any(|item| !item.used_by.is_empty());
    let class = match (has_failed, answer.items.is_empty() && answer.complete) {
        (true, _) => "bad",
        (false, false) => "soon",
        (false, true) => "good",
    };
    let header = html! {
        p.eyebrow { "What expires" }
        (verdict(class, &verdicts[0]))
        @for also in &verdicts[1..] { p.also { (also) } }
        (context(app, answer.as_of.as_deref()))
    };
    let main = html! {
        @if !expired.is_empty() {
            h2 { "Expired" }
            (cards(expired))
        }
        @if !answer.incomplete.is_empty() {
            h2 { "Not known" }
            ul.cards {
                @for (incomplete, kinds) in grouped(&answer.incomplete) {
                    (unknown(incomplete, &kinds))
                }
            }
        }
        h2 { "The next " (words(asked.within)) }
        @if !answer.items.is_empty() { (timeline(answer, asked, &summary)) }
        @if ahead.is_empty() {
            p { "Nothing that is known expires within " (words(asked.within)) "." }
        } @else {
            (cards(ahead))
        }
        (rest(answer))
    };
    let footer = html! {
        (facts(app, answer.identity.as_ref()))
        (legend(answer))
    };
    let page = Page {
        title: &format!("{summary} – expiring"),
        header,
        main,
        footer: Some(footer),
    };
    page.render()
}

fn cards(items: &[Item]) -> Markup {
    html! {
        ul.cards {
            @for item in items { (row(item)) }
        }
    }
}

/// What a person wants to know: the first is the first thing.
fn verdicts(answer: &Answer) -> Vec<String> {
    let expired = answer
        .items
        .iter()
        .filter(|item| item.days_left < 0)
        .count();
    let ahead = answer.items.len() + answer.not_listed - expired;
    let used = answer.items.iter().filter(|item| !item.used_by.is_empty());
    let within = words(&answer.within);
    let expired = match expired {
        0 => String::new(),
        1 => "1 has expired, ".to_owned(),
        expired => format!("{expired} have expired, "),
    };
    let ahead = match (ahead, expired.is_empty()) {
        (0, true) => "Nothing expires".to_owned(),
        (0, false) => "nothing else expires".to_owned(),
        (1, _) => "1 expires".to_owned(),
        (ahead, _) => format!("{ahead} expire"),
    };
    let used = match (used.count(), answer.items.len()) {
        (_, 0) => None,
        (0, _) => Some("this app uses none of them".to_owned()),
        (used, _) => Some(format!("this app uses {used} of them")),
    };
    let mut verdicts = vec![format!("{expired}{ahead} within {within}")];
    verdicts.extend(used);
    if answer.is_being_read() {
        verdicts.push("the vaults are still being read, reload in a moment".to_owned());
    } else if !answer.complete {
        verdicts.push("not everything is known".to_owned());
    }
    verdicts
}

/// `30d` as a person says it.
fn words(within: &str) -> String {
    let (number, unit) = within.split_at(within.len().saturating_sub(1));
    let number = number.trim_start_matches('0');
    let unit = match unit {
        "h" => "hour",
        "w" => "week",
        _ => "day",
    };
    match number {
        "" => format!("0 {unit}s"),
        "1" => format!("1 {unit}"),
        number => format!("{number} {unit}s"),
    }
}

/// Dots of one place on the line.
#[derive(Default, Clone, Copy)]
struct Place {
    all: usize,
    used: usize,
}

/// The line. Its numbers are attributes: the policy of the page lets no element have a style.
fn timeline(answer: &Answer, asked: &Asked<'_>, label: &str) -> Markup {
    let seconds = (asked.until - asked.now).as_seconds_f64().max(1.0);
    let at = |share: f64| LINE.0 + share * (LINE.1 - LINE.0);
    let mut expired = Place::default();
    let mut places = [Place::default(); PLACES];
    let soon = f64::from(u32::try_from(SOON).unwrap_or(u32::MAX)) * DAY / seconds;
    for item in &answer.items {
        let place = match place_of(item.expires, asked.now, seconds) {
            Some(place) => &mut places[place],
            None => &mut expired,
        };
        place.all += 1;
        place.used += usize::from(!item.used_by.is_empty());
    }
    let days = seconds / DAY;
    let ticks = ticks(days);
    let dots = places.iter().enumerate().filter(|(_, place)| place.all > 0);
    html! {
        svg.timeline role="img" aria-label=(label) width="100%" height="72" {
            line.axis x1=(percent(at(0.0))) x2=(percent(at(1.0))) y1="40" y2="40" {}
            @for (share, label) in ticks {
                line.axis x1=(percent(at(share))) x2=(percent(at(share))) y1="36" y2="44" {}
                text x=(percent(at(share))) y="62" text-anchor="middle" { (label) }
            }
            @if expired.all > 0 {
                (dot("bad", at(0.0) / 2.0, expired))
                text x=(percent(at(0.0) / 2.0)) y="62" text-anchor="middle" { "expired" }
            }
            @for (index, place) in dots {
                @let share = (position(index) + 0.5) / position(PLACES);
                (dot(if share <= soon { "soon" } else { "later" }, at(share), *place))
            }
        }
        p.legend aria-hidden="true" { "● used by this app  ○ not used by it" }
    }
}

/// Where on the line something is; nowhere once it has expired.
fn place_of(expires: OffsetDateTime, now: OffsetDateTime, seconds: f64) -> Option<usize> {
    let left = (expires - now).as_seconds_f64();
    (left > 0.0).then(|| {
        let place = left / seconds * position(PLACES);
        (0..PLACES - 1)
            .take_while(|index| position(index + 1) < place)
            .count()
    })
}

/// As a number to calculate with; there are few places.
fn position(index: usize) -> f64 {
    f64::from(u32::try_from(index).unwrap_or(u32::MAX))
}

fn percent(share: f64) -> String {
    format!("{share:.2}%")
}

/// What the app uses is filled. Several at one place are one dot with their number.
fn dot(class: &str, x: f64, place: Place) -> Markup {
    let is_used = if place.used > 0 { "used" } else { "unused" };
    html! {
        g class=(class) {
            circle class=(is_used) cx=(percent(x)) cy="40" r=(if place.used > 0 { 8 } else { 5 }) {}
            @if place.all > 1 {
                text x=(percent(x)) y="22" text-anchor="middle" { (place.all) }
            }
        }
    }
}

/// Three to six marks with the time from now, at round numbers of hours, days or weeks.
fn ticks(days: f64) -> Vec<(f64, String)> {
    let (unit, letter) = if days <= 3.0 {
        (1.0 / 24.0, "h")
    } else {
        (1.0, "d")
    };
    let all = days / unit;
    let steps = [1.0, 2.0, 5.0, 7.0, 12.0, 14.0, 30.0, 60.0, 90.0];
    let step = steps
        .into_iter()
        .find(|step| all / step <= 5.0)
        .unwrap_or(90.0);
    let mut ticks = vec![(0.0, "now".to_owned())];
    let mut mark = step;
    while mark <= all {
        ticks.push((mark / all, format!("{mark:.0} {letter}")));
        mark += step;
    }
    ticks
}

/// Refusals of several kinds of one vault for the same reason are one.
fn grouped(incomplete: &[Incomplete]) -> Vec<(&Incomplete, Vec<&'static str>)> {
    let mut groups: Vec<(&Incomplete, Vec<&'static str>)> = Vec::new();
    for one in incomplete {
        let same = |(first, _): &&mut (&Incomplete, _)| {
            first.vault == one.vault && first.code == one.code && first.fix == one.fix
        };
        match groups.iter_mut().find(same) {
            Some((_, kinds)) => kinds.extend(one.kind.map(ObjectKind::collection)),
            None => groups.push((
                one,
                one.kind.map(ObjectKind::collection).into_iter().collect(),
            )),
        }
    }
    groups
}

fn unknown(incomplete: &Incomplete, kinds: &[&str]) -> Markup {
    html! {
        li.unknown {
            (heading("unknown", incomplete.vault.as_deref().unwrap_or("KEY_VAULT_URL"), incomplete.code))
            (explanation(Some(&incomplete.detail), Some(&incomplete.fix)))
            p.place {
                "Missing here: "
                @match &incomplete.name {
                    Some(name) => { "secret " b { (name) } },
                    None => { b { (kinds.join(", ")) } },
                }
            }
            (path(incomplete.path.as_ref()))
            (links(&incomplete.links))
        }
    }
}

fn row(item: &Item) -> Markup {
    let class = match item.days_left {
        ..0 => "bad",
        0..=SOON => "soon",
        _ => "later",
    };
    let explained = explanation(Some(&item.detail), Some(&item.fix));
    html! {
        li class=(class) {
            (heading(class, &item.name, &expires(item.days_left)))
            @if item.used_by.is_empty() {
                // It is not this app that fails.
                details {
                    summary { "Not used by this app. How to renew it" }
                    (explained)
                }
            } @else {
                p.users {
                    "Used by "
                    @for (index, setting) in item.used_by.iter().enumerate() {
                        @if index > 0 { ", " }
                        b.setting { (setting) }
                    }
                }
                (explained)
            }
            p.place {
                (item.kind) ", "
                (version(item.version.as_deref()))
                ", in " b { (item.vault) }
                @if !item.enabled { " – disabled" }
            }
            (links(&item.links))
        }
    }
}

/// What does not expire, and what is not shown.
fn rest(answer: &Answer) -> Markup {
    let count = match answer.no_expiry {
        0 => None,
        1 => Some("1 object never expires.".to_owned()),
        all => Some(format!("{all} objects never expire.")),
    };
    html! {
        div.rest {
            @if answer.not_listed > 0 {
                p { (answer.not_listed) " more are not shown. This app uses none of them." }
            }
            @if let Some(count) = count {
                p {
                    (count)
                    @if answer.never_expire.is_none() { " Add no_expiry=true to the address to see the names." }
                }
            }
            @if let Some(names) = &answer.never_expire {
                ul {
                    @for one in names {
                        li {
                            (one.kind) " " b { (one.name) } " in " (one.vault)
                            @if !one.used_by.is_empty() {
                                ", used by " b { (one.used_by.join(", ")) }
                            }
                        }
                    }
                }
            }
            p { "The list is kept for a while. Add refresh=true to the address to read the vaults again." }
        }
    }
}

/// What the words mean that are on the page.
fn legend(answer: &Answer) -> Markup {
    let has_pinned = answer.items.iter().any(|item| item.version.is_some());
    html! {
        @if !answer.items.is_empty() {
            h2 { "What the words mean" }
            dl.facts {
                dt { "expired" }
                dd { "Key Vault still serves it. Whoever checks the date refuses it." }
                dt { "latest version" }
                dd { "The one that a reference without a version gets." }
                @if has_pinned {
                    dt { "pinned" }
                    dd { "A reference names this version, and stays with it." }
                }
                @if answer.items.iter().any(|item| !item.enabled) {
                    dt { "disabled" }
                    dd { "Key Vault serves nothing of it." }
                }
            }
        }
    }
}
