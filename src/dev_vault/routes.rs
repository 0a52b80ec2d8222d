//! The REST API: paths, JSON and errors as the service writes them.
//!
//! Source: azure-rest-api-specs, Security.KeyVault.Secrets 2025-07-01, and the recordings of
//! the real service in Microsoft's SDK repositories.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use http_body_util::{BodyExt, Limited};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::json;

use super::{
    faults::{Fault, Faults},
    in_process::SignedIn,
    store::{Attributes, NewSecret, Store, Version, random_hex},
};
use crate::key_vault::{SecretName, SecretVersion};

/// A secret has at most 25 KB, so a set request is smaller than this.
const BODY_LIMIT: usize = 64 * 1024;
/// How long a deleted secret can be recovered, in seconds: the service's default, 90 days.
const RETENTION: i64 = 90 * 24 * 60 * 60;
/// Items on one page, unless fewer are asked for.
const PAGE: usize = 25;

/// What every request was answered with so far needs.
#[derive(Clone)]
struct Api {
    store: Arc<Store>,
    token: Arc<SignedIn>,
    faults: Arc<Faults>,
}

pub(super) fn router(store: Arc<Store>, token: Arc<SignedIn>, faults: Arc<Faults>) -> Router {
    let api = Api {
        store,
        token,
        faults,
    };
    Router::new().fallback(answer).with_state(api)
}

async fn answer(State(api): State<Api>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let result = if api.token.signed(&parts.headers) {
        let body = Limited::new(body, BODY_LIMIT).collect().await;
        if let Some(refusal) = api.fault(parts.uri.path()).await {
            return refusal.into_response();
        }
        match body {
            Ok(body) => api.route(&parts.method, &parts.uri, &parts.headers, &body.to_bytes()),
            Err(_) => Err(Refusal::bad("The request body is too large.")),
        }
    } else {
        Err(Refusal::Unauthorized)
    };
    let mut response = result.unwrap_or_else(IntoResponse::into_response);
    add_headers(&parts.headers, &mut response);
    response
}

impl Api {
    /// What the fault that is switched on makes of a request.
    async fn fault(&self, path: &str) -> Option<Refusal> {
        let is_list = path.trim_end_matches('/').ends_with("versions") || path.contains("deleted");
        match self.faults.get()? {
            Fault::Deny(inner) => Some(Refusal::Denied(inner)),
            Fault::DenyListing(inner) => is_list.then_some(Refusal::Denied(inner)),
            Fault::DenyGetting(inner) => (!is_list).then_some(Refusal::Denied(inner)),
            Fault::Throttle(wait) => Some(Refusal::Throttled(wait)),
            Fault::Outage(status) => Some(Refusal::Outage(status)),
            Fault::Silence => std::future::pending().await,
            Fault::Delay(delay) => {
                tokio::time::sleep(delay).await;
                None
            }
        }
    }

    fn route(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Response, Refusal> {
        let query = Query::parse(uri)?;
        let host = headers
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or(super::VAULT_NAME);
        let mut path = uri
            .path()
            .split('/')
            .skip(1)
            .filter(|part| !part.is_empty());
        let (area, name, version) = (path.next(), path.next(), path.next());
        if area.is_some_and(|area| area.eq_ignore_ascii_case("deletedsecrets")) {
            return match (method, name, version) {
                (&Method::GET, Some(name), None) => self.deleted(host, name),
                _ => Err(Refusal::NoSuchPath),
            };
        }
        if !area.is_some_and(|area| area.eq_ignore_ascii_case("secrets")) || path.next().is_some() {
            return Err(Refusal::NoSuchPath);
        }
        let Some(name) = name else {
            return match *method {
                Method::GET => {
                    Ok(query.page(host, "secrets", &self.store.latest(), Item::of_secret))
                }
                _ => Err(Refusal::NoSuchPath),
            };
        };
        SecretName::parse(name).map_err(|_| {
            Refusal::bad(&format!("The request URI contains an invalid name: {name}"))
        })?;
        match (method, version) {
            (&Method::PUT, None) => {
                let new: NewSecret = serde_json::from_slice(body)
                    .map_err(|_| Refusal::bad("The request body is not a secret."))?;
                let version = self.store.set(name, new).map_err(|_| Refusal::Internal)?;
                self.bundle(host, name, Some(&version), Reading::OwnWrite)
            }
            (&Method::GET, Some("versions")) => {
                let path = format!("secrets/{name}/versions");
                Ok(query.page(host, &path, &self.store.versions(name), Item::of_version))
            }
            (&Method::GET, version) => {
                if let Some(version) = version.filter(|v| SecretVersion::parse(v).is_err()) {
                    return Err(Refusal::bad(&format!(
                        "Method GET does not allow operation '{version}'"
                    )));
                }
                self.bundle(host, name, version, Reading::Get)
            }
            _ => Err(Refusal::NoSuchPath),
        }
    }

    fn deleted(&self, host: &str, name: &str) -> Result<Response, Refusal> {
        let Some((name, version, deleted)) = self.store.deleted(name) else {
            return Err(Refusal::NotDeleted(name.to_owned()));
        };
        Ok(ok(&DeletedBundle {
            recovery_id: format!("https://{host}/deletedsecrets/{name}"),
            deleted_date: deleted,
            scheduled_purge_date: deleted + RETENTION,
            item: Item::of_version(host, &name, &version),
        }))
    }

    fn bundle(
        &self,
        host: &str,
        name: &str,
        version: Option<&str>,
        reading: Reading,
    ) -> Result<Response, Refusal> {
        let Some((name, found)) = self.store.get(name, version) else {
            let id = version.map_or_else(|| name.to_owned(), |version| format!("{name}/{version}"));
            return Err(Refusal::SecretNotFound(id));
        };
        if !found.attributes.enabled && reading == Reading::Get {
            return Err(Refusal::SecretDisabled);
        }
        let value = found.value.expose_secret();
        let item = Item::of_version(host, &name, &found);
        Ok(ok(&Bundle { value, item }))
    }
}

/// Why a secret is sent: a disabled one can be set, and is shown to whoever has set it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Get,
    OwnWrite,
}

/// The query of a request, its keys decoded: one client escapes even their hyphens.
struct Query {
    api_version: String,
    max_results: usize,
    skip: usize,
}

impl Query {
    fn parse(uri: &Uri) -> Result<Self, Refusal> {
        let pairs: BTreeMap<_, _> =
            form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).collect();
        let number = |key: &str| pairs.get(key).map(|value| value.parse::<usize>());
        let api_version = pairs
            .get("api-version")
            .filter(|version| !version.is_empty())
            .ok_or_else(|| Refusal::bad("The api-version query parameter is required."))?;
        let max_results = match number("maxresults") {
            None => PAGE,
            Some(Ok(number)) if (1..=PAGE).contains(&number) => number,
            Some(_) => return Err(Refusal::bad("maxresults must be from 1 to 25.")),
        };
        let skip = match number("$skiptoken") {
            None => 0,
            Some(Ok(skip)) => skip,
            Some(Err(_)) => return Err(Refusal::bad("The skip token is invalid.")),
        };
        Ok(Self {
            api_version: api_version.clone().into_owned(),
            max_results,
            skip,
        })
    }

    fn page(
        &self,
        host: &str,
        path: &str,
        all: &[(String, Version)],
        item: impl Fn(&str, &str, &Version) -> Item,
    ) -> Response {
        let end = self.skip.saturating_add(self.max_results);
        let next_link = (end < all.len()).then(|| {
            // The service names the default port here.
            let port = if host.contains(':') { "" } else { ":443" };
            let query = form_urlencoded::Serializer::new(String::new())
                .append_pair("api-version", &self.api_version)
                .append_pair("$skiptoken", &end.to_string())
                .append_pair("maxresults", &self.max_results.to_string())
                .finish();
            format!("https://{host}{port}/{path}?{query}")
        });
        let value: Vec<_> = all
            .iter()
            .skip(self.skip)
            .take(self.max_results)
            .map(|(name, version)| item(host, name, version))
            .collect();
        ok(&json!({ "value": value, "nextLink": next_link }))
    }
}

/// A secret without its value. Unset members are left out, as in the service.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    id: String,
    attributes: AllAttributes,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    tags: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AllAttributes {
    #[serde(flatten)]
    own: Attributes,
    created: i64,
    updated: i64,
    recovery_level: &'static str,
    recoverable_days: u8,
}

#[derive(Serialize)]
struct Bundle<'a> {
    value: &'a str,
    #[serde(flatten)]
    item: Item,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DeletedBundle {
    recovery_id: String,
    deleted_date: i64,
    scheduled_purge_date: i64,
    #[serde(flatten)]
    item: Item,
}

impl Item {
    fn of_version(host: &str, name: &str, version: &Version) -> Self {
        let mut item = Self::of_secret(host, name, version);
        item.id = format!("{}/{}", item.id, version.id);
        item
    }

    fn of_secret(host: &str, name: &str, version: &Version) -> Self {
        Self {
            id: format!("https://{host}/secrets/{name}"),
            attributes: AllAttributes {
                own: version.attributes,
                created: version.created,
                updated: version.updated,
                recovery_level: "Recoverable+Purgeable",
                recoverable_days: 90,
            },
            tags: version.tags.clone(),
            content_type: version.content_type.clone(),
        }
    }
}

enum Refusal {
    Unauthorized,
    SecretNotFound(String),
    SecretDisabled,
    NotDeleted(String),
    Denied(&'static str),
    Throttled(Option<u64>),
    Outage(u16),
    BadParameter(String),
    NoSuchPath,
    Internal,
}

impl Refusal {
    fn bad(message: &str) -> Self {
        Self::BadParameter(message.to_owned())
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
            Self::Unauthorized => {
                let mut response = error(
                    StatusCode::UNAUTHORIZED,
                    "Unauthorized",
                    "AKV10000: Request is missing a Bearer, PoP, or MTLS_POP token.",
                );
                response.headers_mut().insert(
                    header::WWW_AUTHENTICATE,
                    HeaderValue::from_static(
                        "Bearer authorization=\"https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000\", resource=\"https://vault.azure.net\"",
                    ),
                );
                response
            }
            Self::SecretNotFound(id) => error(
                StatusCode::NOT_FOUND,
                "SecretNotFound",
                &format!(
                    "A secret with (name/id) {id} was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command. For help resolving this issue, please see https://go.microsoft.com/fwlink/?linkid=2125182"
                ),
            ),
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
            Self::Denied(inner) => body(
                StatusCode::FORBIDDEN,
                &json!({"error": {
                    "code": "Forbidden",
                    // The line breaks are the service's own.
                    "message": "Caller is not authorized to perform action on resource.\r\nCaller: appid=00000000-0000-0000-0000-000000000000\r\nVault: embedded;location=embedded\r\n",
                    "innererror": {"code": inner},
                }}),
            ),
            Self::Throttled(wait) => {
                let mut response = error(
                    StatusCode::TOO_MANY_REQUESTS,
                    "Throttled",
                    "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached",
                );
                if let Some(wait) = wait {
                    response
                        .headers_mut()
                        .insert(header::RETRY_AFTER, HeaderValue::from(wait));
                }
                response
            }
            Self::Outage(status) => {
                let status = StatusCode::from_u16(status);
                let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                (status, "<html>The service is unavailable.</html>").into_response()
            }
            Self::BadParameter(message) => error(StatusCode::BAD_REQUEST, "BadParameter", &message),
            Self::NoSuchPath => error(
                StatusCode::NOT_FOUND,
                "NotFound",
                "The embedded vault does not offer this operation.",
            ),
            Self::Internal => error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalServerError",
                "An internal error occurred.",
            ),
        }
    }
}

fn ok(json: &impl Serialize) -> Response {
    body(StatusCode::OK, json)
}

fn body(status: StatusCode, json: &impl Serialize) -> Response {
    match serde_json::to_vec(json) {
        Ok(bytes) => (status, bytes).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn add_headers(request: &HeaderMap, response: &mut Response) {
    let headers = response.headers_mut();
    for (name, value) in [
        ("cache-control", "no-cache"),
        ("pragma", "no-cache"),
        ("expires", "-1"),
        ("content-type", "application/json; charset=utf-8"),
        (
            "strict-transport-security",
            "max-age=31536000;includeSubDomains",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-ms-keyvault-region", "embedded"),
    ] {
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
    let wants_id = request
        .get("x-ms-return-client-request-id")
        .is_some_and(|value| value == "true");
    if let Some(id) = request.get("x-ms-client-request-id").filter(|_| wants_id) {
        headers.insert(
            HeaderName::from_static("x-ms-client-request-id"),
            id.clone(),
        );
    }
}
