//! Azure Resource Manager, as far as the handler asks it anything: which version of its secret each
//! reference of the app is resolved to, and that the platform resolves them again.
//!
//! Used only where `ROTATION_REFRESH` is on. Knows nothing of HTTP serving, and of vaults only how to
//! sign in.
//!
//! | question | file |
//! | --- | --- |
//! | which cloud's, and at which address? | `endpoint` |
//! | what is asked, and what can go wrong? | `client` |
//! | what does it answer? | `wire` |

mod client;
mod endpoint;
mod wire;

pub use client::{CALL_LIMIT, ManagementError, ResourceManager};
pub use endpoint::{ManagementUrl, SiteId};
pub use wire::ConfigReference;
