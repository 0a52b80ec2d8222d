//! `?freshness=true` tells whether the app holds the vault's current value of a reference
//! that follows the latest version.

use std::time::Duration;

use keyvault_functions::{
    dev_vault::{Attributes, NewSecret},
    references::{AppSetting, status::read_platform_report},
};
use serde_json::json;
use tokio::time::advance;

use super::support::{Fault, InProcess, Setup};

/// The platform has put `value` in place of a reference to `secret`.
fn resolved(name: &str, value: &str, secret: &str) -> AppSetting {
    let raw = format!("@Microsoft.KeyVault(VaultName=embedded;{secret})");
    let report = json!({ name: {"rawReference": raw, "status": "Resolved"} }).to_string();
    let entry = read_platform_report(&report).remove(0);
    AppSetting::new(name, value.to_owned().into())
        .reported(entry.raw_reference.as_deref(), entry.status)
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
async fn freshness_is_current_stale_or_unknown() {
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
async fn freshness_is_told_only_if_asked_and_only_without_a_version() {
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

/// As long as other findings stand, so that callers cannot make the vault throttle.
#[tokio::test(start_paused = true)]
async fn freshness_is_compared_anew_after_ten_seconds() {
    let app = app(vec![resolved("A", "canary-new", "SecretName=Rotated")]);
    let freshness = async || {
        let answer = app.get("/api/config-check?freshness=true").await.json();
        answer["references"][0]["freshness"].clone()
    };
    let (life, nearly) = (Duration::from_secs(10), Duration::from_millis(9_999));
    assert_eq!(freshness().await, "current");
    let again = NewSecret::of("canary-newer");
    app.vault.store().set("Rotated", again).expect("set");
    advance(nearly).await;
    assert_eq!(freshness().await, "current");
    assert_eq!(app.reads(), 1);
    advance(life.saturating_sub(nearly)).await;
    assert_eq!(freshness().await, "stale");
    app.fail_with(Fault::Deny("ForbiddenByRbac"));
    assert_eq!(freshness().await, "stale");
    assert_eq!(app.reads(), 2);
    advance(life).await;
    assert_eq!(freshness().await, "unknown");
}

/// The vault's answer is worth more than a shrug.
#[tokio::test]
async fn unknown_freshness_has_a_reason() {
    let setting = || vec![resolved("A", "canary-new", "SecretName=Rotated")];
    let deleted = app(setting());
    deleted.vault.store().delete("Rotated");
    let disabled = app(setting());
    let refused = NewSecret {
        attributes: Attributes {
            enabled: false,
            ..Attributes::default()
        },
        ..NewSecret::of("canary-newer")
    };
    disabled.vault.store().set("Rotated", refused).expect("set");
    let denied = app(setting());
    denied.fail_with(Fault::Deny("ForbiddenByRbac"));
    for (app, detail, fix) in [
        (deleted, "is deleted", "az keyvault secret recover"),
        (disabled, "is disabled", "--enabled true"),
        (denied, "has no role", "az role assignment create"),
    ] {
        let answer = app.get("/api/config-check?freshness=true").await.json();
        let reference = &answer["references"][0];
        assert_eq!(reference["status"], "Resolved", "{reference}");
        assert_eq!(reference["freshness"], "unknown", "{reference}");
        let text = |member: &str| reference[member].as_str().expect("text");
        assert!(text("detail").contains(detail), "{reference}");
        assert!(text("fix").contains(fix), "{reference}");
    }
}

/// Accounts of a `SecretUri` without version contradict each other, and refresh was seen to do
/// nothing for one.
#[tokio::test]
async fn the_fix_for_a_stale_secret_uri_offers_the_other_form() {
    let raw = "@Microsoft.KeyVault(SecretUri=https://embedded.vault.azure.net/secrets/Rotated/)";
    let report = json!({"A": {"rawReference": raw, "status": "Resolved"}}).to_string();
    let entry = read_platform_report(&report).remove(0);
    let setting = AppSetting::new("A", "canary-old".to_owned().into())
        .reported(entry.raw_reference.as_deref(), entry.status);
    let answer = app(vec![setting]);
    let answer = answer.get("/api/config-check?freshness=true").await.json();
    let fix = answer["references"][0]["fix"].as_str().expect("text");
    let mut commands = fix.lines().skip(1);
    let refresh = commands.next().expect("the first command");
    assert!(refresh.contains("configreferences"), "{fix}");
    let other = commands.next().expect("the second command");
    let form = "\"A=@Microsoft.KeyVault(VaultName=embedded;SecretName=Rotated)\"";
    assert!(other.ends_with(form), "{fix}");
}
