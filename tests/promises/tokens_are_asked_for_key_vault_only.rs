//! Whatever a vault's challenge names, a token is asked for Key Vault's own audiences only.

use super::support::{ClientRequest, Protocol, TlsVault, Wire};

async fn read_of_a_vault_that_names(audience: &'static str) -> (String, usize) {
    let vault = TlsVault::start().await;
    vault.wire(Wire::Challenges(audience));
    let host = vault.host(&[]).await;
    let answer = host
        .call(Protocol::Proxying, &ClientRequest::secret("ExternalApiKey"))
        .await;
    let code = answer.json()["code"].as_str().expect("text").to_owned();
    (code, vault.tokens())
}

#[tokio::test]
async fn a_vault_on_loopback_gets_no_token_for_anything_else() {
    for audience in [
        r#"resource="https://management.azure.com/""#,
        r#"scope="https://graph.microsoft.com/.default""#,
        r#"resource="https://vault.azure.net.evil.example""#,
    ] {
        let (code, tokens) = read_of_a_vault_that_names(audience).await;
        assert_eq!(
            (code.as_str(), tokens),
            ("UnexpectedAnswer", 0),
            "{audience}"
        );
    }
}

/// The test above can tell: this one is asked for, and refused by this wire afterwards.
#[tokio::test]
async fn a_vault_that_names_key_vault_gets_a_token() {
    let (_, tokens) = read_of_a_vault_that_names(r#"resource="https://vault.azure.net""#).await;
    assert!(tokens > 0);
}
