//! The functions as they run on Azure, in one process, on the embedded vault: what the
//! benchmarks, the load harness and the test of allocations measure.

#![allow(dead_code, reason = "each of them uses a part")]

use std::{error::Error, io, path::Path, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Request, Response, StatusCode},
};
use http_body_util::BodyExt;
use keyvault_functions::{
    dev_vault::DevVault,
    diagnosis::{Cause, Surroundings},
    functions::{self, AppState, MetadataOptions},
    host::{
        authorization::{FunctionKey, Keys},
        invocation::{Access, Limits},
        manifest::Manifest,
        router::Entry,
    },
    key_vault::{
        CachePolicy, MetadataCache, MetadataSource, ObjectId, ObjectKind, ObjectName, Vaults,
    },
    references::{AppSetting, Inspector, Resolves, status::read_platform_report},
    settings::names,
    telemetry::{self, LineStyle},
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tower::ServiceExt;
use tracing_subscriber::util::SubscriberInitExt;

/// References as they are written.
pub(crate) const FORMS: [&str; 3] = [
    "@Microsoft.KeyVault(SecretUri=https://your-kv.vault.azure.net/secrets/ExternalApiKey/)",
    "@Microsoft.KeyVault(SecretUri=https://your-kv.vault.azure.net/secrets/ExternalApiKey/ec96f02080254f109c51a1f14cdb1931)",
    "@Microsoft.KeyVault(VaultName=your-kv;SecretName=DatabasePassword;SecretVersion=ec96f02080254f109c51a1f14cdb1931)",
];

/// A value that the platform put in the place of a reference.
pub(crate) const VALUE: &str = "an ordinary value";

/// Nothing becomes stale while it is measured.
pub(crate) const POLICY: CachePolicy = CachePolicy {
    fresh_for: Duration::from_secs(24 * 60 * 60),
    max_stale: Duration::from_secs(24 * 60 * 60),
    missing_for: Duration::from_secs(30),
    capacity: 1_000,
};

/// Every request writes its line, as under the Functions host; nobody reads it.
pub(crate) fn write_lines() -> Result<(), Box<dyn Error>> {
    let filter = telemetry::default_filter();
    Ok(telemetry::subscriber(&filter, LineStyle::Host, io::sink, io::sink).try_init()?)
}

/// One thread, which is the one that is measured.
pub(crate) fn runtime() -> io::Result<Runtime> {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build()
}

/// A cache with one answer.
pub(crate) async fn cached() -> Result<(MetadataCache<Bytes>, ObjectId), Box<dyn Error>> {
    let body = Bytes::from(vec![b'x'; 256]);
    let cache = MetadataCache::new(POLICY, move |_| std::future::ready(Ok(body.clone())));
    let id = ObjectId {
        kind: ObjectKind::Secret,
        name: ObjectName::parse("ExternalApiKey")?,
        version: None,
    };
    cache.get(&id).await?;
    Ok((cache, id))
}

/// The keys of a standalone handler, and headers with the master key.
pub(crate) fn keys() -> Result<(Keys, HeaderMap), Box<dyn Error>> {
    let key = || FunctionKey::random().map_err(|error| error.to_string());
    let keys = Keys {
        function: key()?,
        master: key()?,
    };
    let presented = HeaderValue::from_str(keys.master.reveal())?;
    let mut headers = HeaderMap::new();
    headers.insert("x-functions-key", presented);
    Ok((keys, headers))
}

/// What [`Requests`] can ask.
pub(crate) const REQUESTS: [&str; 4] = [
    "secrets-metadata, direct",
    "secrets-metadata, envelope",
    "config-check, direct",
    "config-check, envelope",
];

/// The handler's router as under the Functions host, and requests for it.
pub(crate) struct Requests {
    router: Entry,
    secret: String,
    check: String,
}

impl Requests {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        Ok(Self::over(router()?))
    }

    pub(crate) fn over(router: Entry) -> Self {
        Self {
            router,
            secret: envelope(SECRET, &json!({"secret_name": "ExternalApiKey"})),
            check: envelope(CHECK, &json!({})),
        }
    }

    pub(crate) fn make(&self, request: &str) -> Request<Body> {
        match request {
            "secrets-metadata, direct" => direct(SECRET),
            "secrets-metadata, envelope" => enveloped("/secrets-metadata", &self.secret),
            "config-check, direct" => direct(CHECK),
            "config-check, envelope" => enveloped("/config-check", &self.check),
            _ => direct("/unknown"),
        }
    }

    /// Sends a request through the router and reads the answer to its end.
    pub(crate) async fn send(&self, request: Request<Body>) -> Response<Bytes> {
        let response = self.router.clone().oneshot(request).await;
        let response = response.unwrap_or_else(|never| match never {});
        let (parts, body) = response.into_parts();
        let body = body.collect().await;
        let body = body.map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes);
        Response::from_parts(parts, body)
    }

    pub(crate) async fn answer(&self, request: &str) -> Result<(), Box<dyn Error>> {
        let response = self.send(self.make(request)).await;
        if response.status() == StatusCode::OK {
            return Ok(());
        }
        Err(format!("{request}: {}", response.status()).into())
    }
}

const SECRET: &str = "/api/secrets/ExternalApiKey";
const CHECK: &str = "/api/config-check";
const INVOCATION: HeaderValue = HeaderValue::from_static("5f6e7d2a-2f1e-4a9d-8a50-0d0a6b0f1c11");

fn direct(path: &'static str) -> Request<Body> {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = axum::http::Uri::from_static(path);
    let id = "x-azure-functions-invocationid";
    request.headers_mut().insert(id, INVOCATION);
    request
}

fn enveloped(path: &'static str, body: &str) -> Request<Body> {
    let mut request = direct(path);
    *request.method_mut() = axum::http::Method::POST;
    *request.body_mut() = Body::from(body.to_owned());
    request
}

/// What the platform says when both references of the recipe are resolved.
pub(crate) fn platform_report() -> String {
    let resolved = |secret: &str| {
        json!({
            "rawReference": format!("@Microsoft.KeyVault(VaultName=embedded;SecretName={secret})"),
            "status": "Resolved",
        })
    };
    json!({
        names::EXTERNAL_API_KEY: resolved("ExternalApiKey"),
        names::DATABASE_PASSWORD: resolved("DatabasePassword"),
    })
    .to_string()
}

fn router() -> Result<Entry, Box<dyn Error>> {
    let report = read_platform_report(&platform_report());
    let settings = report.into_iter().map(|entry| {
        AppSetting::new(entry.setting, VALUE.to_owned().into())
            .reported(entry.raw_reference.as_deref(), entry.status)
    });
    let connection = DevVault::of_the_recipe()
        .map_err(|error| error.to_string())?
        .connection();
    let vaults = Arc::new(Vaults::new(move || {
        std::future::ready(Ok(connection.clone()))
    }));
    let references = Inspector::new(
        settings.collect::<Vec<_>>(),
        Resolves::Platform,
        &vaults,
        Surroundings::default(),
    );
    let options = MetadataOptions {
        source: MetadataSource::Versions,
        cache: POLICY,
    };
    let app = AppState::new(
        references,
        vaults,
        DevVault::url().ok_or(Cause::NoVault),
        options,
        functions::Rotation::default(),
        Vec::new(),
    );
    let manifest = Manifest::read(Path::new(env!("CARGO_MANIFEST_DIR")))
        .map_err(|errors| format!("{errors:?}"))?;
    functions::all()
        .router(&manifest, &app, &Access::Host, Limits::default())
        .map_err(|errors| format!("{errors:?}").into())
}

/// What the Functions host puts into an envelope for a caller with the master key.
pub(crate) fn envelope(path: &str, params: &Value) -> String {
    let claim = |name: &str, value: &str| {
        json!({"Issuer": "LOCAL AUTHORITY", "OriginalIssuer": "LOCAL AUTHORITY", "Properties": {},
            "Type": format!("http://schemas.microsoft.com/2017/07/functions/claims/{name}"),
            "Value": value, "ValueType": "http://www.w3.org/2001/XMLSchema#string"})
    };
    json!({
        "Data": {"req": {
            "Url": format!("https://app.azurewebsites.net{path}"),
            "Method": "GET",
            "Query": {},
            "Headers": {
                "Accept": ["*/*"],
                "Host": ["app.azurewebsites.net"],
                "User-Agent": ["curl/8.0"],
                "X-Forwarded-For": ["203.0.113.7"],
                "X-Forwarded-Proto": ["https"],
            },
            "Params": params,
            "Identities": [{
                "AuthenticationType": "WebJobsAuthLevel", "IsAuthenticated": true, "Actor": null,
                "Claims": [claim("authlevel", "Admin"), claim("invoke", "true"), claim("keyid", "master")],
            }],
        }},
        "Metadata": {"sys": {"MethodName": "function", "UtcNow": "2026-05-14T15:14:15.128919Z"}},
    })
    .to_string()
}
