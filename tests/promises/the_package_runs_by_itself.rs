//! What `infra/package.sh` makes is all that Azure needs: started by the host from the
//! unpacked zip, with a managed identity, it reads a vault over TLS.
//!
//! `infra/check-package.sh` unpacks the zip and runs this with `PACKAGE_ROOT`.

use std::{env, path::PathBuf};

use super::support::{ClientRequest, MODES, TlsVault};

#[tokio::test]
#[ignore = "needs a package: run infra/check-package.sh"]
async fn from_the_unpacked_zip_in_every_protocol_mode() {
    let root = PathBuf::from(env::var_os("PACKAGE_ROOT").expect("PACKAGE_ROOT"));
    let vault = TlsVault::start().await;
    let settings = [
        ("EXTERNAL_API_KEY", "canary-of-a-key"),
        (
            "DATABASE_PASSWORD",
            "@Microsoft.KeyVault(VaultName=abc;SecretName=n)",
        ),
        ("WEBSITE_INSTANCE_ID", "x"),
    ];
    let host = vault.host_of(&root.join("handler"), &root, &settings).await;
    for mode in MODES {
        let check = host.call(mode, &ClientRequest::config_check()).await.json();
        assert_eq!(check["external_api_key_set"], true, "{mode:?}");
        assert_eq!(check["database_password_set"], false, "{mode:?}");
        let metadata = host
            .call(mode, &ClientRequest::secret("ExternalApiKey"))
            .await;
        assert_eq!(metadata.status, 200, "{mode:?}: {metadata:?}");
        assert_eq!(metadata.json()["content_type"], "text/plain", "{mode:?}");
    }
    assert_eq!((vault.challenges(), vault.tokens()), (1, 1));
}
