//! Reading a Key Vault: metadata without values, from one client per vault. Knows nothing
//! of HTTP serving.
//!
//! | question | file |
//! | --- | --- |
//! | what may a secret, a version, a vault be called? | [`names`] |
//! | how is a secret read, and how long may that take? | [`client`] |
//! | which requests leave the process at all? | [`transport`] |
//! | how many leave at most? | `budget` |
//! | how do they travel, and why did one not arrive? | [`https`] |
//! | which addresses does a host have? | [`dns`] |
//! | which certificates are trusted? | [`tls`] |
//! | when is the vault not asked? | [`cache`] |
//! | as whom does the handler sign in? | [`credential`] |
//! | who asks for a token, and when? | [`token`] |
//! | what can go wrong? | [`error`] |

mod budget;
pub mod cache;
pub mod client;
pub mod credential;
pub mod dns;
pub mod error;
pub mod https;
pub mod names;
pub mod tls;
pub mod token;
pub mod transport;

pub use cache::{CachePolicy, Found, Outcome, SecretCache};
pub use client::{Connection, MetadataSource, SecretMetadata, Vault, Vaults};
pub use error::Error;
pub use names::{SecretId, SecretName, SecretVersion, VaultUrl};
