//! `cargo bench --bench references`: time and allocations of parsing a reference.

use divan::{AllocProfiler, black_box};
use keyvault_functions::references::{Reference, is_reference};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const FORMS: [&str; 3] = [
    "@Microsoft.KeyVault(SecretUri=https://your-kv.vault.azure.net/secrets/ExternalApiKey/)",
    "@Microsoft.KeyVault(SecretUri=https://your-kv.vault.azure.net/secrets/ExternalApiKey/ec96f02080254f109c51a1f14cdb1931)",
    "@Microsoft.KeyVault(VaultName=your-kv;SecretName=DatabasePassword;SecretVersion=ec96f02080254f109c51a1f14cdb1931)",
];

fn main() {
    divan::main();
}

#[divan::bench(args = FORMS)]
fn parse(text: &str) -> Reference {
    match Reference::parse(black_box(text)) {
        Ok(reference) => reference,
        Err(error) => unreachable!("{error}"),
    }
}

#[divan::bench(args = [FORMS[0], "an ordinary value of an ordinary app setting"])]
fn recognise(text: &str) -> bool {
    is_reference(black_box(text))
}
