//! A vault that cannot be read is named with its cause and its remedy, in good time, and
//! readiness does not wait for it.

use std::time::{Duration, Instant};

use super::support::{ClientRequest, FunctionsHost, Protocol, free_port, repository};

async fn metadata(settings: &[(&str, &str)]) -> (u16, String, String) {
    let host = FunctionsHost::start_in(repository(), free_port(), settings).await;
    let started = Instant::now();
    let answer = host
        .call(Protocol::Proxying, &ClientRequest::secret("ExternalApiKey"))
        .await;
    // The budget of one read with room for a busy machine.
    assert!(started.elapsed() < Duration::from_secs(15), "{answer:?}");
    let json = answer.json();
    let text = |name: &str| json[name].as_str().expect("text").to_owned();
    assert!(
        !text("error").is_empty() && !text("fix").is_empty(),
        "{answer:?}"
    );
    (answer.status, text("code"), text("fix"))
}

const IDENTITY: [(&str, &str); 2] = [
    ("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi/token"),
    ("IDENTITY_HEADER", "canary-identity-header"),
];

#[tokio::test]
async fn no_vault() {
    let (status, code, fix) = metadata(&[]).await;
    assert_eq!((status, code.as_str()), (503, "KeyVaultUrlNotSet"));
    assert!(fix.contains("KEY_VAULT_URL"), "{fix}");
}

#[tokio::test]
async fn no_credential() {
    let (status, code, fix) = metadata(&[("KEY_VAULT_URL", "https://127.0.0.1:1")]).await;
    assert_eq!((status, code.as_str()), (502, "CredentialUnavailable"));
    assert!(fix.contains("az functionapp identity assign"), "{fix}");
}

#[tokio::test]
async fn nothing_listens() {
    let mut settings = vec![("KEY_VAULT_URL", "https://127.0.0.1:1")];
    settings.extend(IDENTITY);
    let (status, code, _) = metadata(&settings).await;
    assert_eq!((status, code.as_str()), (503, "VaultUnreachable"));
}

#[tokio::test]
async fn the_name_does_not_resolve() {
    let mut settings = vec![("KEY_VAULT_URL", "https://no-such-vault.invalid")];
    settings.extend(IDENTITY);
    let (status, code, fix) = metadata(&settings).await;
    assert_eq!((status, code.as_str()), (502, "VaultNotFound"));
    assert!(fix.contains("KEY_VAULT_URL"), "{fix}");
}

#[tokio::test]
async fn it_accepts_and_never_answers() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let url = format!("https://127.0.0.1:{port}");
    let mut settings = vec![("KEY_VAULT_URL", url.as_str())];
    settings.extend(IDENTITY);
    let (status, code, _) = metadata(&settings).await;
    assert_eq!((status, code.as_str()), (504, "FetchTimedOut"));
}
