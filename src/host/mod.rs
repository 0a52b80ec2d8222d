//! The custom-handler protocol of the Functions host. Knows nothing of Key Vault.
//!
//! | question | file |
//! | --- | --- |
//! | which functions, routes, methods and auth levels are there? | [`manifest`] |
//! | which path belongs to which function? | [`route`] |
//! | how does a function get its request, in every protocol mode? | [`router`] |
//! | what is in `POST /<FunctionName>`? | [`envelope`] |
//! | who may call? | [`authorization`] |
//! | who asks for indented JSON? | `pretty` |
//! | how does it start and stop? | [`server`] |
//! | how many connections are there, and when do they end? | `connections` |

pub mod authorization;
mod connections;
pub mod envelope;
pub mod invocation;
mod json;
pub mod manifest;
pub(crate) mod pretty;
pub mod route;
pub mod router;
pub mod server;
