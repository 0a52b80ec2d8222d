//! Whatever gives tokens to the handler is understood if other clients understand it, and a sign-in
//! that fails is written down with its cause, without a word of what the endpoint said.

use super::support::{ClientRequest, Identity, Protocol, TlsVault};

/// The status of a secret's metadata, with this identity endpoint, and all that was written.
async fn signed_in(vault: &TlsVault, settings: &[(&str, &str)]) -> (u16, String) {
    let host = vault.host(settings).await;
    let request = ClientRequest::secret("ExternalApiKey");
    let answer = host.call(Protocol::Proxying, &request).await;
    (answer.status, host.handler.output())
}

#[tokio::test]
async fn a_token_whose_end_is_a_number_is_accepted() {
    let vault = TlsVault::start().await;
    vault.identity(Identity::GivesNumber);
    let (status, wrote) = signed_in(&vault, &[]).await;
    assert_eq!(status, 200, "{wrote}");
}

/// `KEY_VAULT_CA_FILE` is trusted there too.
#[tokio::test]
async fn key_vault_ca_file_is_trusted_for_an_identity_endpoint_too() {
    let vault = TlsVault::start().await;
    let endpoint = vault.identity_over_tls();
    let settings = [("IDENTITY_ENDPOINT", endpoint.as_str())];
    let (status, wrote) = signed_in(&vault, &settings).await;
    assert_eq!(status, 200, "{wrote}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cause_of_a_failed_sign_in_is_in_the_log() {
    let nowhere = [("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi/token")];
    let run = async |identity, settings: &[(&str, &str)], cause: &str| {
        let vault = TlsVault::start().await;
        vault.identity(identity);
        let (status, wrote) = signed_in(&vault, settings).await;
        assert_eq!(status, 502, "{cause}: {wrote}");
        let line = wrote
            .lines()
            .find(|line| line.contains("no token for Key Vault"));
        let line = line.unwrap_or_else(|| panic!("{cause}: {wrote}"));
        assert!(line.contains(cause), "{cause}: {line}");
    };
    tokio::join!(
        run(Identity::Refuses(400), &[], "the identity is not assigned"),
        run(Identity::Refuses(500), &[], "HTTP 500"),
        run(Identity::Gives(3_600), &nowhere, "nothing listens there"),
        run(Identity::Silent, &[], "no answer in time"),
    );
}
