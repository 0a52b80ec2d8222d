//! However many callers ask `config-check` at one moment, the vault is asked as for one of them,
//! they share one report, and each has its answer within 3 s. `secrets/<name>` is not held up.

use std::{collections::HashSet, time::Duration};

use axum::{
    body::{Body, Bytes},
    extract::Request,
};
use futures_util::future::join_all;
use http_body_util::BodyExt;
use keyvault_functions::{
    dev_vault::NewSecret,
    references::{AppSetting, status::read_platform_report},
};
use serde_json::{Value, json};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};
use tower::ServiceExt;

use super::support::{Fault, InProcess, Setup};

const REFERENCES: usize = 200;
const CALLERS: usize = 1_000;
/// Requests of `config-check` to one vault that are under way at the same time.
const PROBES_AT_ONCE: usize = 8;

fn reference(number: usize) -> String {
    format!("@Microsoft.KeyVault(VaultName=embedded;SecretName=n{number})")
}

/// An app whose vault has served it, with `settings`.
async fn app(settings: Vec<AppSetting>) -> InProcess {
    let app = InProcess::with(Setup {
        settings,
        ..Setup::default()
    });
    let served = app.get("/api/secrets/ExternalApiKey").await;
    assert_eq!(served.status, 200);
    app
}

fn broken() -> Vec<AppSetting> {
    let setting = |number| AppSetting::new(format!("KEY_{number}"), reference(number).into());
    (0..REFERENCES).map(setting).collect()
}

/// The platform has resolved them all.
fn resolved() -> Vec<AppSetting> {
    let setting = |number: usize| {
        let name = format!("KEY_{number}");
        let said = json!({"rawReference": reference(number), "status": "Resolved"});
        let entry = read_platform_report(&json!({&name: said}).to_string()).remove(0);
        AppSetting::new(name, "canary-held".to_owned().into())
            .reported(entry.raw_reference.as_deref(), entry.status)
    };
    (0..REFERENCES).map(setting).collect()
}

/// The bodies that `CALLERS` of one moment get for each of `paths`.
async fn crowd(app: &InProcess, paths: &[&'static str]) -> Vec<Vec<Bytes>> {
    let started = Instant::now();
    let callers = (0..CALLERS * paths.len()).map(|number| {
        let path = paths[number % paths.len()];
        let accept = if path.contains("page") {
            "text/html"
        } else {
            "*/*"
        };
        let path = path.replace("page", "config-check");
        let router = app.router().clone();
        tokio::spawn(async move {
            let request = Request::get(path).header("accept", accept);
            let request = request.body(Body::empty()).expect("a request");
            let response = router.oneshot(request).await.expect("an answer");
            response
                .into_body()
                .collect()
                .await
                .expect("a body")
                .to_bytes()
        })
    });
    let answers = join_all(callers).await;
    let waited = started.elapsed();
    assert!(waited < Duration::from_secs(3), "{waited:?}");
    let mut bodies = vec![Vec::new(); paths.len()];
    for (number, body) in answers.into_iter().enumerate() {
        bodies[number % paths.len()].push(body.expect("no panic"));
    }
    bodies
}

/// How many bodies there are in memory.
fn in_memory(bodies: &[Bytes]) -> usize {
    let addresses: HashSet<_> = bodies.iter().map(|body| body.as_ptr()).collect();
    addresses.len()
}

fn parsed(body: &Bytes) -> Value {
    serde_json::from_slice(body).expect("JSON")
}

#[tokio::test(start_paused = true)]
async fn a_silent_vault_is_tried_once_for_each_reference() {
    let app = app(broken()).await;
    app.fail_with(Fault::Silence);
    let before = (app.reads(), Handle::current().metrics().num_alive_tasks());
    for _ in 0..3 {
        let paths = [
            "/api/config-check",
            "/api/config-check?strict=true",
            "/api/page",
        ];
        let bodies = crowd(&app, &paths).await;
        let after = Handle::current().metrics().num_alive_tasks();
        assert!(
            after - before.1 <= REFERENCES,
            "{after} tasks after {}",
            before.1
        );
        // How it is shown differs, not what.
        assert_eq!(in_memory(&bodies[..2].concat()), 1);
        assert_eq!(in_memory(&bodies[2]), 1);
        let answer = parsed(&bodies[0][0]);
        let references = answer["references"].as_array().expect("an array");
        assert_eq!(references.len(), REFERENCES);
        for reference in references {
            assert_eq!(reference["status"], "FetchTimedOut", "{reference}");
        }
    }
    // Their attempts began at one moment and ended after 5 s.
    assert_eq!(app.reads() - before.0, PROBES_AT_ONCE);
}

/// Nobody who gives up takes an answer from those who wait.
#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_harms_nobody() {
    let app = app(broken().into_iter().take(20).collect()).await;
    app.fail_with(Fault::Delay(Duration::from_millis(10)));
    let first = timeout(Duration::from_millis(1), app.get("/api/config-check")).await;
    assert!(first.is_err());
    let answer = app.get("/api/config-check").await.json();
    assert_eq!(answer["references"][0]["status"], "SecretNotFound");
}

#[tokio::test(start_paused = true)]
async fn values_are_compared_once_for_each_reference() {
    // As many as config-check may ask the vault about in 10 s.
    let compared_ones = 150;
    let app = app(resolved().into_iter().take(compared_ones).collect()).await;
    for number in 0..compared_ones {
        let secret = NewSecret::of("canary-new");
        app.vault
            .store()
            .set(&format!("n{number}"), secret)
            .expect("set");
    }
    app.fail_with(Fault::Delay(Duration::from_millis(50)));
    let before = app.reads();
    let compared = ["/api/config-check?freshness=true", "/api/config-check"];
    let bodies = crowd(&app, &compared).await;
    assert_eq!(in_memory(&bodies[0]), 1);
    assert_eq!(parsed(&bodies[0][0])["references"][9]["freshness"], "stale");
    assert_eq!(
        parsed(&bodies[1][0])["references"][9].get("freshness"),
        None
    );
    for _ in 0..30 {
        app.get("/api/config-check?freshness=true").await;
    }
    assert_eq!(app.reads() - before, compared_ones);
}

/// Attempts and comparisons wait for turns of their own.
#[tokio::test(start_paused = true)]
async fn a_crowd_at_config_check_does_not_hold_up_secrets() {
    for settings in [broken(), resolved()] {
        let app = app(settings).await;
        let slow = Duration::from_secs(1);
        app.fail_with(Fault::Delay(slow));
        let checked = {
            let app = app.clone();
            tokio::spawn(async move { app.get("/api/config-check?freshness=true").await })
        };
        // The probes stand in line.
        tokio::time::sleep(slow / 2).await;
        let started = Instant::now();
        let answer = app.get("/api/secrets/DatabasePassword").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(started.elapsed(), slow);
        assert_eq!(checked.await.expect("no panic").status, 200);
    }
}
