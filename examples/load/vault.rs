//! What the handler finds on Azure, on loopback: a vault behind TLS, an identity endpoint that
//! gives tokens for it, and a vault that accepts connections and says nothing.

use std::{
    error::Error,
    fs,
    path::PathBuf,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{Router, routing::get};
use azure_core::credentials::TokenCredential;
use hyper_util::{rt::TokioIo, server::conn::auto, service::TowerToHyperService};
use keyvault_functions::dev_vault::{DevVault, NewSecret};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};

/// Secrets in the vault, called `Load0`, `Load1` and so on.
pub(crate) const SECRETS: usize = 1_000;

pub(crate) struct Vault {
    pub(crate) url: String,
    pub(crate) silent_url: String,
    pub(crate) ca_file: PathBuf,
    pub(crate) identity_endpoint: String,
    /// What serves all of it goes away with this.
    serving: Runtime,
}

impl Vault {
    pub(crate) fn start(folder: &std::path::Path) -> Result<Self, Box<dyn Error>> {
        let serving = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let vault = DevVault::empty().map_err(|error| error.to_string())?;
        for number in 0..SECRETS {
            let name = format!("Load{number}");
            let set = vault.store().set(&name, NewSecret::of("x"));
            set.map_err(|error| error.to_string())?;
        }
        let token = serving.block_on(vault.credential().get_token(&["x"], None))?;
        let token = token.token.secret().to_owned();
        let (ca, acceptor) = certificates()?;
        let ca_file = folder.join("ca.pem");
        fs::write(&ca_file, ca)?;
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
            identity_endpoint: format!("http://{}/msi/token", identities.local_addr()?),
            serving,
        };
        let serving = &started.serving;
        serving.spawn(serve_tls(secure, acceptor, vault.router()));
        serving.spawn(async move {
            let endpoint = Router::new().route(
                "/msi/token",
                get(move || std::future::ready(answer(&token))),
            );
            axum::serve(identities, endpoint).await
        });
        serving.spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = silent.accept().await {
                held.push(stream);
            }
        });
        Ok(started)
    }
}

fn answer(token: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let expires = now.map_or(0, |now| now.as_secs()) + 24 * 60 * 60;
    json!({
        "access_token": token,
        "expires_on": expires.to_string(),
        "resource": "https://vault.azure.net",
        "token_type": "Bearer",
    })
    .to_string()
}

async fn serve_tls(listener: TcpListener, acceptor: TlsAcceptor, router: Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, router) = (acceptor.clone(), router.clone());
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let server = auto::Builder::new(hyper_util::rt::TokioExecutor::new());
            let service = TowerToHyperService::new(router);
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

fn certificates() -> Result<(String, TlsAcceptor), Box<dyn Error>> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key)?.pem();
    let issuer = Issuer::new(ca, ca_key);
    let leaf_key = KeyPair::generate()?;
    let leaf = CertificateParams::new(vec!["localhost".to_owned()])?;
    let leaf = leaf.signed_by(&leaf_key, &issuer)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf_key.serialize_der()));
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)?;
    Ok((ca_pem, TlsAcceptor::from(Arc::new(config))))
}
