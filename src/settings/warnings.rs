//! What is said before the first request, because somebody may have made a mistake.

use std::collections::HashSet;

use super::{environment::Environment, local_settings::LocalFile, names, spelling};

/// Most misspelt names that are told.
const MISSPELT_LIMIT: usize = 10;

/// What the handler does not read although somebody may think that it does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingWarning {
    /// No `local.settings.json`, and nothing instead.
    #[error(
        "local.settings.json: there is none, and the environment sets no KEY_VAULT_URL; \
         copy the repository's, or set KEY_VAULT_URL"
    )]
    NoLocalSettings,
    /// A `local.settings.json` that sets nothing.
    #[error("local.settings.json: has no Values, so it sets nothing; begin with {{\"Values\": {{")]
    NoValues,
    /// A name that no setting has, but nearly.
    #[error("{name}: this handler has no such setting; did you mean {meant}?", meant = .meant.join(" or "))]
    Misspelt {
        /// As it was written.
        name: String,
        /// None of which is set.
        meant: Vec<&'static str>,
    },
    /// `RUST_LOG` is none.
    #[error(
        "RUST_LOG: found text that is not a log filter; give a level (off, error, warn, info, \
         debug, trace) or target=level, separated by commas; until then it is info"
    )]
    LogFilter,
}

/// What is found before any setting is read.
pub(super) fn of(environment: &Environment) -> Vec<SettingWarning> {
    let local_settings = of_local_settings(environment);
    local_settings
        .into_iter()
        .chain(misspelt(environment))
        .collect()
}

fn of_local_settings(environment: &Environment) -> Option<SettingWarning> {
    let is_set = |name: &&str| environment.get(name).is_some();
    let is_configured = names::EXPECTED.iter().any(is_set) || is_set(&names::KEY_VAULT_URL);
    match environment.file {
        LocalFile::Missing if !is_configured => Some(SettingWarning::NoLocalSettings),
        LocalFile::NoValues => Some(SettingWarning::NoValues),
        LocalFile::Missing | LocalFile::NotRead | LocalFile::Values => None,
    }
}

/// A name is told only where the setting that it may mean is not set: then it may well be
/// another program's.
fn misspelt(environment: &Environment) -> impl Iterator<Item = SettingWarning> {
    let mut seen = HashSet::new();
    let names = environment.local_names().chain(environment.process_names());
    let misspelt = names
        .filter(move |name| seen.insert(*name))
        .filter_map(|name| {
            let mut meant = spelling::meant_by(name);
            meant.retain(|meant| environment.get(meant).is_none());
            (!meant.is_empty()).then(|| SettingWarning::Misspelt {
                name: name.to_owned(),
                meant,
            })
        });
    misspelt.take(MISSPELT_LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    #[test]
    fn what_may_be_a_mistake_is_a_warning() {
        let warnings = |pairs: &[_]| {
            let settings = Settings::read(&Environment::of(pairs));
            settings.expect("valid").warnings
        };
        let vault = (names::KEY_VAULT_URL, "https://your-kv.vault.azure.net");
        assert_eq!(warnings(&[vault, ("PATH", "/bin")]), []);
        assert_eq!(warnings(&[vault, ("KEY_VAULT_URI", "x")]), []);
        let misspelt = SettingWarning::Misspelt {
            name: "KEY_VAULT_URI".into(),
            meant: vec![names::KEY_VAULT_URL],
        };
        assert_eq!(warnings(&[("KEY_VAULT_URI", "x")]), [misspelt]);
        for filter in [
            "a=b=c",
            "verbose",
            "inof",
            "info,verbose",
            "keyvault_functions=loud",
        ] {
            let found = warnings(&[(names::RUST_LOG, filter)]);
            assert_eq!(found, [SettingWarning::LogFilter], "{filter}");
        }
        for filter in [
            "off",
            "WARN",
            "info,",
            "hyper",
            "warn,keyvault_functions::host=debug",
        ] {
            assert_eq!(warnings(&[(names::RUST_LOG, filter)]), [], "{filter}");
        }
    }
}
