//! What the documents say is so.

use std::{collections::BTreeSet, fs};

use keyvault_functions::settings::names;
use serde_json::Value;

use super::support::repository;

fn read(file: &str) -> String {
    fs::read_to_string(repository().join(file)).expect(file)
}

#[test]
fn the_settings_page_lists_every_setting_and_no_other() {
    let page = read("docs/settings.md");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let names = rows.flat_map(|row| {
        let cell = row.split('|').nth(1).expect("a cell");
        cell.split('`').skip(1).step_by(2)
    });
    let listed: BTreeSet<_> = names.collect();
    let known: BTreeSet<_> = names::ALL.iter().copied().collect();
    assert_eq!(listed, known);
}

/// What can be wrong with a path: in the code, in the contract and on the page about it.
#[test]
fn each_problem_of_a_path_is_documented() {
    let source = read("src/diagnosis/path.rs");
    let (_, variants) = source
        .split_once("pub enum PathProblem {")
        .expect("the enum");
    let (variants, _) = variants.split_once('}').expect("its end");
    let variants: BTreeSet<_> = variants
        .lines()
        .filter_map(|line| line.trim().strip_suffix(','))
        .collect();
    assert!(variants.len() > 10, "{variants:?}");
    let page = read("docs/network-and-identity.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let rows: BTreeSet<_> = rows
        .filter_map(|row| Some(row.split_once('`')?.0))
        .filter(|name| name.starts_with(char::is_uppercase))
        .collect();
    assert_eq!(rows, variants);
    let contract: Value = serde_json::from_str(&read("docs/openapi.json")).expect("JSON");
    let problem = &contract["components"]["schemas"]["Path"]["properties"]["problem"];
    let problem = problem["description"].as_str().expect("text");
    let listed: BTreeSet<_> = problem.split('`').skip(1).step_by(2).collect();
    assert_eq!(listed, variants);
}

#[test]
fn each_promise_names_a_test_that_exists() {
    let page = read("docs/promises.md");
    let links: Vec<_> = page
        .split("](../tests/promises/")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .collect();
    assert!(links.len() >= 8, "{links:?}");
    for link in &links {
        let file = repository().join("tests/promises").join(link);
        assert!(file.is_file(), "{link}");
    }
    // Nor is there one that no promise names.
    let files = fs::read_dir(repository().join("tests/promises")).expect("a folder");
    for file in files {
        let file = file.expect("a file").path();
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .expect("text");
        let is_test = file.is_file() && name != "main.rs";
        assert!(!is_test || links.contains(&name), "{name} is in no row");
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
    let section = readme
        .split("\n## Put it on Azure\n")
        .nth(1)
        .expect("a section");
    let block = section.split("```sh\n").nth(1).expect("commands");
    let commands: Vec<_> = block.split("```").next().expect("an end").lines().collect();
    assert!(commands.len() <= 5, "{commands:?}");
    assert_eq!(commands[0], "az login");
    let answers = commands.iter().filter(|line| line.starts_with("curl "));
    assert_eq!(answers.count(), 2);
}

#[test]
fn the_templates_parameters_are_documented() {
    let template = read("infra/app.bicep");
    let table = read("infra/README.md");
    // deploy.sh has options for these.
    let of_deploy = ["appName", "location", "externalApiKey", "databasePassword"];
    // An address range is needed only where it collides; tags are azd's.
    let left_out = ["networkAddressPrefix", "tags"];
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

/// The prices that docs/costs.md names, in millionths of a dollar.
#[test]
fn the_table_of_the_whole_stack_follows_from_its_prices() {
    const DOLLAR: u64 = 1_000_000;
    const REQUESTS: u64 = 1_000_000;
    const SECONDS_A_MONTH: u64 = 730 * 3_600;
    let costs = read("docs/costs.md");
    // $49.70, with the places after the point rounded.
    let amount = |millionths: u64| {
        let cents = (millionths + 5_000) / 10_000;
        format!("${}.{:02}", cents / 100, cents % 100)
    };
    // One second of `megabytes` for each request.
    let flex = |megabytes: u64| {
        let gigabyte_seconds = REQUESTS * megabytes / 1_024 - 100_000;
        gigabyte_seconds * 26 + (REQUESTS - 250_000) * 400_000 / 1_000_000
    };
    let storage = DOLLAR / 100;
    let vault = 17_520 * 30_000 / 10_000;
    let endpoints = 2 * (730 * DOLLAR / 100 + DOLLAR / 2);
    let capped = (30 - 5) * 2_300_000;
    for (row, price) in [
        ("| Flex Consumption, 2,048 MB |", amount(flex(2_048))),
        ("| **together** |", amount(flex(2_048) + vault + storage)),
        ("| `instanceMemoryMB=512`", amount(flex(2_048) - flex(512))),
        (
            "| `alwaysReadyInstances=1`",
            amount(SECONDS_A_MONTH * 2 * 4),
        ),
        ("| `networkMode=privateEndpoint`", amount(endpoints)),
        ("| telemetry at its cap", amount(capped)),
        ("| `alertEmail=…`", amount(DOLLAR / 2)),
    ] {
        let line = costs.lines().find(|line| line.starts_with(row));
        let last = line.expect(row).trim_end_matches(" |").rsplit("| ").next();
        let last = last.map(|cell| cell.trim_matches(['*', '-']));
        assert_eq!(last, Some(price.as_str()), "{row}");
    }
}

/// 25 versions are one page, and a secret in the cache is read once in a TTL.
#[test]
fn the_table_of_costs_follows_from_its_formula() {
    const HOURS_A_MONTH: u64 = 730;
    const CENTS_FOR_TEN_THOUSAND: u64 = 3;
    const LIMIT_IN_TEN_SECONDS: u64 = 4_000;
    let rounded = |numerator: u64, denominator: u64| (numerator + denominator / 2) / denominator;
    let costs = read("docs/costs.md");
    let mut rows = 0;
    for line in costs.lines().filter(|line| line.ends_with(" % |")) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let number = |cell: usize| -> u64 {
            let digits = cells[cell].chars().filter(char::is_ascii_digit);
            digits.collect::<String>().parse().expect(cells[cell])
        };
        let (instances, secrets, ttl) = (number(1), number(2), number(3));
        let hourly = instances * secrets * 3_600 / ttl;
        let monthly = hourly * HOURS_A_MONTH;
        assert_eq!(number(4), hourly, "{line}");
        assert_eq!(number(5), monthly, "{line}");
        let cents = rounded(monthly * CENTS_FOR_TEN_THOUSAND, 10_000);
        assert_eq!(number(6), cents, "{line}");
        let tenths = rounded(instances * secrets * 10 * 1_000, ttl * LIMIT_IN_TEN_SECONDS);
        assert_eq!(number(7), tenths, "{line}");
        rows += 1;
    }
    assert_eq!(rows, 9);
}
