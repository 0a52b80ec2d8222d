//! From a cause to words.

use std::{fmt::Write as _, time::Duration};

use time::{OffsetDateTime, format_description::FormatItem, macros::format_description};

use super::{
    Cause, Explanation, Facts, Fix, Named, Subject, fix,
    function_app::{Identity, Plan, Surroundings},
};
use crate::key_vault::{
    Error, VaultUrl,
    error::{Denial, Reach, SettingError, TlsFailure},
};

/// What a caller is asked to wait when the vault does not say.
const WAIT: Duration = Duration::from_secs(10);
/// The longest wait that is passed on.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// What the embedded vault holds at start.
const EMBEDDED_SECRETS: &str = "ExternalApiKey and DatabasePassword";

/// Says what `cause` means for `subject`, where the handler runs.
#[must_use]
pub fn explain(
    cause: &Cause,
    subject: &Subject<'_>,
    surroundings: &Surroundings,
    now: OffsetDateTime,
) -> Explanation {
    let explainer = Case {
        subject,
        surroundings,
        now,
    };
    let words = explainer.explain(cause);
    Explanation {
        code: cause.code(),
        detail: words.detail,
        fix: words.fix,
        retry_after: words.retry_after,
    }
}

/// An explanation without its code, which the cause has.
pub(super) struct Words {
    detail: String,
    fix: Fix,
    retry_after: Option<Duration>,
}

impl Words {
    pub(super) fn new(detail: impl Into<String>, fix: Fix) -> Self {
        Self {
            detail: detail.into(),
            fix,
            retry_after: None,
        }
    }

    /// It passes by itself, after `wait` if the vault said so.
    fn passing(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = Some(wait.unwrap_or(WAIT).min(LONGEST_WAIT));
        self
    }
}

impl Explanation {
    /// Adds what is odd about the secret. The cause stays the cause.
    #[must_use]
    pub fn and(mut self, facts: &Facts, now: OffsetDateTime) -> Self {
        if facts.is_disabled {
            self.detail.push_str(
                " The secret is also disabled, and Key Vault serves no value of a disabled secret.",
            );
        }
        if let Some(expires) = facts.expires.filter(|expires| *expires <= now) {
            let expired = utc(expires);
            let _ = write!(
                self.detail,
                " The secret expired on {expired}. Key Vault still serves it."
            );
        }
        if let Some(start) = facts.not_before.filter(|start| *start > now) {
            let start = utc(start);
            let _ = write!(
                self.detail,
                " The secret is not valid before {start}. Key Vault serves it already."
            );
        }
        self
    }
}

/// One subject where the handler runs. `fix` has its commands, `network` and `sign_in` a part of
/// its words.
pub(super) struct Case<'a> {
    pub(super) subject: &'a Subject<'a>,
    pub(super) surroundings: &'a Surroundings,
    pub(super) now: OffsetDateTime,
}

impl Case<'_> {
    /// What a person calls the vault.
    pub(super) fn vault(&self) -> String {
        match self.azure_name() {
            Some(name) => format!("the vault {name}"),
            None if self.is_embedded() => "the embedded vault".to_owned(),
            None if self.is_dev_vault() => "the dev vault".to_owned(),
            None => format!("the vault at {}", self.host()),
        }
    }

    /// The same at the start of a sentence.
    pub(super) fn vault_first(&self) -> String {
        self.vault().replacen('t', "T", 1)
    }

    /// Where the vault is asked: host and, if it is not 443, port.
    pub(super) fn host(&self) -> &str {
        self.asked().map_or("", VaultUrl::authority)
    }

    /// The vault's host alone, which is what a name server is asked for.
    pub(super) fn name_in_dns(&self) -> &str {
        self.asked().map_or("", VaultUrl::host)
    }

    fn asked(&self) -> Option<&VaultUrl> {
        let vault = self.subject.vault;
        match &self.surroundings.dev_vault {
            Some(dev_vault) if vault == Some(&dev_vault.alias) => Some(&dev_vault.real),
            _ => vault,
        }
    }

    /// The setting that says where the vault is.
    pub(super) fn where_it_is_set(&self) -> &str {
        if self.is_dev_vault() {
            "KEY_VAULT_URL"
        } else {
            self.subject.named.setting()
        }
    }

    /// What `az keyvault` calls the vault. An emulator or the embedded vault has no such name.
    pub(super) fn azure_name(&self) -> Option<&str> {
        let vault = self.subject.vault?;
        if self.is_embedded() || self.is_dev_vault() {
            return None;
        }
        vault.azure_name()
    }

    fn is_embedded(&self) -> bool {
        let vault = self.subject.vault;
        vault.is_some_and(|vault| self.surroundings.is_embedded(vault))
    }

    fn is_dev_vault(&self) -> bool {
        let alias = self.surroundings.dev_vault.as_ref().map(|one| &one.alias);
        self.subject.vault.is_some() && self.subject.vault == alias
    }

    pub(super) fn is_on_azure(&self) -> bool {
        self.surroundings.is_on_azure()
    }

    fn is_local_vault(&self) -> bool {
        self.asked().is_some_and(VaultUrl::is_loopback)
    }

    /// A command for vaults on Azure; for others, `otherwise`.
    fn for_azure(&self, sentence: &str, command: impl Fn(&str) -> String, otherwise: Fix) -> Fix {
        match self.azure_name() {
            Some(vault) => Fix::with(sentence, command(vault)),
            None => otherwise,
        }
    }

    fn explain(&self, cause: &Cause) -> Words {
        let secret = self.subject.secret;
        match cause {
            Cause::Failed(error) => self.failed(error),
            Cause::NoVault => Words::new(
                "The app setting KEY_VAULT_URL is not set.",
                self.set_app_setting("KEY_VAULT_URL", "<vault-url>"),
            ),
            Cause::Deleted => Words::new(
                format!(
                    "The secret {secret} is deleted from {} and can be recovered.",
                    self.vault()
                ),
                self.for_azure(
                    "Recover it with",
                    |vault| fix::recover(vault, secret),
                    Fix::without_command("Recover it, or set the secret again."),
                ),
            ),
            Cause::MayNotList => Words::new(
                format!(
                    "The handler may get secrets of {} but not list them. So it cannot tell whether {secret} exists without reading its value.",
                    self.vault()
                ),
                self.try_again(),
            ),
            Cause::ResolvedSinceStart => Words::new(
                "The platform resolved the reference after this process started.",
                Fix::with("Restart the app with", self.restart()),
            ),
            Cause::UnusualSpelling(reference) => Words::new(
                "The handler can read the secret, but the reference is not spelt as documented (letter case or white space). The platform may not accept it.",
                self.set_reference("Use the documented spelling with", reference),
            ),
            Cause::OtherIdentity(client_id) => Words::new(
                format!(
                    "The handler's user-assigned identity can read {secret} in {}. The platform resolves references with the system-assigned identity unless keyVaultReferenceIdentity names another.",
                    self.vault()
                ),
                Fix::with(
                    "Let the platform use the same identity with",
                    self.use_identity_for_references(client_id),
                ),
            ),
            Cause::OtherSignIn => Words::new(
                format!(
                    "The handler can read {secret} in {}, but it signs in as another identity than the platform, which uses the app's managed identity.",
                    self.vault()
                ),
                self.grant_the_app(),
            ),
            Cause::Readable => Words::new(
                format!(
                    "The handler can read {secret} in {}. The setting or the access may have changed after the platform last tried.",
                    self.vault()
                ),
                self.try_again(),
            ),
            Cause::Syntax(what) => Words::new(
                format!("The reference is not valid: {what}."),
                self.correct_reference(),
            ),
            Cause::Stale(other_form) => self.stale(other_form.as_deref()),
            Cause::AppConfiguration => self.app_configuration(),
            Cause::EmptyValue => self.empty_value(),
        }
    }

    /// A setting that is meant to come from a vault has no value.
    fn empty_value(&self) -> Words {
        let may_be_flex = !matches!(
            self.surroundings.app.plan(),
            Some(Plan::Consumption | Plan::Dedicated)
        );
        let detail = if may_be_flex {
            "The setting exists and is empty. On Flex Consumption the platform leaves a reference empty when it has no identity to resolve it with."
        } else {
            "The setting exists and is empty."
        };
        let fix = match &self.surroundings.identity {
            Identity::UserAssigned(id) => Fix::with(
                "If the setting is a reference, let the platform use the app's identity with",
                self.use_identity_for_references(id),
            ),
            Identity::SystemAssigned if !self.surroundings.has_identity_endpoint => Fix::with(
                "If the setting is a reference, give the app an identity with",
                self.assign_identity(),
            ),
            _ => Fix::with(
                "If the setting is a reference, see what the platform says about it with",
                self.platforms_reason(),
            ),
        };
        Words::new(detail, fix)
    }

    fn stale(&self, other_form: Option<&str>) -> Words {
        let detail = "The vault has a newer value than the app.";
        if !self.is_on_azure() {
            let fix = Fix::without_command("Restart the handler. It resolves references once.");
            return Words::new(detail, fix);
        }
        let refresh = self.refresh();
        let fix = match other_form.and_then(|form| self.set_to(form)) {
            Some(other) => Fix::with_all(
                "Make the platform read the vault again with the first command. If the value stays old, write the reference without SecretUri with the second:",
                [refresh, other],
            ),
            None => Fix::with("Make the platform read the vault again with", refresh),
        };
        Words::new(detail, fix)
    }

    fn app_configuration(&self) -> Words {
        let detail = "The value is still an App Configuration reference. Nothing has resolved it.";
        let fix = if self.is_on_azure() {
            Fix::with(
                "Give the app's identity the role App Configuration Data Reader on the store, and check endpoint, key and label. Then make the platform try again with",
                self.refresh(),
            )
        } else {
            Fix::without_command(format!(
                "Only Azure resolves these references. In local.settings.json, set {} to the value itself.",
                self.subject.named.setting()
            ))
        };
        Words::new(detail, fix)
    }

    fn failed(&self, error: &Error) -> Words {
        match error {
            Error::SecretNotFound | Error::SecretVersionNotFound => self.not_found(error),
            Error::SecretDisabled => self.disabled(),
            Error::AccessDenied(denial) => self.denied(*denial),
            Error::TokenRefused => self.token_refused(),
            Error::ForbiddenByFirewall => self.firewall(),
            Error::ForbiddenByConnection => self.connection(),
            Error::VaultNotFound => self.vault_not_found(),
            Error::Unreachable(reach) => self.unreachable(*reach).passing(None),
            Error::TimedOut => self.timed_out(),
            Error::TlsFailed(failure) => self.tls_failed(*failure),
            Error::NoCertificateAuthorities => Words::new(
                "This machine has no certificate authorities to check the vault's certificate with.",
                Fix::without_command(if self.is_on_azure() {
                    "Put a PEM file of authorities into the package, and name it in SSL_CERT_FILE."
                } else {
                    "Install the package ca-certificates, or correct SSL_CERT_FILE and SSL_CERT_DIR."
                }),
            ),
            Error::TooManyVersions => Words::new(
                format!(
                    "The secret {} has more versions than the handler can list in time.",
                    self.subject.secret
                ),
                self.without_a_list(),
            ),
            Error::TooManyVaults => Words::new(
                "The app's settings name more vaults than the handler reads (64). This vault is one too many.",
                if self.is_on_azure() {
                    Fix::with(
                        "The platform has no such limit. See what it says about this reference with",
                        self.platforms_reason(),
                    )
                } else {
                    Fix::without_command("Use fewer vaults in local.settings.json.")
                },
            ),
            Error::BudgetSpent { retry_after } => Words::new(
                "This instance has sent as many requests to vaults as it may (400 in 10 s).",
                Fix::without_command(
                    "Wait. If this happens often, ask for fewer secrets at a time, or raise SECRET_CACHE_TTL_SECONDS. A secret with many versions takes a request for each 25 of them.",
                ),
            )
            .passing(Some(*retry_after)),
            Error::Throttled { retry_after } => Words::new(
                format!("{} limits the number of requests.", self.vault_first()),
                Fix::without_command(match self.subject.named {
                    Named::KeyVaultUrl => {
                        "Wait. If this happens often, raise SECRET_CACHE_TTL_SECONDS or give the vault fewer clients."
                    }
                    _ => "Wait. The handler tries again by itself. If this happens often, give the vault fewer clients.",
                }),
            )
            .passing(*retry_after),
            Error::Unavailable { retry_after } => Words::new(
                format!("{} reports a problem of its own.", self.vault_first()),
                Fix::without_command(if self.azure_name().is_some() {
                    "Wait. If it stays, see https://status.azure.com"
                } else {
                    "Wait. If it stays, look at the log of what serves this address."
                }),
            )
            .passing(*retry_after),
            Error::Credential(cause) => self.without_token(cause),
            Error::WrongSetting(wrong) => self.wrong_setting(wrong),
            Error::RequestRefused => Words::new(
                format!(
                    "{} refused the request as malformed. It may not support this API version.",
                    self.host()
                ),
                Fix::without_command(if self.azure_name().is_some() {
                    "This is a defect in the handler. Please report it."
                } else {
                    "Use a newer version of the emulator."
                }),
            ),
            Error::UnexpectedAnswer => Words::new(
                format!("The answer of {} is not Key Vault's.", self.host()),
                Fix::without_command(format!(
                    "Check that {} names a vault, and that no proxy answers in its place.",
                    self.where_it_is_set()
                )),
            ),
        }
    }

    /// What helps where a list of versions is too long.
    fn without_a_list(&self) -> Fix {
        let secret = self.subject.secret;
        match (self.subject.named, self.subject.version) {
            (Named::KeyVaultUrl, _) => self.set_app_setting("SECRET_METADATA_SOURCE", "get"),
            (_, Some(version)) => self.for_azure(
                "See whether this version exists with",
                |vault| fix::show_version(vault, secret, version),
                Fix::without_command("Leave the version out to follow the latest one."),
            ),
            _ => self.try_again(),
        }
    }

    fn wrong_setting(&self, wrong: &SettingError) -> Words {
        let SettingError {
            name,
            found,
            expected,
            is_reference,
            ..
        } = wrong;
        let is_about_a_reference = self.subject.named.is_reference();
        let detail = if is_about_a_reference {
            format!("The handler cannot check this reference: it needs {name}, which is {found}.")
        } else {
            format!("The setting {name} is {found}. The handler needs it to read a vault.")
        };
        let fix = match (is_about_a_reference, self.is_on_azure()) {
            (true, true) => Fix::with(
                "See what the platform says about it with",
                self.platforms_reason(),
            ),
            (false, true) if *is_reference => Fix::without_command(format!(
                "See the entry of {name} in config-check, or set the value itself."
            )),
            (false, true) => Fix::with(
                format!("Give {expected}. Set it with"),
                self.set_to_a_value(name),
            ),
            (_, false) => {
                Fix::without_command(format!("In local.settings.json, set {name} to {expected}."))
            }
        };
        Words::new(detail, fix)
    }

    fn tls_failed(&self, failure: TlsFailure) -> Words {
        let (host, setting) = (self.host(), self.where_it_is_set());
        let (detail, fix) = match failure {
            TlsFailure::UnknownIssuer => (
                format!("The certificate of {host} is from an authority that is not trusted here."),
                "If a proxy intercepts TLS, or the vault is an emulator, put its certificate authority into a PEM file and name it in KEY_VAULT_CA_FILE.".to_owned(),
            ),
            TlsFailure::WrongName => (
                format!("The certificate of {host} is another host's."),
                format!("Correct the host name in {setting}, or check which machine answers there."),
            ),
            TlsFailure::Expired => (
                format!("The certificate of {host} has expired, or is not valid yet."),
                "Check the date of this machine. If it is right, the certificate must be renewed.".to_owned(),
            ),
            TlsFailure::NotTls => (
                format!("What answers at {host} does not speak TLS."),
                format!("Check the port in {setting}, and that no proxy answers in its place."),
            ),
            TlsFailure::Other => (
                format!("No TLS connection to {host} could be made."),
                format!("Check that {setting} names a vault, and that no proxy intercepts TLS."),
            ),
        };
        Words::new(detail, Fix::without_command(fix))
    }

    fn not_found(&self, error: &Error) -> Words {
        let (vault, secret) = (self.vault(), self.subject.secret);
        if *error == Error::SecretVersionNotFound {
            let version = self.subject.version.unwrap_or("of this id");
            return Words::new(
                format!("The secret {secret} in {vault} has no version {version}."),
                self.for_azure(
                    "Compare the version with",
                    |vault| fix::list_versions(vault, secret),
                    Fix::without_command("Leave the version out to follow the latest one."),
                ),
            );
        }
        let detail = match self.subject.named {
            // The recipe's own words.
            Named::KeyVaultUrl => format!("Secret not found: {secret}"),
            _ => format!("{} has no secret {secret}.", self.vault_first()),
        };
        let fix = match self.subject.named {
            Named::KeyVaultUrl if self.is_embedded() => {
                Fix::without_command(format!("The embedded vault has {EMBEDDED_SECRETS}."))
            }
            named if self.is_embedded() => Fix::without_command(format!(
                "In local.settings.json, point {} at a secret of the embedded vault. It has {EMBEDDED_SECRETS}.",
                named.setting()
            )),
            named if self.is_dev_vault() => Fix::without_command(format!(
                "In local.settings.json, point {} at a secret of the dev vault. It starts with {EMBEDDED_SECRETS}.",
                named.setting()
            )),
            _ => self.for_azure(
                "Compare the name with",
                fix::list_secrets,
                Fix::without_command("Compare the name with those that the vault lists."),
            ),
        };
        Words::new(detail, fix)
    }

    fn disabled(&self) -> Words {
        let (vault, secret) = (self.vault(), self.subject.secret);
        let version = self.subject.version;
        let enable = |vault: &str| fix::set_attributes(vault, secret, version, "--enabled true");
        let sentence = match self.subject.named {
            Named::KeyVaultUrl => {
                "SECRET_METADATA_SOURCE=versions describes disabled secrets, too. To enable it, run"
            }
            _ => "Enable it with",
        };
        Words::new(
            format!("The secret {secret} in {vault} is disabled."),
            self.for_azure(sentence, enable, Fix::without_command("Enable it.")),
        )
    }

    fn denied(&self, denial: Denial) -> Words {
        let (vault, who) = (self.vault(), self.who());
        let detail = match denial {
            Denial::Role => {
                format!("{who} has no role that allows it to read secrets in {vault}.")
            }
            Denial::AccessPolicy => {
                format!("{who} has no access policy that allows it to read secrets in {vault}.")
            }
            Denial::Policy => format!(
                "A policy of {vault} refuses this operation (ForbiddenByPolicy). Some pages use this word for the vault's firewall."
            ),
            Denial::Other => format!(
                "{} refuses access for a reason that this handler does not know.",
                self.vault_first()
            ),
        };
        Words::new(detail, self.allow(denial))
    }

    fn allow(&self, denial: Denial) -> Fix {
        let Some(vault) = self.azure_name() else {
            return self.allow_elsewhere();
        };
        if denial == Denial::Policy {
            return Fix::with(
                "See whether the vault has a firewall with",
                format!("az keyvault show --name {vault} --query properties.networkAcls"),
            );
        }
        let (role, policy) = (self.grant_role(vault), self.grant_policy(vault));
        // The platform resolves with the app's own identity, unless it is told another one.
        if self.is_platforms() {
            match &self.surroundings.identity {
                Identity::SystemAssigned => {}
                Identity::UserAssigned(id) => {
                    return Fix::with_all(
                        "Grant the identity a role (first command) or, if the vault uses them, an access policy (second), and let references use it (third):",
                        [role, policy, self.use_identity_for_references(id)],
                    );
                }
                Identity::Application(_) | Identity::Developer => return self.grant_the_app(),
            }
        }
        match denial {
            Denial::Role => Fix::with(
                "If you have just granted one, wait some minutes. Otherwise grant it with",
                role,
            ),
            Denial::AccessPolicy => Fix::with("Grant it with", policy),
            Denial::Policy | Denial::Other => Fix::with_all(
                "If the vault uses roles, grant one with the first command; if it uses access policies, with the second:",
                [role, policy],
            ),
        }
    }

    /// Whether the platform resolves what is explained, with an identity of its own.
    pub(super) fn is_platforms(&self) -> bool {
        self.is_on_azure() && self.subject.named.is_reference()
    }

    /// What lets the platform read the vault as the app.
    fn grant_the_app(&self) -> Fix {
        match self.azure_name() {
            Some(vault) => Fix::with_all(
                "The platform resolves references with the app's managed identity. Give the app one, and grant it a role, or an access policy if the vault uses those, with",
                [
                    self.assign_identity(),
                    self.grant_role(vault),
                    self.grant_policy(vault),
                ],
            ),
            None => self.allow_elsewhere(),
        }
    }

    pub(super) fn allow_elsewhere(&self) -> Fix {
        Fix::without_command(format!(
            "Allow it in the configuration of what serves {}.",
            self.host()
        ))
    }

    /// The identity that was refused, at the start of a sentence.
    fn who(&self) -> &'static str {
        match self.surroundings.identity {
            Identity::SystemAssigned if self.is_on_azure() => "The app's managed identity",
            Identity::SystemAssigned => "The managed identity",
            Identity::UserAssigned(_) => "The user-assigned identity of AZURE_CLIENT_ID",
            Identity::Application(_) => "The application of AZURE_CLIENT_ID",
            Identity::Developer => "The account that is signed in with az or azd",
        }
    }

    fn token_refused(&self) -> Words {
        let fix = match self.azure_name() {
            Some(vault) => {
                let commands = self.compare_tenants(vault);
                let sentence = if commands.len() > 1 {
                    "The usual reason is that the vault belongs to another tenant than the identity. Compare the two with"
                } else {
                    "The usual reason is that the vault belongs to another tenant than the identity. Compare AZURE_TENANT_ID with the vault's:"
                };
                Fix::with_all(sentence, commands)
            }
            None => Fix::without_command(
                "If the emulator was started again, set what it printed this time, and start the handler again.",
            ),
        };
        Words::new(
            format!(
                "{} refuses the token of the identity. It does not say why.",
                self.vault_first()
            ),
            fix,
        )
    }

    fn unreachable(&self, reach: Reach) -> Words {
        let host = self.host();
        let (detail, fix) = match reach {
            Reach::Proxy => (
                "The host name of the proxy (HTTPS_PROXY or ALL_PROXY) has no address.".to_owned(),
                "Correct it, or name the vault's host in NO_PROXY.",
            ),
            Reach::NameResolution => (
                format!("No name server answered for {}.", self.name_in_dns()),
                if self.is_on_azure() {
                    "This usually passes. If it stays, check the DNS servers of the virtual network and WEBSITE_DNS_SERVER."
                } else {
                    "Check that this machine is online, and its VPN and DNS servers."
                },
            ),
            Reach::Refused if self.is_local_vault() => (
                format!("Nothing listens at {host}."),
                "Start the emulator, or correct the port.",
            ),
            Reach::Refused => (
                format!("{host} refuses connections."),
                "Key Vault never does. Check the proxy (HTTPS_PROXY), if there is one, and which address the vault's name resolves to.",
            ),
            Reach::Connection => (
                format!("No connection to {host} could be made."),
                "Check the network between here and the vault: port 443 must be open, and a proxy must let the vault's address through.",
            ),
            Reach::Interrupted => (
                format!("The connection to {host} broke off."),
                "Try again. If it stays, check what stands between here and the vault.",
            ),
        };
        Words::new(detail, Fix::without_command(fix))
    }

    fn timed_out(&self) -> Words {
        let fix = if self.is_local_vault() {
            "Try again. If it stays, look at what serves this address."
        } else if self.is_on_azure() {
            "Try again. If it stays, something drops the traffic: check the network security group, the route table and the firewall between the app's network and the vault, port 443."
        } else {
            "Try again. If it stays, check this machine's network, VPN and proxy."
        };
        Words::new(
            format!("{} did not answer in time.", self.vault_first()),
            Fix::without_command(fix),
        )
    }
}

fn utc(time: OffsetDateTime) -> String {
    const FORMAT: &[FormatItem<'_>] =
        format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    let time = time.to_offset(time::UtcOffset::UTC);
    time.format(FORMAT).unwrap_or_default()
}
