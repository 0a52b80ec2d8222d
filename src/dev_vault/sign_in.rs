//! So much of Microsoft Entra ID that an app registration gets a token for its client secret.
//!
//! Source: the Microsoft identity platform's article on the client credentials flow.

use std::{borrow::Cow, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use subtle::ConstantTimeEq;

use super::{
    caller::{Caller, CallerKind, NOBODY},
    tokens::Identity,
};

/// Longest form, in bytes. Real ones are shorter by far.
const FORM_LIMIT: usize = 16 * 1024;
/// How long a client may keep a token: about as long as Entra ID says.
const LASTS: Duration = Duration::from_secs(3_599);
/// Longest scope, in bytes. Real ones are shorter by far.
const SCOPE_LIMIT: usize = 256;

#[derive(Clone)]
struct SignIn {
    identity: Identity,
    secret: Arc<SecretString>,
}

pub(super) fn router(identity: &Identity, secret: SecretString) -> Router {
    let application = Caller {
        kind: CallerKind::Application,
        ..Caller::default()
    };
    let sign_in = SignIn {
        identity: Identity {
            tokens: identity.tokens.clone(),
            caller: Arc::new(application),
        },
        secret: Arc::new(secret),
    };
    Router::new()
        .route("/{tenant}/oauth2/v2.0/token", post(token))
        .route(
            "/{tenant}/v2.0/.well-known/openid-configuration",
            get(configuration),
        )
        .layer(DefaultBodyLimit::max(FORM_LIMIT))
        .with_state(sign_in)
}

/// Where the endpoints of a tenant are. Some clients ask before they sign in.
async fn configuration(Path(tenant): Path<String>, headers: HeaderMap) -> Response {
    if tenant != NOBODY {
        return no_tenant(&tenant, "invalid_tenant");
    }
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    let authority = format!("https://{}/{tenant}", host.unwrap_or("localhost"));
    let body = json!({
        "issuer": format!("{authority}/v2.0"),
        "authorization_endpoint": format!("{authority}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{authority}/oauth2/v2.0/token"),
        "jwks_uri": format!("{authority}/discovery/v2.0/keys"),
        "end_session_endpoint": format!("{authority}/oauth2/v2.0/logout"),
        "response_types_supported": ["token"],
        "subject_types_supported": ["pairwise"],
    });
    json_response(StatusCode::OK, &body)
}

async fn token(State(sign_in): State<SignIn>, Path(tenant): Path<String>, body: Bytes) -> Response {
    if tenant != NOBODY {
        return no_tenant(&tenant, "invalid_request");
    }
    let of = |name: &str| {
        let found = form_urlencoded::parse(&body).find(|(known, _)| known == name);
        found.map_or(Cow::Borrowed(""), |(_, value)| value)
    };
    if of("grant_type") != "client_credentials" {
        return refuse(
            StatusCode::BAD_REQUEST,
            "unsupported_grant_type",
            70003,
            "The app requested an unsupported grant type.",
        );
    }
    if of("client_id") != NOBODY {
        return refuse(
            StatusCode::BAD_REQUEST,
            "unauthorized_client",
            700_016,
            "The application was not found in the directory.",
        );
    }
    let expected = sign_in.secret.expose_secret().as_bytes();
    let secret = of("client_secret");
    if !bool::from(secret.as_bytes().ct_eq(expected)) {
        return refuse(
            StatusCode::UNAUTHORIZED,
            "invalid_client",
            7_000_215,
            "Invalid client secret provided.",
        );
    }
    let scope = of("scope");
    let resource = scope.strip_suffix("/.default");
    let resource = resource.filter(|text| !text.is_empty() && text.len() <= SCOPE_LIMIT);
    let Some(resource) = resource else {
        return refuse(
            StatusCode::BAD_REQUEST,
            "invalid_scope",
            1_002_012,
            "The scope must end with /.default.",
        );
    };
    let Ok(token) = sign_in.identity.give(resource) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    tracing::info!(audience = ?resource, "gave a token for the client secret");
    let lasts = LASTS.as_secs();
    let body = json!({
        "token_type": "Bearer",
        "expires_in": lasts,
        "ext_expires_in": lasts,
        "access_token": token.reveal(),
    });
    json_response(StatusCode::OK, &body)
}

fn no_tenant(tenant: &str, error: &str) -> Response {
    let what = format!("Tenant '{tenant}' not found.");
    refuse(StatusCode::BAD_REQUEST, error, 90002, &what)
}

fn refuse(status: StatusCode, error: &str, code: u32, what: &str) -> Response {
    let body = json!({
        "error": error,
        "error_description": format!("AADSTS{code}: {what}"),
        "error_codes": [code],
    });
    json_response(status, &body)
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/json; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (status, headers, body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;
    use crate::dev_vault::DevVault;

    async fn ask(vault: &DevVault, tenant: &str, form: &str) -> (u16, Value) {
        let request = Request::post(format!("/{tenant}/oauth2/v2.0/token"))
            .body(Body::from(form.to_owned()))
            .expect("a request");
        let endpoint = vault.sign_in_endpoint("right".to_owned().into());
        let response = endpoint.oneshot(request).await.expect("answered");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a body");
        let body = serde_json::from_slice(&body.to_bytes()).expect("JSON");
        (status, body)
    }

    fn form(id: &str, secret: &str, scope: &str) -> String {
        format!("grant_type=client_credentials&client_id={id}&client_secret={secret}&scope={scope}")
    }

    #[tokio::test]
    async fn a_client_secret_gets_a_token_that_opens_the_vault() {
        let vault = DevVault::default();
        let form = form(NOBODY, "right", "https%3A%2F%2Fvault.azure.net%2F.default");
        let (status, given) = ask(&vault, NOBODY, &form).await;
        assert_eq!(status, 200, "{given}");
        assert_eq!(given["expires_in"], 3_599);
        let token = given["access_token"].as_str().expect("text");
        let request = Request::get("/secrets?api-version=7.4")
            .header("authorization", format!("Bearer {token}"))
            .body(Body::empty())
            .expect("a request");
        let answer = vault.router().oneshot(request).await.expect("answered");
        assert_eq!(answer.status(), 200);
    }

    #[tokio::test]
    async fn a_form_without_end_is_not_read() {
        let endpoint = DevVault::default().sign_in_endpoint("right".to_owned().into());
        let request = Request::post(format!("/{NOBODY}/oauth2/v2.0/token"));
        let request = request.body(Body::from("x".repeat(FORM_LIMIT + 1)));
        let request = request.expect("a request");
        let response = endpoint.oneshot(request).await.expect("answered");
        assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[tokio::test]
    async fn what_entra_id_would_refuse_is_refused() {
        let vault = DevVault::default();
        let scope = "https://vault.azure.net/.default";
        for (tenant, form, status, error) in [
            ("t", form(NOBODY, "right", scope), 400, "invalid_request"),
            (
                NOBODY,
                form("1", "right", scope),
                400,
                "unauthorized_client",
            ),
            (NOBODY, form(NOBODY, "wrong", scope), 401, "invalid_client"),
            (NOBODY, form(NOBODY, "", scope), 401, "invalid_client"),
            (NOBODY, form(NOBODY, "right", "x"), 400, "invalid_scope"),
            (NOBODY, String::new(), 400, "unsupported_grant_type"),
        ] {
            let (found, refused) = ask(&vault, tenant, &form).await;
            assert_eq!(
                (found, &refused["error"]),
                (status, &error.into()),
                "{form}"
            );
            assert_eq!(refused["access_token"], Value::Null);
        }
    }
}
