//! Nothing is left out in silence: what is not listed is counted, and a gate does not pass on it.

use keyvault_functions::references::AppSetting;
use serde_json::{Map, Value, json};

use super::support::{ClientRequest, FunctionsHost, InProcess, MODES, Setup};

/// More than are listed.
const MANY: usize = 1_020;

fn report() -> String {
    let resolved = json!({"status": "Resolved", "rawReference": "@Microsoft.KeyVault(VaultName=abc;SecretName=n)"});
    let entries = (0..MANY).map(|number| (format!("KEY_{number:04}"), resolved.clone()));
    json!(entries.collect::<Map<_, _>>()).to_string()
}

#[tokio::test]
async fn references_beyond_the_cap_are_counted_and_fail_strict() {
    let report = report();
    let names: Vec<_> = (0..MANY).map(|number| format!("KEY_{number:04}")).collect();
    let mut environment: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), "canary-of-a-key"))
        .collect();
    environment.push(("WEBSITE_KEYVAULT_REFERENCES", &report));
    // The recipe's two settings are looked at wherever they stand.
    environment.push(("EXTERNAL_API_KEY", "canary-of-the-key"));
    let host = FunctionsHost::start(&environment).await;
    for mode in MODES {
        let request = ClientRequest::config_check();
        let answer = host.call(mode, &request).await.json();
        let listed = answer["references"].as_array().expect("an array");
        assert!(listed.iter().all(|one| one["status"] == "Resolved"));
        assert_eq!((listed.len(), &answer["not_listed"]), (1_000, &json!(20)));
        assert_eq!(answer["external_api_key_set"], true, "{mode:?}");
        let strict = host.call(mode, &request.with_query("strict", "true")).await;
        assert_eq!(strict.status, 503, "{mode:?}");
    }
    let page = ClientRequest::config_check().with_header("accept", "text/html");
    let page = host.call(MODES[0], &page).await.body;
    assert!(page.contains("20 more references are not listed"), "{page}");
    assert!(!page.contains("All 1000 references"), "{page}");
}

#[tokio::test]
async fn below_the_cap_there_is_no_such_member() {
    let host = FunctionsHost::start(&[]).await;
    let answer = host.call(MODES[0], &ClientRequest::config_check()).await;
    assert!(answer.json().get("not_listed").is_none(), "{answer:?}");
}

/// References to a secret that is missing, as an answer lists them.
async fn listed(references: usize) -> (Vec<Value>, usize) {
    let value = "@Microsoft.KeyVault(VaultName=embedded;SecretName=Missing)";
    let settings = (0..references).map(|number| {
        let name = format!("KEY_{number:04}");
        AppSetting::new(name, value.to_owned().into())
    });
    let app = InProcess::with(Setup {
        settings: settings.collect(),
        ..Setup::default()
    });
    let answer = app.get("/api/config-check").await.json();
    let listed = answer["references"].as_array().expect("an array");
    (listed.clone(), app.reads())
}

/// Each takes three requests, and an instance sends 400 in 10 s.
#[tokio::test(start_paused = true)]
async fn as_many_as_the_vault_may_be_asked_about_are_explained() {
    let (listed, reads) = listed(130).await;
    let explained = |one: &&Value| one["status"] == "SecretNotFound";
    assert_eq!(listed.iter().filter(explained).count(), 130);
    assert_eq!(reads, 390);
}

#[tokio::test(start_paused = true)]
async fn beyond_that_the_answer_says_so() {
    let (listed, reads) = listed(1_000).await;
    let is_told = |one: &&Value| {
        let detail = one["detail"].as_str().unwrap_or_default();
        one["status"] == "SecretNotFound" || detail.contains("400 in 10 s")
    };
    assert_eq!(listed.iter().filter(is_told).count(), 1_000);
    assert_eq!(reads, 400);
}
