//! `handler dev-vault`: the embedded vault as a process of its own, for other programs.

mod az;
mod instructions;

use std::{
    fs,
    io::Write as _,
    iter,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    http::header,
    middleware::Next,
    response::Response,
    routing::{any, get},
};
use futures_util::FutureExt;
use keyvault_functions::{
    dev_vault::{
        CertificateError, Contents, DevVault, EventReceiver, Kept, NetworkInfo, ReceiverUrl,
        Subscription, TlsListener, VaultName, router_of,
    },
    host::{authorization::FunctionKey, server, stop},
    settings::{Environment, LogSettings, events_key, names},
    telemetry::Export,
};
use time::OffsetDateTime;
use tokio::{net::TcpListener, task::JoinSet};

use self::instructions::Instructions;
use super::{
    banner,
    failure::{Failure, exit},
    process,
};

/// What the vault is to be like.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    /// Port of the vault; 0 lets the system choose.
    pub(crate) port: u16,
    /// Where the certificate authority goes.
    pub(crate) ca_out: PathBuf,
    /// Where the stand-in for the Azure CLI goes, if one is wanted.
    pub(crate) az_out: Option<PathBuf>,
    /// A file of what is in it besides.
    pub(crate) contents: Option<PathBuf>,
    /// How long it takes to delete, recover or purge a secret.
    pub(crate) deletion: Duration,
    /// What it says about the way to it.
    pub(crate) network_info: NetworkInfo,
    /// Who is told of new versions.
    pub(crate) events: Option<ReceiverUrl>,
    /// A file for what running clients have of it.
    pub(crate) keep: Option<PathBuf>,
    /// Port of the identity endpoint, instead of a kept or a free one.
    pub(crate) identity_port: Option<u16>,
    /// What the vaults are called; one, `embedded`, if this is empty.
    pub(crate) vaults: Vec<VaultName>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            port: 8443,
            ca_out: "dev-vault-ca.pem".into(),
            az_out: None,
            contents: None,
            deletion: Duration::ZERO,
            network_info: NetworkInfo::default(),
            events: None,
            keep: None,
            identity_port: None,
            vaults: Vec::new(),
        }
    }
}

impl Options {
    fn names(&self) -> Vec<VaultName> {
        match &self.vaults[..] {
            [] => vec![VaultName::default()],
            names => names.to_vec(),
        }
    }
}

/// Serves until the process is asked to stop.
pub(crate) fn run(options: Options) -> Result<ExitCode, Failure> {
    let environment = Environment::of_process();
    let (log, warning) = LogSettings::of(&environment, environment.get(names::RUST_LOG));
    let telemetry = process::telemetry(&log, &Export::default(), &warning)?;
    let names = options.names();
    let mut kept = kept(options.keep.as_deref(), &names)?;
    let vaults = vaults(&options, names, &kept)?;
    let events = options.events.map(|url| receiver(url, &environment));
    let events = events.transpose()?;
    let certificates = kept.certificates().map_err(|error| internal(&error))?;
    let served = process::runtime()?.block_on(async {
        let vault_listener = bind(options.port).await?;
        let identity_listener = bind(options.identity_port.unwrap_or(kept.identity_port)).await?;
        let identity = address(&identity_listener)?;
        kept.identity_port = identity.port();
        // Once the ports are this process's: another vault may run with these files.
        let ca_out = write_authority(&certificates.authority_pem, &options.ca_out)?;
        let az = options.az_out.as_deref().map(az::write).transpose()?;
        if let Some(file) = &options.keep {
            write_private(file, &kept.text())?;
        }
        let instructions = Instructions {
            vaults: vaults.iter().map(|(name, _)| name).collect(),
            vault: address(&vault_listener)?,
            identity,
            identity_header: &kept.identity_header,
            ca_file: &ca_out.to_string_lossy(),
            az: az.as_deref(),
        };
        let stop = stop::requested(false).map(|_| ()).shared();
        banner::print(&instructions.text());
        // Ends with this block.
        let mut background = JoinSet::new();
        if let Some(receiver) = events {
            for (name, vault) in &vaults {
                let subscription = Subscription::new(receiver.clone(), instructions.address(name));
                let events = vault.events(subscription);
                background.spawn(events.map_err(|_| Failure::no_randomness())?);
            }
        }
        let (_, first) = &vaults[0];
        let secret = || kept.identity_header.clone().into();
        let identity = first.identity_endpoint(secret());
        let beside = first.sign_in_endpoint(secret());
        let all = with_subscriptions(router_of(&vaults), beside);
        let all = all.layer(axum::middleware::from_fn(log_line));
        let vault_listener = TlsListener::new(vault_listener, certificates.acceptor);
        let served = tokio::try_join!(
            server::serve(vault_listener, all, stop.clone(), server::GRACE),
            server::serve(identity_listener, identity, stop, server::GRACE),
        );
        served.map_err(|error| Failure::of_server(&error))?;
        Ok(ExitCode::SUCCESS)
    });
    telemetry.flush();
    served
}

/// The vaults with what is in them: the demo secrets are in the first. At least one.
fn vaults(
    options: &Options,
    names: Vec<VaultName>,
    kept: &Kept,
) -> Result<Vec<(VaultName, DevVault)>, Failure> {
    let first = DevVault::seeded().map_err(|_| Failure::no_randomness())?;
    let first = first
        .with_network_info(options.network_info)
        .with_kept(kept);
    let others = iter::repeat_with(|| first.sibling());
    let each = iter::once(first.clone()).chain(others);
    let each = each.map(|vault| vault.with_deletion_that_takes(options.deletion));
    let all: Vec<_> = names.into_iter().zip(each).collect();
    if let Some(file) = &options.contents {
        let text = read(file)?;
        let filled = Contents::parse(&text).and_then(|contents| contents.put_into(&all));
        filled.map_err(|error| {
            Failure::new(exit::CONFIGURATION, format!("{}: {error}", file.display()))
        })?;
    }
    Ok(all)
}

fn read(file: &Path) -> Result<String, Failure> {
    fs::read_to_string(file).map_err(|error| {
        let what = format!("{} cannot be read", file.display());
        Failure::of_system(exit::NO_INPUT, &what, &error)
    })
}

/// Who is told of new versions, and with which key.
fn receiver(url: ReceiverUrl, environment: &Environment) -> Result<EventReceiver, Failure> {
    let key = events_key(environment);
    let key = key.map_err(|error| Failure::new(exit::CONFIGURATION, error))?;
    let key = key.map(|key| key.reveal().to_owned().into());
    EventReceiver::new(url, key).map_err(|error| Failure::new(exit::CONFIGURATION, error))
}

async fn bind(port: u16) -> Result<TcpListener, Failure> {
    let listener = server::bind(port).await;
    listener.map_err(|error| Failure::no_port(port, &error))
}

/// What clients of an earlier start have, if there was one.
fn kept(file: Option<&Path>, vaults: &[VaultName]) -> Result<Kept, Failure> {
    let found = file.filter(|file| file.exists());
    let Some(file) = found else {
        // As long and as random as a function key.
        let header = FunctionKey::random().map_err(|_| Failure::no_randomness())?;
        return Kept::make(header.reveal().to_owned(), vaults).map_err(|error| internal(&error));
    };
    let kept = Kept::read(&read(file)?);
    let name = file.display();
    let mut kept =
        kept.map_err(|error| Failure::new(exit::CONFIGURATION, format!("{name}: {error}")))?;
    let renewed = kept.renew(OffsetDateTime::now_utc(), vaults);
    if renewed.map_err(|error| internal(&error))? {
        tracing::warn!(
            "{name}: the certificates are new, because they were old or for other vaults: clients must trust the new authority"
        );
    }
    Ok(kept)
}

fn internal(error: &CertificateError) -> Failure {
    Failure::new(exit::INTERNAL, error)
}

/// Writes a file that only its owner can read, whole or not at all.
fn write_private(file: &Path, text: &str) -> Result<(), Failure> {
    let mut new = file.as_os_str().to_owned();
    new.push(".new");
    let write = || {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        options.open(&new)?.write_all(text.as_bytes())?;
        fs::rename(&new, file)
    };
    write().map_err(|error| {
        let what = format!("{} cannot be written", file.display());
        Failure::of_system(exit::CANNOT_CREATE, &what, &error)
    })
}

/// Returns the file's whole path, since other programs run in other folders.
fn write_authority(pem: &str, file: &Path) -> Result<PathBuf, Failure> {
    let written = fs::write(file, pem).and_then(|()| fs::canonicalize(file));
    written.map_err(|error| {
        let what = format!("{} cannot be written", file.display());
        Failure::of_system(exit::CANNOT_CREATE, &what, &error)
    })
}

fn address(listener: &TcpListener) -> Result<SocketAddr, Failure> {
    let address = listener.local_addr();
    address.map_err(|error| Failure::of_server(&error))
}

/// With so much of Azure Resource Manager that `az login --identity` is content, and that a rotation is
/// tried: whoever asks for references to be resolved again reads that it is done.
fn with_subscriptions(vaults: Router, sign_in: Router) -> Router {
    let none = async || {
        let json = [(header::CONTENT_TYPE, "application/json")];
        (json, r#"{"value":[]}"#)
    };
    let resource_manager = Router::new()
        .route("/subscriptions", get(none))
        .route("/subscriptions/{*resource}", any(none));
    resource_manager.merge(sign_in).fallback_service(vaults)
}

/// One line for each request: what was asked for, and with which status it was answered.
async fn log_line(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    let status = response.status().as_u16();
    tracing::info!(%method, %path, status, "answered");
    response
}
