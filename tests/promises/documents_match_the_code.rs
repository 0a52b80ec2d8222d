//! The README says what is so.

use std::{collections::BTreeSet, fs};

use keyvault_functions::settings::names;

use super::support::repository;

fn read(file: &str) -> String {
    fs::read_to_string(repository().join(file)).expect(file)
}

#[test]
fn the_settings_table_lists_every_setting_and_no_other() {
    let readme = read("README.md");
    let table = readme
        .split("\n## Settings\n")
        .nth(1)
        .and_then(|rest| rest.split("\n## ").next())
        .expect("a section Settings");
    let cells = table.lines().filter(|line| line.starts_with("| `"));
    let listed: BTreeSet<_> = cells
        .flat_map(|line| {
            line.split('|')
                .nth(1)
                .expect("a cell")
                .split('`')
                .skip(1)
                .step_by(2)
        })
        .collect();
    let known: BTreeSet<_> = names::ALL.iter().copied().collect();
    assert_eq!(listed, known);
}

#[test]
fn each_promise_names_a_test_that_exists() {
    let readme = read("README.md");
    let links: Vec<_> = readme
        .split("](tests/promises/")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .collect();
    assert!(links.len() >= 8, "{links:?}");
    for link in links {
        let file = repository().join("tests/promises").join(link);
        assert!(file.is_file(), "{link}");
    }
}

#[test]
fn the_readme_leads_with_the_two_commands() {
    let readme = read("README.md");
    let place = |text: &str| readme.find(text).unwrap_or_else(|| panic!("no {text}"));
    assert!(place("\ncargo run\n") < place("\ncargo test\n"));
    assert!(
        place("\ncargo test\n") < place("\n## "),
        "before anything else"
    );
}

#[test]
fn local_settings_hold_no_secret() {
    let settings: serde_json::Value =
        serde_json::from_str(&read("local.settings.json")).expect("JSON");
    let values = settings["Values"].as_object().expect("an object");
    assert_eq!(values["KEY_VAULT_URL"], "embedded");
    for name in ["EXTERNAL_API_KEY", "DATABASE_PASSWORD"] {
        let value = values[name].as_str().expect("text");
        assert!(value.starts_with("@Microsoft.KeyVault("), "{name}");
    }
}

#[test]
fn deploying_takes_five_commands_to_two_answers() {
    let readme = read("README.md");
    let section = readme.split("\n## Deploy\n").nth(1).expect("a section");
    let block = section.split("```sh\n").nth(1).expect("commands");
    let commands: Vec<_> = block.split("```").next().expect("an end").lines().collect();
    assert!(commands.len() <= 5, "{commands:?}");
    assert_eq!(commands[0], "az login");
    let answers = commands.iter().filter(|line| line.starts_with("curl "));
    assert_eq!(answers.count(), 2);
}

#[test]
fn the_templates_parameters_are_documented() {
    let template = read("infra/main.bicep");
    let table = read("infra/README.md");
    let of_deploy = ["appName", "location", "externalApiKey", "databasePassword"];
    // An address range is needed only where it collides.
    let left_out = ["networkAddressPrefix"];
    let names: Vec<_> = template
        .lines()
        .filter_map(|line| line.strip_prefix("param ")?.split(' ').next())
        .collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let documented = table.contains(&format!("`{name}`"));
        let elsewhere = of_deploy.contains(&name) || left_out.contains(&name);
        assert!(documented || elsewhere, "{name}");
    }
}
