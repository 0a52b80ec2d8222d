//! Many clients, a vault that breaks and comes back, and no wrong answer, no leak, no growth.
//!
//! `SOAK_SECONDS` makes it last longer than in the gate.

use std::{
    fs,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use futures_util::future::join_all;

use super::support::{ClientRequest, Fault, FunctionsHost, MODES, TlsVault, Wire};

const CLIENTS: usize = 16;
const MISSING: &str = "Missing";
const NAMES: [&str; 3] = ["ExternalApiKey", "DatabasePassword", MISSING];
/// A vault that is whole again is asked again after a pause of up to 16 s; the rest is for a busy
/// machine.
const RECOVERY: Duration = Duration::from_secs(60);

/// What can go wrong, and right again, in turns.
const TURNS: [Turn; 8] = [
    Turn::Vault(Fault::Outage(503)),
    Turn::Well,
    Turn::Wire(Wire::HalfClosed),
    Turn::Well,
    Turn::Vault(Fault::Throttle(Some(1))),
    Turn::Wire(Wire::NotTls),
    Turn::Vault(Fault::Delay(Duration::from_millis(200))),
    Turn::Well,
];

#[derive(Clone, Copy)]
enum Turn {
    Well,
    Vault(Fault),
    Wire(Wire),
}

impl Turn {
    fn take(self, vault: &TlsVault) {
        vault.fail_with(None);
        vault.wire(Wire::Serves);
        match self {
            Self::Well => {}
            Self::Vault(fault) => vault.fail_with(fault),
            Self::Wire(wire) => vault.wire(wire),
        }
    }
}

fn threads(host: &FunctionsHost) -> Option<usize> {
    Some(
        fs::read_dir(format!("/proc/{}/task", host.handler.id()))
            .ok()?
            .count(),
    )
}

/// What the clients got.
#[derive(Debug, Default)]
struct Tally {
    /// Answers with what the vault has, for each of the names.
    right: [AtomicUsize; NAMES.len()],
    /// Failures, and answers that bridge one.
    troubled: AtomicUsize,
}

/// What is answered while nothing is broken.
fn healthy_status(name: &str) -> u16 {
    if name == MISSING { 404 } else { 200 }
}

async fn client(host: &FunctionsHost, number: usize, is_over: &AtomicBool, tally: &Tally) {
    for round in number.. {
        if is_over.load(Ordering::Relaxed) {
            return;
        }
        let name = NAMES[round % NAMES.len()];
        let mode = MODES[round % MODES.len()];
        let mut request = ClientRequest::secret(name);
        if round % 7 == 0 {
            request = request.with_query("refresh", "true");
        }
        let answer = host.call(mode, &request).await;
        if answer.status == healthy_status(name) {
            tally.right[round % NAMES.len()].fetch_add(1, Ordering::Relaxed);
        }
        if answer.status >= 500 || answer.header("x-cache-error").is_some() {
            tally.troubled.fetch_add(1, Ordering::Relaxed);
        }
        let json = answer.json();
        match answer.status {
            200 => assert_eq!(json["name"], name, "{answer:?}"),
            404 => assert_eq!(json["code"], "SecretNotFound", "{answer:?}"),
            502 => assert_eq!(json["code"], "VaultTlsFailed", "{answer:?}"),
            // On a machine that has much else to do.
            504 => assert_eq!(json["code"], "FetchTimedOut", "{answer:?}"),
            503 => {
                let code = json["code"].as_str().expect("text");
                let known = ["VaultUnavailable", "VaultUnreachable", "Throttled"];
                assert!(known.contains(&code), "{answer:?}");
            }
            status => panic!("{status}: {answer:?}"),
        }
        assert!(name != MISSING || answer.status != 200, "{answer:?}");
        assert!(name == MISSING || answer.status != 404, "{answer:?}");
    }
}

/// The vault is read again, for each secret.
async fn recovers(host: &FunctionsHost, name: &str) {
    let started = Instant::now();
    loop {
        let request = ClientRequest::secret(name).with_query("refresh", "true");
        let answer = host.call(MODES[0], &request).await;
        let is_stale = answer.header("x-cache") == Some("STALE");
        if answer.status == healthy_status(name) && !is_stale {
            return;
        }
        assert!(started.elapsed() < RECOVERY, "{name}: {answer:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_stay_right_while_the_vault_breaks_and_comes_back() {
    let seconds = std::env::var("SOAK_SECONDS").ok();
    let seconds = seconds
        .and_then(|seconds| seconds.parse().ok())
        .unwrap_or(8);
    let vault = TlsVault::start().await;
    let settings = [
        ("SECRET_CACHE_TTL_SECONDS", "1"),
        ("SECRET_CACHE_MAX_STALE_SECONDS", "3"),
        ("RUST_LOG", "info"),
    ];
    let mut host = vault.host(&settings).await;
    for name in NAMES {
        let answer = host.call(MODES[0], &ClientRequest::secret(name)).await;
        assert_eq!(answer.status, healthy_status(name), "{answer:?}");
    }
    let is_over = AtomicBool::new(false);
    let tally = Tally::default();
    let started = Instant::now();
    let clients = join_all((0..CLIENTS).map(|number| client(&host, number, &is_over, &tally)));
    let breaking = async {
        let mut after_warm_up = None;
        for turn in TURNS.iter().cycle() {
            if started.elapsed() > Duration::from_secs(seconds) {
                break;
            }
            turn.take(&vault);
            tokio::time::sleep(Duration::from_millis(250)).await;
            if after_warm_up.is_none() && started.elapsed() > Duration::from_secs(seconds) / 4 {
                after_warm_up = host.handler.memory().zip(threads(&host));
            }
        }
        is_over.store(true, Ordering::Relaxed);
        after_warm_up
    };
    let (_, before) = tokio::join!(clients, breaking);
    assert!(host.handler.is_running());
    for (name, right) in NAMES.iter().zip(&tally.right) {
        let right = right.load(Ordering::Relaxed);
        assert!(right > CLIENTS * 3, "{name}: {tally:?}");
    }
    let troubled = tally.troubled.load(Ordering::Relaxed);
    assert!(troubled > 0, "nothing broke: {tally:?}");
    Turn::Well.take(&vault);
    for name in NAMES {
        recovers(&host, name).await;
    }
    if let (Some((memory_before, threads_before)), Some(memory), Some(threads)) =
        (before, host.handler.memory(), threads(&host))
    {
        assert!(
            threads <= threads_before + 8,
            "{threads_before} threads, then {threads}"
        );
        assert!(
            memory < memory_before + 20 * 1024,
            "{memory_before} KiB, then {memory} KiB"
        );
    }
}
