//! The official client for Rust, with the transport that it makes for itself, does with the
//! dev vault what it does with a Key Vault.
//!
//! `tests/clients/run` starts the vault and runs this with the environment that it prints.

#![expect(
    clippy::disallowed_methods,
    reason = "it runs where the dev vault says"
)]
#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::{collections::HashMap, env, sync::Arc};

use async_trait::async_trait;
use azure_core::{
    Error,
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    http::{RequestContent, StatusCode},
};
use azure_identity::{AzureCliCredential, ClientSecretCredential, ManagedIdentityCredential};
use azure_security_keyvault_secrets::{
    SecretClient, SecretClientOptions,
    models::{
        RestoreSecretParameters, SecretAttributes, SecretClientGetSecretOptions,
        SecretClientListSecretPropertiesOptions, SecretClientUpdateSecretPropertiesOptions,
        SetSecretParameters, UpdateSecretPropertiesParameters,
    },
};
use futures_util::TryStreamExt;

const WHY: &str = "needs a dev vault: run tests/clients/run";

fn client_of(credential: Arc<dyn TokenCredential>) -> SecretClient {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = SecretClientOptions {
        // The host of a local vault cannot end in .vault.azure.net.
        verify_challenge_resource: Some(false),
        ..Default::default()
    };
    let url = env::var("KEY_VAULT_URL").expect(WHY);
    SecretClient::new(&url, credential, Some(options)).expect("a client")
}

fn client() -> SecretClient {
    let _ = rustls::crypto::ring::default_provider().install_default();
    client_of(ManagedIdentityCredential::new(None).expect(WHY))
}

async fn set(client: &SecretClient, name: &str, value: &str) -> String {
    let parameters = SetSecretParameters {
        value: Some(value.into()),
        content_type: Some("text/plain".into()),
        tags: Some(HashMap::from([("a".to_owned(), "b".to_owned())])),
        ..Default::default()
    };
    let body = RequestContent::try_from(parameters).expect("a body");
    let set = client.set_secret(name, body, None).await.expect("set");
    let id = set.into_model().expect("a secret").id.expect("an id");
    id.rsplit('/').next().expect("a version").to_owned()
}

async fn get(client: &SecretClient, name: &str) -> azure_core::Result<Option<String>> {
    Ok(client.get_secret(name, None).await?.into_model()?.value)
}

fn status(error: &Error) -> Option<StatusCode> {
    error.http_status()
}

async fn update(client: &SecretClient, name: &str, parameters: UpdateSecretPropertiesParameters) {
    let body = RequestContent::try_from(parameters).expect("a body");
    let options = SecretClientUpdateSecretPropertiesOptions::default();
    let updated = client.update_secret_properties(name, body, Some(options));
    updated.await.expect("updated");
}

#[tokio::test]
#[ignore = "needs a dev vault: run tests/clients/run"]
async fn set_get_and_versions() {
    let client = client();
    let first = set(&client, "rs-set", "one").await;
    let second = set(&client, "rs-set", "two").await;
    let latest = get(&client, "RS-SET").await.expect("got");
    assert_eq!(latest.as_deref(), Some("two"));
    let options = SecretClientGetSecretOptions {
        secret_version: Some(first.clone()),
        ..Default::default()
    };
    let got = client.get_secret("rs-set", Some(options)).await;
    let got = got.expect("got").into_model().expect("a secret");
    assert_eq!(got.value.as_deref(), Some("one"));
    assert_eq!(got.content_type.as_deref(), Some("text/plain"));
    let versions = client.list_secret_properties_versions("rs-set", None);
    let versions: Vec<_> = versions
        .expect("a pager")
        .try_collect()
        .await
        .expect("listed");
    let ids: Vec<_> = versions.into_iter().filter_map(|item| item.id).collect();
    assert_eq!(ids.len(), 2);
    for version in [first, second] {
        assert!(ids.iter().any(|id| id.ends_with(&version)), "{version}");
    }
}

#[tokio::test]
#[ignore = "needs a dev vault: run tests/clients/run"]
async fn lists_come_in_pages() {
    let client = client();
    for number in 0..30 {
        set(&client, &format!("rs-page-{number}"), "x").await;
    }
    let options = SecretClientListSecretPropertiesOptions {
        maxresults: Some(10),
        ..Default::default()
    };
    let secrets = client
        .list_secret_properties(Some(options))
        .expect("a pager");
    let pages: Vec<_> = secrets.into_pages().try_collect().await.expect("listed");
    assert!(pages.len() >= 3, "{} pages", pages.len());
    let mut listed = 0;
    for page in pages {
        let items = page.into_model().expect("a page").value;
        assert!(items.len() <= 10);
        let ids = items.into_iter().filter_map(|item| item.id);
        listed += ids.filter(|id| id.contains("/rs-page-")).count();
    }
    assert_eq!(listed, 30);
}

#[tokio::test]
#[ignore = "needs a dev vault: run tests/clients/run"]
async fn update_and_disable() {
    let client = client();
    set(&client, "rs-update", "one").await;
    let enabled = |enabled| UpdateSecretPropertiesParameters {
        secret_attributes: Some(SecretAttributes {
            enabled: Some(enabled),
            ..Default::default()
        }),
        ..Default::default()
    };
    update(&client, "rs-update", enabled(false)).await;
    let refused = get(&client, "rs-update").await.expect_err("disabled");
    assert_eq!(status(&refused), Some(StatusCode::Forbidden));
    update(&client, "rs-update", enabled(true)).await;
    let got = get(&client, "rs-update").await.expect("enabled");
    assert_eq!(got.as_deref(), Some("one"));
}

#[tokio::test]
#[ignore = "needs a dev vault: run tests/clients/run"]
async fn delete_recover_and_purge() {
    let client = client();
    set(&client, "rs-delete", "one").await;
    let deleted = client.delete_secret("rs-delete", None).await;
    let deleted = deleted.expect("deleted").into_model().expect("a secret");
    assert!(deleted.scheduled_purge_date > deleted.deleted_date);
    let missing = get(&client, "rs-delete").await.expect_err("deleted");
    assert_eq!(status(&missing), Some(StatusCode::NotFound));
    let listed = client.list_deleted_secret_properties(None);
    let listed: Vec<_> = listed
        .expect("a pager")
        .try_collect()
        .await
        .expect("listed");
    let is_it = |id: &String| id.ends_with("/secrets/rs-delete");
    assert!(listed.iter().filter_map(|item| item.id.as_ref()).any(is_it));
    let recovered = client.recover_deleted_secret("rs-delete", None).await;
    recovered.expect("recovered");
    let got = get(&client, "rs-delete").await.expect("recovered");
    assert_eq!(got.as_deref(), Some("one"));
    client
        .delete_secret("rs-delete", None)
        .await
        .expect("deleted");
    let purged = client.purge_deleted_secret("rs-delete", None).await;
    purged.expect("purged");
    let missing = client.get_deleted_secret("rs-delete", None).await;
    let missing = missing.expect_err("purged");
    assert_eq!(status(&missing), Some(StatusCode::NotFound));
}

#[tokio::test]
#[ignore = "needs a dev vault: run tests/clients/run"]
async fn backup_and_restore() {
    let client = client();
    set(&client, "rs-backup", "one").await;
    let backup = client.backup_secret("rs-backup", None).await;
    let backup = backup
        .expect("a backup")
        .into_model()
        .expect("a backup")
        .value;
    client
        .delete_secret("rs-backup", None)
        .await
        .expect("deleted");
    client
        .purge_deleted_secret("rs-backup", None)
        .await
        .expect("purged");
    let parameters = RestoreSecretParameters {
        secret_backup: backup,
    };
    let body = RequestContent::try_from(parameters).expect("a body");
    client.restore_secret(body, None).await.expect("restored");
    let got = get(&client, "rs-backup").await.expect("restored");
    assert_eq!(got.as_deref(), Some("one"));
}

#[tokio::test]
#[ignore = "needs a dev vault: run tests/clients/run"]
async fn not_found_and_bad_names() {
    let client = client();
    let missing = get(&client, "rs-none").await.expect_err("missing");
    assert_eq!(status(&missing), Some(StatusCode::NotFound));
    let bad = get(&client, "bad_name").await.expect_err("bad");
    assert_eq!(status(&bad), Some(StatusCode::BadRequest));
}

#[derive(Debug)]
struct Fixed(AccessToken);

#[async_trait]
impl TokenCredential for Fixed {
    async fn get_token(
        &self,
        _scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        Ok(self.0.clone())
    }
}

#[tokio::test]
#[ignore = "needs a dev vault: run tests/clients/run"]
async fn a_token_for_another_service_is_refused() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let identity = ManagedIdentityCredential::new(None).expect(WHY);
    let scopes = ["https://management.azure.com/.default"];
    let other = identity.get_token(&scopes, None).await.expect("a token");
    let refused = get(&client_of(Arc::new(Fixed(other))), "rs-none").await;
    let refused = refused.expect_err("refused");
    assert_eq!(status(&refused), Some(StatusCode::Unauthorized));
    assert!(refused.to_string().contains("AKV10022"), "{refused}");
}

/// Reads a secret, and again after a line on standard input, with the same client.
#[tokio::test]
#[ignore = "needs a dev vault: run tests/clients/run"]
async fn goes_on() {
    let client = client();
    for _ in 0..2 {
        get(&client, "ExternalApiKey").await.expect("got");
        println!("ExternalApiKey");
        let line = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
        line.await.expect("waited for").expect("a line");
    }
}

#[tokio::test]
#[ignore = "needs a dev vault: run tests/clients/run"]
async fn a_client_secret_opens_the_vault() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let of = |name: &str| env::var(name).expect(WHY);
    // The authority comes from AZURE_AUTHORITY_HOST.
    let credential = ClientSecretCredential::new(
        &of("AZURE_TENANT_ID"),
        of("AZURE_CLIENT_ID"),
        of("AZURE_CLIENT_SECRET").into(),
        None,
    );
    let client = client_of(credential.expect("a credential"));
    let value = get(&client, "ExternalApiKey").await.expect("got");
    assert_eq!(value.as_deref(), Some("sk-abc123def456"));
}

#[tokio::test]
#[ignore = "needs a dev vault: run tests/clients/run"]
async fn the_stand_in_for_the_azure_cli_opens_the_vault() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let credential = AzureCliCredential::new(None).expect("a credential");
    let value = get(&client_of(credential), "ExternalApiKey")
        .await
        .expect("got");
    assert_eq!(value.as_deref(), Some("sk-abc123def456"));
}
