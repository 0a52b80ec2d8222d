//! The custom-handler protocol of the Functions host. Knows nothing of Key Vault.
//!
//! | question | file |
//! | --- | --- |
//! | which functions, routes, methods and auth levels are there? | [`manifest`] |
//! | which path belongs to which function? | [`route`] |
//! | how does a function get its request, in every protocol mode? | [`router`] |
//! | what is in `POST /<FunctionName>`? | [`envelope`] |
//! | what becomes of a body that nobody reads? | `drain` |
//! | who may call? | [`authorization`] |
//! | what does a browser without a key get? | `front_door` |
//! | who asks for indented JSON? | `pretty` |
//! | how does it start, serve and drain? | [`server`] |
//! | what does the line of each minute count? | [`tally`] |
//! | when does it end? | [`stop`] |
//! | what does the host make of a line? | [`grading`] |
//! | how many connections are there, and when do they end? | `connections` |

pub mod authorization;
mod connections;
mod drain;
pub mod envelope;
mod front_door;
pub mod grading;
pub mod invocation;
mod json;
pub mod manifest;
pub(crate) mod pretty;
pub mod route;
pub mod router;
pub mod server;
pub mod stop;
pub mod tally;
