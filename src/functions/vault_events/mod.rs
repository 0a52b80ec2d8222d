//! `POST events`: what Event Grid tells about the app's vaults. A secret with a new version is
//! forgotten by the cache and, with `ROTATION_REFRESH=on`, the platform is asked to resolve the
//! references to it again. No value is read.
//!
//! Event Grid never repeats what got 400, 401, 403 or 413, and wants 200 for its handshake. So an
//! event that says nothing here is acknowledged.

mod payload;
mod refresh;
mod rotation;
mod seen;

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use self::payload::{Delivery, Event, Handshake, What};
pub use self::rotation::Rotation;
pub(super) use self::rotation::RotationReport;
use super::{AppState, Shared, refusal};
use crate::{
    answer::{Problem, json},
    key_vault::{ObjectId, ObjectKind, VaultUrl},
};

/// Longest body, in bytes: Event Grid's own limit for an event and for a batch, and some.
const BODY_LIMIT: usize = 1_100_000;

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
        return Ok(consent());
    }
    let body = read(request.into_body()).await?;
    let delivery = payload::read(&body).map_err(|_| refusal::no_events())?;
    let app = &app.0;
    if let Some(handshake) = delivery.handshake {
        return app.confirm(handshake);
    }
    Ok(json(StatusCode::OK, &app.take(delivery).await))
}

/// The handshake of `CloudEvents` 1.0, "HTTP 1.1 Web Hooks for Event Delivery", 4.2.
fn consent() -> Response {
    let headers = [
        (
            HeaderName::from_static("webhook-allowed-origin"),
            "eventgrid.azure.net",
        ),
        (HeaderName::from_static("webhook-allowed-rate"), "*"),
        (header::ALLOW, "POST"),
    ];
    let mut response = StatusCode::OK.into_response();
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn read(body: Body) -> Result<axum::body::Bytes, Problem> {
    to_bytes(body, BODY_LIMIT)
        .await
        .map_err(|_| refusal::too_much())
}

impl Shared {
    /// Event Grid asks before it sends anything. Whoever knows the key could else have the events of
    /// a vault of their own sent here.
    fn confirm(&self, handshake: Handshake) -> Result<Response, Problem> {
        let name = handshake.topic.rsplit('/').next().unwrap_or_default();
        let mut vaults = self.listed_vaults().into_iter().chain(self.named_vaults());
        let is_ours = vaults.any(|vault| {
            vault
                .azure_name()
                .is_some_and(|own| own.eq_ignore_ascii_case(name))
        });
        if !is_ours {
            return Err(refusal::events_of_another_vault());
        }
        let confirmed = Confirmed {
            validation_response: handshake.code,
        };
        Ok(json(StatusCode::OK, &confirmed))
    }

    /// The vaults under the names that references have for them.
    fn named_vaults(&self) -> impl Iterator<Item = VaultUrl> {
        let references = self.references.references();
        references.map(|(_, reference)| reference.vault.clone())
    }

    /// Acts upon what is about this app, at once or, where Azure has to be asked, after the answer.
    async fn take(&self, delivery: Delivery) -> Answer {
        let mut answer = Answer {
            accepted: 0,
            ignored: delivery.others,
            duplicates: 0,
            malformed: delivery.malformed,
            rotation: if self.rotation.is_on() { "on" } else { "off" },
        };
        let vaults = self.listed_vaults();
        for event in delivery.events {
            let meant = self.vaults.meant(&event.vault).clone();
            if !vaults.contains(&meant) {
                answer.ignored += 1;
            } else if !self.rotation.is_new(&event) {
                answer.duplicates += 1;
            } else {
                answer.accepted += 1;
                self.act(&meant, event).await;
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
            tracing::info!(accepted, ignored, duplicates, malformed, "vault events");
        }
        answer
    }

    async fn act(&self, vault: &VaultUrl, event: Event) {
        match event.what {
            What::NewVersion => {
                self.forget(vault, &event.object).await;
                if event.object.kind == ObjectKind::Secret && self.follows(vault, &event.object) {
                    self.rotation.want(vault, event);
                }
            }
            What::NearExpiry | What::Expired => {
                self.tell_of_expiry(vault, &event.object, event.expires);
            }
        }
    }

    /// Whether a reference of the app gets whatever version of the secret is the latest.
    fn follows(&self, vault: &VaultUrl, secret: &ObjectId) -> bool {
        let mut references = self.references.references();
        references.any(|(_, reference)| {
            reference.version.is_none()
                && reference.name == secret.name
                && self.vaults.meant(&reference.vault) == vault
        })
    }

    /// What the cache says about the latest version is not so any more.
    async fn forget(&self, vault: &VaultUrl, object: &ObjectId) {
        if let Ok(described) = &self.described
            && self.vaults.meant(&described.url) == vault
        {
            let latest = ObjectId {
                version: None,
                ..object.clone()
            };
            described.answers.forget(&latest).await;
        }
    }
}
