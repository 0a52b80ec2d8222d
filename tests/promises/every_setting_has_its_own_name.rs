//! A setting is listed once, under the name that its owner gave it, whatever the platform makes of
//! that name in the environment.

use serde_json::{Value, json};

use super::support::{Answer, ClientRequest, Folder, FunctionsHost, MODES, Standalone};

const MISSING: &str = "@Microsoft.KeyVault(VaultName=embedded;SecretName=Missing)";

fn settings(answer: &Answer) -> Vec<(String, String)> {
    let answer = answer.json();
    let references = answer["references"].as_array().expect("an array");
    let text = |reference: &Value, member: &str| {
        let text = reference[member].as_str().expect("text");
        text.to_owned()
    };
    references
        .iter()
        .map(|reference| (text(reference, "setting"), text(reference, "status")))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected
        .iter()
        .map(|(name, status)| ((*name).to_owned(), (*status).to_owned()))
        .collect()
}

/// App Service on Linux replaces what a variable's name cannot hold.
#[tokio::test]
async fn settings_are_named_as_the_platforms_report_spells_them() {
    let reference = "@Microsoft.KeyVault(VaultName=embedded;SecretName=ExternalApiKey)";
    let resolved = json!({"rawReference": reference, "status": "Resolved"});
    let report = json!({"My.Key": resolved, "Section:Key": resolved, "My_Other": resolved});
    let host = FunctionsHost::start(&[
        ("WEBSITE_KEYVAULT_REFERENCES", &report.to_string()),
        ("My_Key", "canary-of-my-key"),
        ("APPSETTING_My_Key", "canary-of-my-key"),
        ("Section__Key", "canary-of-the-section"),
        ("My_Other", "canary-of-the-other"),
    ])
    .await;
    for mode in MODES {
        let request = ClientRequest::config_check().with_query("strict", "true");
        let answer = host.call(mode, &request).await;
        assert_eq!(answer.status, 200, "{mode:?} {answer:?}");
        assert_eq!(
            settings(&answer),
            pairs(&[
                ("My.Key", "Resolved"),
                ("Section:Key", "Resolved"),
                ("My_Other", "Resolved")
            ])
        );
    }
}

#[tokio::test]
async fn app_settings_are_named_without_their_prefix() {
    let host = FunctionsHost::start(&[
        ("APPSETTING_BOTH", MISSING),
        ("BOTH", MISSING),
        ("APPSETTING_ONE", MISSING),
        ("APPSETTING_EXTERNAL_API_KEY", "canary-of-the-key"),
    ])
    .await;
    let answer = host.call(MODES[0], &ClientRequest::config_check()).await;
    let mut found = settings(&answer);
    found.sort();
    let expected = pairs(&[("BOTH", "SecretNotFound"), ("ONE", "SecretNotFound")]);
    assert_eq!(found, expected);
    assert_eq!(answer.json()["external_api_key_set"], true);
}

#[tokio::test]
async fn connection_strings_are_named_without_their_prefix() {
    let types = [
        "CUSTOM",
        "SQL",
        "SQLAZURE",
        "MYSQL",
        "POSTGRESQL",
        "NOTIFICATIONHUB",
        "SERVICEBUS",
        "EVENTHUB",
        "APIHUB",
        "DOCDB",
        "REDISCACHE",
    ];
    let variables = types.map(|kind| format!("{kind}CONNSTR_of_{kind}"));
    let mut environment: Vec<_> = variables
        .iter()
        .map(|variable| (variable.as_str(), MISSING))
        .collect();
    // A connection string is not the app setting of the same name.
    environment.push(("CUSTOMCONNSTR_EXTERNAL_API_KEY", "canary-of-another"));
    environment.push(("CUSTOMCONNSTR_plain", "Server=x"));
    let host = FunctionsHost::start(&environment).await;
    let answer = host.call(MODES[0], &ClientRequest::config_check()).await;
    let mut found = settings(&answer);
    found.sort();
    let names = types.map(|kind| format!("of_{kind}"));
    let mut expected: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), "SecretNotFound"))
        .collect();
    expected.sort_unstable();
    assert_eq!(found, pairs(&expected));
    assert_eq!(answer.json()["external_api_key_set"], false);
}

/// Core Tools names them in its own way, which nobody does on Azure.
#[tokio::test]
async fn local_connection_strings_are_named_without_their_section() {
    let variable = ("ConnectionStrings:Orders", MISSING);
    let under_core_tools = FunctionsHost::start(&[
        variable,
        ("AZURE_FUNCTIONS_ENVIRONMENT", "Development"),
        ("FUNCTIONS_CORETOOLS_ENVIRONMENT", "True"),
    ])
    .await;
    let on_azure = FunctionsHost::start(&[variable, ("WEBSITE_INSTANCE_ID", "x")]).await;
    for (host, name) in [
        (&under_core_tools, "Orders"),
        (&on_azure, "ConnectionStrings:Orders"),
    ] {
        let answer = host.call(MODES[0], &ClientRequest::config_check()).await;
        assert_eq!(settings(&answer), pairs(&[(name, "SecretNotFound")]));
    }
    let root = Folder::app_root();
    let good = "@Microsoft.KeyVault(VaultName=embedded;SecretName=ExternalApiKey)";
    let file = json!({
        "Values": {"KEY_VAULT_URL": "embedded", "FIRST": MISSING},
        "ConnectionStrings": {
            "Plain": "Server=x",
            "Text": good,
            "Object": {"ConnectionString": MISSING, "ProviderName": "System.Data.SqlClient"},
        },
    });
    root.write("local.settings.json", &file.to_string());
    let standalone = Standalone::start(root.path(), &[]).await;
    let (key, url) = &standalone.lines[0];
    let key = key.as_deref().expect("a key");
    let answer = standalone.get(url, &[("x-functions-key", key)]).await;
    let mut found = settings(&answer);
    found.sort();
    let expected = [
        ("FIRST", "SecretNotFound"),
        ("Object", "SecretNotFound"),
        ("Text", "Resolved"),
    ];
    assert_eq!(found, pairs(&expected));
}
