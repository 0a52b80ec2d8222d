//! What a person types and sees, and how the modules are wired. Of the crate's modules only this one
//! knows the settings; it is in the binary, so the library cannot know it.

pub(crate) mod arguments;
pub(crate) mod banner;
pub(crate) mod check;
#[cfg(feature = "dev-vault")]
pub(crate) mod dev_vault;
pub(crate) mod failure;
mod help;
mod process;
pub(crate) mod run;
mod vaults;
