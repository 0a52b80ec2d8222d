//! An Azure Functions custom handler that makes Key Vault secrets in a Function App visible
//! without revealing them. It answers three questions: did my Key Vault references resolve, what is
//! the state of this secret, and what breaks when?
//!
//! # The rooms
//!
//! | room | what it knows |
//! | --- | --- |
//! | `cli` | what a person types and sees, and the wiring; in the binary |
//! | [`settings`] | every setting, typed, read and validated once: a file for each concern |
//! | [`telemetry`] | log lines that the Functions host understands, and what is exported |
//! | [`answer`] | the one shape of a refusal |
//! | [`jsonc`], [`system`] | files that people write; what the operating system refuses |
//! | [`functions`] | one module per Azure Function |
//! | [`host`] | the custom-handler protocol; nothing of Key Vault |
//! | [`key_vault`] | reading a vault; nothing of HTTP serving |
//! | [`references`] | `@Microsoft.KeyVault(...)` |
//! | [`management`] | what the platform knows of the references, and that it resolves them again |
//! | [`diagnosis`] | a cause, in words that are true where they are read |
//! | `dev_vault` | the embedded Key Vault for development (feature `dev-vault`) |
//!
//! Dependencies point one way: `cli` → everything, [`functions`] → {[`references`],
//! [`diagnosis`], [`key_vault`]}, [`references`] → {[`diagnosis`], [`key_vault`]},
//! [`diagnosis`] → [`key_vault`]. [`host`] and [`key_vault`] never import each other.
//! [`settings`] fills the structs that the rooms define, and no room but `cli` knows it.
//!
//! # The path of a request
//!
//! client → Functions host (checks the key) → [`host::server`] → [`host::envelope`], if the
//! host sent one → [`host::router`] → a function → [`key_vault::cache`] → on a miss
//! [`key_vault::Vault`] → Key Vault. The answer takes the same way back.

/// The examples of the page are compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../docs/use-as-a-library.md")]
pub struct UseAsALibrary;

pub mod answer;
#[cfg(feature = "dev-vault")]
pub mod dev_vault;
pub mod diagnosis;
pub mod functions;
pub mod host;
pub mod jsonc;
pub mod key_vault;
pub mod management;
pub mod references;
pub mod settings;
pub mod system;
pub mod telemetry;
