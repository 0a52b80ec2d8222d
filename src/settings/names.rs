//! Names of the environment variables that are read, each once, and what depends on them.

pub use crate::functions::{DATABASE_PASSWORD, EXTERNAL_API_KEY};

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        $($(#[$doc])* pub const $name: &str = stringify!($name);)*

        /// All of them; the tables of `docs/settings.md` are checked against this list.
        pub const ALL: &[&str] = &[EXTERNAL_API_KEY, DATABASE_PASSWORD, $($name),*];
    };
}

names! {
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
    /// `off`: no lines about secrets that expire.
    EXPIRY_WARNINGS,
    /// `on`: the platform is asked to resolve references again when a secret has a new version.
    ROTATION_REFRESH,
    /// Azure Resource Manager of another cloud, or a stand-in on this machine.
    AZURE_RESOURCE_MANAGER_URL,
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
    /// Key that `handler dev-vault` sends with events.
    DEV_VAULT_EVENTS_KEY,
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
    /// Set by the platform: the cloud.
    WEBSITE_CLOUD_NAME,
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

/// The settings that are meant to come from a vault: `config-check` looks at them.
pub(super) const EXPECTED: [&str; 2] = [EXTERNAL_API_KEY, DATABASE_PASSWORD];

/// Where the Functions host writes the port; the first one that is set counts.
pub(super) const HOST_PORTS: [&str; 2] = [FUNCTIONS_CUSTOMHANDLER_PORT, FUNCTIONS_HTTPWORKER_PORT];

/// Without these nothing can be served, and so nothing explained.
pub(super) const NEEDED_TO_SERVE: [&str; 3] = [
    FUNCTIONS_CUSTOMHANDLER_PORT,
    FUNCTIONS_HTTPWORKER_PORT,
    FUNCTIONS_APP_ROOT_PATH,
];

/// Without these no vault is read: the handler would sign in as somebody else, or trust others.
pub(super) const NEEDED_TO_READ: [&str; 9] = [
    KEY_VAULT_CA_FILE,
    AZURE_TOKEN_CREDENTIALS,
    AZURE_CLIENT_ID,
    AZURE_TENANT_ID,
    AZURE_CLIENT_SECRET,
    AZURE_AUTHORITY_HOST,
    AZURE_FEDERATED_TOKEN_FILE,
    IDENTITY_ENDPOINT,
    IDENTITY_HEADER,
];

/// Without these no secret is described: another vault or another operation might be meant.
pub(super) const NEEDED_TO_DESCRIBE: [&str; 2] = [KEY_VAULT_URL, SECRET_METADATA_SOURCE];

/// Whether a setting is about the export, which can fail without the handler.
pub(super) fn is_about_export(name: &str) -> bool {
    name.starts_with("OTEL_")
}

/// Whether the handler runs although `name` is a reference that was not resolved, and explains
/// it. The platform's report quotes references, and is none.
pub(super) fn may_be_unresolved(name: &str) -> bool {
    EXPECTED.contains(&name) || is_about_export(name) || name == WEBSITE_KEYVAULT_REFERENCES
}
