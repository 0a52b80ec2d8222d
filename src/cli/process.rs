//! What every command starts with: its log and its runtime.

use keyvault_functions::{
    settings::{LogSettings, SettingWarning},
    telemetry::{self, Export, Telemetry},
};
use tokio::runtime::{Builder, Runtime};

use super::failure::{Failure, exit};

/// Whoever starts it flushes it at the end.
pub(super) fn telemetry<'a>(
    log: &LogSettings,
    export: &Export,
    warnings: impl IntoIterator<Item = &'a SettingWarning>,
) -> Result<Telemetry, Failure> {
    let telemetry = telemetry::start(&log.filter, log.style, export).map_err(|error| {
        Failure::of_system(exit::INTERNAL, "a thread cannot be started", &error)
    })?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(telemetry)
}

pub(super) fn runtime() -> Result<Runtime, Failure> {
    let mut runtime = Builder::new_multi_thread();
    runtime.enable_all().build().map_err(|error| {
        Failure::of_system(exit::INTERNAL, "the runtime cannot be started", &error)
    })
}
