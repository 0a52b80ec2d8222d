//! What must not allocate, counted.

use keyvault_functions::references::{Reference, is_reference};

const VERSION: &str = "ec96f02080254f109c51a1f14cdb1931";

#[test]
fn a_reference_is_parsed_with_one_allocation_and_recognised_with_none() {
    for inside in [
        "SecretUri=https://your-kv.vault.azure.net/secrets/ExternalApiKey".to_owned(),
        format!("SecretUri=https://your-kv.vault.azure.cn/secrets/ExternalApiKey/{VERSION}/"),
        "VaultName=your-kv;SecretName=DatabasePassword".to_owned(),
        format!("SecretVersion={VERSION};SecretName=DatabasePassword;VaultName=your-kv"),
    ] {
        let text = format!("@Microsoft.KeyVault({inside})");
        let mut is_parsed = false;
        let parsing = allocation_counter::measure(|| is_parsed = Reference::parse(&text).is_ok());
        assert!(is_parsed, "{text}");
        assert!(parsing.count_total <= 1, "{text}: {}", parsing.count_total);
        let recognising = allocation_counter::measure(|| is_parsed = is_reference(&text));
        assert_eq!(recognising.count_total, 0, "{text}");
    }
}

#[test]
fn a_refusal_allocates_nothing() {
    let text = "@Microsoft.KeyVault(VaultName=your-kv;Secret=x)";
    let parsing = allocation_counter::measure(|| assert!(Reference::parse(text).is_err()));
    assert_eq!(parsing.count_total, 0);
}
