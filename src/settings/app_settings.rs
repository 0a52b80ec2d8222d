//! Which settings of the Function App `config-check` looks at, each once and under the name that its
//! owner gave it.
//!
//! The platform changes names on their way into the environment:
//!
//! | setting | variable |
//! | --- | --- |
//! | app setting `X` | `X` and `APPSETTING_X` |
//! | app setting `My.Key`, `Section:Key`, on Linux | `My_Key`, `Section__Key` |
//! | connection string `X` | `X` behind the prefix of its type, such as `CUSTOMCONNSTR_` |
//! | connection string `X` under Core Tools | `ConnectionStrings:X` |
//!
//! Only the platform's report still has the owner's spelling.
//! Source: App Service documentation, "Configure an app" and "Environment variables and app
//! settings"; Core Tools, `StartHostAction`.

use std::collections::{HashMap, HashSet};

use secrecy::SecretString;

use super::{environment::Environment, local_settings::CONNECTION_STRINGS, names};
use crate::references::{
    AppSetting, AppSettings, ConnectionStringType, Resolves, SettingKind, is_reference,
    status::{PlatformEntry, read_platform_report},
};

/// Most references that are listed; more are counted.
pub(super) const LISTED_LIMIT: usize = 1_000;

/// The platform's second copy of each app setting.
const TWIN_PREFIX: &str = "APPSETTING_";

/// What tells one setting from another: an app setting and a connection string can have one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key<'a> {
    kind: SettingKind,
    name: &'a str,
}

impl<'a> Key<'a> {
    fn app_setting(name: &'a str) -> Self {
        let kind = SettingKind::AppSetting;
        Self { kind, name }
    }

    /// Whose value the environment's `variable` holds, and whether it is only the second copy.
    fn of_variable(variable: &'a str, resolves: Resolves) -> (Self, bool) {
        if let Some(name) = strip(variable, TWIN_PREFIX) {
            return (Self::app_setting(name), true);
        }
        let of_type = ConnectionStringType::ALL
            .iter()
            .find_map(|(prefix, of_type)| Some((strip(variable, prefix)?, *of_type)));
        // On Azure this is an app setting's own name.
        let local = || match resolves {
            Resolves::Handler => {
                strip(variable, CONNECTION_STRINGS).map(|name| (name, ConnectionStringType::CUSTOM))
            }
            Resolves::Platform => None,
        };
        let key = match of_type.or_else(local) {
            Some((name, of_type)) => Self {
                kind: SettingKind::ConnectionString(of_type),
                name,
            },
            None => Self::app_setting(variable),
        };
        (key, false)
    }
}

fn strip<'a>(variable: &'a str, prefix: &str) -> Option<&'a str> {
    variable
        .strip_prefix(prefix)
        .filter(|name| !name.is_empty())
}

/// The name of a setting as a variable on Linux has it.
fn on_linux(name: &str) -> String {
    name.replace(':', "__").replace('.', "_")
}

/// The recipe's two settings, every one that is a reference, and what the platform says was one.
pub(super) fn read(environment: &Environment, resolves: Resolves) -> AppSettings {
    let report = environment.get(names::WEBSITE_KEYVAULT_REFERENCES);
    let report = report.map(read_platform_report).unwrap_or_default();
    let variables = Variables::new(environment, resolves);
    let reported = Reported::new(&report, &variables);
    let mut settings = AppSettings::default();
    for (key, entry) in in_order(environment, &variables, &report, &reported) {
        let variable = variables.of(&key);
        let entry = entry.map(|at| &report[at]);
        let value = variable.and_then(|variable| environment.get(variable));
        let value = value.unwrap_or_default();
        let is_looked_at =
            key.kind == SettingKind::AppSetting && names::EXPECTED.contains(&key.name);
        let is_listed = is_looked_at || is_reference(value) || entry.is_some_and(says_something);
        // The platform's report quotes every reference, and is none.
        if !is_listed || key == Key::app_setting(names::WEBSITE_KEYVAULT_REFERENCES) {
            continue;
        }
        if settings.listed.len() >= LISTED_LIMIT && !is_looked_at {
            settings.not_listed += 1;
            continue;
        }
        let spelling = match (entry, key.kind) {
            (Some(entry), SettingKind::AppSetting) => &entry.setting,
            _ => key.name,
        };
        let setting = AppSetting::new(spelling, SecretString::from(value.to_owned()));
        let mut setting = setting.of_kind(key.kind);
        // The recipe's two come from a vault, whether anybody says so or not.
        if is_looked_at {
            setting = setting.expected();
        }
        settings.listed.push(match entry {
            Some(entry) => setting.reported(entry.raw_reference.as_deref(), entry.status.clone()),
            None => setting,
        });
    }
    settings
}

fn says_something(entry: &PlatformEntry) -> bool {
    entry.status.is_some() || entry.raw_reference.as_deref().is_some_and(is_reference)
}

/// The variables of the environment by whose value they hold.
struct Variables<'a> {
    resolves: Resolves,
    by_key: HashMap<Key<'a>, &'a str>,
    connection_strings: HashMap<&'a str, Key<'a>>,
}

impl<'a> Variables<'a> {
    fn new(environment: &'a Environment, resolves: Resolves) -> Self {
        let mut variables = Self {
            resolves,
            by_key: HashMap::new(),
            connection_strings: HashMap::new(),
        };
        let all = environment.local_names().chain(environment.process_names());
        for variable in all {
            let (key, is_twin) = Key::of_variable(variable, resolves);
            if is_twin {
                variables.by_key.entry(key).or_insert(variable);
            } else {
                variables.by_key.insert(key, variable);
            }
            if key.kind != SettingKind::AppSetting {
                let known = variables.connection_strings.entry(key.name);
                known.or_insert(key);
            }
        }
        variables
    }

    fn of(&self, key: &Key<'_>) -> Option<&'a str> {
        self.by_key.get(key).copied()
    }

    fn known(&self, key: &Key<'_>) -> Option<Key<'a>> {
        let variable = self.of(key)?;
        Some(Key::of_variable(variable, self.resolves).0)
    }
}

/// The entries of the platform's report by the settings that they are about.
struct Reported<'a> {
    by_key: HashMap<Key<'a>, usize>,
    /// By the entry's index.
    keys: Vec<Key<'a>>,
}

impl<'a> Reported<'a> {
    fn new(report: &'a [PlatformEntry], variables: &Variables<'a>) -> Self {
        let keys: Vec<_> = report
            .iter()
            .map(|entry| key_of(&entry.setting, variables))
            .collect();
        let mut by_key = HashMap::new();
        for (at, key) in keys.iter().enumerate() {
            // `My_Key` is itself before it is another spelling of `My.Key`.
            if key.name == report[at].setting {
                by_key.insert(*key, at);
            } else {
                by_key.entry(*key).or_insert(at);
            }
        }
        Self { by_key, keys }
    }
}

/// The setting that the platform's report calls `name`.
fn key_of<'a>(name: &'a str, variables: &Variables<'a>) -> Key<'a> {
    let linux = on_linux(name);
    let as_app_setting = [name, &linux]
        .into_iter()
        .find_map(|name| variables.known(&Key::app_setting(name)));
    let as_connection_string = || {
        let known = |name: &str| variables.connection_strings.get(name).copied();
        known(name).or_else(|| known(&linux))
    };
    as_app_setting
        .or_else(as_connection_string)
        .unwrap_or_else(|| Key::of_variable(name, variables.resolves).0)
}

/// Every setting once, with the index of its entry: those of `local.settings.json`, then the
/// report's, then the others. The process's environment has no order on Azure.
fn in_order<'a>(
    environment: &'a Environment,
    variables: &Variables<'a>,
    report: &'a [PlatformEntry],
    reported: &Reported<'a>,
) -> Vec<(Key<'a>, Option<usize>)> {
    let of_variable = |variable| {
        let (key, _) = Key::of_variable(variable, variables.resolves);
        (key, reported.by_key.get(&key).copied())
    };
    let of_entry = |at: usize| (reported.keys[at], Some(at));
    let mut seen = HashSet::new();
    environment
        .local_names()
        .map(of_variable)
        .chain((0..report.len()).map(of_entry))
        .chain(environment.process_names().map(of_variable))
        // Two entries can be about one variable, and both are listed.
        .filter(|setting| seen.insert(*setting))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::references::SettingState;

    const REFERENCE: &str = "@Microsoft.KeyVault(VaultName=abc;SecretName=n)";

    fn read_on_azure(pairs: &[(&str, &str)]) -> AppSettings {
        read(&Environment::of(pairs), Resolves::Platform)
    }

    fn names(settings: &AppSettings) -> Vec<&str> {
        settings.listed.iter().map(AppSetting::name).collect()
    }

    fn is_set_to(setting: &AppSetting, value: &str) -> bool {
        match setting.state() {
            SettingState::Set(known) => known.is(&value.to_owned().into()),
            SettingState::NotSet | SettingState::Unresolved => false,
        }
    }

    #[test]
    fn a_connection_string_knows_its_type() {
        for (prefix, of_type) in ConnectionStringType::ALL {
            let settings = read_on_azure(&[(&format!("{prefix}Orders"), REFERENCE)]);
            assert_eq!(names(&settings), ["Orders"], "{prefix}");
            let kind = SettingKind::ConnectionString(of_type);
            assert_eq!(settings.listed[0].kind(), kind, "{prefix}");
        }
        let app_setting = read_on_azure(&[("Orders", REFERENCE)]);
        assert_eq!(app_setting.listed[0].kind(), SettingKind::AppSetting);
        // A prefix without a name is a name.
        assert_eq!(
            names(&read_on_azure(&[("SQLCONNSTR_", REFERENCE)])),
            ["SQLCONNSTR_"]
        );
    }

    #[test]
    fn the_second_copy_of_a_setting_counts_only_where_it_is_alone() {
        let twin = ("APPSETTING_EXTERNAL_API_KEY", "twin");
        let first = (names::EXTERNAL_API_KEY, "first");
        for pairs in [&[twin, first][..], &[first, twin]] {
            let settings = read_on_azure(pairs);
            assert_eq!(names(&settings), ["EXTERNAL_API_KEY"]);
            assert!(is_set_to(&settings.listed[0], "first"));
        }
        let settings = read_on_azure(&[twin]);
        assert!(is_set_to(&settings.listed[0], "twin"));
    }

    #[test]
    fn the_reports_spelling_wins_and_finds_the_value() {
        let report = |name: &str| {
            let entry = serde_json::json!({"rawReference": REFERENCE, "status": "Resolved"});
            serde_json::json!({ name: entry }).to_string()
        };
        for (reported, variable, listed) in [
            ("My.Key", "My_Key", "My.Key"),
            ("A:B.C", "A__B_C", "A:B.C"),
            ("My.Key", "My.Key", "My.Key"),
            ("My.Key", "APPSETTING_My_Key", "My.Key"),
            ("Orders", "SQLCONNSTR_Orders", "Orders"),
            ("SQLCONNSTR_Orders", "SQLCONNSTR_Orders", "Orders"),
        ] {
            let report = report(reported);
            let settings = read_on_azure(&[
                (variable, "value"),
                (names::WEBSITE_KEYVAULT_REFERENCES, &report),
            ]);
            assert_eq!(names(&settings), [listed], "{variable}");
            assert!(is_set_to(&settings.listed[0], "value"), "{variable}");
        }
    }

    #[test]
    fn two_spellings_of_one_variable_are_two_entries() {
        let report = format!(
            r#"{{"A.B":{{"rawReference":"{REFERENCE}"}},"A_B":{{"rawReference":"{REFERENCE}"}}}}"#
        );
        let settings = read_on_azure(&[
            ("A_B", "value"),
            (names::WEBSITE_KEYVAULT_REFERENCES, &report),
        ]);
        assert_eq!(names(&settings), ["A.B", "A_B"]);
        assert!(settings.listed.iter().all(|one| is_set_to(one, "value")));
    }

    #[test]
    fn what_the_report_says_nothing_about_is_not_listed() {
        let settings = read_on_azure(&[
            ("A", "value"),
            (
                names::WEBSITE_KEYVAULT_REFERENCES,
                r#"{"A":{},"B":{"rawReference":"x"}}"#,
            ),
        ]);
        assert!(settings.listed.is_empty(), "{settings:?}");
    }

    #[test]
    fn what_is_beyond_the_limit_is_counted() {
        let variables: Vec<_> = (0..LISTED_LIMIT + 3).map(|n| format!("KEY_{n}")).collect();
        let mut pairs: Vec<_> = variables.iter().map(|name| (&**name, REFERENCE)).collect();
        pairs.push((names::EXTERNAL_API_KEY, "value"));
        let settings = read_on_azure(&pairs);
        assert_eq!(settings.listed.len(), LISTED_LIMIT + 1);
        assert_eq!(settings.not_listed, 3);
        assert!(names(&settings).contains(&names::EXTERNAL_API_KEY));
    }
}
