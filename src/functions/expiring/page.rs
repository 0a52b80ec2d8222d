//! The page that a person sees who opens `expiring` in a browser: the time that is looked ahead as
//! a line, and below it what expires, soonest first.

use axum::body::Bytes;
use maud::{Markup, html};
use time::OffsetDateTime;

use super::answer::{Answer, Asked, Incomplete, Item};
use crate::{
    functions::page::{expires, explanation, frame, identity, path},
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
pub(super) fn render(answer: &Answer, asked: &Asked<'_>) -> Bytes {
    let title = summary(answer);
    let main = html! {
        h1 { "What expires" }
        p.summary { (title) }
        @if !answer.items.is_empty() { (timeline(answer, asked, &title)) }
        @if !answer.incomplete.is_empty() {
            h2 { "Not known" }
            ul.references {
                @for (incomplete, kinds) in grouped(&answer.incomplete) {
                    (unknown(incomplete, &kinds))
                }
            }
            h2 { "Known" }
        }
        @if answer.items.is_empty() {
            p { "Nothing expires within " (words(asked.within)) "." }
        } @else {
            ul.references {
                @for item in &answer.items { (row(item)) }
            }
        }
        (rest(answer))
    };
    frame(&format!("{title} – expiring"), &main)
}

/// What a person wants to know first.
fn summary(answer: &Answer) -> String {
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
        (_, 0) => String::new(),
        (0, _) => "; this app uses none of them".to_owned(),
        (used, _) => format!("; this app uses {used} of them"),
    };
    format!("{expired}{ahead} within {within}{used}{}", hint(answer))
}

fn hint(answer: &Answer) -> &'static str {
    if answer.is_being_read() {
        "; the vaults are still being read, reload in a moment"
    } else if answer.complete {
        ""
    } else {
        "; not everything is known"
    }
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
        li.soon {
            h3 {
                span.name {
                    span.sign aria-hidden="true" { "?" }
                    span.setting { (incomplete.vault.as_deref().unwrap_or("KEY_VAULT_URL")) }
                }
                span.status { (incomplete.code) }
            }
            p.place {
                @match &incomplete.name {
                    Some(name) => { "secret " b { (name) } },
                    None => { b { (kinds.join(", ")) } },
                }
            }
            (explanation(Some(&incomplete.detail), Some(&incomplete.fix)))
            (path(incomplete.path.as_ref()))
        }
    }
}

fn row(item: &Item) -> Markup {
    let (class, sign) = match item.days_left {
        ..0 => ("bad", "✗"),
        0..=SOON => ("soon", "!"),
        _ => ("later", "·"),
    };
    html! {
        li class=(class) {
            h3 {
                span.name {
                    span.sign aria-hidden="true" { (sign) }
                    span.setting { (item.name) }
                }
                span.status { (expires(item.days_left)) }
            }
            p.place {
                (item.kind)
                @if let Some(version) = &item.version { ", version " b { (version) } }
                " in " b { (item.vault) }
                @if !item.enabled { " – disabled" }
            }
            @if !item.used_by.is_empty() {
                p.users {
                    "Used by "
                    @for (index, setting) in item.used_by.iter().enumerate() {
                        @if index > 0 { ", " }
                        b.setting { (setting) }
                    }
                }
            }
            (explanation(Some(&item.detail), Some(&item.fix)))
        }
    }
}

/// What does not expire, and how old the list is.
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
                    @if answer.never_expire.is_none() { " Ask with no_expiry=true to see the names." }
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
            @if let Some(as_of) = &answer.as_of {
                p { "The vaults were read at " (minute(as_of)) ". Ask with refresh=true to read them again." }
            }
            (identity(answer.identity.as_ref()))
        }
    }
}

/// `2026-11-27T22:04:16+00:00` as a person reads it.
fn minute(time: &str) -> String {
    let minute = time.get(..16).unwrap_or(time);
    format!("{} UTC", minute.replace('T', " "))
}
