//! On a developer's machine nothing is told that only helps on Azure: what the handler says there
//! is true there, for the binary that a newcomer starts.

use serde_json::Value;

use super::support::{Folder, Standalone};

const REFERENCE: &str = "@Microsoft.KeyVault(SecretUri=https://127.0.0.1:1/secrets/Ab/)";

/// What both routes say: the refusal of `secrets/Missing`, and the first reference.
async fn said(environment: &[(&str, &str)]) -> (Value, Value) {
    let root = Folder::app_root();
    root.write("local.settings.json", r#"{"Values":{}}"#);
    let mut settings = vec![("PAYMENT_API_KEY", REFERENCE)];
    settings.extend_from_slice(environment);
    let handler = Standalone::start(root.path(), &settings).await;
    let ask = async |path: &str, pasted: &(Option<String>, String)| {
        let key = pasted.0.as_deref().expect("a key");
        let url = handler.url(path);
        handler.get(&url, &[("x-functions-key", key)]).await.json()
    };
    let pasted = |part: &str| {
        let mut lines = handler.lines.iter();
        lines.find(|(_, url)| url.contains(part)).expect("a line")
    };
    let refused = ask("/api/secrets/Missing", pasted("/secrets/")).await;
    let checked = ask("/api/config-check", pasted("/config-check")).await;
    (refused, checked["references"][0].clone())
}

fn assert_is_for_a_laptop(said: &Value) {
    let text = said.to_string();
    for wrong in [
        "functionapp",
        "the app's",
        "firewall",
        "network-rule",
        "managed identity",
    ] {
        assert!(!text.contains(wrong), "{wrong}: {text}");
    }
}

#[tokio::test]
async fn without_the_azure_cli_the_fix_is_to_install_it() {
    let (refused, reference) = said(&[("KEY_VAULT_URL", "https://127.0.0.1:1")]).await;
    assert_eq!(refused["code"], "CredentialUnavailable");
    for said in [&refused["fix"], &reference["fix"]] {
        let fix = said.as_str().expect("text");
        assert!(fix.contains("Install the Azure CLI"), "{fix}");
        assert!(fix.ends_with("az login"), "{fix}");
    }
    // Nobody can enable an identity here.
    assert_eq!(reference["status"], "UnauthorizedClient");
    assert_is_for_a_laptop(&refused);
    assert_is_for_a_laptop(&reference);
}

#[tokio::test]
async fn with_the_embedded_vault_no_fix_needs_az() {
    let (refused, reference) = said(&[("KEY_VAULT_URL", "embedded")]).await;
    assert_eq!(refused["code"], "SecretNotFound");
    assert_eq!(reference["status"], "VaultNotFound");
    for said in [&refused, &reference] {
        assert!(!said["fix"].to_string().contains("az "), "{said}");
        assert_is_for_a_laptop(said);
    }
}

#[tokio::test]
async fn without_a_vault_the_fix_names_local_settings() {
    let (refused, _) = said(&[]).await;
    assert_eq!(refused["code"], "KeyVaultUrlNotSet");
    let fix = refused["fix"].as_str().expect("text");
    assert!(fix.contains("local.settings.json"), "{fix}");
    assert_is_for_a_laptop(&refused);
}

#[tokio::test]
async fn where_no_vault_listens_the_fix_is_to_start_the_emulator() {
    // Port 1 is nobody's.
    let (refused, reference) = said(&[
        ("KEY_VAULT_URL", "https://127.0.0.1:1"),
        ("AZURE_TENANT_ID", "00000000-0000-0000-0000-00000000000d"),
        ("AZURE_CLIENT_ID", "00000000-0000-0000-0000-00000000000c"),
        ("AZURE_CLIENT_SECRET", "canary-client-secret"),
    ])
    .await;
    for said in [&refused["error"], &reference["detail"]] {
        assert_eq!(said, "Nothing listens at 127.0.0.1:1.");
    }
    assert_eq!(refused["fix"], "Start the emulator, or correct the port.");
    assert_is_for_a_laptop(&refused);
    assert_is_for_a_laptop(&reference);
}
