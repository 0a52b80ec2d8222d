//! The whole loop on one machine, over real sockets: a secret gets a new version, the event arrives,
//! the process is killed before it could ask Azure, and the next one asks. The platform starts the
//! app with the new value then.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio::{net::TcpListener, sync::Notify, task::JoinHandle, time::timeout};

use super::support::{
    Answer, ClientRequest, DevVaultProcess, FunctionsHost, Protocol, client, free_port, repository,
};

const SETTING: &str = "EXTERNAL_API_KEY";
const REFERENCE: &str = "@Microsoft.KeyVault(VaultName=embedded;SecretName=ExternalApiKey)";
const SITE: &str = "/subscriptions/sub-a/resourceGroups/rg-a/providers/Microsoft.Web/sites/func-a";

/// Azure Resource Manager on loopback, for one app.
#[derive(Clone, Default)]
struct ResourceManager(
    Arc<Mutex<Known>>,
    /// A refresh was asked for.
    Arc<Notify>,
    /// A list was asked for.
    Arc<Notify>,
);

#[derive(Default)]
struct Known {
    active: BTreeMap<&'static str, String>,
    /// What a refresh resolves to.
    newest: BTreeMap<&'static str, String>,
    asked: Vec<String>,
}

impl ResourceManager {
    async fn start(&self) -> (String, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(answer).with_state(self.clone());
        let serving = async move { axum::serve(listener, router).await.expect("served") };
        (url, tokio::spawn(serving))
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().expect("a lock")
    }

    fn refreshes(&self) -> usize {
        let known = self.known();
        let is_refresh = |asked: &&String| asked.starts_with("POST ");
        known.asked.iter().filter(is_refresh).count()
    }
}

async fn answer(
    State(manager): State<ResourceManager>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    if headers.contains_key("authorization") {
        // A token must not come here.
        return StatusCode::BAD_REQUEST.into_response();
    }
    let mut known = manager.known();
    known.asked.push(format!("{method} {uri}"));
    if method == Method::POST {
        let newest = mem::take(&mut known.newest);
        known.active.extend(newest);
        manager.1.notify_one();
    } else {
        manager.2.notify_one();
    }
    let value = known.active.iter().map(|(setting, version)| {
        json!({"name": setting, "properties": {"activeVersion": version, "status": "Resolved"}})
    });
    json!({"value": value.collect::<Vec<_>>()})
        .to_string()
        .into_response()
}

fn version_of(id: &str) -> String {
    id.rsplit('/').next().expect("a version").to_owned()
}

/// 10,000 events in batches of 100, half of them twice. How long that takes, `tests/events/burst` tells.
async fn burst(host: &FunctionsHost, name: &str, version: &str) {
    let id = format!("https://embedded.vault.azure.net/secrets/ExternalApiKey/{version}");
    let mut accepted = 0;
    for batch in 0..100 {
        let event = |number: i32| {
            json!({
                "id": format!("{name}-{batch}-{}", number / 2),
                "eventType": "Microsoft.KeyVault.SecretNewVersionCreated",
                "data": {"Id": id},
            })
        };
        let events: Vec<_> = (0..100).map(event).collect();
        let post = client()
            .post(host.at("/api/events"))
            .body(json!(events).to_string());
        let answer = Answer::of(post.send().await.expect("an answer")).await;
        accepted += answer.json()["accepted"].as_u64().expect("a number");
    }
    assert_eq!(accepted, 5_000);
}

#[tokio::test]
async fn what_a_crash_loses_is_refreshed_by_the_next_process() {
    let manager = ResourceManager::default();
    let (manager_url, serving) = manager.start().await;
    let port = free_port();
    let events = format!("http://127.0.0.1:{port}/api/events");
    let vault = DevVaultProcess::start_with_events(&events, "canary-key").await;
    let old = vault
        .set("ExternalApiKey", &json!({"value": "canary-old"}))
        .await;
    manager.known().active.insert(SETTING, version_of(&old));
    let report = json!({SETTING: {"rawReference": REFERENCE, "status": "Resolved"}}).to_string();
    let start = async |value: &'static str| {
        let mut settings: Vec<_> = [
            "KEY_VAULT_URL",
            "KEY_VAULT_CA_FILE",
            "IDENTITY_ENDPOINT",
            "IDENTITY_HEADER",
        ]
        .map(|name| (name, vault.printed(name)))
        .into();
        settings.extend([
            (SETTING, value),
            ("WEBSITE_KEYVAULT_REFERENCES", &report),
            ("WEBSITE_SKU", "FlexConsumption"),
            ("WEBSITE_SITE_NAME", "func-a"),
            ("WEBSITE_OWNER_NAME", "sub-a+rg-a-WestEuropewebspace"),
            ("ROTATION_REFRESH", "on"),
            ("AZURE_RESOURCE_MANAGER_URL", &manager_url),
        ]);
        FunctionsHost::start_in(repository(), port, &settings).await
    };
    let rotation = async |host: &FunctionsHost| {
        let check = ClientRequest::config_check().with_query("freshness", "true");
        let json = host.call(Protocol::Proxying, &check).await.json();
        let freshness = json["references"][0]["freshness"].clone();
        (freshness, json["rotation"].clone())
    };

    let mut host = start("canary-old").await;
    vault
        .handler
        .wrote("the receiver confirmed the subscription")
        .await;
    let new = vault
        .set("ExternalApiKey", &json!({"value": "canary-new"}))
        .await;
    manager.known().newest.insert(SETTING, version_of(&new));
    host.handler.wrote("vault events").await;
    let (freshness, told) = rotation(&host).await;
    assert_eq!(freshness, "stale");
    assert_eq!(
        (&told["outcome"], &told["secret"]),
        (&"waiting".into(), &"ExternalApiKey".into())
    );
    assert_eq!(manager.refreshes(), 0, "it waits until no more events come");
    host.handler.kill();
    host.handler.ended().await;

    let mut host = start("canary-old").await;
    let newest = version_of(&new);
    burst(&host, "once", &newest).await;
    let before = host.handler.memory();
    burst(&host, "again", &newest).await;
    // Only Linux tells.
    assert_eq!(before.is_some(), cfg!(target_os = "linux"));
    if let (Some(before), Some(after)) = (before, host.handler.memory()) {
        assert!(after < before + 4 * 1024, "{before} KiB, then {after}");
    }
    // Not in the first minute: the start could be the doing of a refresh.
    let refreshed = timeout(Duration::from_secs(180), manager.1.notified());
    refreshed.await.expect("asked for");
    host.handler.wrote("references refreshed").await;
    assert_eq!(manager.refreshes(), 1);
    let expected =
        format!("POST {SITE}/config/configreferences/appsettings/refresh?api-version=2022-03-01");
    assert!(
        manager.known().asked.contains(&expected),
        "{:?}",
        manager.known().asked
    );
    let (_, told) = rotation(&host).await;
    assert_eq!(told["outcome"], "refreshed");
    host.handler.kill();
    host.handler.ended().await;

    // The platform starts the app with the value of the new version.
    manager.2.notified().await;
    let mut host = start("canary-new").await;
    let listed = timeout(Duration::from_secs(60), manager.2.notified());
    listed.await.expect("looked at");
    let (freshness, told) = rotation(&host).await;
    assert_eq!((freshness, told), ("current".into(), json!(null)));
    host.handler.terminate();
    host.handler.ended().await;
    vault.stop().await;
    serving.abort();
}
