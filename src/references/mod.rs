//! Key Vault references: `@Microsoft.KeyVault(...)` in an app setting.
//!
//! | question | file |
//! | --- | --- |
//! | is this a reference, and to what? | [`syntax`] |
//! | what is a setting's value where no platform puts references into effect? | [`local`] |

pub mod local;
pub mod syntax;

pub use local::{AppSetting, AppSettings, SettingState};
pub use syntax::{Reference, SyntaxError, is_reference};
