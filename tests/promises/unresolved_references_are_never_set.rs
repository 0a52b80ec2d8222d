//! An app setting that still holds `@Microsoft.KeyVault(...)` is not set, whatever Python's
//! `bool(value)` would say, and nothing of the reference is shown as a secret's prefix.

use super::support::{ClientRequest, FunctionsHost, MODES, Standalone, repository};

#[tokio::test]
async fn under_the_host_an_unresolved_reference_is_not_set() {
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
async fn without_a_host_a_reference_that_does_not_resolve_is_not_set() {
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

/// What a person writes who means a reference: the platform leaves it as it is.
#[tokio::test]
async fn what_was_meant_as_a_reference_is_not_set() {
    let good = "@Microsoft.KeyVault(VaultName=embedded;SecretName=ExternalApiKey)";
    for (value, why) in [
        (
            format!("\"{good}\""),
            "quotes stand around the reference (character 1)",
        ),
        (
            format!("'{good}'"),
            "quotes stand around the reference (character 1)",
        ),
        (
            format!("{good}\""),
            "quotes stand around the reference (character 66)",
        ),
        (
            format!("\u{feff}{good}"),
            "a byte-order mark stands before the reference (character 1)",
        ),
        (
            good.replace('(', " ("),
            "white space stands before the parenthesis (character 20)",
        ),
        (
            format!("Server=x;Password={good}"),
            "other text stands around the reference (character 1)",
        ),
        (
            format!("{good};Timeout=30"),
            "other text stands around the reference (character 66)",
        ),
        (
            good.replace('(', "["),
            "a reference starts with @Microsoft.KeyVault( (character 20)",
        ),
        (
            format!("x{}", good.to_lowercase()),
            "other text stands around the reference (character 1)",
        ),
    ] {
        let host = FunctionsHost::start(&[("EXTERNAL_API_KEY", &value)]).await;
        for mode in MODES {
            let request = ClientRequest::config_check().with_query("strict", "true");
            let answer = host.call(mode, &request).await;
            assert_eq!(answer.status, 503, "{mode:?} {value}");
            let answer = answer.json();
            assert_eq!(answer["external_api_key_set"], false, "{mode:?} {value}");
            assert_eq!(answer["api_key_prefix"], "***", "{mode:?} {value}");
            let reference = &answer["references"][0];
            assert_eq!(reference["status"], "InvalidSyntax", "{mode:?} {value}");
            assert_eq!(reference["kind"], "KeyVault", "{mode:?} {value}");
            let detail = reference["detail"].as_str().expect("a detail");
            assert!(detail.contains(why), "{mode:?} {value}: {detail}");
        }
    }
}

#[tokio::test]
async fn a_reference_to_app_configuration_is_not_set() {
    let literal = "@Microsoft.AppConfiguration(Endpoint=https://s.azconfig.io; Key=K; Label=L)";
    let report = |status: &str| {
        serde_json::json!({"DATABASE_PASSWORD": {"rawReference": literal, "status": status}})
            .to_string()
    };
    let resolved = report("Resolved");
    let denied = report("AccessToKeyVaultDenied");
    for (value, report, status, source) in [
        (literal, "{}", "OtherReasons", "handler"),
        (&format!(" \"{literal}"), "{}", "OtherReasons", "handler"),
        (
            "\u{feff}@microsoft.appconfiguration (Endpoint=x)",
            "{}",
            "OtherReasons",
            "handler",
        ),
        (literal, &denied, "AccessToKeyVaultDenied", "platform"),
        // The text is still there, whatever the platform says.
        (literal, &resolved, "OtherReasons", "handler"),
    ] {
        let host = FunctionsHost::start(&[
            ("DATABASE_PASSWORD", value),
            ("WEBSITE_KEYVAULT_REFERENCES", report),
        ])
        .await;
        for mode in MODES {
            let request = ClientRequest::config_check().with_query("strict", "true");
            let answer = host.call(mode, &request).await;
            assert_eq!(answer.status, 503, "{mode:?} {value}");
            let answer = answer.json();
            assert_eq!(answer["database_password_set"], false, "{mode:?} {value}");
            let references = answer["references"].as_array().expect("an array");
            assert_eq!(references.len(), 1, "{mode:?} {value}: {answer}");
            let reference = &references[0];
            assert_eq!(reference["setting"], "DATABASE_PASSWORD");
            assert_eq!(reference["kind"], "AppConfiguration", "{mode:?} {value}");
            assert_eq!(reference["status"], status, "{mode:?} {value} {report}");
            assert_eq!(reference["source"], source, "{mode:?} {value} {report}");
            assert!(reference["detail"].is_string() && reference["fix"].is_string());
            assert!(reference["vault"].is_null() && reference["secret"].is_null());
        }
    }
    let host = FunctionsHost::start(&[
        ("DATABASE_PASSWORD", "canary-of-the-password"),
        ("WEBSITE_KEYVAULT_REFERENCES", &resolved),
    ])
    .await;
    let request = ClientRequest::config_check().with_query("strict", "true");
    let answer = host.call(MODES[0], &request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    assert_eq!(answer["database_password_set"], true);
    assert_eq!(answer["references"][0]["kind"], "AppConfiguration");
    assert_eq!(answer["references"][0]["status"], "Resolved");
}

/// The report quotes every reference, and is none.
#[tokio::test]
async fn the_platforms_report_is_not_listed_as_a_reference() {
    let report = r#"{"KEY":{"rawReference":"@Microsoft.KeyVault(VaultName=embedded;SecretName=ExternalApiKey)","status":"Resolved"}}"#;
    let host = FunctionsHost::start(&[
        ("KEY", "canary-of-the-key"),
        ("WEBSITE_KEYVAULT_REFERENCES", report),
        ("APPSETTING_WEBSITE_KEYVAULT_REFERENCES", report),
    ])
    .await;
    let request = ClientRequest::config_check().with_query("strict", "true");
    let answer = host.call(MODES[0], &request).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let references = answer.json()["references"].as_array().map(Vec::len);
    assert_eq!(references, Some(1), "{answer:?}");
}

#[tokio::test]
async fn an_empty_setting_is_not_set() {
    // Flex Consumption was seen to leave a reference empty when it had no identity.
    let identity = [
        ("AZURE_CLIENT_ID", "00000000-0000-0000-0000-00000000000c"),
        ("IDENTITY_ENDPOINT", "http://127.0.0.1:1"),
        ("IDENTITY_HEADER", "x"),
        ("WEBSITE_SKU", "FlexConsumption"),
        ("EXTERNAL_API_KEY", ""),
    ];
    let host = FunctionsHost::start(&identity).await;
    for mode in MODES {
        let strict = ClientRequest::config_check().with_query("strict", "true");
        let answer = host.call(mode, &strict).await;
        assert_eq!(answer.status, 503, "{mode:?}");
        let answer = answer.json();
        assert_eq!(answer["external_api_key_set"], false, "{mode:?}");
        let reference = &answer["references"][0];
        assert_eq!(reference["setting"], "EXTERNAL_API_KEY", "{mode:?}");
        assert_eq!(reference["status"], "OtherReasons", "{mode:?}");
        let fix = reference["fix"].as_str().expect("text");
        assert!(fix.contains("keyVaultReferenceIdentity"), "{fix}");
    }
}

#[tokio::test]
async fn a_missing_setting_is_not_set() {
    let host = FunctionsHost::start(&[]).await;
    let answer = host.call(MODES[0], &ClientRequest::config_check()).await;
    assert_eq!(
        answer.body.trim_end(),
        r#"{"external_api_key_set":false,"database_password_set":false,"api_key_prefix":"***","references":[]}"#
    );
}
