//! The Functions-host stand-in, the standalone handler, the dev vault as a process, and the
//! functions in process.

mod causes;
mod contract;
mod dev_vault;
pub(crate) mod expiry;
mod faults;
mod functions_host;
mod in_process;
pub(crate) mod leaks;
mod lines;
mod platform;
mod process;
pub(crate) mod recorded;
pub(crate) mod sources;
mod standalone;
mod tls_vault;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use keyvault_functions::host::manifest::Manifest;

pub(crate) use causes::{every_error, guid};
pub(crate) use contract::{Contract, Facts, codes};
pub(crate) use dev_vault::{Asked, DevVaultProcess};
pub(crate) use faults::Fault;
pub(crate) use functions_host::{
    CHARSET, ClientRequest, FunctionsHost, INVOCATION_ID, Key, MODES, Protocol, free_port,
    read_envelope,
};
pub(crate) use in_process::{InProcess, Setup, answer, func_a};
pub(crate) use lines::Lines;
pub(crate) use platform::{Mood, Platform, SLOW};
pub(crate) use process::{Handler, PATIENCE, Stream};
pub(crate) use standalone::{Standalone, commands};
pub(crate) use tls_vault::{Identity, TlsVault, Wire};

/// What a client of the function app gets to see.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Lower-case names, without those that differ from one transport to the next.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn new(
        status: u16,
        headers: impl IntoIterator<Item = (String, String)>,
        body: String,
    ) -> Self {
        let headers: Vec<_> = headers.into_iter().collect();
        leaks::assert_none("an answer", &body, &[]);
        for (name, value) in &headers {
            leaks::assert_none("a header", &format!("{name}: {value}"), &[]);
        }
        let of_transport = ["date", "content-length", "transfer-encoding", "connection"];
        let mut headers: Vec<_> = headers
            .into_iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .filter(|(name, _)| !of_transport.contains(&name.as_str()))
            .collect();
        headers.sort();
        Self {
            status,
            headers,
            body,
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(given, _)| given == name);
        header.map(|(_, value)| value.as_str())
    }

    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let text = |value: &reqwest::header::HeaderValue| value.to_str().expect("text").to_owned();
        let headers: Vec<_> = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        Self::new(status, headers, response.text().await.expect("a body"))
    }
}

/// A client that follows nothing and waits with a limit.
pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(std::time::Duration::from_secs(30))
        .build()
        .expect("a client")
}

/// This repository, which is an app root.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The manifests of the first two functions, for tests that bring code of their own for them.
pub(crate) fn two_functions() -> Manifest {
    let read = |file: &str| fs::read_to_string(repository().join(file)).expect("a manifest");
    let config_check = read("config-check/function.json");
    let metadata = read("secrets-metadata/function.json");
    let functions = [
        ("config-check", config_check.as_str()),
        ("secrets-metadata", metadata.as_str()),
    ];
    Manifest::parse(&read("host.json"), &functions).expect("valid")
}

/// A folder of its own that goes away with this.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("keyvault-functions-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    /// An app root with this repository's manifests.
    pub(crate) fn app_root() -> Self {
        let folder = Self::new();
        let folders = fs::read_dir(repository()).expect("the repository");
        let manifests = folders.map(|entry| entry.expect("an entry").path().join("function.json"));
        for file in manifests.chain([repository().join("host.json")]) {
            if let Ok(content) = fs::read_to_string(&file) {
                let file = file.strip_prefix(repository()).expect("inside");
                folder.write(file.to_str().expect("text"), &content);
            }
        }
        folder
    }

    pub(crate) fn write(&self, file: &str, content: &str) {
        let file = self.0.join(file);
        fs::create_dir_all(file.parent().expect("a parent")).expect("a folder");
        fs::write(file, content).expect("a file");
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
