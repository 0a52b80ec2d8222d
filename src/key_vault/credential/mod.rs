//! As whom the handler signs in to a vault.
//!
//! One credential is chosen once, from what the environment offers, in this order; the
//! choice is logged. There is no fallback: if the chosen credential fails, no other is tried,
//! because a chain that falls through would hide a broken identity until it matters.
//!
//! 1. `AZURE_TENANT_ID` + `AZURE_CLIENT_ID` + `AZURE_CLIENT_SECRET`: client secret
//! 2. `AZURE_FEDERATED_TOKEN_FILE` + `AZURE_TENANT_ID` + `AZURE_CLIENT_ID`: workload identity
//! 3. `IDENTITY_ENDPOINT` + `IDENTITY_HEADER`: managed identity of App Service and Functions
//! 4. outside Azure: Azure CLI, then Azure Developer CLI
//!
//! `AZURE_TOKEN_CREDENTIALS` narrows this to `prod` (1–3), `dev` (4) or one credential by
//! name. Only `managedidentitycredential` reaches for the virtual machine's identity
//! endpoint: off Azure that would wait for minutes.

mod choice;
mod cli;
mod connect;
mod endpoint;
mod failure;
mod service;
#[cfg(test)]
mod tests;

pub use choice::{ChosenCredential, CredentialFilter, CredentialSettings, is_on_path};
pub use connect::{connect, connect_to, connect_to_stand_in};
pub use service::Service;
