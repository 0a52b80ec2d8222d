//! `handler dev-vault`, the vault as a process of its own.

use std::{collections::BTreeMap, path::Path};

use super::{Folder, FunctionsHost, Handler, free_port};

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
        Self::start_in(files, &["--contents", "contents.json"]).await
    }

    /// With these options besides.
    pub(crate) async fn start_as(options: &[&str]) -> Self {
        Self::start_in(Folder::new(), options).await
    }

    async fn start_in(files: Folder, more: &[&str]) -> Self {
        let options = ["dev-vault", "--port", "0", "--ca-out", "ca.pem"];
        let arguments = [&options, more].concat();
        let handler = Handler::start(files.path(), &arguments, &[]);
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
