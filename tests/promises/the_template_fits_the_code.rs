//! What the template gives the app, this handler understands: its Key Vault references parse here
//! and name secrets of the template, and its settings are settings of the handler.
//!
//! The template is read as Resource Manager evaluates it, from the snapshots in
//! `tests/infra/snapshots`. `tests/infra/template.py` keeps them true.

use std::{collections::BTreeSet, fs};

use keyvault_functions::{
    key_vault::VaultUrl,
    references::Reference,
    settings::names::{self, DATABASE_PASSWORD, EXTERNAL_API_KEY},
};
use serde_json::{Map, Value};

use super::support::repository;

const VERSION: &str = "0123456789abcdef0123456789abcdef";

/// The resources of each snapshot, by its file's name.
fn snapshots() -> Vec<(String, Vec<Value>)> {
    let folder = repository().join("tests/infra/snapshots");
    let files = fs::read_dir(folder).expect("snapshots");
    let mut snapshots: Vec<_> = files
        .map(|file| file.expect("a file").path())
        .filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(".snapshot.json")?;
            let text = fs::read_to_string(&path).expect(name);
            let snapshot: Value = serde_json::from_str(&text).expect(name);
            let resources = snapshot["predictedResources"].as_array().expect(name);
            Some((name.to_owned(), resources.clone()))
        })
        .collect();
    snapshots.sort_by(|one, other| one.0.cmp(&other.0));
    assert!(snapshots.len() >= 4, "{}", snapshots.len());
    snapshots
}

fn of_type<'a>(resources: &'a [Value], kind: &str) -> Vec<&'a Value> {
    resources.iter().filter(|it| it["type"] == kind).collect()
}

/// The last part of a resource's name.
fn name(resource: &Value) -> &str {
    let name = resource["name"].as_str().expect("a name");
    name.rsplit('/').next().expect("a part")
}

fn settings(resources: &[Value]) -> &Map<String, Value> {
    let found = of_type(resources, "Microsoft.Web/sites/config");
    assert_eq!(found.len(), 1);
    found[0]["properties"].as_object().expect("settings")
}

/// A setting as Azure completes it: the address of a secret's version is known only then.
fn completed(setting: &str, vault: &str) -> String {
    let Some(call) = setting.strip_prefix("[format('@Microsoft.KeyVault(SecretUri={0})', ") else {
        return setting.to_owned();
    };
    let secret = call
        .strip_prefix("reference('")
        .and_then(|rest| rest.split_once("',"))
        .filter(|(_, rest)| rest.ends_with(").secretUriWithVersion)]"))
        .and_then(|(id, _)| id.rsplit_once(&format!("/vaults/{vault}/secrets/")));
    match secret {
        Some((_, name)) => format!(
            "@Microsoft.KeyVault(SecretUri=https://{vault}.vault.azure.net/secrets/{name}/{VERSION})"
        ),
        None => setting.to_owned(),
    }
}

/// What is wrong with the references of a template.
fn problems(resources: &[Value]) -> Vec<String> {
    let [vault] = of_type(resources, "Microsoft.KeyVault/vaults")[..] else {
        return vec!["there is not one vault".to_owned()];
    };
    let host = format!("{}.vault.azure.net", name(vault));
    let secrets: BTreeSet<_> = of_type(resources, "Microsoft.KeyVault/vaults/secrets")
        .into_iter()
        .map(name)
        .collect();
    let mut problems = Vec::new();
    for setting in [EXTERNAL_API_KEY, DATABASE_PASSWORD] {
        let value = settings(resources)[setting].as_str().unwrap_or_default();
        let reference = match Reference::parse(&completed(value, name(vault))) {
            Ok(reference) => reference,
            Err(error) => {
                problems.push(format!("{setting}: {error}"));
                continue;
            }
        };
        if reference.has_unusual_spelling {
            problems.push(format!("{setting} is spelt unusually"));
        }
        if reference.vault.authority() != host {
            problems.push(format!("{setting} is of {}", reference.vault.authority()));
        }
        if !secrets.contains(reference.name.as_str()) {
            problems.push(format!("{setting}: no secret {}", reference.name.as_str()));
        }
        let pinned = setting == EXTERNAL_API_KEY;
        if reference.version.as_deref() != pinned.then_some(VERSION) {
            problems.push(format!("{setting}: {:?}", reference.version.as_deref()));
        }
    }
    problems
}

#[test]
fn the_templates_references_parse_and_name_its_secrets() {
    for (name, resources) in snapshots() {
        assert_eq!(problems(&resources), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn a_misspelt_reference_in_the_template_is_found() {
    let (_, resources) = snapshots().remove(1);
    let text = serde_json::to_string(&resources).expect("JSON");
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
        (".secretUriWithVersion)]", ".secretUri)]"),
        ("SecretUri={0}", "SecretUri=http://{0}"),
    ] {
        assert_eq!(text.matches(before).count(), 1, "{before}");
        let misspelt: Vec<Value> =
            serde_json::from_str(&text.replace(before, after)).expect("JSON");
        assert_ne!(problems(&misspelt), Vec::<String>::new(), "{after}");
    }
}

#[test]
fn the_templates_settings_are_settings_of_the_handler() {
    let known: BTreeSet<_> = names::ALL.iter().copied().collect();
    for (name, resources) in snapshots() {
        let given: BTreeSet<_> = settings(&resources)
            .keys()
            .map(String::as_str)
            // The host's own.
            .filter(|name| !name.starts_with("APPLICATIONINSIGHTS_"))
            .filter(|name| !name.starts_with("AzureWebJobsStorage__"))
            .collect();
        assert!(given.contains(names::KEY_VAULT_URL), "{name}: {given:?}");
        assert!(
            given.is_subset(&known),
            "{name}: {:?}",
            given.difference(&known)
        );
    }
}

#[test]
fn the_address_that_azure_gives_a_vault_is_understood() {
    // `vaultUri` ends with a slash.
    let url = VaultUrl::parse("https://your-kv.vault.azure.net/").expect("an address");
    assert_eq!(url.azure_name(), Some("your-kv"));
}

/// The alert looks for the codes of the lines about expiry, and takes the sentence from them.
#[test]
fn the_alert_finds_the_lines_that_the_handler_writes() {
    let source = repository().join("src/functions/expiring/warnings.rs");
    let source = fs::read_to_string(source).expect("the lines' source");
    let mut rules = 0;
    for (snapshot, resources) in snapshots() {
        for rule in of_type(&resources, "Microsoft.Insights/scheduledQueryRules") {
            let query = rule["properties"]["criteria"]["allOf"][0]["query"].as_str();
            let query = query.expect("a query");
            let (_, codes) = query.split_once("has_any (").expect("codes");
            let (codes, rest) = codes.split_once(')').expect("their end");
            for code in codes.split(", ") {
                assert!(source.contains(code), "{snapshot}: {code}");
            }
            // The module's name stands before the sentence, and the date is its end.
            assert!(rest.contains("warnings: (.+? on "), "{snapshot}: {query}");
            rules += 1;
        }
    }
    assert_eq!(rules, 1);
}
