//! `POST events`: what Event Grid tells about the app's vaults. With `ROTATION_REFRESH=on`, a secret
//! with a new version is read again by the cache, and the platform is asked to resolve the references
//! to it again; what expires is looked at. No value is read. Without it, events are acknowledged.
//!
//! Event Grid never repeats what got 400, 401, 403 or 413, and wants 200 for its handshake. So an
//! event that says nothing here is acknowledged.

mod behind;
mod failure;
mod pauses;
mod payload;
mod refresh;
mod report;
mod rotation;
mod seen;

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use time::OffsetDateTime;

use self::payload::{Delivery, Event, What};
pub(super) use self::report::{Outcome, RotationReport};
pub use self::rotation::Rotation;
use super::{AppState, Shared, refusal, used::Secret};
use crate::{
    answer::{Problem, json},
    key_vault::{ObjectId, ObjectKind, VaultUrl},
};

/// Longest body, in bytes: Event Grid's own limit for an event and for a batch, and some.
const BODY_LIMIT: usize = 1_100_000;

/// What Event Grid calls itself when it asks.
const EVENT_GRID: &str = "eventgrid.azure.net";

/// What became of a delivery.
#[derive(Serialize)]
struct Answer {
    /// About an object of a vault of this app.
    accepted: usize,
    /// About others, or about nothing that is acted upon.
    ignored: usize,
    /// Seen before.
    duplicates: usize,
    /// Not understood.
    malformed: usize,
    /// Whether the platform is asked to resolve references again: `on` or `off`.
    rotation: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Confirmed {
    validation_response: String,
}

pub(super) async fn receive(
    State(app): State<AppState>,
    request: Request,
) -> Result<Response, Problem> {
    if request.method() == Method::OPTIONS {
        return Ok(consent(request.headers()));
    }
    let body = read(request.into_body()).await?;
    let mut delivery = payload::read(&body).map_err(|_| refusal::no_events())?;
    let app = &app.0;
    let handshake = delivery.handshake.take();
    // Beside a handshake nothing is lost.
    let answer = app.take(delivery);
    let Some(handshake) = handshake else {
        return Ok(json(StatusCode::OK, &answer));
    };
    if !handshake.vault.is_some_and(|name| app.has_vault(&name)) {
        return Err(refusal::events_of_another_vault());
    }
    let rotation = answer.rotation;
    tracing::info!(rotation, "Event Grid may send events");
    let confirmed = Confirmed {
        validation_response: handshake.code,
    };
    Ok(json(StatusCode::OK, &confirmed))
}

/// The handshake of `CloudEvents` 1.0, "HTTP 1.1 Web Hooks for Event Delivery", 4.2. It does not say
/// whose events will come; those of other vaults are ignored.
fn consent(asked: &HeaderMap) -> Response {
    let mut response = StatusCode::OK.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
    if asked.get("webhook-request-origin").is_some_and(|origin| {
        origin
            .as_bytes()
            .eq_ignore_ascii_case(EVENT_GRID.as_bytes())
    }) {
        for (name, value) in [
            ("webhook-allowed-origin", EVENT_GRID),
            ("webhook-allowed-rate", "*"),
        ] {
            headers.insert(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
    }
    response
}

async fn read(body: Body) -> Result<axum::body::Bytes, Problem> {
    to_bytes(body, BODY_LIMIT)
        .await
        .map_err(|_| refusal::too_much())
}

impl Shared {
    /// Whether Azure calls a vault of this app `name`. Whoever knows the key could else have the
    /// events of a vault of their own sent here.
    fn has_vault(&self, name: &str) -> bool {
        // The vaults under the names that references have for them.
        let references = self.references.references();
        let named = references.map(|(_, reference)| reference.vault.clone());
        let mut vaults = self.listed_vaults().into_iter().chain(named);
        vaults.any(|vault| {
            let own = vault.azure_name();
            own.is_some_and(|own| own.eq_ignore_ascii_case(name))
        })
    }

    /// Acts upon what is about this app, at once or, where Azure has to be asked, after the answer.
    fn take(&self, delivery: Delivery) -> Answer {
        let mut answer = Answer {
            accepted: 0,
            ignored: delivery.others,
            duplicates: 0,
            malformed: delivery.malformed,
            rotation: if self.rotation.is_on() { "on" } else { "off" },
        };
        if !self.rotation.is_on() {
            answer.ignored += delivery.events.len();
            return answer;
        }
        let vaults = self.listed_vaults();
        for event in delivery.events {
            let vault = self.vaults.meant(&event.vault);
            if !vaults.contains(vault) {
                answer.ignored += 1;
            } else if !self.rotation.seen.is_new(&event) {
                answer.duplicates += 1;
            } else {
                answer.accepted += 1;
                self.act(vault, &event);
            }
        }
        if answer.accepted > 0 {
            let Answer {
                accepted,
                ignored,
                duplicates,
                malformed,
                ..
            } = answer;
            // Whoever can send events must not fill the log.
            tracing::debug!(accepted, ignored, duplicates, malformed, "vault events");
        }
        answer
    }

    fn act(&self, vault: &VaultUrl, event: &Event) {
        let object = &event.object;
        let secret = Secret {
            vault: vault.clone(),
            name: object.name.clone(),
        };
        match event.what {
            What::NewVersion => {
                if object.kind != ObjectKind::Key {
                    let at = event.time.unwrap_or_else(OffsetDateTime::now_utc);
                    self.rotation.tell_of(&secret, at);
                }
                self.note_change(vault, object);
            }
            // References point at secrets, of which a certificate is one.
            What::NearExpiry | What::Expired => {
                if object.kind != ObjectKind::Key {
                    self.expiries.hear(secret);
                }
            }
        }
    }

    /// What the cache knows about the latest version is not so any more. A certificate has a key and
    /// a secret of its name.
    fn note_change(&self, vault: &VaultUrl, object: &ObjectId) {
        let Ok(described) = &self.described else {
            return;
        };
        if self.vaults.meant(&described.url) != vault {
            return;
        }
        for kind in [ObjectKind::Secret, ObjectKind::Key, ObjectKind::Certificate] {
            if kind == object.kind || object.kind == ObjectKind::Certificate {
                let latest = ObjectId {
                    kind,
                    name: object.name.clone(),
                    version: None,
                };
                described.answers.note_change(&latest);
            }
        }
    }
}
