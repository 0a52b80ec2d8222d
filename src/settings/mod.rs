//! Every setting, typed, read and validated once: one file for each concern. No other module names
//! an environment variable of this handler.

use std::sync::Arc;

use crate::{
    diagnosis::Surroundings,
    functions::MetadataOptions,
    key_vault::{credential::CredentialSettings, tls::OwnCa},
    references::{AppSettings, Resolves},
    telemetry::Export,
};

mod app_settings;
mod credential;
mod environment;
#[cfg(feature = "dev-vault")]
mod events_key;
mod export;
mod function_app;
mod listing;
mod local_settings;
mod log;
mod metadata;
mod mode;
pub mod names;
mod reader;
mod rotation;
mod spelling;
mod vault;
mod warnings;

pub use crate::key_vault::error::SettingError;
pub use environment::Environment;
#[cfg(feature = "dev-vault")]
pub use events_key::events_key;
pub use listing::{Listing, ListingError, printable};
pub use local_settings::LocalSettingsError;
pub use log::LogSettings;
pub use mode::{KeySource, Mode, OwnKey, OwnKeys, STANDALONE_PORT};
use reader::Reader;
pub use rotation::RefreshSetting;
pub use vault::VaultSetting;
pub use warnings::SettingWarning;

/// Everything the handler was told.
#[derive(Debug)]
pub struct Settings {
    /// Who is in front, and where to listen.
    pub mode: Mode,
    /// Where secrets are described.
    pub vault: VaultSetting,
    /// Whom to trust beside the machine's own certificate authorities.
    pub own_ca: Option<OwnCa>,
    /// How they are described, and for how long an answer is kept.
    pub metadata: MetadataOptions,
    /// Whether a line says that a secret of the app expires soon.
    pub expiry_warnings: bool,
    /// Where the platform is asked to resolve references again, if it is.
    pub rotation: Option<RefreshSetting>,
    /// What could sign in.
    pub credential: CredentialSettings,
    /// What is said before the first request.
    pub warnings: Vec<SettingWarning>,
    /// Which log lines are written, and how they look.
    pub log: LogSettings,
    /// What is exported.
    pub export: Export,
    /// The recipe's two settings and every other one that is a reference, in their order.
    pub app_settings: AppSettings,
    /// Who resolves references.
    pub resolves: Resolves,
    /// Where the handler runs, and for which app.
    pub surroundings: Surroundings,
    /// Settings that cannot be used. Under a host the handler runs all the same, and explains
    /// them: what a dying process says there, nobody reads.
    pub wrong: Vec<SettingError>,
}

impl Settings {
    /// The setting that keeps the handler from reading any vault, if one does.
    #[must_use]
    pub fn needed_to_read(&self) -> Option<Arc<SettingError>> {
        self.wrong_of(&names::NEEDED_TO_READ)
    }

    /// The setting that keeps the handler from describing secrets, if one does.
    #[must_use]
    pub fn needed_to_describe(&self) -> Option<Arc<SettingError>> {
        self.wrong_of(&names::NEEDED_TO_DESCRIBE)
    }

    fn wrong_of(&self, names: &[&str]) -> Option<Arc<SettingError>> {
        let mut wrong = self.wrong.iter();
        let found = wrong.find(|wrong| names.contains(&wrong.name));
        found.cloned().map(Arc::new)
    }

    /// Reads everything.
    ///
    /// # Errors
    ///
    /// Every bad setting, not only the first one. Under a host, only if one of them keeps the
    /// handler from serving at all.
    pub fn read(environment: &Environment) -> Result<Self, Vec<SettingError>> {
        let mut reader = Reader::new(environment);
        let credential = reader.credential();
        let log = reader.log();
        let mode = reader.mode();
        let vault = reader.vault();
        let resolves = reader.resolves();
        let settings = Self {
            own_ca: reader.own_ca(),
            metadata: reader.metadata(),
            expiry_warnings: reader.expiry_warnings(),
            rotation: reader.rotation(&vault),
            export: reader.export(),
            app_settings: app_settings::read(environment, resolves),
            surroundings: reader.surroundings(&credential, &vault),
            mode,
            vault,
            credential,
            log,
            resolves,
            warnings: reader.warnings,
            wrong: reader.wrong,
        };
        let serves = match settings.mode {
            Mode::Host { .. } => settings.wrong_of(&names::NEEDED_TO_SERVE).is_none(),
            Mode::Standalone { .. } => settings.wrong.is_empty(),
        };
        if serves {
            Ok(settings)
        } else {
            Err(settings.wrong)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::key_vault::MetadataSource;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let environment = Environment::of(pairs);
        Settings::read(&environment)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn nothing_set_is_a_standalone_handler_without_a_vault() {
        let settings = read(&[]).expect("valid");
        assert!(matches!(
            settings.mode,
            Mode::Standalone(OwnKeys {
                function: None,
                master: None
            })
        ));
        assert_eq!(settings.vault, VaultSetting::NotSet);
        assert_eq!(settings.metadata.cache.fresh_for, Duration::from_secs(300));
        assert_eq!(
            settings.metadata.cache.max_stale,
            Duration::from_secs(3_600)
        );
        assert_eq!(settings.metadata.source, MetadataSource::Versions);
    }

    #[test]
    fn every_bad_setting_is_reported_and_no_value_is_shown() {
        let canary = "canary value";
        let bad = [
            names::AZURE_TOKEN_CREDENTIALS,
            names::FUNCTIONS_CUSTOMHANDLER_PORT,
            names::KEY_VAULT_URL,
            names::KEY_VAULT_CA_FILE,
            names::SECRET_METADATA_SOURCE,
            names::SECRET_CACHE_TTL_SECONDS,
            names::SECRET_CACHE_MAX_STALE_SECONDS,
            names::SECRET_CACHE_NEGATIVE_TTL_SECONDS,
            names::SECRET_CACHE_CAPACITY,
            names::EXPIRY_WARNINGS,
            names::ROTATION_REFRESH,
        ];
        let errors = read(&bad.map(|name| (name, canary))).expect_err("all bad");
        assert_eq!(errors.len(), bad.len(), "{errors:?}");
        for (name, error) in bad.iter().zip(&errors) {
            assert!(error.starts_with(&format!("{name}: found ")), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn an_unresolved_reference_is_taken_for_a_secret_only_where_it_is_looked_at() {
        let reference = "@Microsoft.KeyVault(VaultName=abc;SecretName=n)";
        for name in names::ALL
            .iter()
            .filter(|name| !names::HOST_PORTS.contains(name))
        {
            let errors = read(&[(name, reference)]).err().unwrap_or_default();
            if names::may_be_unresolved(name) {
                assert!(errors.is_empty(), "{errors:?}");
            } else {
                assert_eq!(errors.len(), 1, "{errors:?}");
                assert!(
                    errors[0].contains("reference that was not resolved"),
                    "{errors:?}"
                );
            }
        }
    }

    #[test]
    fn secrets_do_not_show_in_debug() {
        let settings = read(&[
            (names::EXTERNAL_API_KEY, "canary-1"),
            (names::AZURE_CLIENT_SECRET, "canary-2"),
            (names::STANDALONE_MASTER_KEY, "canary-3"),
        ]);
        assert!(!format!("{:?}", settings.expect("valid")).contains("canary"));
    }
}
