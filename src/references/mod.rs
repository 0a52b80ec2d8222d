//! Key Vault references: `@Microsoft.KeyVault(...)` in an app setting. App Configuration
//! references are listed too, and nothing more is known about them.
//!
//! | question | file |
//! | --- | --- |
//! | is this meant as a reference, and to what? | [`kind`] |
//! | what does its text say, or what is wrong with it? | [`syntax`] |
//! | what does the platform say about it? | [`status`] |
//! | what does a function get to see of a setting? | [`app_settings`] |
//! | what may a person see of its value? | [`masked`] |
//! | what does the handler find when it tries a reference? | `probe` |
//! | and from outside of the app? | [`check`] |
//! | what counts if the platform says otherwise? | `verdict` |
//! | which references are there, and how are they? | [`inspector`] |
//! | what is answered about one? | [`report`] |

pub mod app_settings;
pub mod check;
pub mod inspector;
pub mod kind;
pub mod masked;
mod probe;
pub mod report;
pub mod status;
pub mod syntax;
mod verdict;

pub use app_settings::{
    AppSetting, AppSettings, ConnectionStringType, KnownValue, SettingKind, SettingState,
};
pub use inspector::{Inspector, ReportOptions, SOON};
pub use kind::{ReferenceKind, is_reference};
pub use masked::Masked;
pub use probe::Resolves;
pub(crate) use probe::newer;
pub use report::{ExpiryReport, Freshness, ReferenceReport, Source};
pub use status::Status;
pub use syntax::{Reference, SyntaxError};
