//! A vault that cannot be read is named with its cause and its remedy, in good time, and
//! readiness does not wait for it.

use std::time::{Duration, Instant};

use axum::{
    Router,
    extract::Request,
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use keyvault_functions::key_vault::MetadataSource;

use super::support::{ClientRequest, FunctionsHost, InProcess, Protocol, free_port, repository};

async fn metadata(settings: &[(&str, &str)]) -> (u16, String, String) {
    let host = FunctionsHost::start_in(repository(), free_port(), settings).await;
    let started = Instant::now();
    let answer = host
        .call(Protocol::Proxying, &ClientRequest::secret("ExternalApiKey"))
        .await;
    // The budget of one read with room for a busy machine.
    assert!(started.elapsed() < Duration::from_secs(15), "{answer:?}");
    let json = answer.json();
    let text = |name: &str| json[name].as_str().expect("text").to_owned();
    assert!(
        !text("error").is_empty() && !text("fix").is_empty(),
        "{answer:?}"
    );
    (answer.status, text("code"), text("fix"))
}

const IDENTITY: [(&str, &str); 2] = [
    ("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi/token"),
    ("IDENTITY_HEADER", "canary-identity-header"),
];

#[tokio::test]
async fn no_vault() {
    let (status, code, fix) = metadata(&[]).await;
    assert_eq!((status, code.as_str()), (503, "KeyVaultUrlNotSet"));
    assert!(fix.contains("KEY_VAULT_URL"), "{fix}");
}

#[tokio::test]
async fn no_credential() {
    let (status, code, fix) = metadata(&[("KEY_VAULT_URL", "https://127.0.0.1:1")]).await;
    assert_eq!((status, code.as_str()), (502, "CredentialUnavailable"));
    assert!(fix.contains("az functionapp identity assign"), "{fix}");
}

#[tokio::test]
async fn nothing_listens() {
    let mut settings = vec![("KEY_VAULT_URL", "https://127.0.0.1:1")];
    settings.extend(IDENTITY);
    let (status, code, _) = metadata(&settings).await;
    assert_eq!((status, code.as_str()), (503, "VaultUnreachable"));
}

#[tokio::test]
async fn the_name_does_not_resolve() {
    let mut settings = vec![("KEY_VAULT_URL", "https://no-such-vault.invalid")];
    settings.extend(IDENTITY);
    let (status, code, fix) = metadata(&settings).await;
    assert_eq!((status, code.as_str()), (502, "VaultNotFound"));
    assert!(fix.contains("KEY_VAULT_URL"), "{fix}");
}

#[tokio::test]
async fn it_accepts_and_never_answers() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let url = format!("https://127.0.0.1:{port}");
    let mut settings = vec![("KEY_VAULT_URL", url.as_str())];
    settings.extend(IDENTITY);
    let (status, code, _) = metadata(&settings).await;
    assert_eq!((status, code.as_str()), (504, "FetchTimedOut"));
}

/// Answers every signed request with `status`, `headers` and a body of the service's shape.
fn refusing(
    status: u16,
    inner: &'static str,
    headers: &'static [(&'static str, &'static str)],
) -> impl FnOnce(Router) -> Router {
    move |vault| {
        vault.layer(middleware::from_fn(move |request: Request, next: Next| async move {
            if !request.headers().contains_key("authorization") {
                return next.run(request).await;
            }
            // As the service writes it: line breaks, and who called.
            let body = format!(
                r#"{{"error":{{"code":"Forbidden","message":"Caller: appid=canary\r\nVault: v\r\n","innererror":{{"code":"{inner}"}}}}}}"#
            );
            let mut response: Response = body.into_response();
            *response.status_mut() = StatusCode::from_u16(status).expect("a status");
            for (name, value) in headers {
                response.headers_mut().insert(*name, value.parse().expect("a value"));
            }
            response
        }))
    }
}

type Case = (
    u16,
    &'static str,
    &'static [(&'static str, &'static str)],
    (u16, &'static str),
    &'static str,
    Option<&'static str>,
);

/// Status, inner code and headers of the vault; status, code, a part of `fix` and
/// `Retry-After` of the answer.
#[rustfmt::skip]
const REFUSALS: [Case; 12] = [
    (403, "ForbiddenByRbac", &[], (502, "AccessToKeyVaultDenied"), "Key Vault Secrets User", None),
    (403, "AccessDenied", &[], (502, "AccessToKeyVaultDenied"), "set-policy", None),
    (403, "ForbiddenByPolicy", &[], (502, "AccessToKeyVaultDenied"), "network-rule", None),
    (403, "ForbiddenByFirewall", &[], (502, "ForbiddenByFirewall"), "network-rule", None),
    (403, "ForbiddenByConnection", &[], (502, "ForbiddenByFirewall"), "network-rule", None),
    (429, "x", &[], (503, "Throttled"), "Wait", Some("10")),
    (429, "x", &[("retry-after", "600")], (503, "Throttled"), "Wait", Some("300")),
    (429, "x", &[("x-ms-retry-after-ms", "7500")], (503, "Throttled"), "Wait", Some("8")),
    (500, "x", &[], (503, "VaultUnavailable"), "Wait", Some("10")),
    (503, "x", &[("retry-after", "20")], (503, "VaultUnavailable"), "Wait", Some("20")),
    (200, "x", &[], (502, "UnexpectedAnswer"), "KEY_VAULT_URL", None),
    (401, "x", &[], (502, "UnauthorizedClient"), "AZURE_TENANT_ID", None),
];

#[tokio::test(start_paused = true)]
async fn a_vault_that_refuses_is_told_apart_by_its_code() {
    for (status, inner, headers, (answered, code), fix, wait) in REFUSALS {
        for source in [MetadataSource::Versions, MetadataSource::Get] {
            let app = InProcess::behind(source, refusing(status, inner, headers));
            let started = tokio::time::Instant::now();
            let answer = app.get("/api/secrets/ExternalApiKey").await;
            let what = format!("{status} {inner} {headers:?} {source:?}: {answer:?}");
            assert!(started.elapsed() < Duration::from_secs(5), "{what}");
            assert_eq!(answer.status, answered, "{what}");
            assert_eq!(answer.json()["code"], code, "{what}");
            assert!(answer.json()["fix"].to_string().contains(fix), "{what}");
            assert_eq!(answer.header("retry-after"), wait, "{what}");
        }
    }
}
