//! The handler beside a bare axum server that gives the same answers: same machine, same
//! client, same minute. `docs/performance.md` says how to run it and holds its report.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for a terminal"
)]

mod client;
mod in_process;
mod inventory;
mod report;
mod server;
mod storm;
#[path = "../../benches/support/mod.rs"]
mod support;
mod vault;

use std::{
    env,
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use lexopt::ValueExt;

use client::{Seen, Until, count, drive};
use inventory::MANY_SECRETS;
use report::{Case, Load, Memory, Report, Start, median};
use serde_json::json;
use server::{Program, Server};
use storm::Storm;
use vault::{IDENTITY_HEADER, SECRETS, Vault};

const USAGE: &str = "\
load [--handler FILE] [--bare FILE] [--rounds N] [--seconds S] [--write] [--check] [--storm] [--inventory]
  --handler FILE  the handler to measure (default: target/release/handler)
  --rounds N      runs of each case and server, one server after the other (default: 5)
  --seconds S     how long one run takes (default: 1)
  --write         put the report into docs/performance.md
  --check         end with 1 if a budget is not met
  --storm         only crowds of callers while a vault is silent; docs/reliability.md
  --inventory     only a list of 5,000 secrets; docs/reliability.md";

/// Runs of each kind of start.
const STARTS: usize = 31;
/// An instance sends its vaults 400 requests in 10 s, the warm-up and the challenge included.
const READS_IN_A_ROW: usize = 350;
/// Requests after which memory must not have grown.
const MANY: usize = 1_000_000;

/// What is measured.
#[derive(Clone, Copy)]
enum What {
    Requests,
    Storms,
    Inventory,
}

struct Arguments {
    handler: PathBuf,
    bare: PathBuf,
    rounds: usize,
    time: Duration,
    write: bool,
    check: bool,
    what: What,
}

fn main() -> ExitCode {
    let is_met = arguments().and_then(|arguments| {
        let run = match arguments.what {
            What::Requests => report,
            What::Storms => storms,
            What::Inventory => listed,
        };
        Ok(run(&arguments)? || !arguments.check)
    });
    match is_met {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Whether the budgets are met.
fn report(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let report = in_folder(|folder| measure(arguments, folder))?;
    println!("{}", report.markdown());
    if arguments.write {
        report
            .write()
            .map_err(|error| format!("docs/performance.md: {error}"))?;
    }
    Ok(report.is_met())
}

/// Whether every crowd was served as promised.
fn storms(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let storms = in_folder(|folder| {
        let vault = Vault::start(folder, SECRETS)?;
        let handler = handler(arguments, &vault, Some(&vault.url));
        storm::measure(&handler, &vault)
    })?;
    for storm in &storms {
        println!("{storm}");
    }
    Ok(storms.iter().all(Storm::is_met))
}

/// Whether a large vault was listed as promised.
fn listed(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let listed = in_folder(|folder| {
        let vault = Vault::start(folder, MANY_SECRETS)?;
        let handler = handler(arguments, &vault, Some(&vault.url));
        inventory::measure(&handler, &vault)
    })?;
    println!("{listed}");
    Ok(listed.is_met())
}

fn arguments() -> Result<Arguments, Box<dyn Error>> {
    let own = env::current_exe()?;
    let examples = own.parent().ok_or("no folder")?;
    let built = examples.parent().ok_or("no folder")?;
    let mut arguments = Arguments {
        handler: built.join("handler"),
        bare: examples.join("bare"),
        rounds: 5,
        time: Duration::from_secs(1),
        write: false,
        check: false,
        what: What::Requests,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            lexopt::Arg::Long("handler") => arguments.handler = parser.value()?.into(),
            lexopt::Arg::Long("bare") => arguments.bare = parser.value()?.into(),
            lexopt::Arg::Long("rounds") => arguments.rounds = parser.value()?.parse()?,
            lexopt::Arg::Long("seconds") => {
                let seconds = parser.value()?.parse::<f64>()?;
                arguments.time = Duration::from_secs_f64(seconds);
            }
            lexopt::Arg::Long("write") => arguments.write = true,
            lexopt::Arg::Long("check") => arguments.check = true,
            lexopt::Arg::Long("storm") => arguments.what = What::Storms,
            lexopt::Arg::Long("inventory") => arguments.what = What::Inventory,
            other => return Err(other.unexpected().into()),
        }
    }
    Ok(arguments)
}

/// Runs `work` in a folder of its own.
fn in_folder<T>(
    work: impl FnOnce(&Path) -> Result<T, Box<dyn Error>>,
) -> Result<T, Box<dyn Error>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = env::temp_dir().join(format!("keyvault-functions-load-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let result = work(&folder);
    fs::remove_dir_all(&folder)?;
    result
}

fn measure(arguments: &Arguments, folder: &Path) -> Result<Report, Box<dyn Error>> {
    let vault = Vault::start(folder, SECRETS)?;
    let handler = handler(arguments, &vault, Some(&vault.url));
    let cases = cases();
    let answers = folder.join("answers.json");
    let of_handler = handler.start("/")?;
    fs::write(&answers, answers_of(&of_handler, &cases)?)?;
    drop(of_handler);
    let bare = Program {
        binary: arguments.bare.clone(),
        arguments: |port, file| vec![port.to_string(), file.display().to_string()],
        file: answers,
        environment: Vec::new(),
    };
    let starts = starts(arguments, &vault, &bare)?;
    let memory = memory(&handler, &bare, &cases[0])?;
    let loads = loads(arguments, &handler, &bare, cases)?;
    Ok(Report {
        rounds: arguments.rounds,
        starts,
        memory,
        loads,
        size: (size(&arguments.handler)?, size(&arguments.bare)?),
        in_process: in_process::measure()?,
    })
}

fn size(file: &Path) -> io::Result<f64> {
    Ok(count(usize::try_from(fs::metadata(file)?.len()).unwrap_or_default()) / 1e6)
}

/// The handler as Azure starts it: a managed identity, and both references resolved.
fn handler(arguments: &Arguments, vault: &Vault, url: Option<&str>) -> Program {
    let mut environment = vec![
        (
            "FUNCTIONS_APP_ROOT_PATH",
            env!("CARGO_MANIFEST_DIR").to_owned(),
        ),
        ("EXTERNAL_API_KEY", support::VALUE.to_owned()),
        ("DATABASE_PASSWORD", support::VALUE.to_owned()),
        ("WEBSITE_KEYVAULT_REFERENCES", support::platform_report()),
        ("IDENTITY_ENDPOINT", vault.identity_endpoint.clone()),
        ("IDENTITY_HEADER", IDENTITY_HEADER.to_owned()),
        ("KEY_VAULT_CA_FILE", vault.ca_file.display().to_string()),
        ("SECRET_CACHE_TTL_SECONDS", "86400".to_owned()),
    ];
    environment.extend(url.map(|url| ("KEY_VAULT_URL", url.to_owned())));
    Program {
        binary: arguments.handler.clone(),
        arguments: |_, _| Vec::new(),
        file: PathBuf::new(),
        environment,
    }
}

/// What is asked, as the Functions host asks it.
fn cases() -> Vec<Case> {
    let secret = (
        "secrets-metadata",
        "/api/secrets/Load0",
        json!({"secret_name": "Load0"}),
    );
    let check = ("config-check", "/api/config-check", json!({}));
    [secret, check]
        .into_iter()
        .flat_map(|(function, path, params)| {
            let id = "X-Azure-Functions-InvocationId: 5f6e7d2a-2f1e-4a9d-8a50-0d0a6b0f1c11";
            let direct = format!(
                "GET {path} HTTP/1.1\r\nHost: app.azurewebsites.net\r\nUser-Agent: curl/8.0\r\n\
                 Accept: */*\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\n{id}\r\n\r\n"
            );
            let body = support::envelope(path, &params);
            // The host sends envelopes in chunks.
            let envelope = format!(
                "POST /{function} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Azure-Functions-Host/4\r\n\
                 Content-Type: application/json; charset=utf-8\r\n{id}\r\n\
                 Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                body.len()
            );
            let case = |mode, method, path: &str, request: String| Case {
                function,
                mode,
                method,
                path: path.to_owned(),
                request,
            };
            [
                case("direct", "GET", path, direct),
                case("envelope", "POST", &format!("/{function}"), envelope),
            ]
        })
        .collect()
}

/// What the bare server is to answer: the handler's own answers, byte by byte.
fn answers_of(handler: &Server, cases: &[Case]) -> Result<String, Box<dyn Error>> {
    let answers = cases.iter().map(|case| {
        let close = case
            .request
            .replacen("\r\n", "\r\nConnection: close\r\n", 1);
        // The second answer comes from the cache.
        handler.send(close.as_bytes())?;
        let (head, body) = handler.send(close.as_bytes())?;
        let made_by_axum = ["date", "content-length", "connection"];
        let headers: Vec<_> = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .filter(|(name, _)| !made_by_axum.contains(name))
            .collect();
        Ok::<_, io::Error>(json!({
            "method": case.method, "path": case.path, "headers": headers, "body": body,
        }))
    });
    let answers = answers.collect::<Result<Vec<_>, _>>()?;
    Ok(serde_json::to_string(&answers)?)
}

fn starts(
    arguments: &Arguments,
    vault: &Vault,
    bare: &Program,
) -> Result<Vec<Start>, Box<dyn Error>> {
    let programs = [
        ("bare axum", bare.clone()),
        (
            "handler, `KEY_VAULT_URL` not set",
            handler(arguments, vault, None),
        ),
        (
            "handler, a vault",
            handler(arguments, vault, Some(&vault.url)),
        ),
        (
            "handler, a vault that says nothing",
            handler(arguments, vault, Some(&vault.silent_url)),
        ),
    ];
    let mut starts: Vec<_> = programs
        .into_iter()
        .map(|(name, program)| (name, program, [Vec::new(), Vec::new()]))
        .collect();
    for _ in 0..STARTS {
        for (_, program, times) in &mut starts {
            for (path, times) in ["/", "/api/config-check"].iter().zip(times) {
                times.push(program.start(path)?.ready_after.as_secs_f64() * 1e3);
            }
        }
    }
    let start = |(name, _, [ready, answered]): (_, _, [Vec<f64>; 2])| Start {
        name,
        ready: median(ready),
        answered: median(answered),
    };
    Ok(starts.into_iter().map(start).collect())
}

fn memory(handler: &Program, bare: &Program, case: &Case) -> Result<Vec<Memory>, Box<dyn Error>> {
    let load = |server: &Server| {
        drive(
            server.port,
            case.request.as_bytes(),
            64,
            Until::Answers(MANY / 10),
        )
    };
    let of = |program: &Program, name, fill: bool| {
        let server = program.start("/api/config-check")?;
        // The handler signs in to its vault meanwhile.
        std::thread::sleep(Duration::from_secs(1));
        let idle = server.memory()?;
        load(&server)?;
        let loaded = server.memory()?;
        if fill {
            for number in 0..SECRETS {
                if number % READS_IN_A_ROW == 0 {
                    std::thread::sleep(Duration::from_secs(11));
                }
                server.get(&format!("/api/secrets/Load{number}"))?;
            }
        }
        load(&server)?;
        let full = server.memory()?;
        drive(
            server.port,
            case.request.as_bytes(),
            64,
            Until::Answers(MANY),
        )?;
        let later = server.memory()?;
        Ok::<_, io::Error>(Memory {
            name,
            idle,
            loaded,
            full,
            later,
        })
    };
    Ok(vec![
        of(bare, "bare axum", false)?,
        of(handler, "handler", true)?,
    ])
}

fn loads(
    arguments: &Arguments,
    handler: &Program,
    bare: &Program,
    cases: Vec<Case>,
) -> Result<Vec<Load>, Box<dyn Error>> {
    let servers = [bare.start("/")?, handler.start("/")?];
    let mut loads = Vec::new();
    for case in cases {
        for connections in [1, 16, 64, 256] {
            let request = case.request.as_bytes();
            let mut runs = [Vec::new(), Vec::new()];
            for round in 0..arguments.rounds {
                let mut order = [0, 1];
                order.rotate_left(round % 2);
                for which in order {
                    let server = &servers[which];
                    let warm = Until::After(arguments.time / 10);
                    drive(server.port, request, connections, warm)?;
                    let before = server.cpu()?;
                    let time = Until::After(arguments.time);
                    let seen = drive(server.port, request, connections, time)?;
                    runs[which].push(Run {
                        cpu: server.cpu()?.saturating_sub(before),
                        seen,
                    });
                }
            }
            let [bare, handler] = runs;
            let ratios = bare.iter().zip(&handler);
            let ratio = |of: fn(&Run) -> f64| {
                let ratios = ratios.clone();
                median(
                    ratios
                        .map(|(bare, handler)| of(handler) / of(bare))
                        .collect(),
                )
            };
            loads.push(Load {
                function: case.function,
                mode: case.mode,
                connections,
                throughput: ratio(|run| run.seen.per_second()),
                p99: ratio(|run| run.seen.percentile(990)),
                cpu: ratio(Run::cpu_per_request),
                bare: figures(&bare),
                handler: figures(&handler),
            });
            eprintln!("{}, {}, {connections}", case.function, case.mode);
        }
    }
    Ok(loads)
}

struct Run {
    seen: Seen,
    cpu: Duration,
}

impl Run {
    /// In µs.
    fn cpu_per_request(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / count(self.seen.answers())
    }
}

fn figures(runs: &[Run]) -> report::Figures {
    let of = |figure: &dyn Fn(&Run) -> f64| median(runs.iter().map(figure).collect());
    report::Figures {
        per_second: of(&|run| run.seen.per_second()),
        p50: of(&|run| run.seen.percentile(500)),
        p99: of(&|run| run.seen.percentile(990)),
        p999: of(&|run| run.seen.percentile(999)),
        cpu: of(&Run::cpu_per_request),
    }
}
