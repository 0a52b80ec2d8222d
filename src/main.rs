//! Start-up only: settings, then the vault, then the functions, then the host.

mod arguments;
mod banner;
#[cfg(feature = "dev-vault")]
mod dev_vault_command;

#[cfg(not(target_env = "musl"))]
use std::alloc::System;
use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use arguments::Arguments;
use axum::Router;
use keyvault_functions::{
    diagnosis::Cause,
    functions::{self, AppState, MetadataOptions},
    host::{
        authorization::{FunctionKey, Keys},
        invocation::{Access, Limits},
        manifest::Manifest,
        server,
        stop::{self, Stop},
    },
    key_vault::{
        Error, VaultUrl, Vaults,
        credential::{self, is_on_path},
    },
    references::Inspector,
    settings::{Environment, Mode, OwnKey, STANDALONE_PORT, Settings, VaultSetting, names},
    system,
    telemetry::{self, LineStyle},
};
use tokio::sync::oneshot;
use zeroizing_alloc::ZeroAlloc;

/// Wipes all memory that is freed: a secret's value passes through buffers of TLS, HTTP and JSON
/// that nobody else wipes.
///
/// musl's own allocator takes one lock for every thread, which costs nine tenths of the
/// throughput.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: ZeroAlloc<mimalloc::MiMalloc> = ZeroAlloc(mimalloc::MiMalloc);
#[cfg(not(target_env = "musl"))]
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

/// Exit codes, from `sysexits.h`. Never 0 on failure: the Functions host would take it for
/// an intended end and not restart the handler.
mod exit {
    pub(crate) const USAGE: u8 = 64;
    pub(crate) const PORT: u8 = 69;
    pub(crate) const INTERNAL: u8 = 70;
    #[cfg(feature = "dev-vault")]
    pub(crate) const CANNOT_CREATE: u8 = 73;
    pub(crate) const CONFIGURATION: u8 = 78;
    /// Not an error: the Functions host starts the handler again, at once and without counting.
    pub(crate) const RESTART: u8 = 200;
}

/// Why the process ends, one line for each reason.
struct Failure {
    code: u8,
    lines: Vec<String>,
}

impl Failure {
    fn new(code: u8, line: impl ToString) -> Self {
        Self::of_all(code, [line])
    }

    fn of_all(code: u8, lines: impl IntoIterator<Item = impl ToString>) -> Self {
        let lines = lines.into_iter().map(|line| line.to_string()).collect();
        Self { code, lines }
    }
}

fn main() -> ExitCode {
    // Fails only if it was done before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let ended = match Arguments::parse() {
        Ok(Arguments::Run { port }) => run(port),
        #[cfg(feature = "dev-vault")]
        Ok(Arguments::DevVault { port, ca_out }) => {
            dev_vault_command::run(port, &ca_out).map(|()| ExitCode::SUCCESS)
        }
        Ok(Arguments::Print(text)) => {
            banner::print(text);
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => Err(Failure::new(exit::USAGE, error)),
    };
    ended.unwrap_or_else(|failure| {
        let reader = match Environment::of_process().host_port() {
            Some(_) => banner::Reader::Host,
            None => banner::Reader::Person,
        };
        banner::print_errors(&failure.lines, reader);
        ExitCode::from(failure.code)
    })
}

fn run(port: Option<u16>) -> Result<ExitCode, Failure> {
    let (root, settings, manifest) = read_configuration()?;
    let style = match settings.mode {
        Mode::Host { .. } => LineStyle::Host,
        Mode::Standalone { .. } => settings.line_style,
    };
    let telemetry =
        telemetry::start(&settings.log_filter, style, &settings.export).map_err(no_thread)?;
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let ended = run_with(port, &root, settings, &manifest);
    telemetry.flush();
    ended
}

fn run_with(
    port: Option<u16>,
    root: &Path,
    settings: Settings,
    manifest: &Manifest,
) -> Result<ExitCode, Failure> {
    for wrong in &settings.wrong {
        tracing::error!("{wrong}");
    }
    let (port, access, keys) = match &settings.mode {
        Mode::Host { port } => (*port, Access::Host, None),
        Mode::Standalone {
            function_key,
            master_key,
        } => {
            let keys = Keys {
                function: key_or_random(function_key.as_ref())?,
                master: key_or_random(master_key.as_ref())?,
            };
            let port = port.unwrap_or(STANDALONE_PORT);
            (port, Access::Standalone(keys.clone()), Some(keys))
        }
    };
    let hints = keys.map(|keys| banner::Hints::new(manifest, &settings, &keys));
    let (router, app) = router(settings, manifest, &access)?;
    tracing::debug!(root = %root.display(), "configuration read");
    let runtime = runtime()?;
    let is_under_host = matches!(access, Access::Host);
    let served = runtime.block_on(serve(port, router, app, hints, is_under_host));
    // A name that is still being resolved must not hold up the end.
    runtime.shutdown_background();
    Ok(match served? {
        // The host never starts a handler again that ended with 0.
        Some(Stop::Terminated) if is_under_host => ExitCode::from(exit::RESTART),
        _ => ExitCode::SUCCESS,
    })
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(
                exit::INTERNAL,
                format!(
                    "the runtime cannot be started: {}",
                    system::reason(error.kind())
                ),
            )
        })
}

fn no_port(port: u16, error: &io::Error) -> Failure {
    let line = match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("port {port} is already in use; stop the other process or give --port")
        }
        kind => format!("port {port} cannot be opened: {}", system::reason(kind)),
    };
    Failure::new(exit::PORT, line)
}

#[expect(clippy::needless_pass_by_value, reason = "what map_err hands over")]
fn no_thread(error: io::Error) -> Failure {
    Failure::new(
        exit::INTERNAL,
        format!(
            "a thread cannot be started: {}",
            system::reason(error.kind())
        ),
    )
}

fn read_configuration() -> Result<(PathBuf, Settings, Manifest), Failure> {
    let environment = Environment::of_process();
    let root = environment
        .get(names::FUNCTIONS_APP_ROOT_PATH)
        .map_or_else(|| PathBuf::from("."), PathBuf::from);
    let (environment, local) = if environment.host_port().is_some() {
        (environment, Ok(()))
    } else {
        environment.with_local_settings(Path::new(&root))
    };
    let settings = Settings::read(&environment);
    let manifest = Manifest::read(&root);
    match (local, settings, manifest) {
        (Ok(()), Ok(settings), Ok(manifest)) => Ok((root, settings, manifest)),
        (local, settings, manifest) => {
            let mut lines: Vec<String> = Vec::new();
            lines.extend(local.err().iter().map(ToString::to_string));
            let wrong = settings.map_or_else(|wrong| wrong, |settings| settings.wrong);
            lines.extend(wrong.iter().map(ToString::to_string));
            lines.extend(manifest.err().iter().flatten().map(ToString::to_string));
            Err(Failure::of_all(exit::CONFIGURATION, lines))
        }
    }
}

fn key_or_random(key: Option<&OwnKey>) -> Result<FunctionKey, Failure> {
    let no_randomness = |_| Failure::new(exit::INTERNAL, "the system has no randomness to give");
    match key {
        Some(own) => Ok(own.key.clone()),
        None => FunctionKey::random().map_err(no_randomness),
    }
}

fn router(
    settings: Settings,
    manifest: &Manifest,
    access: &Access,
) -> Result<(Router, AppState), Failure> {
    let (vaults, url) = vaults(&settings)?;
    let vaults = Arc::new(vaults);
    let inspector = Inspector::new(
        settings.app_settings,
        settings.resolves,
        &vaults,
        settings.surroundings,
    );
    let options = MetadataOptions {
        source: settings.metadata_source,
        cache: settings.cache,
    };
    let app = AppState::new(inspector, vaults, url, options, settings.wrong);
    let router = functions::all()
        .router(manifest, &app, access, Limits::default())
        .map_err(|errors| Failure::of_all(exit::CONFIGURATION, errors))?;
    Ok((router, app))
}

#[cfg_attr(
    not(feature = "dev-vault"),
    expect(clippy::unnecessary_wraps, reason = "only the embedded vault can fail")
)]
fn vaults(settings: &Settings) -> Result<(Vaults, Result<VaultUrl, Cause>), Failure> {
    let wrong = settings.needed_to_describe();
    let wrong = wrong.map(|wrong| Cause::Failed(Error::WrongSetting(wrong)));
    let described = |url: Option<VaultUrl>| match wrong {
        Some(wrong) => Err(wrong),
        None => url.ok_or(Cause::NoVault),
    };
    match &settings.vault {
        #[cfg(feature = "dev-vault")]
        VaultSetting::Embedded => {
            use keyvault_functions::dev_vault::DevVault;
            let vault = DevVault::seeded().map_err(|_| {
                Failure::new(exit::INTERNAL, "the system has no randomness to give")
            })?;
            let connection = vault.connection();
            let vaults = Vaults::new(move || std::future::ready(Ok(connection.clone())));
            Ok((vaults, described(DevVault::url())))
        }
        VaultSetting::Url(url) => Ok((
            azure_or_dev_vault(url, settings),
            described(Some(url.clone())),
        )),
        VaultSetting::NotSet | VaultSetting::Wrong => Ok((azure(settings), described(None))),
    }
}

/// Real vaults. On this machine's own address it is `handler dev-vault`, which serves the
/// embedded vault.
#[cfg(feature = "dev-vault")]
fn azure_or_dev_vault(url: &VaultUrl, settings: &Settings) -> Vaults {
    use keyvault_functions::dev_vault::DevVault;
    let embedded = DevVault::url().filter(|_| url.is_loopback());
    match embedded {
        Some(embedded) => azure(settings).with_alias(embedded, url.clone()),
        None => azure(settings),
    }
}

#[cfg(not(feature = "dev-vault"))]
fn azure_or_dev_vault(_: &VaultUrl, settings: &Settings) -> Vaults {
    azure(settings)
}

/// Real vaults. The credential is chosen now and set up when a vault is first needed.
fn azure(settings: &Settings) -> Vaults {
    if let Some(wrong) = settings.needed_to_read() {
        return Vaults::new(move || std::future::ready(Err(Error::WrongSetting(wrong.clone()))));
    }
    let Some(choice) = settings.credential.choose(is_on_path) else {
        tracing::warn!(
            looked_for =
                "AZURE_CLIENT_SECRET, AZURE_FEDERATED_TOKEN_FILE, IDENTITY_ENDPOINT, az, azd",
            "no credential for Key Vault was found in the environment"
        );
        let error = Error::Credential(settings.credential.why_none());
        return Vaults::new(move || std::future::ready(Err(error.clone())));
    };
    tracing::info!(credential = %choice, "signing in to Key Vault");
    let given = Arc::new((choice, settings.own_ca.clone()));
    Vaults::new(move || {
        let given = given.clone();
        async move {
            // Certificate authorities are read from files.
            tokio::task::spawn_blocking(move || credential::connect(&given.0, given.1.as_ref()))
                .await
                .unwrap_or(Err(Error::UnexpectedAnswer))
        }
    })
}

async fn serve(
    port: u16,
    router: Router,
    app: AppState,
    hints: Option<banner::Hints>,
    is_under_host: bool,
) -> Result<Option<Stop>, Failure> {
    let listener = server::bind(port)
        .await
        .map_err(|error| no_port(port, &error))?;
    let address = listener.local_addr().ok();
    let stop = stop::requested(is_under_host);
    let (tell, mut told) = oneshot::channel();
    let stop = async {
        // Nobody listens once the server has failed.
        let _ = tell.send(stop.await);
    };
    match (hints, address) {
        (Some(hints), Some(address)) => hints.print(address),
        _ => tracing::info!(port, "listening"),
    }
    // Readiness does not wait for this.
    tokio::spawn(async move { app.warm_up().await });
    server::serve(listener, router, stop, server::GRACE)
        .await
        .map_err(|error| server_failed(&error))?;
    Ok(told.try_recv().ok())
}

fn server_failed(error: &io::Error) -> Failure {
    let line = format!("the server failed: {}", system::reason(error.kind()));
    Failure::new(exit::INTERNAL, line)
}
