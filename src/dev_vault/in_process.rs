//! The way from the SDK to the embedded vault without a socket.

use std::fmt;

use async_trait::async_trait;
use axum::{
    Router,
    body::Body,
    http::{self, header},
};
use azure_core::{
    Bytes,
    http::{AsyncRawResponse, HttpClient, Request, headers::Headers, request},
};
use http_body_util::BodyExt;
use tower::ServiceExt;

use super::address;
use crate::key_vault::{Error, final_failure};

/// An SDK transport that calls a router. Only the embedded vault's host exists here.
#[derive(Clone)]
pub struct InProcess {
    router: Router,
}

impl InProcess {
    /// Calls `router` for every request to the embedded vault.
    #[must_use]
    pub fn new(router: Router) -> Self {
        Self { router }
    }
}

impl fmt::Debug for InProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InProcess")
    }
}

#[async_trait]
impl HttpClient for InProcess {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        if !address::url().is_some_and(|vault| vault.is_origin_of(request.url())) {
            return Err(final_failure(Error::VaultNotFound));
        }
        let request = to_http(request).ok_or_else(|| final_failure(Error::UnexpectedAnswer))?;
        let response = self
            .router
            .clone()
            .oneshot(request)
            .await
            .unwrap_or_else(|never| match never {});
        let (parts, body) = response.into_parts();
        let body = body
            .collect()
            .await
            .map_err(|_| final_failure(Error::UnexpectedAnswer))?
            .to_bytes();
        let mut headers = Headers::new();
        for (name, value) in &parts.headers {
            if let Ok(value) = value.to_str() {
                headers.insert(name.as_str().to_owned(), value.to_owned());
            }
        }
        let status = parts.status.as_u16().into();
        Ok(AsyncRawResponse::from_bytes(status, headers, body))
    }
}

fn to_http(request: &Request) -> Option<http::Request<Body>> {
    let body = match request.body() {
        request::Body::Bytes(bytes) => Bytes::clone(bytes),
        // The secrets client sends only bytes.
        request::Body::SeekableStream(_) => return None,
    };
    let mut http = http::Request::builder()
        .method(request.method().as_str())
        .uri(request.path_and_query())
        .header(header::HOST, request.url().authority());
    for (name, value) in request.headers().iter() {
        http = http.header(name.as_str(), value.as_str());
    }
    http.body(Body::from(body)).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use azure_core::http::{ClientOptions, Transport};
    use azure_security_keyvault_secrets::{
        SecretClient, SecretClientOptions,
        models::{SecretClientGetSecretOptions, SetSecretParameters},
    };
    use futures_util::TryStreamExt;

    use super::*;
    use crate::{
        dev_vault::{Attributes, DevVault, NewSecret},
        key_vault::ObjectKind,
    };

    /// The official client, as anybody would set it up.
    fn client(vault: &DevVault) -> SecretClient {
        let options = SecretClientOptions {
            client_options: ClientOptions {
                transport: Some(Transport::new(Arc::new(InProcess::new(vault.router())))),
                ..Default::default()
            },
            ..Default::default()
        };
        let url = DevVault::url().expect("valid");
        SecretClient::new(url.as_str(), vault.credential(), Some(options)).expect("made")
    }

    async fn set(client: &SecretClient, name: &str, value: &str) -> String {
        let secret = SetSecretParameters {
            value: Some(value.into()),
            ..Default::default()
        };
        let body = secret.try_into().expect("a body");
        let set = client.set_secret(name, body, None).await.expect("set");
        set.into_model().expect("a secret").id.expect("an id")
    }

    #[tokio::test]
    async fn the_official_client_sets_and_gets() {
        let vault = DevVault::default();
        let client = client(&vault);
        let first = set(&client, "Ab", "one").await;
        set(&client, "ab", "two").await;
        let get = async |version: Option<String>| {
            let options = SecretClientGetSecretOptions {
                secret_version: version,
                ..Default::default()
            };
            let secret = client.get_secret("Ab", Some(options)).await.expect("got");
            secret.into_model().expect("a secret").value
        };
        assert_eq!(get(None).await.as_deref(), Some("two"));
        let version = first.rsplit('/').next().expect("a version");
        assert_eq!(get(Some(version.to_owned())).await.as_deref(), Some("one"));
        assert!(first.starts_with("https://embedded.vault.azure.net/secrets/Ab/"));
    }

    #[tokio::test]
    async fn the_official_client_pages_through_lists() {
        let vault = DevVault::default();
        let client = client(&vault);
        for number in 0..60 {
            set(&client, &format!("n{number}"), "x").await;
            set(&client, "same", "x").await;
        }
        let secrets = client.list_secret_properties(None).expect("a pager");
        assert_eq!(
            secrets.try_collect::<Vec<_>>().await.expect("listed").len(),
            61
        );
        let versions = client
            .list_secret_properties_versions("same", None)
            .expect("a pager");
        assert_eq!(
            versions
                .try_collect::<Vec<_>>()
                .await
                .expect("listed")
                .len(),
            60
        );
        let none = client
            .list_secret_properties_versions("none", None)
            .expect("a pager");
        assert!(
            none.try_collect::<Vec<_>>()
                .await
                .expect("listed")
                .is_empty()
        );
    }

    #[tokio::test]
    async fn refusals_are_the_services() {
        let vault = DevVault::default();
        let disabled = NewSecret {
            attributes: Attributes {
                enabled: false,
                ..Default::default()
            },
            ..NewSecret::of("x")
        };
        vault.store().set("off", disabled).expect("set");
        let client = client(&vault);
        let missing = client.get_secret("none", None).await.expect_err("missing");
        assert_eq!(
            Error::from_sdk(missing),
            Error::NotFound(ObjectKind::Secret)
        );
        let disabled = client.get_secret("off", None).await.expect_err("disabled");
        assert_eq!(
            Error::from_sdk(disabled),
            Error::Disabled(ObjectKind::Secret)
        );
    }

    #[tokio::test]
    async fn everything_is_challenged_first() {
        let vault = DevVault::seeded().expect("randomness");
        for (method, path, token, code) in [
            (
                "GET",
                "/secrets/ExternalApiKey/?api-version=7.4",
                None,
                "AKV10000",
            ),
            ("PUT", "/anything", None, "AKV10000"),
            ("GET", "/secrets", Some("Bearer wrong"), "AKV10046"),
        ] {
            let mut request = http::Request::builder().method(method).uri(path);
            if let Some(token) = token {
                request = request.header("authorization", token);
            }
            let request = request.body(Body::empty()).expect("a request");
            let response = vault.router().oneshot(request).await.expect("answered");
            assert_eq!(response.status(), 401, "{method} {path}");
            let challenge = response.headers()["www-authenticate"]
                .to_str()
                .expect("text");
            assert!(challenge.ends_with("resource=\"https://vault.azure.net\""));
            let body = response
                .into_body()
                .collect()
                .await
                .expect("a body")
                .to_bytes();
            let begins = format!(r#"{{"error":{{"code":"Unauthorized","message":"{code}"#);
            assert!(body.starts_with(begins.as_bytes()), "{body:?}");
        }
    }
}
