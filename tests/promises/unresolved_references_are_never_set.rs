//! An app setting that still holds `@Microsoft.KeyVault(...)` is not set, whatever Python's
//! `bool(value)` would say, and nothing of the reference is shown as a secret's prefix.

use super::support::{ClientRequest, FunctionsHost, MODES, Standalone, repository};

#[tokio::test]
async fn under_the_host() {
    for reference in [
        "@Microsoft.KeyVault(SecretUri=https://your-kv.vault.azure.net/secrets/ExternalApiKey/)",
        "@Microsoft.KeyVault(VaultName=embedded;SecretName=ExternalApiKey)",
        "@Microsoft.KeyVault(broken",
        " @microsoft.keyvault(x)",
    ] {
        let host = FunctionsHost::start(&[
            ("EXTERNAL_API_KEY", reference),
            ("DATABASE_PASSWORD", "a value"),
        ])
        .await;
        for mode in MODES {
            let answer = host.call(mode, &ClientRequest::config_check()).await.json();
            assert_eq!(
                answer["external_api_key_set"], false,
                "{mode:?} {reference}"
            );
            assert_eq!(answer["api_key_prefix"], "***", "{mode:?} {reference}");
            assert_eq!(
                answer["database_password_set"], true,
                "{mode:?} {reference}"
            );
        }
    }
}

#[tokio::test]
async fn without_a_host_if_they_do_not_resolve() {
    for reference in [
        "@Microsoft.KeyVault(VaultName=embedded;SecretName=Missing)",
        "@Microsoft.KeyVault(VaultName=another;SecretName=ExternalApiKey)",
        "@Microsoft.KeyVault(SecretUri=https://embedded.vault.azure.net/secrets/ExternalApiKey/abc123def456)",
        "@Microsoft.KeyVault(Nonsense)",
    ] {
        let environment = [("EXTERNAL_API_KEY", reference)];
        let standalone = Standalone::start(repository(), &environment).await;
        let (key, url) = &standalone.lines[0];
        let key = key.as_deref().expect("a key");
        let answer = standalone
            .get(url, &[("x-functions-key", key)])
            .await
            .json();
        assert_eq!(answer["external_api_key_set"], false, "{reference}");
        assert_eq!(answer["api_key_prefix"], "***", "{reference}");
        assert_eq!(answer["database_password_set"], true, "{reference}");
    }
}

#[tokio::test]
async fn nor_is_what_is_not_there() {
    let host = FunctionsHost::start(&[("EXTERNAL_API_KEY", "")]).await;
    let answer = host.call(MODES[0], &ClientRequest::config_check()).await;
    assert_eq!(
        answer.body.trim_end(),
        r#"{"external_api_key_set":false,"database_password_set":false,"api_key_prefix":"***","references":[]}"#
    );
}
