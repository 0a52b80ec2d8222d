//! `config-check` answers in 3 s, whatever the vault does.

use std::time::Duration;

use keyvault_functions::references::{AppSetting, Resolves};
use tokio::time::Instant;

use super::support::{Fault, InProcess, Setup};

#[tokio::test(start_paused = true)]
async fn ten_references_into_a_silent_vault_are_answered_in_time() {
    for resolves in [Resolves::Platform, Resolves::Handler] {
        let setting = |number: usize| {
            let value = format!("@Microsoft.KeyVault(VaultName=embedded;SecretName=n{number})");
            AppSetting::new(format!("KEY_{number}"), value.into())
        };
        let app = InProcess::with(Setup {
            settings: (0..10).map(setting).collect(),
            resolves,
            ..Setup::default()
        });
        app.fail_with(Fault::Silence);
        for _ in 0..3 {
            let started = Instant::now();
            let answer = app.get("/api/config-check?freshness=true").await.json();
            assert!(started.elapsed() < Duration::from_secs(3), "{resolves:?}");
            let references = answer["references"].as_array().expect("an array");
            assert_eq!(references.len(), 10);
            for reference in references {
                assert_eq!(reference["status"], "FetchTimedOut", "{reference}");
            }
        }
    }
}

/// A vault that is silent has no say in what is found out about another.
#[tokio::test(start_paused = true)]
async fn forty_silent_references_do_not_hide_another_vaults_reason() {
    let setting = |number: usize| {
        let vault = if number == 40 {
            "elsewhere"
        } else {
            "embedded"
        };
        let value = format!("@Microsoft.KeyVault(VaultName={vault};SecretName=n{number})");
        AppSetting::new(format!("KEY_{number}"), value.into())
    };
    let app = InProcess::with(Setup {
        settings: (0..=40).map(setting).collect(),
        ..Setup::default()
    });
    app.fail_with(Fault::Silence);
    let answer = app.get("/api/config-check").await.json();
    assert_eq!(answer["references"][39]["status"], "FetchTimedOut");
    assert_eq!(answer["references"][40]["status"], "VaultNotFound");
}

#[tokio::test(start_paused = true)]
async fn comparing_values_with_a_silent_vault_is_answered_in_time() {
    let value = "@Microsoft.KeyVault(VaultName=embedded;SecretName=ExternalApiKey)";
    let app = InProcess::with(Setup {
        settings: vec![AppSetting::new("EXTERNAL_API_KEY", value.to_owned().into())],
        resolves: Resolves::Handler,
        ..Setup::default()
    });
    let first = app.get("/api/config-check").await.json();
    assert_eq!(first["references"][0]["status"], "Resolved");
    app.fail_with(Fault::Silence);
    let started = Instant::now();
    let answer = app.get("/api/config-check?freshness=true").await.json();
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_eq!(answer["references"][0]["freshness"], "unknown");
}
