//! What `infra/package.sh` makes is all that Azure needs: started by the host from the
//! unpacked zip, with a managed identity, it reads a vault over TLS.
//!
//! The vault is another process, `handler dev-vault`. `infra/check-package.sh` unpacks the zip
//! and runs the ignored test with `PACKAGE_ROOT`; the handler of this build goes the same way.

use std::{
    env,
    path::{Path, PathBuf},
};

use super::support::{Asked, ClientRequest, DevVaultProcess, MODES, repository};

#[tokio::test]
#[ignore = "needs a package: run infra/check-package.sh"]
async fn the_unpacked_zip_runs_in_every_protocol_mode() {
    let root = PathBuf::from(env::var_os("PACKAGE_ROOT").expect("PACKAGE_ROOT"));
    reads_the_vault_in_every_protocol_mode(&root.join("handler"), &root).await;
}

#[tokio::test]
async fn this_build_runs_in_every_protocol_mode() {
    let binary = Path::new(env!("CARGO_BIN_EXE_handler"));
    reads_the_vault_in_every_protocol_mode(binary, repository()).await;
}

async fn reads_the_vault_in_every_protocol_mode(binary: &Path, root: &Path) {
    let vault = DevVaultProcess::start().await;
    let settings = [
        ("EXTERNAL_API_KEY", "canary-of-a-key"),
        (
            "DATABASE_PASSWORD",
            "@Microsoft.KeyVault(VaultName=abc;SecretName=n)",
        ),
        ("WEBSITE_INSTANCE_ID", "x"),
    ];
    let host = vault.host(binary, root, &settings).await;
    for (number, mode) in MODES.into_iter().enumerate() {
        let check = host.call(mode, &ClientRequest::config_check()).await.json();
        assert_eq!(check["external_api_key_set"], true, "{mode:?}");
        assert_eq!(check["database_password_set"], false, "{mode:?}");
        let metadata = host
            .call(mode, &ClientRequest::secret("ExternalApiKey"))
            .await;
        assert_eq!(metadata.status, 200, "{mode:?}: {metadata:?}");
        assert_eq!(metadata.json()["content_type"], "text/plain", "{mode:?}");
        let cache = if number == 0 { "MISS" } else { "HIT" };
        assert_eq!(metadata.header("x-cache"), Some(cache), "{mode:?}");
        let missing = host.call(mode, &ClientRequest::secret("Missing")).await;
        assert_eq!(missing.status, 404, "{mode:?}: {missing:?}");
    }
    // One challenge and one token for all; the warm-up, the secret and the missing one are
    // one request each, however many modes ask.
    let expected = Asked {
        challenges: 1,
        tokens: 1,
        signed: 3,
    };
    drop(host);
    assert_eq!(vault.stop().await, expected);
}
