//! The JSON of `config-check` is a contract, and `?strict=true` is a deployment gate.

use keyvault_functions::{
    diagnosis::Surroundings,
    references::{AppSetting, status::read_platform_report},
};
use serde_json::json;

use super::support::{ClientRequest, FunctionsHost, InProcess, MODES, Setup, func_a};

fn app() -> InProcess {
    let report = json!({
        "EXTERNAL_API_KEY": {
            "rawReference": "@Microsoft.KeyVault(SecretUri=https://your-kv.vault.azure.net/secrets/ExternalApiKey/ec96f02080254f109c51a1f14cdb1931)",
            "status": "Resolved"},
        "DATABASE_PASSWORD": {"status": "SecretNotFound",
            "rawReference": "@Microsoft.KeyVault(VaultName=embedded;SecretName=DbPassword)"},
        "OTHER": {"status": "OtherReasons"},
    });
    let value = |name: &str| match name {
        "EXTERNAL_API_KEY" => "canary-of-a-key",
        "DATABASE_PASSWORD" => "@Microsoft.KeyVault(VaultName=embedded;SecretName=DbPassword)",
        _ => "",
    };
    let settings = read_platform_report(&report.to_string()).into_iter();
    let settings = settings.map(|entry| {
        AppSetting::new(&entry.setting, value(&entry.setting).to_owned().into())
            .reported(entry.raw_reference.as_deref(), entry.status)
    });
    InProcess::with(Setup {
        settings: settings.collect(),
        surroundings: Surroundings {
            has_identity_endpoint: true,
            ..func_a()
        },
        ..Setup::default()
    })
}

#[tokio::test]
async fn the_recipes_members_then_the_references() {
    let answer = app().get("/api/config-check").await;
    assert_eq!(
        answer.body.trim_end(),
        concat!(
            r#"{"external_api_key_set":true,"database_password_set":false,"api_key_prefix":"cana...","#,
            r#""references":[{"setting":"EXTERNAL_API_KEY","kind":"KeyVault","status":"Resolved","vault":"your-kv.vault.azure.net","#,
            r#""secret":"ExternalApiKey","version":"ec96f02080254f109c51a1f14cdb1931","source":"platform"},"#,
            r#"{"setting":"DATABASE_PASSWORD","kind":"KeyVault","status":"SecretNotFound","vault":"embedded.vault.azure.net","#,
            r#""secret":"DbPassword","source":"platform","detail":"The vault embedded has no secret DbPassword.","#,
            r#""fix":"Compare the name with az keyvault secret list --vault-name embedded --query \"[].name\" -o tsv"},"#,
            r#"{"setting":"OTHER","kind":"KeyVault","status":"OtherReasons","source":"platform"}],"#,
            r#""identity":{"kind":"system-assigned"}}"#
        )
    );
}

#[tokio::test]
async fn strict_is_503_while_anything_is_unresolved() {
    let app = app();
    let strict = app.get("/api/config-check?strict=true").await;
    let lenient = app.get("/api/config-check?strict=false").await;
    assert_eq!((strict.status, lenient.status), (503, 200));
    assert_eq!(strict.body, lenient.body);
    let healthy = InProcess::with(Setup::default());
    assert_eq!(
        healthy.get("/api/config-check?strict=true").await.status,
        200
    );
    let wrong = app.get("/api/config-check?strict=perhaps").await;
    assert_eq!(
        (wrong.status, wrong.json()["code"].as_str()),
        (400, Some("InvalidQuery"))
    );
}

/// The answer is rendered once if nothing can change it; what is asked still counts.
#[tokio::test]
async fn a_settled_answer_is_the_same_every_time_and_still_strict() {
    let malformed = "@Microsoft.KeyVault(VaultName=embedded)";
    let app = InProcess::with(Setup {
        settings: vec![AppSetting::new("OTHER", malformed.to_owned().into())],
        ..Setup::default()
    });
    let first = app.get("/api/config-check").await;
    assert_eq!(first.json()["references"][0]["status"], "InvalidSyntax");
    assert_eq!(app.get("/api/config-check").await.body, first.body);
    let strict = app.get("/api/config-check?strict=true").await;
    assert_eq!((strict.status, strict.body), (503, first.body));
    let page = app.get_as("/api/config-check", "text/html").await;
    assert!(page.body.starts_with("<!DOCTYPE html>"));
}

/// What the platform puts into the environment, through the real binary.
#[tokio::test]
async fn the_platforms_report_is_read_from_the_environment() {
    let report = json!({
        "SECOND": {"status": "Resolved", "rawReference": "@Microsoft.KeyVault(VaultName=embedded;SecretName=DatabasePassword)"},
        "FIRST": {"status": "<b>", "rawReference": 7},
    })
    .to_string();
    let settings = [
        ("SECOND", "canary-of-second"),
        (
            "THIRD",
            "@Microsoft.KeyVault(VaultName=embedded;SecretName=Missing)",
        ),
        ("WEBSITE_KEYVAULT_REFERENCES", report.as_str()),
        ("WEBSITE_SKU", "FlexConsumption"),
        ("WEBSITE_SITE_NAME", "func-a"),
        ("WEBSITE_RESOURCE_GROUP", "rg-a"),
    ];
    let host = FunctionsHost::start(&settings).await;
    for mode in MODES {
        let request = ClientRequest::config_check().with_query("freshness", "true");
        let answer = host.call(mode, &request).await.json();
        let references = answer["references"].as_array().expect("an array");
        let seen: Vec<_> = references
            .iter()
            .map(|reference| (&reference["setting"], &reference["status"]))
            .collect();
        assert_eq!(
            seen,
            [
                (&json!("SECOND"), &json!("Resolved")),
                (&json!("THIRD"), &json!("SecretNotFound")),
            ],
            "{mode:?}"
        );
        assert_eq!(references[0]["freshness"], "stale");
        assert!(
            references[0]["fix"]
                .to_string()
                .contains("/resourceGroups/rg-a/providers/Microsoft.Web/sites/func-a/")
        );
    }
}

/// Core Tools fails to resolve what it does not know and hands the literal on.
#[tokio::test]
async fn under_core_tools_the_handler_puts_references_into_effect() {
    let reference = "@Microsoft.KeyVault(VaultName=embedded;SecretName=ExternalApiKey)";
    let host = FunctionsHost::start(&[
        ("EXTERNAL_API_KEY", reference),
        ("AZURE_FUNCTIONS_ENVIRONMENT", "Development"),
    ])
    .await;
    let answer = host.call(MODES[0], &ClientRequest::config_check()).await;
    assert_eq!(answer.json()["external_api_key_set"], true);
    let on_azure = FunctionsHost::start(&[
        ("EXTERNAL_API_KEY", reference),
        ("AZURE_FUNCTIONS_ENVIRONMENT", "Development"),
        ("WEBSITE_INSTANCE_ID", "x"),
    ])
    .await;
    let answer = on_azure
        .call(MODES[0], &ClientRequest::config_check())
        .await;
    assert_eq!(answer.json()["external_api_key_set"], false);
}
