//! `?freshness=true` tells whether the app holds the vault's current value of a reference
//! that follows the latest version.

use keyvault_functions::{
    dev_vault::{Fault, NewSecret},
    references::{AppSetting, status::read_platform_report},
};
use serde_json::json;

use super::support::{InProcess, Setup};

/// The platform has put `value` in place of a reference to `secret`.
fn resolved(name: &str, value: &str, secret: &str) -> AppSetting {
    let raw = format!("@Microsoft.KeyVault(VaultName=embedded;{secret})");
    let report = json!({ name: {"rawReference": raw, "status": "Resolved"} }).to_string();
    let entry = read_platform_report(&report).remove(0);
    AppSetting::new(name, value.to_owned().into())
        .reported(entry.raw_reference.as_deref(), entry.word)
}

fn app(settings: Vec<AppSetting>) -> InProcess {
    let app = InProcess::with(Setup {
        settings,
        ..Setup::default()
    });
    let rotated = NewSecret::of("canary-new");
    app.vault.store().set("Rotated", rotated).expect("set");
    app
}

#[tokio::test]
async fn current_stale_or_unknown() {
    let app = app(vec![
        resolved("A", "canary-new", "SecretName=Rotated"),
        resolved("B", "canary-old", "SecretName=Rotated"),
        resolved("C", "canary-old", "SecretName=Missing"),
    ]);
    let answer = app.get("/api/config-check?freshness=true").await.json();
    let references = &answer["references"];
    assert_eq!(references[0]["freshness"], "current");
    assert_eq!(references[1]["freshness"], "stale");
    let fix = references[1]["fix"].as_str().expect("text");
    assert!(
        fix.contains("configreferences/appsettings/refresh"),
        "{fix}"
    );
    assert_eq!(references[2]["freshness"], "unknown");
}

#[tokio::test]
async fn only_if_it_is_asked_and_the_reference_follows_the_latest() {
    let pinned = format!("SecretName=Rotated;SecretVersion={}", "0".repeat(32));
    let app = app(vec![
        resolved("A", "canary-old", "SecretName=Rotated"),
        resolved("B", "canary-old", &pinned),
    ]);
    let unasked = app.get("/api/config-check").await.json();
    assert_eq!(unasked["references"][0].get("freshness"), None);
    assert_eq!(app.reads(), 0);
    let asked = app.get("/api/config-check?freshness=true").await.json();
    assert_eq!(asked["references"][0]["freshness"], "stale");
    assert_eq!(asked["references"][1].get("freshness"), None);
    assert_eq!(app.reads(), 1);
}

#[tokio::test]
async fn every_time_anew() {
    let app = app(vec![resolved("A", "canary-new", "SecretName=Rotated")]);
    let freshness = async || {
        let answer = app.get("/api/config-check?freshness=true").await.json();
        answer["references"][0]["freshness"].clone()
    };
    assert_eq!(freshness().await, "current");
    let again = NewSecret::of("canary-newer");
    app.vault.store().set("Rotated", again).expect("set");
    assert_eq!(freshness().await, "stale");
    app.vault.fail_with(Fault::Deny("ForbiddenByRbac"));
    assert_eq!(freshness().await, "unknown");
}
