//! Secrets that expire, and settings that use them.

use std::time::Duration;

use keyvault_functions::{
    dev_vault::{Attributes, DevVault, NewSecret},
    references::{AppSetting, status::read_platform_report},
};
use serde_json::json;
use time::OffsetDateTime;

use super::{InProcess, Setup, func_a};

const DAY: i64 = 24 * 60 * 60;

/// The app `func-a` on Azure with `vault`.
pub(crate) fn app_on(vault: DevVault, settings: Vec<AppSetting>) -> InProcess {
    let setup = Setup {
        settings,
        surroundings: func_a(),
        ..Setup::default()
    };
    InProcess::on(vault, setup)
}

/// The platform has resolved a reference to `secret`.
pub(crate) fn resolved(name: &str, secret: &str) -> AppSetting {
    let raw = format!("@Microsoft.KeyVault(VaultName=embedded;{secret})");
    let report = json!({ name: {"rawReference": raw, "status": "Resolved"} }).to_string();
    let entry = read_platform_report(&report).remove(0);
    AppSetting::new(name, "canary-value".to_owned().into())
        .reported(entry.raw_reference.as_deref(), entry.status)
}

/// Sets `secret`, which expires in so many seconds, and gives its version.
pub(crate) fn set(vault: &DevVault, secret: &str, expires_in: impl Into<Option<i64>>) -> String {
    set_at(vault, secret, expires_in, OffsetDateTime::now_utc())
}

/// Sets it once more, in another second: the vault keeps no shorter times.
pub(crate) fn set_again(vault: &DevVault, secret: &str, expires_in: impl Into<Option<i64>>) {
    let later = OffsetDateTime::now_utc() + Duration::from_secs(2);
    set_at(vault, secret, expires_in, later);
}

fn set_at(
    vault: &DevVault,
    secret: &str,
    expires_in: impl Into<Option<i64>>,
    created: OffsetDateTime,
) -> String {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let new = NewSecret {
        attributes: Attributes {
            exp: expires_in.into().map(|seconds| now + seconds),
            ..Attributes::default()
        },
        ..NewSecret::of("canary-value")
    };
    vault.store().set_at(secret, new, created).expect("set")
}

/// Half a day more than `days`, so that no clock decides.
pub(crate) fn in_days(days: i64) -> i64 {
    days * DAY + DAY / 2
}
