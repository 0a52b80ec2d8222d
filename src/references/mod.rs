//! Key Vault references: `@Microsoft.KeyVault(...)` in an app setting. App Configuration
//! references are listed too, and nothing more is known about them.
//!
//! | question | file |
//! | --- | --- |
//! | is this a reference, and to what? | [`syntax`] |
//! | what does the platform say about it? | [`status`] |
//! | what does a function get to see of a setting? | [`app_settings`] |
//! | what may a person see of its value? | [`masked`] |
//! | which references are there, and how are they? | [`inspector`] |
//! | how do callers share one attempt? | `single_flight` |

pub mod app_settings;
pub mod inspector;
pub mod masked;
pub(crate) mod single_flight;
pub mod status;
pub mod syntax;

pub use app_settings::{
    AppSetting, AppSettings, ConnectionStringType, KnownValue, SettingKind, SettingState,
};
pub use inspector::{Freshness, Inspector, ReferenceReport, ReportOptions, Resolves, Source};
pub use masked::Masked;
pub use status::Status;
pub use syntax::{Reference, ReferenceKind, SyntaxError, is_reference};
