//! What an answer means for an event: delivered, lost, or sent again.
//!
//! Source: Microsoft's article "Event Grid message delivery and retry".

use std::time::Duration;

use axum::http::StatusCode;

use super::receiver::Sent;

/// Pauses between attempts. After them the event's 24 hours are over.
const PAUSES: [Duration; 10] = [
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(60 * 60),
    Duration::from_secs(3 * 60 * 60),
    Duration::from_secs(6 * 60 * 60),
    Duration::from_secs(12 * 60 * 60),
];

/// What becomes of an event after an attempt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Delivered,
    /// It is not sent again, for this reason.
    Lost(&'static str),
    /// It is sent again after a pause.
    Again(Duration),
}

impl Verdict {
    /// After an attempt that had `before` others before it.
    pub(super) fn of(sent: &Sent, before: usize) -> Self {
        let status = sent.as_ref().ok().map(|answer| answer.status.as_u16());
        let least = match status {
            Some(200..=204) => return Self::Delivered,
            Some(400) => {
                return Self::Lost("the receiver answered 400, and Event Grid never repeats that");
            }
            Some(401 | 403) => {
                return Self::Lost(
                    "the receiver does not accept DEV_VAULT_EVENTS_KEY, and Event Grid never repeats that",
                );
            }
            Some(413) => {
                return Self::Lost(
                    "it is too large for the receiver, and Event Grid never repeats that",
                );
            }
            Some(404) => Duration::from_secs(5 * 60),
            Some(408) => Duration::from_secs(2 * 60),
            Some(503) => Duration::from_secs(30),
            _ => Duration::from_secs(10),
        };
        match PAUSES.get(before) {
            Some(pause) => Self::Again(least.max(*pause)),
            None => Self::Lost("the receiver has not taken it for a day"),
        }
    }
}

/// Whether a receiver that answers a validation so may be one that is still starting.
pub(super) fn may_start_later(status: StatusCode) -> bool {
    status.is_server_error() || [408, 429].contains(&status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dev_vault::events::receiver::{Answer, NoAnswer};

    fn answered(status: u16) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            body: Vec::new(),
        }
    }

    #[test]
    fn only_200_to_204_deliver_and_four_statuses_lose() {
        for status in 200..600 {
            let verdict = Verdict::of(&Ok(answered(status)), 0);
            let is_delivered = verdict == Verdict::Delivered;
            assert_eq!(is_delivered, (200..=204).contains(&status), "{status}");
            let is_lost = matches!(verdict, Verdict::Lost(_));
            assert_eq!(is_lost, [400, 401, 403, 413].contains(&status), "{status}");
        }
    }

    #[test]
    fn everything_else_is_sent_again_by_the_documented_schedule() {
        let seconds = |sent: &Sent| -> Vec<_> {
            let attempts = (0..).map(|before| Verdict::of(sent, before));
            attempts
                .map_while(|verdict| match verdict {
                    Verdict::Again(pause) => Some(pause.as_secs()),
                    Verdict::Delivered | Verdict::Lost(_) => None,
                })
                .collect()
        };
        let hours = |hours: u64| hours * 3_600;
        let late = [600, 1_800, hours(1), hours(3), hours(6), hours(12)];
        for (sent, early) in [
            (Ok(answered(500)), [10, 30, 60, 300]),
            (Ok(answered(307)), [10, 30, 60, 300]),
            (Err(NoAnswer::TimedOut), [10, 30, 60, 300]),
            (Ok(answered(503)), [30, 30, 60, 300]),
            (Ok(answered(408)), [120, 120, 120, 300]),
            (Ok(answered(404)), [300, 300, 300, 300]),
        ] {
            let pauses = seconds(&sent);
            assert_eq!(pauses, [&early[..], &late].concat(), "{sent:?}");
            assert!(pauses.iter().sum::<u64>() < hours(24), "{sent:?}");
        }
    }
}
