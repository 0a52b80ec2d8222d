//! Every setting, typed, read and validated once. No other file names an environment
//! variable of this handler.

use std::{collections::HashSet, ops::RangeInclusive, path::PathBuf, sync::Arc, time::Duration};

use tracing_subscriber::filter::Targets;

use crate::{
    diagnosis::Surroundings,
    host::authorization::FunctionKey,
    key_vault::{
        CachePolicy, MetadataSource, VaultUrl,
        credential::{CredentialFilter, CredentialSettings},
        tls::OwnCa,
    },
    references::{AppSettings, ReferenceKind, Resolves, is_reference},
    telemetry::{self, Export, LineStyle},
};

mod app_settings;
mod environment;
mod export;
mod function_app;
mod spelling;

pub use crate::key_vault::error::SettingError;
use environment::LocalFile;
pub use environment::{Environment, LocalSettingsError};

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Names of the environment variables that are read.
        pub mod names {
            $($(#[$doc])* pub const $name: &str = stringify!($name);)*

            /// All of them; the README's table is checked against this list.
            pub const ALL: &[&str] = &[$($name),*];
        }
    };
}

names! {
    /// A secret that arrives through a reference; `config-check` looks at it.
    EXTERNAL_API_KEY,
    /// A secret that arrives through a reference; `config-check` looks at it.
    DATABASE_PASSWORD,
    /// The vault whose secrets `secrets-metadata` describes, or `embedded`.
    KEY_VAULT_URL,
    /// A file of certificate authorities to trust beside the machine's own.
    KEY_VAULT_CA_FILE,
    /// `versions` or `get`.
    SECRET_METADATA_SOURCE,
    /// Seconds for which an answer of the vault is fresh.
    SECRET_CACHE_TTL_SECONDS,
    /// Seconds after which an answer is no longer given, however broken the vault is.
    SECRET_CACHE_MAX_STALE_SECONDS,
    /// Seconds for which a missing secret is believed to be missing.
    SECRET_CACHE_NEGATIVE_TTL_SECONDS,
    /// Answers that are kept.
    SECRET_CACHE_CAPACITY,
    /// Narrows the choice of credential.
    AZURE_TOKEN_CREDENTIALS,
    /// Application, or user-assigned managed identity.
    AZURE_CLIENT_ID,
    /// Where the application is registered.
    AZURE_TENANT_ID,
    /// The application's secret.
    AZURE_CLIENT_SECRET,
    /// Entra ID of another cloud; the SDK reads it.
    AZURE_AUTHORITY_HOST,
    /// The federated token of workload identity.
    AZURE_FEDERATED_TOKEN_FILE,
    /// Set by the platform where a managed identity is there.
    IDENTITY_ENDPOINT,
    /// Set by the platform where a managed identity is there.
    IDENTITY_HEADER,
    /// Key for functions of level `function`, standalone only.
    STANDALONE_FUNCTION_KEY,
    /// Key for every function, standalone only.
    STANDALONE_MASTER_KEY,
    /// Log filter: `info`, or `warn,keyvault_functions=debug`.
    RUST_LOG,
    /// Not empty: no colours in the log (no-color.org).
    NO_COLOR,
    /// `dumb`: the terminal knows no colours.
    TERM,
    /// Port under the Functions host; set by the host.
    FUNCTIONS_CUSTOMHANDLER_PORT,
    /// The same, from older hosts.
    FUNCTIONS_HTTPWORKER_PORT,
    /// Folder of `host.json`; set by the host.
    FUNCTIONS_APP_ROOT_PATH,
    /// `Development` under Core Tools, where nobody else resolves references.
    AZURE_FUNCTIONS_ENVIRONMENT,
    /// Set by the platform: every reference and its state.
    WEBSITE_KEYVAULT_REFERENCES,
    /// Set by the platform: the app's name.
    WEBSITE_SITE_NAME,
    /// Set by the platform: the app's resource group.
    WEBSITE_RESOURCE_GROUP,
    /// Set by the platform: the slot's name, or `Production`.
    WEBSITE_SLOT_NAME,
    /// Set by the platform: subscription, resource group and region.
    WEBSITE_OWNER_NAME,
    /// Set by the platform: the plan. Tells that this runs on Azure.
    WEBSITE_SKU,
    /// Set by the platform but on Flex Consumption and Linux Consumption. Tells that this runs
    /// on Azure.
    WEBSITE_INSTANCE_ID,
    /// Set by the platform on Flex Consumption. Tells that this runs on Azure.
    WEBSITE_POD_NAME,
    /// Set by the platform on Flex Consumption. Tells that this runs on Azure.
    LEGION_SERVICE_HOST,
    /// Set by the platform on Linux Consumption, and by others.
    CONTAINER_NAME,
    /// Set by Core Tools.
    FUNCTIONS_CORETOOLS_ENVIRONMENT,
    /// `true` exports nothing, whatever the others say.
    OTEL_SDK_DISABLED,
    /// Where spans and numbers are sent; without it, nowhere.
    OTEL_EXPORTER_OTLP_ENDPOINT,
    /// Where spans are sent, as a whole address.
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
    /// Where numbers are sent, as a whole address.
    OTEL_EXPORTER_OTLP_METRICS_ENDPOINT,
    /// Headers for the receiver, often with a key; the exporter reads it.
    OTEL_EXPORTER_OTLP_HEADERS,
    /// The same for spans alone.
    OTEL_EXPORTER_OTLP_TRACES_HEADERS,
    /// The same for numbers alone.
    OTEL_EXPORTER_OTLP_METRICS_HEADERS,
    /// `http/protobuf`.
    OTEL_EXPORTER_OTLP_PROTOCOL,
    /// The same for spans alone.
    OTEL_EXPORTER_OTLP_TRACES_PROTOCOL,
    /// The same for numbers alone.
    OTEL_EXPORTER_OTLP_METRICS_PROTOCOL,
    /// `none` exports no spans.
    OTEL_TRACES_EXPORTER,
    /// `none` exports no numbers.
    OTEL_METRICS_EXPORTER,
    /// The sender's name; the exporter reads it.
    OTEL_SERVICE_NAME,
    /// What else is known about the sender; the exporter reads it.
    OTEL_RESOURCE_ATTRIBUTES,
}

/// Where the Functions host writes the port; the first one that is set counts.
const HOST_PORTS: [&str; 2] = [
    names::FUNCTIONS_CUSTOMHANDLER_PORT,
    names::FUNCTIONS_HTTPWORKER_PORT,
];

/// The settings that are meant to come from a vault: `config-check` looks at them.
const LOOKED_AT: [&str; 2] = [names::EXTERNAL_API_KEY, names::DATABASE_PASSWORD];

/// Without these nothing can be served, and so nothing explained.
const NEEDED_TO_SERVE: [&str; 3] = [
    names::FUNCTIONS_CUSTOMHANDLER_PORT,
    names::FUNCTIONS_HTTPWORKER_PORT,
    names::FUNCTIONS_APP_ROOT_PATH,
];

/// Without these no vault is read: the handler would sign in as somebody else, or trust others.
const NEEDED_TO_READ: [&str; 9] = [
    names::KEY_VAULT_CA_FILE,
    names::AZURE_TOKEN_CREDENTIALS,
    names::AZURE_CLIENT_ID,
    names::AZURE_TENANT_ID,
    names::AZURE_CLIENT_SECRET,
    names::AZURE_AUTHORITY_HOST,
    names::AZURE_FEDERATED_TOKEN_FILE,
    names::IDENTITY_ENDPOINT,
    names::IDENTITY_HEADER,
];

/// Without these no secret is described: another vault or another operation might be meant.
const NEEDED_TO_DESCRIBE: [&str; 2] = [names::KEY_VAULT_URL, names::SECRET_METADATA_SOURCE];

/// Port that standalone mode takes unless told otherwise: Core Tools' own.
pub const STANDALONE_PORT: u16 = 7071;

/// Everything the handler was told.
#[derive(Debug)]
pub struct Settings {
    /// Who is in front, and where to listen.
    pub mode: Mode,
    /// Where secrets are described.
    pub vault: VaultSetting,
    /// Whom to trust beside the machine's own certificate authorities.
    pub own_ca: Option<OwnCa>,
    /// How they are read.
    pub metadata_source: MetadataSource,
    /// For how long answers of the vault are kept, and how many.
    pub cache: CachePolicy,
    /// What could sign in.
    pub credential: CredentialSettings,
    /// What is said before the first request.
    pub warnings: Vec<SettingWarning>,
    /// Which log lines are written.
    pub log_filter: Targets,
    /// How log lines look without a host.
    pub line_style: LineStyle,
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

/// Who is in front of the handler.
#[derive(Debug)]
pub enum Mode {
    /// The Functions host, which gave the port.
    Host {
        /// On loopback.
        port: u16,
    },
    /// Nobody.
    Standalone {
        /// The operator's key for level `function`, if any.
        function_key: Option<OwnKey>,
        /// The operator's key for everything, if any.
        master_key: Option<OwnKey>,
    },
}

/// A key that the operator has set.
#[derive(Debug, Clone)]
pub struct OwnKey {
    /// The key.
    pub key: FunctionKey,
    /// Where it is set.
    pub place: KeyPlace,
}

/// Where a key is set: the shell has what is in its environment, and not what is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPlace {
    /// The process's environment.
    Environment,
    /// `local.settings.json`.
    LocalSettings,
}

/// `KEY_VAULT_URL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VaultSetting {
    /// There is none: `secrets-metadata` says so when it is called.
    NotSet,
    /// The vault inside this process.
    #[cfg(feature = "dev-vault")]
    Embedded,
    /// A vault.
    Url(VaultUrl),
    /// None that can be used: [`Settings::wrong`] says why.
    Wrong,
}

/// What the handler does not read although somebody may think that it does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingWarning {
    /// No `local.settings.json`, and nothing in its place.
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

impl Settings {
    /// The setting that keeps the handler from reading any vault, if one does.
    #[must_use]
    pub fn needed_to_read(&self) -> Option<Arc<SettingError>> {
        self.wrong_of(&NEEDED_TO_READ)
    }

    /// The setting that keeps the handler from describing secrets, if one does.
    #[must_use]
    pub fn needed_to_describe(&self) -> Option<Arc<SettingError>> {
        self.wrong_of(&NEEDED_TO_DESCRIBE)
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
        let mut reader = Reader {
            environment,
            wrong: Vec::new(),
            warnings: Vec::new(),
        };
        reader.refuse_references();
        reader.warn_of_local_settings();
        reader.warn_of_names();
        let credential = reader.credential();
        let surroundings = reader.surroundings(&credential);
        let log_filter = reader.log_filter();
        let settings = Self {
            mode: reader.mode(),
            vault: reader.vault(),
            own_ca: reader.own_ca(),
            metadata_source: reader.metadata_source(),
            cache: reader.cache(),
            credential,
            warnings: std::mem::take(&mut reader.warnings),
            log_filter,
            line_style: environment.line_style(),
            export: reader.export(),
            app_settings: app_settings::read(environment, reader.resolves()),
            resolves: reader.resolves(),
            surroundings,
            wrong: std::mem::take(&mut reader.wrong),
        };
        let serves = match settings.mode {
            Mode::Host { .. } => settings.wrong_of(&NEEDED_TO_SERVE).is_none(),
            Mode::Standalone { .. } => settings.wrong.is_empty(),
        };
        if serves {
            Ok(settings)
        } else {
            Err(settings.wrong)
        }
    }
}

struct Reader<'a> {
    environment: &'a Environment,
    wrong: Vec<SettingError>,
    warnings: Vec<SettingWarning>,
}

/// Most misspelt names that are told.
const WARNINGS_LIMIT: usize = 10;

/// Whether the handler runs although `name` is a reference that was not resolved, and explains it.
/// The platform's report quotes references, and is none.
fn may_be_unresolved(name: &str) -> bool {
    LOOKED_AT.contains(&name)
        || export::is_about_it(name)
        || name == names::WEBSITE_KEYVAULT_REFERENCES
}

impl<'a> Reader<'a> {
    /// The value, if it is there and not empty. References have been refused already, where
    /// they cannot be.
    fn text(&self, name: &str) -> Option<&'a str> {
        let may_be = LOOKED_AT.contains(&name) || name == names::WEBSITE_KEYVAULT_REFERENCES;
        self.environment
            .get(name)
            .filter(|text| may_be || !is_reference(text))
    }

    /// The text of a reference is no key, no address and no secret: whoever took it for one
    /// would sign in with a text that everybody can read.
    fn refuse_references(&mut self) {
        for name in names::ALL.iter().copied() {
            let kind = self.environment.get(name).and_then(ReferenceKind::of);
            let Some(kind) = kind.filter(|_| !may_be_unresolved(name)) else {
                continue;
            };
            let found = match kind {
                ReferenceKind::KeyVault => "a Key Vault reference that was not resolved",
                ReferenceKind::AppConfiguration => {
                    "an App Configuration reference that was not resolved"
                }
            };
            let expected = if self.is_under_host() && !NEEDED_TO_SERVE.contains(&name) {
                "the value itself; config-check says why there is none"
            } else {
                "the value itself"
            };
            self.wrong.push(SettingError {
                name,
                found,
                expected: expected.to_owned(),
                otherwise: None,
                is_reference: true,
            });
        }
    }

    fn warn_of_local_settings(&mut self) {
        let is_set = |name: &&str| self.environment.get(name).is_some();
        let is_configured = LOOKED_AT.iter().any(is_set) || is_set(&names::KEY_VAULT_URL);
        match self.environment.file {
            LocalFile::Missing if !is_configured => {
                self.warnings.push(SettingWarning::NoLocalSettings);
            }
            LocalFile::NoValues => self.warnings.push(SettingWarning::NoValues),
            LocalFile::Missing | LocalFile::NotRead | LocalFile::Values => {}
        }
    }

    /// A name is told only where the setting that it may mean is not set: then it may well be
    /// another program's.
    fn warn_of_names(&mut self) {
        let mut seen = HashSet::new();
        let names = self.environment.local_names();
        let names = names.chain(self.environment.process_names());
        let misspelt = names.filter(|name| seen.insert(*name)).filter_map(|name| {
            let mut meant = spelling::meant_by(name);
            meant.retain(|meant| self.environment.get(meant).is_none());
            (!meant.is_empty()).then(|| SettingWarning::Misspelt {
                name: name.to_owned(),
                meant,
            })
        });
        let misspelt: Vec<_> = misspelt.take(WARNINGS_LIMIT).collect();
        self.warnings.extend(misspelt);
    }

    fn is_under_host(&self) -> bool {
        self.environment.host_port().is_some()
    }

    fn refuse(&mut self, name: &'static str, found: &'static str, expected: impl Into<String>) {
        self.wrong.push(SettingError {
            name,
            found,
            expected: expected.into(),
            otherwise: None,
            is_reference: false,
        });
    }

    /// Like [`Reader::refuse`], where there is another way out.
    fn refuse_or(
        &mut self,
        name: &'static str,
        found: &'static str,
        expected: impl Into<String>,
        otherwise: impl Into<String>,
    ) {
        self.refuse(name, found, expected);
        if let Some(wrong) = self.wrong.last_mut() {
            wrong.otherwise = Some(otherwise.into());
        }
    }

    fn number(&mut self, name: &'static str, range: RangeInclusive<u64>, default: u64) -> u64 {
        let Some(text) = self.text(name) else {
            return default;
        };
        let (from, to) = (range.start(), range.end());
        let found = match text.trim().parse() {
            Ok(number) if range.contains(&number) => return number,
            Ok(_) => "a number out of range",
            Err(_) => "text that is not a whole number",
        };
        let expected = format!("a whole number from {from} to {to}");
        if self.is_under_host() {
            let meanwhile = format!("{expected}; until then the default, {default}, counts");
            self.refuse(name, found, meanwhile);
        } else {
            self.refuse_or(
                name,
                found,
                expected,
                format!(", or remove it for {default}"),
            );
        }
        default
    }

    fn cache(&mut self) -> CachePolicy {
        let mut seconds =
            |name, from, default| Duration::from_secs(self.number(name, from..=86_400, default));
        let fresh_for = seconds(names::SECRET_CACHE_TTL_SECONDS, 1, 300);
        let max_stale = seconds(names::SECRET_CACHE_MAX_STALE_SECONDS, 0, 3_600);
        let missing_for = seconds(names::SECRET_CACHE_NEGATIVE_TTL_SECONDS, 0, 30);
        CachePolicy {
            fresh_for,
            // A fresh answer, jitter included, is never too old.
            max_stale: max_stale.max(fresh_for.mul_f64(1.1)),
            missing_for,
            capacity: self.number(names::SECRET_CACHE_CAPACITY, 1..=100_000, 1_000),
        }
    }

    fn mode(&mut self) -> Mode {
        if let Some((name, text)) = self.environment.host_port() {
            let port = text.trim().parse().ok();
            let Some(port) = port.filter(|port| *port != 0) else {
                let expected = "a port from 1 to 65535, as the Functions host does";
                let otherwise = ", or remove it to run without a host";
                self.refuse_or(name, "text that is not a port", expected, otherwise);
                return Mode::Host { port: 0 };
            };
            return Mode::Host { port };
        }
        let function_key = self.key(names::STANDALONE_FUNCTION_KEY);
        let master_key = self.key(names::STANDALONE_MASTER_KEY);
        let raw = |name| self.text(name);
        if function_key.is_some()
            && raw(names::STANDALONE_FUNCTION_KEY) == raw(names::STANDALONE_MASTER_KEY)
        {
            self.refuse(
                names::STANDALONE_MASTER_KEY,
                "the same key as STANDALONE_FUNCTION_KEY",
                "another one: the function key must not open secrets-metadata",
            );
        }
        Mode::Standalone {
            function_key,
            master_key,
        }
    }

    fn key(&mut self, name: &'static str) -> Option<OwnKey> {
        let text = self.text(name)?;
        let Ok(key) = FunctionKey::parse(text.to_owned()) else {
            let found = "text that cannot be sent in a header";
            let expected = "visible ASCII characters without spaces";
            self.refuse_or(name, found, expected, ", or remove it for a random key");
            return None;
        };
        let place = match self.environment.get_from_process(name) {
            Some(_) => KeyPlace::Environment,
            None => KeyPlace::LocalSettings,
        };
        Some(OwnKey { key, place })
    }

    fn vault(&mut self) -> VaultSetting {
        let is_about_it = |wrong: &SettingError| wrong.name == names::KEY_VAULT_URL;
        if self.wrong.iter().any(is_about_it) {
            return VaultSetting::Wrong;
        }
        let Some(text) = self.text(names::KEY_VAULT_URL) else {
            return VaultSetting::NotSet;
        };
        if text.trim().eq_ignore_ascii_case("embedded") {
            return self.embedded();
        }
        if let Ok(url) = VaultUrl::parse(text) {
            return VaultSetting::Url(url);
        }
        let expected = "https://NAME.vault.azure.net, without a path";
        let found = "text that is not a vault's address";
        self.refuse(names::KEY_VAULT_URL, found, expected);
        VaultSetting::Wrong
    }

    #[cfg(feature = "dev-vault")]
    #[expect(clippy::unused_self, reason = "without the feature, it reports")]
    fn embedded(&mut self) -> VaultSetting {
        VaultSetting::Embedded
    }

    #[cfg(not(feature = "dev-vault"))]
    fn embedded(&mut self) -> VaultSetting {
        let found = "the word embedded, and no such vault in this build";
        let expected = "https://NAME.vault.azure.net";
        let otherwise = ", or build with the feature dev-vault";
        self.refuse_or(names::KEY_VAULT_URL, found, expected, otherwise);
        VaultSetting::Wrong
    }

    fn own_ca(&mut self) -> Option<OwnCa> {
        let name = names::KEY_VAULT_CA_FILE;
        let file = self.text(name)?;
        let expected = "the path of a PEM file with certificates";
        let Ok(pem) = std::fs::read(file) else {
            let found = "the path of a file that cannot be read";
            self.refuse_or(name, found, expected, ", or remove it");
            return None;
        };
        let own_ca = OwnCa::from_pem(&pem).ok();
        if own_ca.is_none() {
            let found = "the path of a file without a PEM certificate";
            self.refuse_or(name, found, expected, ", or remove it");
        }
        own_ca
    }

    fn metadata_source(&mut self) -> MetadataSource {
        let name = names::SECRET_METADATA_SOURCE;
        match self.text(name).map(|text| text.trim().to_ascii_lowercase()) {
            None => MetadataSource::Versions,
            Some(word) if word == "versions" => MetadataSource::Versions,
            Some(word) if word == "get" => MetadataSource::Get,
            Some(_) => {
                self.refuse(name, "an unknown word", "versions or get");
                MetadataSource::Versions
            }
        }
    }

    fn credential(&mut self) -> CredentialSettings {
        let name = names::AZURE_TOKEN_CREDENTIALS;
        let filter = self.text(name).map(CredentialFilter::parse);
        if filter == Some(None) {
            let words = CredentialFilter::WORDS.map(|(word, _)| word).join(", ");
            let (found, expected) = (
                "a word that this handler does not support",
                format!("one of {words}"),
            );
            self.refuse_or(name, found, expected, ", or remove it");
        }
        let authority = names::AZURE_AUTHORITY_HOST;
        if self
            .text(authority)
            .is_some_and(|text| VaultUrl::parse(text).is_err())
        {
            let found = "text that is not an https address";
            let expected = "https://HOST of the cloud's Entra ID";
            self.refuse_or(authority, found, expected, ", or remove it");
        }
        let owned = |name| self.text(name).map(str::to_owned);
        let in_process = |name| self.environment.get_from_process(name).is_some();
        CredentialSettings {
            filter: filter.flatten(),
            tenant_id: owned(names::AZURE_TENANT_ID),
            client_id: owned(names::AZURE_CLIENT_ID),
            client_secret: owned(names::AZURE_CLIENT_SECRET).map(Into::into),
            federated_token_file: owned(names::AZURE_FEDERATED_TOKEN_FILE).map(PathBuf::from),
            // From local.settings.json they would not reach the SDK, which would then turn to
            // the virtual machine's endpoint and wait for minutes.
            has_identity_endpoint: in_process(names::IDENTITY_ENDPOINT)
                && in_process(names::IDENTITY_HEADER),
            is_on_azure: self.is_on_azure(),
        }
    }

    fn log_filter(&mut self) -> Targets {
        let Some(text) = self.text(names::RUST_LOG) else {
            return telemetry::default_filter();
        };
        telemetry::parse_filter(text).unwrap_or_else(|| {
            self.warnings.push(SettingWarning::LogFilter);
            telemetry::default_filter()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            Mode::Standalone {
                function_key: None,
                master_key: None
            }
        ));
        assert_eq!(settings.vault, VaultSetting::NotSet);
        assert_eq!(settings.cache.fresh_for, Duration::from_secs(300));
        assert_eq!(settings.cache.max_stale, Duration::from_secs(3_600));
        assert_eq!(settings.metadata_source, MetadataSource::Versions);
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
        ];
        let errors = read(&bad.map(|name| (name, canary))).expect_err("all bad");
        assert_eq!(errors.len(), bad.len(), "{errors:?}");
        for (name, error) in bad.iter().zip(&errors) {
            assert!(error.starts_with(&format!("{name}: found ")), "{error}");
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn what_may_be_a_mistake_is_a_warning() {
        let warnings = |pairs: &[_]| read(pairs).expect("valid").warnings;
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

    #[test]
    fn keys_are_checked_standalone() {
        let errors = read(&[
            (names::STANDALONE_FUNCTION_KEY, "with space"),
            (names::STANDALONE_MASTER_KEY, "ünïcode"),
        ]);
        assert_eq!(errors.expect_err("both bad").len(), 2);
        let same = [
            (names::STANDALONE_FUNCTION_KEY, "canary"),
            (names::STANDALONE_MASTER_KEY, "canary"),
        ];
        let errors = read(&same).expect_err("the same key");
        assert!(
            errors.iter().all(|error| !error.contains("canary")),
            "{errors:?}"
        );
    }

    #[test]
    fn the_newer_port_wins() {
        let both = [
            (names::FUNCTIONS_CUSTOMHANDLER_PORT, "8001"),
            (names::FUNCTIONS_HTTPWORKER_PORT, "8002"),
        ];
        assert!(matches!(
            read(&both).expect("valid").mode,
            Mode::Host { port: 8001 }
        ));
        let legacy = read(&both[1..]).expect("valid");
        assert!(matches!(legacy.mode, Mode::Host { port: 8002 }));
        assert!(read(&[(names::FUNCTIONS_CUSTOMHANDLER_PORT, "0")]).is_err());
    }

    #[test]
    fn an_unresolved_reference_is_taken_for_a_secret_only_where_it_is_looked_at() {
        let reference = "@Microsoft.KeyVault(VaultName=abc;SecretName=n)";
        for name in names::ALL.iter().filter(|name| !HOST_PORTS.contains(name)) {
            let errors = read(&[(name, reference)]).err().unwrap_or_default();
            if may_be_unresolved(name) {
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
