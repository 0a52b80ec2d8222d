//! `handler check`: the references of any app, tried from a laptop or a pipeline.

mod json;
mod report;
mod text;

use std::{
    collections::HashMap,
    fs,
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use keyvault_functions::{
    diagnosis::{FunctionApp, IdentityReport, RunsIn, Surroundings},
    references::check,
    settings::{Environment, Listing, LogSettings, Settings, names, printable},
    system,
    telemetry::LineStyle,
};
use time::OffsetDateTime;

use self::report::{App, CheckedAs, Report};
use super::{
    failure::{Failure, exit},
    process,
    vaults::{self, Outside},
};

/// Standard input, as a FILE.
const STDIN: &str = "-";

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Each an app; standard input if there is none.
    pub(crate) files: Vec<PathBuf>,
    /// The app's name, group and slot, for the commands of a fix.
    pub(crate) name: Option<String>,
    pub(crate) resource_group: Option<String>,
    pub(crate) slot: Option<String>,
    pub(crate) json: bool,
    pub(crate) strict: bool,
    pub(crate) expiring: Option<Duration>,
    /// Each secret with the settings that use it, and not the other way round.
    pub(crate) by_secret: bool,
}

/// Checks, prints, and tells the exit code.
pub(crate) fn run(options: &Options) -> Result<ExitCode, Failure> {
    let environment = Environment::of_process();
    let settings = Settings::read(&environment);
    let settings = settings.map_err(|wrong| Failure::of_all(exit::CONFIGURATION, wrong))?;
    let mut apps = read(options, &settings.surroundings)?;
    let references = || apps.iter().flat_map(App::references).cloned();
    let Outside {
        vaults,
        checked_as,
        embedded,
    } = vaults::from_outside(&settings, references)?;
    let vaults = Arc::new(vaults);
    let progress = Progress::new(options.json);
    let tried = process::runtime()?.block_on(check::check(references(), &vaults, |done, all| {
        progress.tell(done, all);
    }));
    progress.end();
    // Whoever checks signs in as themselves, and may know their own ids.
    let principal = vaults.principal();
    for app in &mut apps {
        app.surroundings = app.surroundings.for_admins(principal.clone());
        if let Some(embedded) = &embedded {
            app.surroundings.runs_in = RunsIn::Embedded(embedded.clone());
        }
    }
    let checked_as = checked_as.map(|credential| CheckedAs {
        identity: apps
            .first()
            .and_then(|app| IdentityReport::of(&app.surroundings)),
        credential,
    });
    let now = OffsetDateTime::now_utc();
    let report = Report::new(&apps, &tried, &vaults, now, options.expiring);
    let printed = if options.json {
        json::of(&report, checked_as.as_ref(), options.by_secret)
    } else {
        let (log, _) = LogSettings::of(&environment, environment.get(names::RUST_LOG));
        let paints = log.style == LineStyle::Coloured && io::stdout().is_terminal();
        text::of(&report, checked_as.as_ref(), options.by_secret, paints)
    };
    if let Err(error) = writeln!(io::stdout(), "{printed}") {
        // Who closes a pipe has read enough.
        if error.kind() != io::ErrorKind::BrokenPipe {
            return Err(Failure::of_system(
                exit::OUTPUT,
                "the report cannot be written",
                &error,
            ));
        }
    }
    Ok(if apps.iter().any(App::is_broken) {
        ExitCode::from(exit::NOT_UNDERSTOOD)
    } else if options.strict && !report.is_healthy() {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// Every input, understood or not. What is not is told at once, and the others are checked.
fn read(options: &Options, here: &Surroundings) -> Result<Vec<App>, Failure> {
    let stdin = [PathBuf::from(STDIN)];
    let files: &[PathBuf] = if options.files.is_empty() {
        if io::stdin().is_terminal() {
            let line = "check needs a FILE, or a list on standard input; see handler check --help";
            return Err(Failure::new(exit::USAGE, line));
        }
        &stdin
    } else {
        &options.files
    };
    let mut apps: Vec<App> = files.iter().map(|file| app(options, here, file)).collect();
    tell_apart(&mut apps);
    let mut stderr = io::stderr();
    for app in &apps {
        if let Err(why) = &app.settings {
            let _ = writeln!(stderr, "keyvault-functions: {}: {why}", app.file);
        }
    }
    if apps.iter().all(App::is_broken) {
        // It has been said.
        return Err(Failure::of_all(exit::NOT_UNDERSTOOD, [] as [&str; 0]));
    }
    Ok(apps)
}

/// `a/orders.json` and `b/orders.json` are two apps.
fn tell_apart(apps: &mut [App]) {
    let mut named: HashMap<String, usize> = HashMap::new();
    for app in &*apps {
        *named.entry(app.title.clone()).or_default() += 1;
    }
    for app in apps.iter_mut().filter(|app| named[&app.title] > 1) {
        app.title.clone_from(&app.file);
    }
}

fn app(options: &Options, here: &Surroundings, file: &Path) -> App {
    let is_stdin = file == Path::new(STDIN);
    let text = if is_stdin {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text).map(|_| text)
    } else {
        fs::read(file)
    };
    let listing = match text {
        Ok(text) => Listing::read(&text).map_err(|error| error.to_string()),
        Err(error) => Err(format!("cannot be read: {}", system::reason(error.kind()))),
    };
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    let whole = file.file_name().and_then(|name| name.to_str());
    let is_local_file = listing.as_ref().is_ok_and(|listing| listing.is_local_file);
    let from_file = stem.filter(|_| !is_stdin && !is_local_file);
    let name = options.name.as_deref().or(from_file);
    let group = options.resource_group.as_deref();
    let called = if is_stdin {
        "standard input".to_owned()
    } else {
        printable(&file.display().to_string())
    };
    let title = name.or(whole.filter(|_| is_local_file)).map(printable);
    App {
        title: title.unwrap_or_else(|| called.clone()),
        file: called,
        surroundings: Surroundings {
            app: FunctionApp::new(name, group, options.slot.as_deref(), None),
            checks_an_app: !is_local_file,
            ..here.clone()
        },
        settings: listing,
    }
}

/// How far it is, for a person who waits.
#[derive(Clone, Copy)]
struct Progress {
    is_shown: bool,
}

impl Progress {
    fn new(json: bool) -> Self {
        let is_shown = !json && io::stderr().is_terminal();
        Self { is_shown }
    }

    fn tell(self, done: usize, all: usize) {
        if self.is_shown && all > 0 {
            let _ = write!(io::stderr(), "\rtried {done} of {all} secrets");
        }
    }

    fn end(self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
