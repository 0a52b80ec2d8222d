//! Reading a Key Vault: metadata without values, from one client per vault. Knows nothing
//! of HTTP serving.
//!
//! | question | file |
//! | --- | --- |
//! | what may an object, a version, a vault be called? | [`names`] |
//! | when is the vault not asked? | [`cache`] |
//! | how do callers share one attempt? | `single_flight` |
//! | which vaults are open? | `vaults` |
//! | how is an object read? | `vault`, by the official `clients` |
//! | which objects does a vault have? | `inventory` |
//! | what does Key Vault say about an object, and when it refuses? | `wire`, `refusal` |
//! | how often is a vault asked? | `pacing` |
//! | how is it asked again, where nobody waits? | `patience` |
//! | how do requests travel, and as whom? | `connection` |
//! | which requests leave the process at all? | `transport` |
//! | how do they travel, and why did one not arrive? | [`https`] |
//! | which addresses does a host have? | [`dns`] |
//! | which certificates are trusted? | [`tls`] |
//! | which path do requests take? | `network_path` |
//! | as whom does the handler sign in? | [`credential`] |
//! | who asks for a token, and when? | `token` |
//! | who is a token for? | `principal` |
//! | what can go wrong? | [`error`] |
//! | how does a cause pass through the SDK? | `sdk` |
//! | what is limited, and why so? | [`limits`] |

pub mod cache;
mod clients;
mod connection;
pub mod credential;
pub mod dns;
pub mod error;
pub mod https;
mod inventory;
pub mod limits;
pub mod names;
mod network_path;
mod pacing;
mod patience;
mod principal;
mod refusal;
mod sdk;
mod single_flight;
pub mod tls;
mod token;
mod transport;
mod vault;
mod vaults;
mod wire;

pub use cache::{CachePolicy, Failed, Found, MetadataCache, Outcome};
pub use connection::Connection;
pub use error::Error;
pub use inventory::Listed;
pub use names::{ObjectId, ObjectKind, ObjectName, ObjectVersion, VaultUrl};
pub use network_path::{Answered, Arrival, NetworkInfo, NetworkPath};
pub use patience::patiently;
pub use principal::{Guid, Principal, PrincipalKind};
#[cfg(feature = "dev-vault")]
pub(crate) use sdk::final_failure;
pub(crate) use single_flight::SingleFlight;
pub(crate) use transport::collect;
pub use vault::{MetadataSource, Vault};
pub use vaults::Vaults;
pub use wire::{CertificateDetails, Details, KeyDetails, Metadata};
