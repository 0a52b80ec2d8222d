//! Answers: errors and headers as the service writes them.
//!
//! Source: recordings of the real service in Microsoft's SDK repositories, and third parties'
//! logs of it.

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::json;

use super::{life::Stage, network::NetworkInfo, secrets::random_hex, tokens::Unauthorized};

/// The version that the service had in June 2026.
const SERVICE_VERSION: &str = "1.9.3449.1";

/// Why a request is not carried out.
pub(super) enum Refusal {
    Unauthorized(Unauthorized),
    SecretNotFound(String),
    KeyNotFound(String),
    CertificateNotFound(String),
    SecretDisabled,
    NotDeleted(String),
    /// What a secret's name is in use for, and the code of that.
    Conflict(String, &'static str),
    /// A name that a backup cannot be restored to.
    NameIsTaken(String),
    NoSuchBackup,
    BadParameter(String),
    NoSuchPath,
    MethodNotAllowed,
    Internal,
}

impl From<getrandom::Error> for Refusal {
    fn from(_: getrandom::Error) -> Self {
        Self::Internal
    }
}

impl Refusal {
    pub(super) fn bad(message: &str) -> Self {
        Self::BadParameter(message.to_owned())
    }

    /// Why `name` cannot be set at this stage, if it cannot.
    pub(super) fn to_set(name: &str, stage: Stage) -> Option<Self> {
        if stage == Stage::Deleted {
            let message = format!(
                "Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, the secret can only be recovered or purged."
            );
            return Some(Self::Conflict(message, "ObjectIsDeletedButRecoverable"));
        }
        let (what, reason) = under_way(stage)?;
        let message = format!(
            "Secret {name} is currently being {what} and cannot be re-created; retry later."
        );
        Some(Self::Conflict(message, reason))
    }

    /// Why a secret can be neither recovered nor purged at this stage, if something is under way.
    pub(super) fn to_recover_or_purge(stage: Stage) -> Option<Self> {
        let (what, reason) = under_way(stage)?;
        let message = format!("Secret is currently being {what}.");
        Some(Self::Conflict(message, reason))
    }
}

/// What is being done to a secret, and the service's code for it.
fn under_way(stage: Stage) -> Option<(&'static str, &'static str)> {
    match stage {
        Stage::BeingDeleted | Stage::BeingPurged => Some(("deleted", "ObjectIsBeingDeleted")),
        Stage::BeingRecovered => Some(("recovered", "ObjectIsBeingRecovered")),
        Stage::Absent | Stage::Alive | Stage::Deleted => None,
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = |status, code: &str, message: &str| {
            body(
                status,
                &json!({"error": {"code": code, "message": message}}),
            )
        };
        match self {
            Self::Unauthorized(why) => challenge(&why.to_string()),
            Self::SecretNotFound(id) => not_found("SecretNotFound", "secret", &id),
            Self::KeyNotFound(id) => not_found("KeyNotFound", "key", &id),
            Self::CertificateNotFound(id) => not_found("CertificateNotFound", "certificate", &id),
            Self::SecretDisabled => body(
                StatusCode::FORBIDDEN,
                &json!({"error": {
                    "code": "Forbidden",
                    "message": "Operation get is not allowed on a disabled secret.",
                    "innererror": {"code": "SecretDisabled"},
                }}),
            ),
            Self::NotDeleted(name) => error(
                StatusCode::NOT_FOUND,
                "SecretNotFound",
                &format!("Deleted Secret not found: {name}"),
            ),
            Self::Conflict(message, reason) => body(
                StatusCode::CONFLICT,
                &json!({"error": {
                    "code": "Conflict",
                    "message": message,
                    "innererror": {"code": reason},
                }}),
            ),
            Self::NameIsTaken(name) => error(
                StatusCode::CONFLICT,
                "Conflict",
                &format!(
                    "A secret with the name {name} already exists in this key vault, or is deleted and can be recovered."
                ),
            ),
            Self::NoSuchBackup => error(
                StatusCode::BAD_REQUEST,
                "Malformed backup blob",
                "Backup blob is corrupt.",
            ),
            Self::BadParameter(message) => error(StatusCode::BAD_REQUEST, "BadParameter", &message),
            Self::NoSuchPath => error(
                StatusCode::NOT_FOUND,
                "NotFound",
                "The embedded vault does not offer this operation.",
            ),
            Self::MethodNotAllowed => error(
                StatusCode::METHOD_NOT_ALLOWED,
                "MethodNotAllowed",
                "This operation needs a name in its path.",
            ),
            Self::Internal => error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalServerError",
                "An internal error occurred.",
            ),
        }
    }
}

fn not_found(code: &str, kind: &str, id: &str) -> Response {
    let message = format!(
        "A {kind} with (name/id) {id} was not found in this key vault. If you recently deleted this {kind} you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"
    );
    body(
        StatusCode::NOT_FOUND,
        &json!({"error": {"code": code, "message": message}}),
    )
}

/// 401 with what a client needs to know to get a token.
fn challenge(message: &str) -> Response {
    let mut response = body(
        StatusCode::UNAUTHORIZED,
        &json!({"error": {"code": "Unauthorized", "message": message}}),
    );
    response.headers_mut().insert(
        header::WWW_AUTHENTICATE,
        HeaderValue::from_static(
            "Bearer authorization=\"https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000\", resource=\"https://vault.azure.net\"",
        ),
    );
    response
}

pub(super) fn ok(json: &impl Serialize) -> Response {
    body(StatusCode::OK, json)
}

fn body(status: StatusCode, json: &impl Serialize) -> Response {
    match serde_json::to_vec(json) {
        Ok(bytes) => (status, bytes).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Adds the headers of every answer.
pub(super) fn add_headers(request: &HeaderMap, network: NetworkInfo, response: &mut Response) {
    let has_body = response.status() != StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    if has_body {
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        headers.insert(header::CONTENT_TYPE, json);
    }
    let of_every_server = [
        ("cache-control", "no-cache"),
        ("pragma", "no-cache"),
        ("expires", "-1"),
        (
            "strict-transport-security",
            "max-age=31536000;includeSubDomains",
        ),
        ("x-content-type-options", "nosniff"),
    ];
    let of_key_vault = network.value().map(|value| {
        [
            ("x-ms-keyvault-region", "embedded"),
            ("x-ms-keyvault-service-version", SERVICE_VERSION),
            ("x-ms-keyvault-network-info", value),
        ]
    });
    for (name, value) in of_every_server
        .into_iter()
        .chain(of_key_vault.into_iter().flatten())
    {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    let request_id = random_hex()
        .ok()
        .and_then(|id| HeaderValue::from_str(&id).ok());
    if let Some(id) = request_id {
        headers.insert(HeaderName::from_static("x-ms-request-id"), id);
    }
    if let Some(id) = request.get("x-ms-client-request-id") {
        headers.insert(
            HeaderName::from_static("x-ms-client-request-id"),
            id.clone(),
        );
    }
}
