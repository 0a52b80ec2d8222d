//! What came of a new version, on the page.

use maud::{Markup, html};

use crate::functions::{
    page::{explanation, heading, moment},
    vault_events::{Outcome, RotationReport},
};

/// One secret with a new version.
pub(super) fn card(report: &RotationReport) -> Markup {
    let class = class(report.outcome);
    let times = [
        ("Changed ", &report.event_at),
        ("Azure was asked ", &report.asked_at),
        ("Next look ", &report.next_at),
    ];
    let mut times = times
        .iter()
        .filter_map(|(what, at)| Some((what, at.as_deref()?)))
        .peekable();
    let detail = report.detail.as_deref();
    html! {
        h2 { "Rotation" }
        ul.cards {
            li class=(class) {
                (heading(class, &report.secret, report.outcome.word()))
                (explanation(detail.or(Some(report.outcome.meaning())), report.fix.as_ref()))
                @if times.peek().is_some() {
                    p.place {
                        @for (index, (what, at)) in times.enumerate() {
                            @if index > 0 { " – " }
                            (what) (moment(at))
                        }
                    }
                }
            }
        }
    }
}

fn class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Current | Outcome::Refreshed => "good",
        Outcome::Unknown | Outcome::Waiting => "later",
        Outcome::Gone | Outcome::Disabled => "soon",
        Outcome::Behind | Outcome::Unresolved | Outcome::Failed | Outcome::Denied => "bad",
    }
}
