//! Each read of a vault is one line, an outage is two, and an answer from the cache is none.

use std::time::Duration;

use keyvault_functions::{
    dev_vault::DevVault,
    key_vault::{MetadataSource, ObjectName, Vaults},
};
use tokio::time::{advance, sleep};
use tracing::{Level, subscriber::DefaultGuard};
use tracing_subscriber::filter::Targets;

use super::support::{Fault, InProcess, Lines};

/// Takes what the room `key_vault` writes in this thread.
fn lines_of_this_thread(level: Level) -> (Lines, DefaultGuard) {
    Lines::of_this_thread(&Targets::new().with_target("keyvault_functions::key_vault", level))
}

/// Takes the lines so far that say `what`.
fn take(lines: &Lines, what: &str) -> Vec<String> {
    let written = lines.take();
    let lines = written.lines().filter(|line| line.contains(what));
    lines.map(|line| line.trim().to_owned()).collect()
}

/// Level, secret, attempts and outcome.
fn parts(line: &str) -> (String, String, String, String) {
    let field = |name: &str| {
        let (_, rest) = line.split_once(name).expect(line);
        rest.split(' ')
            .next()
            .unwrap_or("")
            .trim_matches('"')
            .to_owned()
    };
    let level = line.split(' ').next().unwrap_or("").to_owned();
    (
        level,
        field("secret="),
        field("attempts="),
        field("outcome="),
    )
}

#[tokio::test(start_paused = true)]
async fn a_read_names_its_secret_the_requests_it_took_and_its_outcome() {
    let (lines, _in_this_thread) = lines_of_this_thread(Level::INFO);
    let app = InProcess::new(MetadataSource::Versions);
    for (name, fault, attempts, outcome) in [
        // The vault's first request is answered with a challenge.
        ("ExternalApiKey", None, "2", "ok"),
        ("DatabasePassword", None, "1", "ok"),
        ("Missing", None, "1", "SecretNotFound"),
        ("b", Some(Fault::Outage(503)), "3", "VaultUnavailable"),
        ("c", Some(Fault::Throttle(Some(20))), "1", "Throttled"),
        // The pause counts.
        ("d", None, "0", "Throttled"),
    ] {
        app.fail_with(fault);
        app.get(&format!("/api/secrets/{name}")).await;
        let read = take(&lines, "Key Vault read");
        let [line] = &read[..] else {
            panic!("{name}: {read:?}");
        };
        assert!(line.contains("operation=\"metadata\""), "{line}");
        assert!(line.contains("elapsed_ms="), "{line}");
        let expected = ("INFO", name, attempts, outcome);
        let (level, secret, sent, found) = parts(line);
        assert_eq!((&*level, &*secret, &*sent, &*found), expected);
        // The second answer comes from the cache.
        app.get(&format!("/api/secrets/{name}")).await;
        assert_eq!(take(&lines, "Key Vault read"), [""; 0], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_probes_of_config_check_are_lines_for_who_looks_closely() {
    for (level, expected) in [(Level::INFO, 0), (Level::DEBUG, 1)] {
        let (lines, _in_this_thread) = lines_of_this_thread(level);
        let connection = DevVault::default().connection();
        let vaults = Vaults::new(move || std::future::ready(Ok(connection.clone())));
        let vault = vaults.open(&DevVault::url().expect("valid")).await;
        let name = ObjectName::parse("Ab").expect("a name");
        vault
            .expect("opened")
            .may_get(&name)
            .await
            .expect("allowed");
        let read = take(&lines, "Key Vault read");
        assert_eq!(read.len(), expected, "{read:?}");
        assert!(
            read.iter().all(|line| line.starts_with("DEBUG")),
            "{read:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_one_line_at_its_begin_and_one_at_its_end() {
    let (lines, _in_this_thread) = lines_of_this_thread(Level::INFO);
    let app = InProcess::new(MetadataSource::Versions);
    let all = async || {
        for name in ["ExternalApiKey", "DatabasePassword"] {
            assert_eq!(app.get(&format!("/api/secrets/{name}")).await.status, 200);
        }
        sleep(Duration::from_secs(6)).await;
    };
    let told = || {
        let mut told = take(&lines, "Key Vault ");
        told.retain(|line| !line.contains("Key Vault read"));
        told
    };
    all().await;
    app.fail_with(Fault::Outage(503));
    advance(Duration::from_secs(331)).await;
    assert_eq!(told(), [""; 0]);
    all().await;
    let begin = told();
    assert_eq!(begin.len(), 1, "{begin:?}");
    assert!(begin[0].starts_with("WARN"), "{begin:?}");
    assert!(begin[0].contains("answers are served past their time"));
    assert!(begin[0].contains("code=\"VaultUnavailable\""), "{begin:?}");
    all().await;
    all().await;
    assert_eq!(told(), [""; 0]);
    app.fail_with(None);
    all().await;
    all().await;
    let end = told();
    assert_eq!(end.len(), 1, "{end:?}");
    assert!(end[0].starts_with("INFO"), "{end:?}");
    assert!(end[0].ends_with("Key Vault answers again"), "{end:?}");
}
