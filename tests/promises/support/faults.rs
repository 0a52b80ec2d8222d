//! A router around the vault's that refuses in its place, as the service would.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use keyvault_functions::dev_vault::NetworkInfo;
use serde_json::{Value, json};

/// What happens to a request that carries a token. Without one it is challenged as ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 403 with this inner code, for instance `ForbiddenByRbac`.
    Deny(&'static str),
    /// 403 to everything but getting one secret: the identity may get and not list.
    DenyListing(&'static str),
    /// 403 to every path but those that begin so: the identity has a role for one kind of object.
    DenyAllBut(&'static str),
    /// 403 to getting a secret: the identity may list and not get.
    DenyGetting(&'static str),
    /// 403 to everything, with this body, to requests that arrived so.
    Replay(&'static str, NetworkInfo),
    /// 429, with `Retry-After` in seconds or, as the real service often does, without.
    Throttle(Option<u64>),
    /// 400 with the service's complaint about an api-version that it does not know.
    BadParameter,
    /// This status, with a body that is not JSON.
    Outage(u16),
    /// A correct answer, later.
    Delay(Duration),
    /// No answer.
    Silence,
}

/// The one fault that is switched on, if any.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Option<Fault>>>);

impl Faults {
    /// Switches `fault` on, or every fault off.
    pub(crate) fn set(&self, fault: impl Into<Option<Fault>>) {
        *self.0.lock().expect("lock") = fault.into();
    }

    pub(crate) fn wrap(&self, vault: Router) -> Router {
        let faults = self.clone();
        vault.layer(middleware::from_fn(move |request: Request, next: Next| {
            let is_signed = request.headers().contains_key(header::AUTHORIZATION);
            let fault = *faults.0.lock().expect("lock");
            answer(fault.filter(|_| is_signed), request, next)
        }))
    }
}

async fn answer(fault: Option<Fault>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let is_list = path.trim_end_matches('/').ends_with("versions") || path.contains("deleted");
    match fault {
        Some(Fault::Deny(inner)) => denied(inner),
        Some(Fault::DenyListing(inner)) if is_list => denied(inner),
        Some(Fault::DenyAllBut(allowed)) if !path.starts_with(allowed) => denied("ForbiddenByRbac"),
        Some(Fault::DenyGetting(inner)) if !is_list => denied(inner),
        Some(Fault::Replay(body, arrival)) => {
            // What the text names was read from the token.
            let answer = next.run(request).await;
            if answer.status() == StatusCode::UNAUTHORIZED {
                return answer;
            }
            arrived((StatusCode::FORBIDDEN, body).into_response(), arrival)
        }
        Some(Fault::Throttle(wait)) => throttled(wait),
        Some(Fault::BadParameter) => {
            let message = "The specified version (2025-07-01) is not recognized.\r\n";
            let error = json!({"code": "BadParameter", "message": message});
            refuse(StatusCode::BAD_REQUEST, &error)
        }
        Some(Fault::Outage(status)) => {
            let status = StatusCode::from_u16(status).expect("a status");
            (status, "<html>The service is unavailable.</html>").into_response()
        }
        Some(Fault::Silence) => std::future::pending().await,
        Some(Fault::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            next.run(request).await
        }
        Some(Fault::DenyListing(_) | Fault::DenyGetting(_) | Fault::DenyAllBut(_)) | None => {
            next.run(request).await
        }
    }
}

fn denied(inner: &str) -> Response {
    // The line breaks are the service's own.
    let message = "Caller is not authorized to perform action on resource.\r\nCaller: appid=00000000-0000-0000-0000-000000000000\r\nVault: embedded;location=embedded\r\n";
    let inner = json!({ "code": inner });
    let error = json!({"code": "Forbidden", "message": message, "innererror": inner});
    refuse(StatusCode::FORBIDDEN, &error)
}

fn throttled(wait: Option<u64>) -> Response {
    let message = "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached";
    let error = json!({"code": "Throttled", "message": message});
    let mut response = refuse(StatusCode::TOO_MANY_REQUESTS, &error);
    if let Some(wait) = wait {
        let headers = response.headers_mut();
        headers.insert(header::RETRY_AFTER, wait.into());
    }
    response
}

fn refuse(status: StatusCode, error: &Value) -> Response {
    let body = json!({ "error": error }).to_string();
    arrived((status, body).into_response(), NetworkInfo::default())
}

/// Key Vault says in every answer how the request arrived.
fn arrived(mut response: Response, arrival: NetworkInfo) -> Response {
    if let Some(value) = arrival.value() {
        let value = HeaderValue::from_static(value);
        response
            .headers_mut()
            .insert("x-ms-keyvault-network-info", value);
    }
    response
}
