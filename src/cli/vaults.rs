//! Which vaults are read, and how the handler signs in to them.

use std::sync::Arc;

#[cfg(feature = "dev-vault")]
use keyvault_functions::dev_vault::DevVault;
use keyvault_functions::{
    diagnosis::Cause,
    functions::Rotation,
    key_vault::{
        Connection, Error, VaultUrl, Vaults,
        credential::{self, ChosenCredential, is_on_path},
    },
    management::{self, ResourceManager},
    references::Reference,
    settings::{RefreshSetting, Settings, VaultSetting},
};

use super::failure::Failure;

/// The vault whose secrets are described, or why there is none.
pub(super) fn described(settings: &Settings) -> Result<VaultUrl, Cause> {
    if let Some(wrong) = settings.needed_to_describe() {
        return Err(Cause::Failed(Error::WrongSetting(wrong)));
    }
    match &settings.vault {
        VaultSetting::NotSet => Err(Cause::NoVault),
        #[cfg(feature = "dev-vault")]
        VaultSetting::Embedded(url) => Ok(url.clone()),
        VaultSetting::Url(url) => Ok(url.clone()),
    }
}

/// Vaults, and the credential that they are read with; `None` for the embedded one, and where no
/// credential was found.
type Readable = (Vaults, Option<ChosenCredential>);

/// Every vault that a reference or a route may name.
#[cfg_attr(
    not(feature = "dev-vault"),
    expect(clippy::unnecessary_wraps, reason = "only the embedded vault can fail")
)]
pub(super) fn readable(settings: &Settings) -> Result<Readable, Failure> {
    #[cfg(feature = "dev-vault")]
    if matches!(settings.vault, VaultSetting::Embedded(_)) {
        return Ok((embedded(|connection| connection)?, None));
    }
    Ok(real(settings, |connection| connection))
}

/// Who is asked to resolve references again, if anybody is.
pub(super) fn rotation(settings: &Settings, credential: Option<&ChosenCredential>) -> Rotation {
    let manager = settings
        .rotation
        .clone()
        .map(|RefreshSetting { url, site }| {
            let given = Arc::new((credential.cloned(), settings.own_ca.clone()));
            let why_none = Error::Credential(settings.credential.why_none());
            ResourceManager::new(url, site, move |scope| {
                let (given, why_none) = (given.clone(), why_none.clone());
                async move {
                    // Certificate authorities are read from files.
                    let connected = tokio::task::spawn_blocking(move || {
                        let (choice, own_ca) = &*given;
                        let own_ca = own_ca.as_ref();
                        let Some(scope) = scope else {
                            return credential::connect_to_stand_in(own_ca, management::CALL_LIMIT);
                        };
                        let choice = choice.as_ref().ok_or(why_none)?;
                        credential::connect_to(choice, own_ca, scope, management::CALL_LIMIT)
                    });
                    connected.await.unwrap_or(Err(Error::UnexpectedAnswer))
                }
            })
        });
    Rotation::new(manager)
}

/// What other apps' references are tried with.
pub(super) struct Outside {
    pub(super) vaults: Vaults,
    /// With which credential; `None` where none is needed, or was found.
    pub(super) checked_as: Option<String>,
    /// The vault that is inside this process, if that is read.
    pub(super) embedded: Option<VaultUrl>,
}

/// The vaults of other apps' references. The budget of a running instance does not bind a program
/// that ends by itself.
#[cfg_attr(
    not(feature = "dev-vault"),
    expect(clippy::unnecessary_wraps, reason = "only the embedded vault can fail")
)]
pub(super) fn from_outside<R: Iterator<Item = Reference>>(
    settings: &Settings,
    #[cfg_attr(not(feature = "dev-vault"), expect(unused_variables))] references: impl Fn() -> R,
) -> Result<Outside, Failure> {
    #[cfg(feature = "dev-vault")]
    if matches!(settings.vault, VaultSetting::Embedded(_)) || is_first_try(settings, references) {
        return Ok(Outside {
            vaults: embedded(Connection::without_budget)?,
            checked_as: None,
            embedded: DevVault::url(),
        });
    }
    let (vaults, credential) = real(settings, Connection::without_budget);
    Ok(Outside {
        vaults,
        checked_as: credential.map(|credential| credential.to_string()),
        embedded: None,
    })
}

/// Whether all references name the embedded vault, and nothing names another one.
#[cfg(feature = "dev-vault")]
fn is_first_try<R: Iterator<Item = Reference>>(
    settings: &Settings,
    references: impl Fn() -> R,
) -> bool {
    let embedded = DevVault::url();
    let is_embedded = |one: Reference| Some(&one.vault) == embedded.as_ref();
    settings.vault == VaultSetting::NotSet
        && references().next().is_some()
        && references().all(is_embedded)
}

/// The vault inside this process.
#[cfg(feature = "dev-vault")]
fn embedded(limited: fn(Connection) -> Connection) -> Result<Vaults, Failure> {
    let vault = DevVault::seeded().map_err(|_| Failure::no_randomness())?;
    let connection = limited(vault.connection());
    Ok(Vaults::new(move || {
        std::future::ready(Ok(connection.clone()))
    }))
}

/// The vaults of a cloud, or the dev vault of this machine instead.
fn real(settings: &Settings, limited: fn(Connection) -> Connection) -> Readable {
    let (vaults, credential) = signed_in(settings, limited);
    #[cfg(feature = "dev-vault")]
    let vaults = match settings.surroundings.dev_vault.clone() {
        Some(alias) => vaults.with_alias(alias.alias, alias.real),
        None => vaults,
    };
    (vaults, credential)
}

/// The credential is chosen now and set up when a vault is first needed. `limited` gives each
/// connection its limits.
fn signed_in(settings: &Settings, limited: fn(Connection) -> Connection) -> Readable {
    if let Some(wrong) = settings.needed_to_read() {
        let error = Error::WrongSetting(wrong);
        let vaults = Vaults::new(move || std::future::ready(Err(error.clone())));
        return (vaults, None);
    }
    let Some(choice) = settings.credential.choose(is_on_path) else {
        tracing::warn!(
            looked_for =
                "AZURE_CLIENT_SECRET, AZURE_FEDERATED_TOKEN_FILE, IDENTITY_ENDPOINT, az, azd",
            "no credential for Key Vault was found in the environment"
        );
        let error = Error::Credential(settings.credential.why_none());
        let vaults = Vaults::new(move || std::future::ready(Err(error.clone())));
        return (vaults, None);
    };
    let given = Arc::new((choice.clone(), settings.own_ca.clone()));
    let vaults = Vaults::new(move || {
        let given = given.clone();
        async move {
            // Certificate authorities are read from files.
            tokio::task::spawn_blocking(move || credential::connect(&given.0, given.1.as_ref()))
                .await
                .unwrap_or(Err(Error::UnexpectedAnswer))
                .map(limited)
        }
    });
    (vaults, Some(choice))
}
