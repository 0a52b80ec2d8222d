//! What Event Grid sends for a vault: an event for each new version of an object, to one receiver.
//!
//! The subscription has the Event Grid schema and no batches. The receiver confirms it first, then
//! events are delivered one at a time until they are taken or lost. Nothing outlives the process.
//!
//! | question | file |
//! | --- | --- |
//! | which events are there, and what is in them? | `event` |
//! | which events wait, and for how long? | `queue` |
//! | who receives them, and how are they sent? | `receiver` |
//! | is an event delivered, lost or sent again? | `verdict` |
//!
//! Source: Microsoft's articles on Event Grid: endpoint validation, delivery and retry, and Key
//! Vault as a source.

mod event;
mod queue;
mod receiver;
mod verdict;

use std::{sync::Arc, time::Duration};

use serde::Deserialize;
use time::OffsetDateTime;
use tokio::time::sleep;

use event::Event;
pub(super) use event::NewVersion;
pub(super) use queue::Queue;
use queue::Waiting;
use receiver::{Answer, Message};
pub use receiver::{EventReceiver, ReceiverError, ReceiverUrl, UrlError};
use verdict::{Verdict, may_start_later};

use super::{address::Address, secrets::random_guid, store::Store};

/// Pauses between the attempts to have a subscription confirmed; the last one repeats.
const PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// Who is told of the new versions in a vault.
#[derive(Debug)]
pub struct Subscription {
    receiver: EventReceiver,
    vault: Address,
    pause: fn(Duration) -> Duration,
}

impl Subscription {
    /// Tells `receiver` of `vault`. Identifiers in events begin with its address.
    #[must_use]
    pub fn new(receiver: EventReceiver, vault: Address) -> Self {
        Self {
            receiver,
            vault,
            pause: |pause| pause,
        }
    }

    /// The same with other pauses than Event Grid's. Tests use it.
    #[must_use]
    pub fn with_pauses(mut self, pause: fn(Duration) -> Duration) -> Self {
        self.pause = pause;
        self
    }

    /// Begins now: what was made before is no event. Events are sent while the returned future is
    /// polled; it completes only if the receiver refuses the subscription.
    pub(super) fn begin(
        self,
        store: &Store,
    ) -> Result<impl Future<Output = ()> + Send + use<>, getrandom::Error> {
        let code = random_guid()?;
        let request = Event::of_validation(&self.vault, &code, OffsetDateTime::now_utc())?;
        let queue = Arc::new(Queue::new(self.vault.clone()));
        store.tell(&queue);
        Ok(async move {
            if self.is_confirmed(&request, &code).await {
                self.deliver(&queue).await;
            }
        })
    }

    /// Asks until the receiver has said yes or no.
    async fn is_confirmed(&self, request: &Event, code: &str) -> bool {
        let mut pauses = PAUSES.into_iter();
        let mut is_first = true;
        loop {
            let sent = self.receiver.send(Message::validation(request)).await;
            let answer = match sent {
                Ok(answer) if !may_start_later(answer.status) => answer,
                failed => {
                    if is_first {
                        tracing::info!(
                            status = failed.as_ref().ok().map(|answer| answer.status.as_u16()),
                            failure = failed.err().map(tracing::field::display),
                            "the receiver of events is not ready; it is asked again until it is"
                        );
                    }
                    is_first = false;
                    let pause = pauses.next().unwrap_or(PAUSES[PAUSES.len() - 1]);
                    sleep((self.pause)(pause)).await;
                    continue;
                }
            };
            let status = answer.status.as_u16();
            if confirms(&answer, code) {
                tracing::info!(status, "the receiver confirmed the subscription to events");
                return true;
            }
            tracing::warn!(
                status,
                "the receiver refused the subscription, so no events are sent: expected 200 and {{\"validationResponse\": ...}} with the code that was sent; check the URL and DEV_VAULT_EVENTS_KEY, then start again"
            );
            return false;
        }
    }

    async fn deliver(&self, queue: &Queue) {
        loop {
            let waiting = queue.next().await;
            let Waiting {
                event, attempts, ..
            } = &waiting;
            let sent = self.receiver.send(Message::of(event, *attempts)).await;
            let status = sent.as_ref().ok().map(|answer| answer.status.as_u16());
            let failure = sent.as_ref().err().map(tracing::field::display);
            let (event_type, name) = (event.kind(), event.name());
            match Verdict::of(&sent, *attempts) {
                Verdict::Delivered => {
                    tracing::info!(%event_type, %name, status, "delivered an event");
                }
                Verdict::Lost(why) => {
                    tracing::warn!(
                        %event_type,
                        %name,
                        status,
                        failure,
                        "an event is lost: {why}"
                    );
                }
                Verdict::Again(pause) => {
                    let seconds = pause.as_secs();
                    tracing::info!(
                        %event_type,
                        %name,
                        status,
                        failure,
                        "an event was not taken; it is sent again in {seconds} s"
                    );
                    queue.put_back(waiting, (self.pause)(pause));
                }
            }
        }
    }
}

/// Whether the answer is 200 with the code that was sent. No other status counts.
fn confirms(answer: &Answer, code: &str) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Confirmation {
        validation_response: String,
    }
    let body = serde_json::from_slice::<Confirmation>(&answer.body);
    answer.status == 200 && body.is_ok_and(|body| body.validation_response == code)
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    #[test]
    fn a_subscription_is_confirmed_by_200_and_its_code_only() {
        for (status, body, expected) in [
            (200, r#"{"validationResponse":"c"}"#, true),
            (200, r#"{"validationResponse":"c","more":1}"#, true),
            (200, r#"{"validationResponse":"C"}"#, false),
            (200, r#"{"validationresponse":"c"}"#, false),
            (200, "c", false),
            (200, "", false),
            (202, r#"{"validationResponse":"c"}"#, false),
            (400, r#"{"validationResponse":"c"}"#, false),
        ] {
            let answer = Answer {
                status: StatusCode::from_u16(status).expect("a status"),
                body: body.into(),
            };
            assert_eq!(confirms(&answer, "c"), expected, "{status} {body}");
        }
    }
}
