//! What the handler finds on Azure, on loopback: a vault behind TLS, an identity endpoint that
//! gives tokens for it, and a vault that accepts connections and says nothing.

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::middleware::{self, Next};
use keyvault_functions::dev_vault::{
    Certificates, DevVault, IDENTITY_PATH, NewSecret, TlsListener,
};
use tokio::{net::TcpListener, runtime::Runtime};

/// Secrets in the vault, called `Load0`, `Load1` and so on.
pub(crate) const SECRETS: usize = 1_000;

/// What the identity endpoint wants to be shown.
pub(crate) const IDENTITY_HEADER: &str = "x";

pub(crate) struct Vault {
    pub(crate) url: String,
    pub(crate) silent_url: String,
    pub(crate) ca_file: PathBuf,
    pub(crate) identity_endpoint: String,
    is_silent: Arc<AtomicBool>,
    /// What serves all of it goes away with this.
    serving: Runtime,
}

impl Vault {
    pub(crate) fn start(folder: &Path, secrets: usize) -> Result<Self, Box<dyn Error>> {
        let serving = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let vault = DevVault::default();
        for number in 0..secrets {
            let name = format!("Load{number}");
            let set = vault.store().set(&name, NewSecret::of("x"));
            set.map_err(|error| error.to_string())?;
        }
        let certificates = Certificates::make()?;
        let ca_file = folder.join("ca.pem");
        fs::write(&ca_file, certificates.authority_pem)?;
        let (secure, identities, silent) = serving.block_on(async {
            Ok::<_, std::io::Error>((
                TcpListener::bind("127.0.0.1:0").await?,
                TcpListener::bind("127.0.0.1:0").await?,
                TcpListener::bind("127.0.0.1:0").await?,
            ))
        })?;
        let started = Self {
            url: format!("https://localhost:{}", secure.local_addr()?.port()),
            silent_url: format!("https://localhost:{}", silent.local_addr()?.port()),
            ca_file,
            identity_endpoint: format!("http://{}{IDENTITY_PATH}", identities.local_addr()?),
            is_silent: Arc::default(),
            serving,
        };
        let (serving, is_silent) = (&started.serving, started.is_silent.clone());
        let secure = TlsListener::new(secure, certificates.acceptor);
        let silenced = middleware::from_fn(move |request, next: Next| {
            let is_silent = is_silent.load(Ordering::Relaxed);
            async move {
                if is_silent {
                    return std::future::pending().await;
                }
                next.run(request).await
            }
        });
        let router = vault.router().layer(silenced);
        serving.spawn(axum::serve(secure, router).into_future());
        let identity = vault.identity_endpoint(IDENTITY_HEADER.to_owned().into());
        serving.spawn(axum::serve(identities, identity).into_future());
        serving.spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = silent.accept().await {
                held.push(stream);
            }
        });
        Ok(started)
    }

    /// Answers nothing from now on.
    pub(crate) fn fall_silent(&self) {
        self.is_silent.store(true, Ordering::Relaxed);
    }

    /// Answers again.
    pub(crate) fn speak(&self) {
        self.is_silent.store(false, Ordering::Relaxed);
    }
}
