//! While the handler runs, each secret that the app uses is one WARN line for each tier of days
//! that it has left, worded for the person who gets it.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    time::Duration,
};

use keyvault_functions::dev_vault::DevVault;
use time::OffsetDateTime;
use tokio::{
    select,
    time::{Instant, sleep},
};
use tracing::{Level, subscriber::DefaultGuard};
use tracing_subscriber::filter::Targets;

use super::support::{
    Fault, InProcess, Lines,
    expiry::{app_on, in_days, resolved, set, set_again},
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn lines_of_this_thread() -> (Lines, DefaultGuard) {
    let level = Level::INFO;
    Lines::of_this_thread(&Targets::new().with_target("keyvault_functions::functions", level))
}

/// A date that goes as the paused clock goes.
fn date_from(start: Instant, date: OffsetDateTime) -> impl Fn() -> OffsetDateTime {
    move || date + start.elapsed()
}

/// Lets the handler warn for `time`, which passes at once.
async fn pass(warn: &mut Pin<&mut impl Future<Output = Infallible>>, time: Duration) {
    select! {
        never = warn => match never {},
        () = sleep(time) => {}
    }
}

/// Lets the handler warn for `time`, which passes at once, and gives the lines with their day.
async fn warnings(app: &InProcess, lines: &Lines, time: Duration) -> Vec<(u64, String)> {
    let began = Instant::now();
    let date = date_from(began, OffsetDateTime::now_utc());
    let mut warn = pin!(app.app.warn_of_expiry(date));
    let mut found = Vec::new();
    while began.elapsed() < time {
        pass(&mut warn, DAY / 24).await;
        let day = began.elapsed().as_secs() / DAY.as_secs();
        let new = lines.take();
        found.extend(new.lines().map(|line| (day, line.trim().to_owned())));
    }
    found
}

#[tokio::test(start_paused = true)]
async fn a_secret_walks_through_all_tiers_with_one_line_each() {
    let (lines, _in_this_thread) = lines_of_this_thread();
    let vault = DevVault::default();
    set(&vault, "DatabasePassword", in_days(33));
    set(&vault, "Never", None);
    set(&vault, "Unused", in_days(3));
    let app = app_on(
        vault,
        vec![
            resolved("DATABASE_PASSWORD", "SecretName=DatabasePassword"),
            resolved("THE_SAME", "SecretName=DatabasePassword"),
            resolved("NEVER", "SecretName=Never"),
            resolved("MISSING", "SecretName=Missing"),
        ],
    );
    let found = warnings(&app, &lines, 45 * DAY).await;
    let told: Vec<_> = found
        .iter()
        .map(|(day, line)| {
            let (_, rest) = line
                .split_once("DATABASE_PASSWORD, THE_SAME may fail ")
                .expect(line);
            (*day, rest.split(':').next().unwrap_or_default())
        })
        .collect();
    // 33.5 days are left at the start, and it is read each 12 h.
    let expected = [
        (2, "in 30 days"),
        (18, "in 14 days"),
        (25, "in 7 days"),
        (31, "in 1 day"),
        (33, "now"),
    ];
    assert_eq!(told, expected, "{found:#?}");
    for (_, line) in &found {
        assert!(line.starts_with("WARN"), "{line}");
        // So much of it is in the mail of the alert in infra/app.bicep.
        let (_, sentence) = line.split_once("warnings: ").expect(line);
        let (sentence, _) = sentence.split_once(". ").expect(line);
        assert!(
            sentence.starts_with("DATABASE_PASSWORD") && sentence.contains(" on 20"),
            "{line}"
        );
        assert!(
            line.contains("--vault-name embedded --name DatabasePassword"),
            "{line}"
        );
        assert!(
            line.contains("; if the old value stays good, move the date with az"),
            "{line}"
        );
    }
    let code = |line: &str, code: &str| line.contains(&format!("code=\"{code}\""));
    let (last, before) = found.split_last().expect("lines");
    assert!(
        before
            .iter()
            .all(|(_, line)| code(line, "SecretExpiresSoon"))
    );
    assert!(code(&last.1, "SecretExpired"), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_restart_may_repeat_the_current_tier_and_no_other() {
    let (lines, _in_this_thread) = lines_of_this_thread();
    let vault = DevVault::default();
    set(&vault, "A", in_days(10));
    for _ in 0..2 {
        let app = app_on(vault.clone(), vec![resolved("A", "SecretName=A")]);
        let found = warnings(&app, &lines, DAY).await;
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(found[0].1.contains("A may fail in 10 days: "), "{found:#?}");
    }
}

/// How many lines there are in each of three spans, given in days. The secret is renewed after the
/// first; both ends are in days from the start.
async fn lines_around_a_renewal(ends: [i64; 2], spans: [u32; 3]) -> [usize; 3] {
    let (lines, _in_this_thread) = lines_of_this_thread();
    let vault = DevVault::default();
    set(&vault, "A", in_days(ends[0]));
    let app = app_on(vault, vec![resolved("A", "SecretName=A")]);
    let date = date_from(Instant::now(), OffsetDateTime::now_utc());
    let mut warn = pin!(app.app.warn_of_expiry(date));
    let mut counted = [0; 3];
    for (index, days) in spans.into_iter().enumerate() {
        pass(&mut warn, days * DAY).await;
        counted[index] = lines.take().lines().count();
        if index == 0 {
            set_again(&app.vault, "A", in_days(ends[1]));
        }
    }
    counted
}

#[tokio::test(start_paused = true)]
async fn a_renewed_secret_is_quiet_until_its_next_time() {
    // 39.5 days are left after the second span, and 29.5 after the third.
    let counted = lines_around_a_renewal([6, 60], [1, 20, 10]).await;
    assert_eq!(counted, [1, 0, 1]);
}

/// A secret that is rotated each month is never more than 30 days from its end.
#[tokio::test(start_paused = true)]
async fn a_secret_that_is_renewed_for_a_month_is_warned_about_again() {
    // 29 are left after the first day: a line at once, and at 14, 7 and 1 days.
    let counted = lines_around_a_renewal([3, 30], [1, 1, 28]).await;
    assert_eq!(counted, [1, 1, 3]);
}

/// Otherwise one 429 would cost half a day, and many instances do not live that long.
#[tokio::test(start_paused = true)]
async fn a_vault_that_is_away_is_asked_again_within_the_hour() {
    let (lines, _in_this_thread) = lines_of_this_thread();
    let app = app_on(
        DevVault::seeded().expect("randomness"),
        vec![resolved("A", "SecretName=DatabasePassword")],
    );
    app.fail_with(Fault::Outage(503));
    let mut warn = pin!(app.app.warn_of_expiry(OffsetDateTime::now_utc));
    let mut minutes = async |minutes: u64| {
        pass(&mut warn, Duration::from_secs(60 * minutes)).await;
        lines.take()
    };
    assert!(minutes(6).await.contains("VaultUnavailable"));
    app.fail_with(None);
    let found = minutes(60).await;
    assert_eq!(found.matches("A may fail in 5 days").count(), 1, "{found}");
}

/// Which secrets are asked for, when, and by which requests.
#[tokio::test(start_paused = true)]
async fn the_start_is_left_alone_and_only_used_secrets_are_asked_for() {
    let app = app_on(
        DevVault::seeded().expect("randomness"),
        vec![resolved("A", "SecretName=DatabasePassword")],
    );
    let mut warn = pin!(app.app.warn_of_expiry(OffsetDateTime::now_utc));
    let mut seconds = async |seconds: u64| {
        pass(&mut warn, Duration::from_secs(seconds)).await;
        app.asked()
    };
    assert_eq!(seconds(299).await, [""; 0]);
    let once = ["/secrets/DatabasePassword/versions"];
    assert_eq!(seconds(2).await, once);
    assert_eq!(seconds(12 * 60 * 60 - 60).await, once);
    assert_eq!(seconds(60).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_expiry_that_cannot_be_read_is_a_line_once() {
    let (lines, _in_this_thread) = lines_of_this_thread();
    let app = app_on(
        DevVault::seeded().expect("randomness"),
        vec![resolved("A", "SecretName=DatabasePassword")],
    );
    app.fail_with(Fault::Deny("ForbiddenByRbac"));
    let found = warnings(&app, &lines, 3 * DAY).await;
    assert_eq!(found.len(), 1, "{found:#?}");
    let line = &found[0].1;
    assert!(
        line.starts_with("INFO") && line.contains("AccessToKeyVaultDenied"),
        "{line}"
    );
}
