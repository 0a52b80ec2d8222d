//! The handler: settings, then the vaults, then the functions, then the server.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use keyvault_functions::{
    diagnosis::Cause,
    functions::{self, AppState, Rotation},
    host::{
        authorization::{FunctionKey, Keys},
        invocation::{Access, Limits},
        manifest::Manifest,
        router::Entry,
        server,
        stop::{self, Stop},
    },
    key_vault::{VaultUrl, Vaults},
    references::Inspector,
    settings::{Environment, Mode, OwnKey, STANDALONE_PORT, Settings},
};
use time::OffsetDateTime;
use tokio::sync::oneshot;

use super::{
    banner::Hints,
    failure::{Failure, exit},
    process, vaults,
};

/// Serves until the process is asked to stop. `port` counts where no Functions host gives one.
pub(crate) fn run(port: Option<u16>) -> Result<ExitCode, Failure> {
    let (root, settings, manifest) = read_configuration()?;
    let telemetry = process::telemetry(&settings.log, &settings.export, &settings.warnings)?;
    let ended = run_with(port, &root, settings, &manifest);
    telemetry.flush();
    ended
}

fn read_configuration() -> Result<(PathBuf, Settings, Manifest), Failure> {
    let environment = Environment::of_process();
    let root = environment.app_root();
    let (environment, local) = if environment.host_port().is_some() {
        (environment, Ok(()))
    } else {
        environment.with_local_settings(&root)
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

fn run_with(
    port: Option<u16>,
    root: &Path,
    settings: Settings,
    manifest: &Manifest,
) -> Result<ExitCode, Failure> {
    for wrong in &settings.wrong {
        tracing::error!("{wrong}");
    }
    let (port, access, hints) = match &settings.mode {
        Mode::Host { port } => (*port, Access::Host, None),
        Mode::Standalone(own) => {
            let keys = Keys {
                function: key_or_random(own.function.as_ref())?,
                master: key_or_random(own.master.as_ref())?,
            };
            let hints = Hints::new(manifest, &settings.vault, own, &keys);
            let port = port.unwrap_or(STANDALONE_PORT);
            (port, Access::Standalone(keys), Some(hints))
        }
    };
    let vault = vaults::described(&settings);
    let (vaults, credential) = vaults::readable(&settings)?;
    let rotation = vaults::rotation(&settings, credential.as_ref());
    let greeting = Greeting {
        hints,
        credential: credential.map(|credential| credential.to_string()),
        vault: vault.as_ref().ok().map(ToString::to_string),
    };
    let warns = settings.expiry_warnings;
    let (entry, app) = entry(
        settings,
        Arc::new(vaults),
        vault,
        rotation,
        manifest,
        &access,
    )?;
    tracing::debug!(root = %root.display(), "configuration read");
    let runtime = process::runtime()?;
    let is_under_host = matches!(access, Access::Host);
    let served = runtime.block_on(serve(port, entry, app, warns, greeting, is_under_host));
    // A name that is still being resolved must not hold up the end.
    runtime.shutdown_background();
    Ok(match served? {
        // The host never starts a handler again that ended with 0.
        Some(Stop::Terminated) if is_under_host => ExitCode::from(exit::RESTART),
        _ => ExitCode::SUCCESS,
    })
}

/// What is said once the port is open.
struct Greeting {
    /// For a person, without a host.
    hints: Option<Hints>,
    credential: Option<String>,
    vault: Option<String>,
}

impl Greeting {
    fn say(self, port: u16, address: Option<SocketAddr>, is_under_host: bool) {
        let credential = self.credential;
        if let (Some(hints), Some(address)) = (self.hints, address) {
            if let Some(credential) = credential {
                tracing::info!(credential, "signing in to Key Vault");
            }
            hints.print(address);
        } else {
            let version = env!("CARGO_PKG_VERSION");
            let vault = self.vault;
            let mode = if is_under_host { "host" } else { "standalone" };
            tracing::info!(version, mode, port, credential, vault, "listening");
        }
    }
}

fn key_or_random(own: Option<&OwnKey>) -> Result<FunctionKey, Failure> {
    match own {
        Some(own) => Ok(own.key.clone()),
        None => FunctionKey::random().map_err(|_| Failure::no_randomness()),
    }
}

fn entry(
    settings: Settings,
    vaults: Arc<Vaults>,
    vault: Result<VaultUrl, Cause>,
    rotation: Rotation,
    manifest: &Manifest,
    access: &Access,
) -> Result<(Entry, AppState), Failure> {
    let inspector = Inspector::new(
        settings.app_settings,
        settings.resolves,
        &vaults,
        settings.surroundings,
    );
    let app = AppState::new(
        inspector,
        vaults,
        vault,
        settings.metadata,
        rotation,
        settings.wrong,
    );
    let entry = functions::all()
        .router(manifest, &app, access, Limits::default())
        .map_err(|errors| Failure::of_all(exit::CONFIGURATION, errors))?;
    Ok((entry, app))
}

async fn serve(
    port: u16,
    entry: Entry,
    app: AppState,
    warns: bool,
    greeting: Greeting,
    is_under_host: bool,
) -> Result<Option<Stop>, Failure> {
    let listener = server::bind(port)
        .await
        .map_err(|error| Failure::no_port(port, &error))?;
    let address = listener.local_addr().ok();
    let stop = stop::requested(is_under_host);
    let (tell, mut told) = oneshot::channel();
    let stop = async {
        // Nobody listens once the server has failed.
        let _ = tell.send(stop.await);
    };
    greeting.say(port, address, is_under_host);
    // Readiness does not wait for this.
    let warm = app.clone();
    tokio::spawn(async move { warm.warm_up().await });
    // Tasks, so that a defect in one ends nothing else.
    let rotated = app.clone();
    let rotation =
        tokio::spawn(async move { rotated.follow_rotation(OffsetDateTime::now_utc).await });
    let warnings = warns
        .then(|| tokio::spawn(async move { app.warn_of_expiry(OffsetDateTime::now_utc).await }));
    let tally = entry.tally().clone();
    let serving = server::serve(listener, entry, stop, server::GRACE);
    let served = tokio::select! {
        served = serving => served,
        never = tally.tell_each_minute() => match never {},
    };
    rotation.abort();
    if let Some(warnings) = warnings {
        warnings.abort();
    }
    tally.tell();
    served.map_err(|error| Failure::of_server(&error))?;
    Ok(told.try_recv().ok())
}
