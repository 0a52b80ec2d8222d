//! Whatever a vault answers, reading it ends in time, with a cause or with names and versions
//! that are nothing else.
//!
//! The first line of the data is a status and what is read; the rest is the body of every answer.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use azure_core::{
    Bytes,
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    http::{AsyncRawResponse, HttpClient, Request, StatusCode, headers::Headers},
    time::OffsetDateTime,
};
use keyvault_functions::key_vault::{
    Connection, Listed, MetadataSource, ObjectId, ObjectKind, ObjectName, ObjectVersion, VaultUrl,
    Vaults, limits::CALL_LIMIT,
};
use tokio::time::Instant;

/// The time that a list has here.
const LISTING: Duration = Duration::from_secs(20);

#[derive(Debug)]
struct Answers(StatusCode, Bytes);

#[async_trait]
impl HttpClient for Answers {
    async fn execute_request(&self, _: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut headers = Headers::new();
        headers.insert("content-type", "application/json");
        let challenge = "Bearer authorization=\"https://login.microsoftonline.com/t\", \
                         resource=\"https://vault.azure.net\"";
        headers.insert("www-authenticate", challenge);
        Ok(AsyncRawResponse::from_bytes(
            self.0,
            headers,
            self.1.clone(),
        ))
    }
}

#[derive(Debug)]
struct SignedIn;

#[async_trait]
impl TokenCredential for SignedIn {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        let expires = OffsetDateTime::now_utc() + Duration::from_secs(3_600);
        Ok(AccessToken::new("token", expires))
    }
}

pub(crate) fn holds(data: &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n');
    let (line, body) = data.split_at(end.unwrap_or(data.len()));
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let status = words.next().and_then(|status| status.parse().ok());
    let status = status.filter(|status| (200..600).contains(status));
    let status = StatusCode::from(status.unwrap_or(200_u16));
    let operation = words.next().unwrap_or("versions");
    let body = Bytes::copy_from_slice(body.get(1..).unwrap_or_default());
    // Time stands still but for who waits.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(read(status, operation, body));
}

async fn read(status: StatusCode, operation: &str, body: Bytes) {
    let connection = Connection::new(Arc::new(Answers(status, body)), Arc::new(SignedIn));
    let vaults = Vaults::new(move || std::future::ready(Ok(connection.clone())));
    let url = VaultUrl::of_public_vault("your-kv").expect("a vault");
    let vault = vaults.open(&url).await.expect("opened");
    let kind = match operation {
        "key" | "list-keys" => ObjectKind::Key,
        "certificate" | "list-certificates" => ObjectKind::Certificate,
        _ => ObjectKind::Secret,
    };
    let id = ObjectId {
        kind,
        name: ObjectName::parse("Ab").expect("a name"),
        version: None,
    };
    let started = Instant::now();
    if operation.starts_with("list-") {
        let until = started + LISTING;
        let listed = vault.list(kind, until, |page| {
            let is_name = |one: &Listed| ObjectName::parse(one.name.as_str()).is_ok();
            assert!(page.iter().all(is_name), "{page:?}");
            true
        });
        let _ = listed.await;
        let longest = LISTING + CALL_LIMIT;
        assert!(started.elapsed() <= longest, "{:?}", started.elapsed());
        return;
    }
    let found = match operation {
        "get" => vault.metadata(&id, MetadataSource::Get).await.map(Some),
        "value" => vault.value(&id.name, None).await.map(|_| None),
        "may-get" => vault.may_get(&id.name).await.map(|()| None),
        "deleted" => {
            vault.is_deleted(&id.name).await;
            Ok(None)
        }
        _ => vault
            .metadata(&id, MetadataSource::Versions)
            .await
            .map(Some),
    };
    assert!(started.elapsed() <= CALL_LIMIT, "{:?}", started.elapsed());
    if let Ok(Some(metadata)) = found {
        assert!(
            ObjectName::parse(metadata.name.as_str()).is_ok(),
            "{metadata:?}"
        );
        let version = metadata.version.as_ref().map(ObjectVersion::as_str);
        let is_version = |version: &str| ObjectVersion::parse(version).is_ok();
        assert!(version.is_none_or(is_version), "{metadata:?}");
    }
}
