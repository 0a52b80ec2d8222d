//! `handler dev-vault`, the vault as a process of its own.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use serde_json::Value;

use super::{Folder, FunctionsHost, Handler, client, free_port};

/// A running dev vault with what it printed for its clients.
pub(crate) struct DevVaultProcess {
    pub(crate) handler: Handler,
    pub(crate) files: Folder,
    printed: BTreeMap<String, String>,
}

/// How often it was asked for what, over its whole life.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) challenges: usize,
    pub(crate) tokens: usize,
    pub(crate) signed: usize,
}

impl DevVaultProcess {
    pub(crate) async fn start() -> Self {
        Self::start_as(&[]).await
    }

    /// With what `contents` says besides.
    pub(crate) async fn start_with(contents: &str) -> Self {
        let files = Folder::new();
        files.write("contents.json", contents);
        Self::start_in(files, &["--contents", "contents.json"], &[]).await
    }

    /// With these options besides.
    pub(crate) async fn start_as(options: &[&str]) -> Self {
        Self::start_in(Folder::new(), options, &[]).await
    }

    /// Sends events to `url`, with a key.
    pub(crate) async fn start_with_events(url: &str, key: &str) -> Self {
        let environment = [("DEV_VAULT_EVENTS_KEY", key)];
        Self::start_in(Folder::new(), &["--events", url], &environment).await
    }

    async fn start_in(files: Folder, more: &[&str], environment: &[(&str, &str)]) -> Self {
        let options = ["dev-vault", "--port", "0", "--ca-out", "ca.pem"];
        let arguments = [&options, more].concat();
        let handler = Handler::start(files.path(), &arguments, environment);
        handler.wrote("Ctrl+C stops.").await;
        let output = handler.output();
        let lines = output
            .lines()
            .filter_map(|line| line.strip_prefix("export "));
        let printed = lines
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self {
            handler,
            files,
            printed,
        }
    }

    /// The value that was printed for an environment variable.
    pub(crate) fn printed(&self, name: &str) -> &str {
        let value = self.printed.get(name);
        value.unwrap_or_else(|| panic!("{name} is not in {:?}", self.printed.keys()))
    }

    /// A client that trusts what the vault says to trust, and nothing else.
    pub(crate) fn client(&self) -> reqwest::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let pem = fs::read(self.printed("SSL_CERT_FILE")).expect("a file");
        let authority = reqwest::Certificate::from_pem(&pem).expect("a certificate");
        reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([authority])
            .timeout(Duration::from_secs(30))
            .build()
            .expect("a client")
    }

    /// What the identity endpoint answers to whoever sends `header`.
    pub(crate) async fn token(&self, header: &str, resource: &str) -> (u16, Value) {
        let query = format!("resource={resource}&api-version=2019-08-01");
        let url = format!("{}?{query}", self.printed("IDENTITY_ENDPOINT"));
        let request = client().get(url).header("x-identity-header", header);
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        let body = response.text().await.expect("a body");
        (status, serde_json::from_str(&body).expect("JSON"))
    }

    /// Sets a secret as its clients do, and returns the id of the new version.
    pub(crate) async fn set(&self, name: &str, secret: &Value) -> String {
        let header = self.printed("IDENTITY_HEADER");
        let (_, token) = self.token(header, "https://vault.azure.net").await;
        let url = self.printed("KEY_VAULT_URL");
        let request = self
            .client()
            .put(format!("{url}/secrets/{name}?api-version=7.4"))
            .bearer_auth(token["access_token"].as_str().expect("text"))
            .body(secret.to_string());
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        let body = response.text().await.expect("a body");
        let set: Value = serde_json::from_str(&body).expect("JSON");
        set["id"].as_str().expect("an id").to_owned()
    }

    /// A Functions host whose handler reads this vault as on Azure: with a managed identity,
    /// over TLS. It has tried the vault once.
    pub(crate) async fn host(
        &self,
        binary: &Path,
        root: &Path,
        more: &[(&str, &str)],
    ) -> FunctionsHost {
        let mut settings: Vec<_> = [
            "KEY_VAULT_URL",
            "KEY_VAULT_CA_FILE",
            "IDENTITY_ENDPOINT",
            "IDENTITY_HEADER",
        ]
        .map(|name| (name, self.printed(name)))
        .into();
        settings.extend_from_slice(more);
        let mut host = FunctionsHost::start_binary(binary, root, free_port(), &settings).await;
        host.handler
            .forbid(self.printed("IDENTITY_HEADER").to_owned());
        // How every token begins.
        host.handler.forbid("eyJ".to_owned());
        host.handler.wrote("Key Vault ").await;
        host.handler.wrote("answer").await;
        host
    }

    /// Asks it to end, and counts what it wrote.
    pub(crate) async fn stop(mut self) -> Asked {
        self.handler.terminate();
        let status = self.handler.ended().await;
        assert!(status.success(), "{status}: {}", self.handler.output());
        let output = self.handler.output();
        let count = |text: &str| output.lines().filter(|line| line.contains(text)).count();
        let challenges = count(" status=401");
        Asked {
            challenges,
            tokens: count("gave a token"),
            signed: count("answered method=") - challenges,
        }
    }
}
