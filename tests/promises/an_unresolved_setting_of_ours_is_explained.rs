//! Under a host, a setting of the handler that is an unresolved reference does not stop the start:
//! what a dying process says there, nobody reads. Both routes say what is wrong.

use super::support::{ClientRequest, FunctionsHost, Handler, MODES, Stream, repository};

const REFERENCE: &str = "@Microsoft.KeyVault(VaultName=your-kv;SecretName=Ours)";

#[tokio::test]
async fn config_check_and_the_function_that_needs_the_setting_explain_it() {
    for name in [
        "KEY_VAULT_URL",
        "KEY_VAULT_CA_FILE",
        "AZURE_CLIENT_SECRET",
        "AZURE_CLIENT_ID",
        "AZURE_TENANT_ID",
        "AZURE_TOKEN_CREDENTIALS",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_AUTHORITY_HOST",
        "IDENTITY_ENDPOINT",
        "IDENTITY_HEADER",
    ] {
        let settings = [
            ("KEY_VAULT_URL", "https://127.0.0.1:1"),
            ("WEBSITE_SITE_NAME", "func-a"),
            ("WEBSITE_RESOURCE_GROUP", "rg-a"),
            (name, REFERENCE),
        ];
        let host = FunctionsHost::start(&settings).await;
        for mode in MODES {
            let refused = host.call(mode, &ClientRequest::secret("Ab")).await;
            assert_eq!(refused.status, 503, "{name} {mode:?}: {refused:?}");
            let refused = refused.json();
            assert_eq!(refused["code"], "WrongSetting", "{name} {mode:?}");
            let error = refused["error"].as_str().expect("text");
            assert!(error.contains(name), "{error}");
            let fix = refused["fix"].as_str().expect("text");
            assert!(
                fix.contains(&format!("the entry of {name} in config-check")),
                "{fix}"
            );
        }
        let answer = host.call(MODES[0], &ClientRequest::config_check()).await;
        let listed = &answer.json()["references"][0];
        assert_eq!(listed["setting"], name, "{listed}");
        assert_ne!(listed["status"], "Resolved", "{listed}");
        let fix = listed["fix"].as_str().expect("text");
        assert!(!fix.contains("config-check"), "it is read there: {fix}");
        if name == "KEY_VAULT_URL" {
            // The handler tries this one as any other reference.
            assert!(fix.contains("az functionapp identity assign"), "{fix}");
        } else {
            let reason = format!("sites/func-a/config/configreferences/appsettings/{name}?");
            assert!(fix.contains(&reason), "{fix}");
        }
        let named = format!("{name}: found a Key Vault reference that was not resolved");
        let lines = host.handler.lines(Stream::Stderr);
        assert!(lines.iter().any(|line| line.contains(&named)), "{lines:?}");
    }
}

/// What has a default goes on with it.
#[tokio::test]
async fn an_unresolved_number_falls_back_to_its_default() {
    let host = FunctionsHost::start(&[("SECRET_CACHE_TTL_SECONDS", REFERENCE)]).await;
    let secret = ClientRequest::secret("ExternalApiKey");
    assert_eq!(host.call(MODES[0], &secret).await.status, 200);
    let answer = host.call(MODES[0], &ClientRequest::config_check()).await;
    let listed = &answer.json()["references"][0];
    assert_eq!(listed["setting"], "SECRET_CACHE_TTL_SECONDS", "{listed}");
}

/// Standalone a person reads the line, and a key that everybody can read opens nothing.
#[tokio::test]
async fn an_unresolved_setting_ends_the_start_without_a_host() {
    for name in ["STANDALONE_MASTER_KEY", "AZURE_CLIENT_SECRET"] {
        let mut handler = Handler::start(repository(), &[], &[(name, REFERENCE)]);
        assert_eq!(handler.ended().await.code(), Some(78));
        let lines = handler.lines(Stream::Stderr);
        assert!(lines[0].contains(&format!("{name}: found ")), "{lines:?}");
    }
}
