//! A managed identity as App Service offers it: an endpoint on loopback that gives a token to
//! whoever knows the header.
//!
//! Source: Microsoft's article on managed identities in App Service, protocol 2019-08-01.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use subtle::ConstantTimeEq;

use super::{
    caller::{Caller, CallerKind},
    tokens::Identity,
};

/// Where the endpoint is.
pub const IDENTITY_PATH: &str = "/msi/token";

const API_VERSION: &str = "2019-08-01";
/// Longest resource, in bytes. Real ones are shorter by far.
const RESOURCE_LIMIT: usize = 256;

#[derive(Clone)]
struct Endpoint {
    identity: Identity,
    header: Arc<SecretString>,
}

pub(super) fn router(identity: Identity, header: SecretString) -> Router {
    let endpoint = Endpoint {
        identity,
        header: Arc::new(header),
    };
    Router::new()
        .route(IDENTITY_PATH, get(answer))
        .with_state(endpoint)
}

async fn answer(State(endpoint): State<Endpoint>, headers: HeaderMap, uri: Uri) -> Response {
    let header = headers.get("x-identity-header");
    let expected = endpoint.header.expose_secret().as_bytes();
    if !header.is_some_and(|header| header.as_bytes().ct_eq(expected).into()) {
        return refuse(StatusCode::UNAUTHORIZED, "The identity header is wrong.");
    }
    let query = uri.query().unwrap_or_default();
    let query: BTreeMap<_, _> = form_urlencoded::parse(query.as_bytes()).collect();
    if query
        .get("api-version")
        .is_none_or(|version| version != API_VERSION)
    {
        return refuse(
            StatusCode::BAD_REQUEST,
            "The api-version must be 2019-08-01.",
        );
    }
    let resource = query.get("resource").filter(|text| !text.is_empty());
    let Some(resource) = resource.filter(|text| text.len() <= RESOURCE_LIMIT) else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "The resource is missing or too long.",
        );
    };
    let names = ["client_id", "principal_id", "object_id", "mi_res_id"];
    let caller = &endpoint.identity.caller;
    let is_another = |name: &str| {
        let id = query.get(name);
        id.is_some_and(|id| !is_called(caller, name, id))
    };
    if names.into_iter().any(is_another) {
        return refuse(
            StatusCode::BAD_REQUEST,
            "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.",
        );
    }
    let Ok(token) = endpoint.identity.give(resource) else {
        return refuse(
            StatusCode::INTERNAL_SERVER_ERROR,
            "An internal error occurred.",
        );
    };
    tracing::info!(audience = ?resource, "gave a token");
    let body = json!({
        "access_token": token.reveal(),
        "expires_on": token.expires.unix_timestamp().to_string(),
        "resource": resource,
        "token_type": "Bearer",
        "client_id": caller.client_id,
    });
    json_response(StatusCode::OK, &body)
}

/// Whether an app asks for this identity with the parameter `name`. Only the client id of a
/// user-assigned one is known here.
fn is_called(caller: &Caller, name: &str, id: &str) -> bool {
    let is_user_assigned = matches!(caller.kind, CallerKind::UserAssigned { .. });
    is_user_assigned && name == "client_id" && id == caller.client_id
}

fn refuse(status: StatusCode, message: &str) -> Response {
    let body = json!({"statusCode": status.as_u16(), "message": message});
    json_response(status, &body)
}

fn json_response(status: StatusCode, body: &serde_json::Value) -> Response {
    let content_type = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    (status, content_type, body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    use http_body_util::BodyExt;
    use serde_json::Value;
    use tower::ServiceExt;

    use crate::dev_vault::{Caller, CallerKind, DevVault};

    async fn ask(vault: &DevVault, header: &str, query: &str) -> (u16, Value) {
        let request = Request::get(format!("/msi/token?{query}"))
            .header("x-identity-header", header)
            .body(Body::empty())
            .expect("a request");
        let endpoint = vault.identity_endpoint("right".to_owned().into());
        let response = endpoint.oneshot(request).await.expect("answered");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a body");
        let body = serde_json::from_slice(&body.to_bytes()).expect("JSON");
        (status, body)
    }

    async fn status_with(vault: &DevVault, token: &str) -> (u16, Value) {
        let request = Request::get("/secrets?api-version=7.4")
            .header("authorization", format!("Bearer {token}"))
            .body(Body::empty())
            .expect("a request");
        let response = vault.router().oneshot(request).await.expect("answered");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a body");
        (
            status,
            serde_json::from_slice(&body.to_bytes()).expect("JSON"),
        )
    }

    #[tokio::test]
    async fn a_token_opens_the_vault_it_was_given_for() {
        let vault = DevVault::default();
        let query = "resource=https%3A%2F%2Fvault.azure.net&api-version=2019-08-01";
        let (status, given) = ask(&vault, "right", query).await;
        assert_eq!(status, 200, "{given}");
        assert!(given["expires_on"].is_string(), "{given}");
        let token = given["access_token"].as_str().expect("text");
        assert_eq!(status_with(&vault, token).await.0, 200);
        let other = DevVault::default();
        assert_eq!(status_with(&other, token).await.0, 401);

        let query = "resource=https://management.azure.com&api-version=2019-08-01";
        let (_, given) = ask(&vault, "right", query).await;
        let token = given["access_token"].as_str().expect("text");
        let (status, body) = status_with(&vault, token).await;
        assert_eq!(status, 401);
        let message = "AKV10022: Invalid audience. Expected https://vault.azure.net, found: https://management.azure.com.";
        assert_eq!(body["error"]["message"], message);
    }

    #[tokio::test]
    async fn the_token_is_of_the_caller_and_so_is_the_client_id() {
        let whole = "resource=https://vault.azure.net&api-version=2019-08-01";
        let vault = DevVault::default().with_caller(Caller {
            kind: CallerKind::UserAssigned {
                name: "id-shop".to_owned(),
            },
            client_id: "11111111-1111-1111-1111-111111111111".to_owned(),
            ..Caller::default()
        });
        let own = format!("{whole}&client_id=11111111-1111-1111-1111-111111111111");
        for query in [whole, &own] {
            let (status, given) = ask(&vault, "right", query).await;
            assert_eq!(status, 200, "{given}");
            assert_eq!(given["client_id"], "11111111-1111-1111-1111-111111111111");
            let token = given["access_token"].as_str().expect("text");
            let claims = token.split('.').nth(1).expect("three parts");
            let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64");
            let claims: Value = serde_json::from_slice(&claims).expect("JSON");
            assert_eq!(claims["appid"], given["client_id"]);
            let resource = claims["xms_mirid"].as_str().expect("text");
            assert!(
                resource.ends_with("/userAssignedIdentities/id-shop"),
                "{resource}"
            );
            assert_eq!(status_with(&vault, token).await.0, 200);
        }
        for another in ["client_id=1", "principal_id=1", "mi_res_id=1"] {
            let (status, _) = ask(&vault, "right", &format!("{whole}&{another}")).await;
            assert_eq!(status, 400, "{another}");
        }
    }

    #[tokio::test]
    async fn what_app_service_would_refuse_is_refused() {
        let vault = DevVault::default();
        let whole = "resource=https://vault.azure.net&api-version=2019-08-01";
        for (header, query, expected) in [
            ("wrong", whole, 401),
            ("", whole, 401),
            ("right", "resource=https://vault.azure.net", 400),
            ("right", "api-version=2019-08-01", 400),
            ("right", "api-version=2019-08-01&resource=", 400),
            ("right", &format!("{whole}&client_id=1"), 400),
        ] {
            let (status, body) = ask(&vault, header, query).await;
            assert_eq!(status, expected, "{header} {query}");
            assert_eq!(body["access_token"], Value::Null);
        }
    }
}
