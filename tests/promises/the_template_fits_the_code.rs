//! What `infra/main.bicep` gives the app, this handler understands: its Key Vault references parse
//! here and name secrets of the template, and its settings are settings of the handler.

use std::{collections::BTreeSet, fs};

use keyvault_functions::{key_vault::VaultUrl, references::Reference, settings::names};

use super::support::repository;

const VERSION: &str = "0123456789abcdef0123456789abcdef";

fn template() -> String {
    fs::read_to_string(repository().join("infra/main.bicep")).expect("infra/main.bicep")
}

/// The settings of the template that begin like a reference, with what Azure fills in filled in.
fn references(template: &str) -> Vec<(&str, String)> {
    let filled = |value: &str| {
        value
            .replace(
                "${externalApiKeySecret.properties.secretUriWithVersion}",
                &format!("https://your-kv.vault.azure.net/secrets/ExternalApiKey/{VERSION}"),
            )
            .replace("${vault.name}", "your-kv")
    };
    template
        .lines()
        .filter_map(|line| line.trim().split_once(": '@"))
        .map(|(setting, rest)| (setting, format!("@{}", filled(rest.trim_end_matches('\'')))))
        .collect()
}

/// What is wrong with the references of a template.
fn problems(template: &str) -> Vec<String> {
    let secrets: BTreeSet<_> = template
        .split("'Microsoft.KeyVault/vaults/secrets@")
        .skip(1)
        .filter_map(|resource| resource.split("name: '").nth(1)?.split('\'').next())
        .collect();
    assert_eq!(secrets.len(), 2, "{secrets:?}");
    let mut problems = Vec::new();
    let mut of_settings = BTreeSet::new();
    for (setting, value) in references(template) {
        match Reference::parse(&value) {
            Err(error) => problems.push(format!("{setting}: {error}")),
            Ok(reference) => {
                of_settings.insert(setting);
                if reference.has_unusual_spelling {
                    problems.push(format!("{setting} is spelt unusually"));
                }
                if reference.vault.authority() != "your-kv.vault.azure.net" {
                    problems.push(format!("{setting} is of {}", reference.vault.authority()));
                }
                if !secrets.contains(reference.name.as_str()) {
                    problems.push(format!("{setting}: no secret {}", reference.name.as_str()));
                }
                let pinned = setting == names::EXTERNAL_API_KEY;
                if reference.version.as_deref() != pinned.then_some(VERSION) {
                    problems.push(format!(
                        "{setting} is of {:?}",
                        reference.version.as_deref()
                    ));
                }
            }
        }
    }
    let wanted = BTreeSet::from([names::EXTERNAL_API_KEY, names::DATABASE_PASSWORD]);
    if of_settings != wanted {
        problems.push(format!("the references are {of_settings:?}"));
    }
    problems
}

#[test]
fn the_templates_references_parse_and_name_its_secrets() {
    assert_eq!(problems(&template()), Vec::<String>::new());
}

#[test]
fn a_misspelt_reference_in_the_template_is_found() {
    let template = template();
    for (before, after) in [
        (";SecretName=", ";SecretNam="),
        (
            "@Microsoft.KeyVault(VaultName",
            "@Microsoft.KeyVualt(VaultName",
        ),
        ("(VaultName=", "(vaultname ="),
        ("SecretName=DatabasePassword", "SecretName=DatabasePasword"),
        (
            ";SecretName=DatabasePassword)",
            ";SecretName=DatabasePassword",
        ),
        ("secretUriWithVersion})", "secretUri})"),
        ("SecretUri=${", "SecretUri=http://${"),
    ] {
        assert_eq!(template.matches(before).count(), 1, "{before}");
        let misspelt = template.replace(before, after);
        assert_ne!(problems(&misspelt), Vec::<String>::new(), "{after}");
    }
}

#[test]
fn the_templates_settings_are_settings_of_the_handler() {
    let template = template();
    let settings = template
        .split("name: 'appsettings'")
        .nth(1)
        .expect("settings");
    let settings = settings.split("output ").next().expect("settings");
    let given: BTreeSet<_> = settings
        .lines()
        .filter_map(|line| line.trim().split_once(": "))
        .map(|(name, _)| name)
        .filter(|name| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
        // The host's own.
        .filter(|name| !name.starts_with("APPLICATIONINSIGHTS_"))
        .collect();
    let known: BTreeSet<_> = names::ALL.iter().copied().collect();
    assert!(given.contains(names::KEY_VAULT_URL), "{given:?}");
    assert!(given.is_subset(&known), "{:?}", given.difference(&known));
}

#[test]
fn the_address_that_azure_gives_a_vault_is_understood() {
    // `vaultUri` ends with a slash.
    let url = VaultUrl::parse("https://your-kv.vault.azure.net/").expect("an address");
    assert_eq!(url.azure_name(), Some("your-kv"));
}
