//! A secret that gets a new version reaches the references that follow it: the event is acknowledged
//! at once, the cache forgets, and Azure is asked once to resolve them again. No value is read.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use axum::{body::Body, extract::Request};
use keyvault_functions::{
    dev_vault::{DevVault, NewSecret},
    references::AppSetting,
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::{
    select,
    time::{Instant, sleep},
};
use tracing::Level;
use tracing_subscriber::filter::Targets;

use super::support::{Answer, InProcess, Lines, Mood, Platform, Setup, func_a, read_envelope};

const EVENTS: &str = "/api/events";
const CHECK: &str = "/api/config-check";
const SETTING: &str = "EXTERNAL_API_KEY";
const TOPIC: &str =
    "/subscriptions/s/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/Embedded";
const OLD: &str = "00000000000000000000000000000001";

/// An event of the Event Grid schema about `secret` of the embedded vault.
fn event(what: &str, id: &str, secret: &str, version: &str, expires: Option<i64>) -> Value {
    json!({
        "id": id,
        "topic": TOPIC,
        "subject": secret,
        "eventType": format!("Microsoft.KeyVault.{what}"),
        "eventTime": "2026-07-25T01:08:33.1036736Z",
        "data": {
            "Id": format!("https://embedded.vault.azure.net/secrets/{secret}/{version}"),
            "VaultName": "Embedded", "ObjectType": "Secret", "ObjectName": secret,
            "Version": version, "NBF": null, "EXP": expires,
        },
        "dataVersion": "1",
        "metadataVersion": "1",
    })
}

fn new_version(id: &str, secret: &str, version: &str) -> Value {
    event("SecretNewVersionCreated", id, secret, version, None)
}

async fn post(app: &InProcess, body: &Value) -> Answer {
    let request = Request::post(EVENTS).body(Body::from(body.to_string()));
    app.send(request.expect("a request")).await
}

/// An app whose settings are references that the platform has resolved.
fn app(platform: Option<&Platform>, references: &[(&str, &str)]) -> InProcess {
    let setting = |(name, rest): &(&str, &str)| {
        let reference = format!("@Microsoft.KeyVault(VaultName=embedded;{rest})");
        AppSetting::new(*name, "held".to_owned().into()).reported(Some(&reference), None)
    };
    InProcess::on(
        DevVault::seeded().expect("randomness"),
        Setup {
            settings: references.iter().map(setting).collect(),
            surroundings: func_a(),
            platform: platform.cloned(),
            ..Setup::default()
        },
    )
}

fn one_reference(platform: Option<&Platform>) -> InProcess {
    app(platform, &[(SETTING, "SecretName=ExternalApiKey")])
}

/// Gives the secret a new version, and tells which. Each is of a second of its own.
fn rotate(app: &InProcess, secret: &str) -> String {
    static SECONDS: AtomicI64 = AtomicI64::new(0);
    let seconds = SECONDS.fetch_add(1, Ordering::Relaxed);
    let at = OffsetDateTime::now_utc() + time::Duration::seconds(10 + seconds);
    let new = NewSecret::of("canary-new");
    app.vault.store().set_at(secret, new, at).expect("set")
}

/// The work behind the answers.
fn work(app: &InProcess) -> impl Future<Output = Infallible> {
    let app = app.app.clone();
    async move { app.follow_rotation(OffsetDateTime::now_utc).await }
}

/// Lets it go on for `time`, which passes at once.
async fn pass(work: &mut Pin<&mut impl Future<Output = Infallible>>, time: Duration) {
    select! {
        never = work => match never {},
        () = sleep(time) => {}
    }
}

fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

async fn rotation(app: &InProcess) -> Value {
    app.get(CHECK).await.json()["rotation"].clone()
}

#[tokio::test(start_paused = true)]
async fn a_new_version_is_one_refresh_after_a_quiet_time() {
    let platform = Platform::with(&[(SETTING, Some(OLD))]);
    let app = one_reference(Some(&platform));
    let mut work = pin!(work(&app));
    // What is behind at the start is refreshed at once.
    let first = rotate(&app, "ExternalApiKey");
    platform.will_resolve(SETTING, &first);
    pass(&mut work, seconds(5)).await;
    assert_eq!(platform.refreshes(), 1);
    app.get("/api/secrets/ExternalApiKey").await;
    let cached = app.get("/api/secrets/ExternalApiKey").await;
    assert_eq!(cached.header("x-cache"), Some("HIT"));

    let second = rotate(&app, "ExternalApiKey");
    platform.will_resolve(SETTING, &second);
    let answer = post(&app, &json!([new_version("1", "ExternalApiKey", &second)])).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let expected = json!({
        "accepted": 1, "ignored": 0, "duplicates": 0, "malformed": 0, "rotation": "on",
    });
    assert_eq!(answer.json(), expected);
    let told = rotation(&app).await;
    assert_eq!(told["outcome"], "waiting");
    assert_eq!(told["secret"], "ExternalApiKey");
    assert_eq!(told["event_at"], "2026-07-25T01:08:33+00:00");
    // The cache has forgotten.
    let forgotten = app.get("/api/secrets/ExternalApiKey").await;
    assert_eq!(forgotten.header("x-cache"), Some("MISS"));
    assert_eq!(forgotten.json()["version"], second.as_str());
    pass(&mut work, seconds(25)).await;
    assert_eq!(platform.refreshes(), 1, "not before it is quiet");
    pass(&mut work, seconds(10)).await;
    assert_eq!(platform.refreshes(), 2);
    let told = rotation(&app).await;
    assert_eq!(told["outcome"], "refreshed");
    assert!(told["asked_at"].is_string(), "{told}");
    pass(&mut work, seconds(3_600)).await;
    assert_eq!(platform.refreshes(), 2);
    // Versions are listed, and none is got.
    for path in app.asked() {
        assert!(path.trim_end_matches('/').ends_with("versions"), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_events_are_one_refresh() {
    let platform = Platform::with(&[(SETTING, Some(OLD))]);
    let app = one_reference(Some(&platform));
    let newest = rotate(&app, "ExternalApiKey");
    platform.will_resolve(SETTING, &newest);
    let mut work = pin!(work(&app));
    pass(&mut work, seconds(5)).await;
    assert_eq!(platform.refreshes(), 1, "at the start");
    let newest = rotate(&app, "ExternalApiKey");
    platform.will_resolve(SETTING, &newest);
    let (mut accepted, mut duplicates) = (0, 0);
    for batch in 0..100 {
        let events: Vec<_> = (0..100)
            .map(|number| {
                new_version(
                    &format!("{batch}-{}", number / 2),
                    "ExternalApiKey",
                    &newest,
                )
            })
            .collect();
        let answer = post(&app, &json!(events)).await.json();
        accepted += answer["accepted"].as_u64().expect("a number");
        duplicates += answer["duplicates"].as_u64().expect("a number");
    }
    assert_eq!((accepted, duplicates), (5_000, 5_000));
    pass(&mut work, seconds(600)).await;
    assert_eq!(platform.refreshes(), 2);
}

#[tokio::test(start_paused = true)]
async fn azure_is_asked_once_a_minute_at_most() {
    let platform = Platform::with(&[(SETTING, None)]);
    let app = one_reference(Some(&platform));
    let mut work = pin!(work(&app));
    // One event in 10 s, for ten minutes: the quiet time never comes.
    for number in 0..60 {
        let version = rotate(&app, "ExternalApiKey");
        let event = new_version(&number.to_string(), "ExternalApiKey", &version);
        post(&app, &json!([event])).await;
        pass(&mut work, seconds(10)).await;
    }
    let refreshes = platform.refreshes();
    assert!((3..=10).contains(&refreshes), "{refreshes}");
}

#[tokio::test(start_paused = true)]
async fn what_is_in_effect_already_asks_for_nothing() {
    let app_without = one_reference(None);
    let newest = app_without.get("/api/secrets/ExternalApiKey").await.json()["version"].clone();
    assert!(newest.is_string());
    let platform = Platform::default();
    let app = one_reference(Some(&platform));
    let newest = rotate(&app, "ExternalApiKey");
    let platform_of = |active| Platform::with(&[(SETTING, active)]);
    let _ = platform;
    for (active, at_the_start, after_an_event) in [
        (Some(newest.as_str()), 0, 0),
        // What the platform does not tell asks for nothing at the start, or it would never end.
        (None, 0, 1),
    ] {
        let platform = platform_of(active);
        let setting = AppSetting::new(SETTING, "held".to_owned().into()).reported(
            Some("@Microsoft.KeyVault(VaultName=embedded;SecretName=ExternalApiKey)"),
            None,
        );
        let app = InProcess::on(
            app.vault.clone(),
            Setup {
                settings: vec![setting],
                surroundings: func_a(),
                platform: Some(platform.clone()),
                ..Setup::default()
            },
        );
        let mut work = pin!(work(&app));
        pass(&mut work, seconds(60)).await;
        assert_eq!(platform.refreshes(), at_the_start, "{active:?}");
        post(&app, &json!([new_version("1", "ExternalApiKey", &newest)])).await;
        pass(&mut work, seconds(60)).await;
        assert_eq!(platform.refreshes(), after_an_event, "{active:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_nothing_follows_is_acknowledged_and_asks_for_nothing() {
    let platform = Platform::with(&[(SETTING, Some(OLD))]);
    let pinned = format!("SecretName=ExternalApiKey;SecretVersion={OLD}");
    let app = app(Some(&platform), &[("PINNED", &pinned)]);
    let mut work = pin!(work(&app));
    let other = json!({
        "id": "9", "topic": TOPIC, "eventType": "Microsoft.KeyVault.SecretNewVersionCreated",
        "data": {"Id": format!("https://other.vault.azure.net/secrets/ExternalApiKey/{OLD}")},
    });
    let events = json!([
        new_version("1", "ExternalApiKey", OLD),
        new_version("2", "Unused", OLD),
        other,
        {"id": "3", "eventType": "Microsoft.KeyVault.VaultAccessPolicyChanged"},
        {"id": "4"},
    ]);
    let answer = post(&app, &events).await;
    assert_eq!(answer.status, 200);
    let expected = json!({
        "accepted": 2, "ignored": 2, "duplicates": 0, "malformed": 1, "rotation": "on",
    });
    assert_eq!(answer.json(), expected);
    pass(&mut work, seconds(600)).await;
    assert_eq!(platform.asked(), Vec::<String>::new());
    assert_eq!(rotation(&app).await, Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_says_which_right_is_missing_and_is_not_repeated() {
    let lines = Targets::new().with_target("keyvault_functions::functions", Level::INFO);
    let (lines, _in_this_thread) = Lines::of_this_thread(&lines);
    let platform = Platform::with(&[(SETTING, Some(OLD))]);
    platform.set(Mood::Refuses(403));
    let app = one_reference(Some(&platform));
    let mut work = pin!(work(&app));
    pass(&mut work, seconds(3_600)).await;
    assert_eq!(platform.asked().len(), 1);
    let written = lines.take();
    for part in [
        "WARN",
        "RotationRefreshDenied",
        "Website Contributor",
        "func-a",
    ] {
        assert!(written.contains(part), "{part}: {written}");
    }
    let told = rotation(&app).await;
    assert_eq!(told["outcome"], "denied");
    let fix = told["fix"].to_string();
    assert!(fix.contains("az role assignment create"), "{fix}");
    // The next event tries again, for the right may have been granted.
    platform.set(Mood::Serves);
    let newest = rotate(&app, "ExternalApiKey");
    platform.will_resolve(SETTING, &newest);
    post(&app, &json!([new_version("1", "ExternalApiKey", &newest)])).await;
    pass(&mut work, seconds(60)).await;
    assert_eq!(rotation(&app).await["outcome"], "refreshed");
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again() {
    for (mood, asked_within_a_minute) in [
        (Mood::Throttles(20), 2..=4),
        (Mood::Refuses(503), 4..=7),
        (Mood::Hangs, 1..=1),
    ] {
        let platform = Platform::with(&[(SETTING, None)]);
        let app = one_reference(Some(&platform));
        let mut work = pin!(work(&app));
        pass(&mut work, seconds(5)).await;
        let newest = rotate(&app, "ExternalApiKey");
        platform.will_resolve(SETTING, &newest);
        post(&app, &json!([new_version("1", "ExternalApiKey", &newest)])).await;
        pass(&mut work, seconds(29)).await;
        let before = platform.asked().len();
        platform.set(mood);
        pass(&mut work, seconds(60)).await;
        let asked = platform.asked().len() - before;
        assert!(asked_within_a_minute.contains(&asked), "{mood:?}: {asked}");
        if mood != Mood::Hangs {
            assert_eq!(rotation(&app).await["outcome"], "failed", "{mood:?}");
        }
        platform.set(Mood::Serves);
        pass(&mut work, seconds(600)).await;
        assert_eq!(rotation(&app).await["outcome"], "refreshed", "{mood:?}");
        assert_eq!(platform.refreshes(), 1, "{mood:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_resolved_after_it_is_told() {
    let platform = Platform::with(&[(SETTING, None)]);
    platform.set(Mood::DoesNotResolve);
    let app = one_reference(Some(&platform));
    let mut work = pin!(work(&app));
    let newest = rotate(&app, "ExternalApiKey");
    post(&app, &json!([new_version("1", "ExternalApiKey", &newest)])).await;
    pass(&mut work, seconds(60)).await;
    assert_eq!(rotation(&app).await["outcome"], "unresolved");
}

#[tokio::test]
async fn only_events_of_the_apps_own_vaults_are_subscribed_to() {
    let app = one_reference(None);
    let validation = |topic: &str| {
        json!([{
            "id": "1", "topic": topic, "subject": "",
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "data": {"validationCode": "512d38b6", "validationUrl": "https://rp.eventgrid.azure.net:553/x"},
            "eventTime": "2026-01-25T22:12:19.4556811Z", "metadataVersion": "1", "dataVersion": "1",
        }])
    };
    let answer = post(&app, &validation(TOPIC)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"validationResponse": "512d38b6"}));
    let other = TOPIC.replace("Embedded", "other");
    let answer = post(&app, &validation(&other)).await;
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (403, &"EventsOfAnotherVault".into())
    );

    let request = Request::options(EVENTS).header("webhook-request-origin", "eventgrid.azure.net");
    let answer = app
        .send(request.body(Body::empty()).expect("a request"))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("webhook-allowed-origin"),
        Some("eventgrid.azure.net")
    );
    assert_eq!(answer.header("webhook-allowed-rate"), Some("*"));
    assert_eq!(answer.header("allow"), Some("POST"));
}

/// In both schemas, and in each mode in which the Functions host hands a request on.
#[tokio::test]
async fn every_schema_arrives_in_every_protocol_mode() {
    let captured = new_version("1", "ExternalApiKey", OLD);
    let cloud_event = json!({
        "specversion": "1.0", "id": "2", "source": TOPIC, "subject": "ExternalApiKey",
        "type": captured["eventType"], "time": captured["eventTime"], "data": captured["data"],
    });
    for body in [json!([captured]), cloud_event.clone(), json!([cloud_event])] {
        let app = one_reference(None);
        let direct = post(&app, &body).await;
        assert_eq!(direct.json()["accepted"], 1, "{body}");
        let app = one_reference(None);
        let envelope = json!({"Data": {"req": {
            "Method": "POST",
            "Url": "https://app.azurewebsites.net/api/events",
            "Headers": {"Content-Type": ["application/json"]},
            "Body": body.to_string(),
            "Identities": [{
                "AuthenticationType": "WebJobsAuthLevel",
                "IsAuthenticated": true,
                "Claims": [{
                    "Type": "http://schemas.microsoft.com/2017/07/functions/claims/authlevel",
                    "Value": "Function",
                }],
            }],
        }}});
        let request = Request::post("/vault-events").body(Body::from(envelope.to_string()));
        let outer = app.send(request.expect("a request")).await;
        let (inner, _) = read_envelope(&outer);
        assert_eq!(
            (inner.status, &inner.body),
            (200, &direct.body),
            "{outer:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn switched_off_it_acknowledges_and_says_so() {
    let app = one_reference(None);
    let mut work = pin!(work(&app));
    let answer = post(&app, &json!([new_version("1", "ExternalApiKey", OLD)])).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["rotation"], "off");
    pass(&mut work, seconds(600)).await;
    assert_eq!(rotation(&app).await, Value::Null);
    assert_eq!(app.reads(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_expiry_is_one_line_whoever_tells_it_first() {
    let lines = Targets::new().with_target("keyvault_functions::functions", Level::WARN);
    let (lines, _in_this_thread) = Lines::of_this_thread(&lines);
    let app = app(
        None,
        &[("DATABASE_PASSWORD", "SecretName=DatabasePassword")],
    );
    let metadata = app.get("/api/secrets/DatabasePassword").await.json();
    let version = metadata["version"].as_str().expect("text").to_owned();
    let expires = OffsetDateTime::parse(
        metadata["expires_on"].as_str().expect("text"),
        &time::format_description::well_known::Rfc3339,
    );
    let expires = Some(expires.expect("a time").unix_timestamp());
    for id in ["1", "2", "1"] {
        let event = event(
            "SecretNearExpiry",
            id,
            "DatabasePassword",
            &version,
            expires,
        );
        assert_eq!(post(&app, &json!([event])).await.status, 200);
    }
    let written = lines.take();
    assert_eq!(
        written.matches("DATABASE_PASSWORD may fail").count(),
        1,
        "{written}"
    );
    assert!(written.contains("SecretExpiresSoon"), "{written}");
    // The clock has nothing new to say.
    let now = OffsetDateTime::now_utc();
    let began = Instant::now();
    let mut warn = pin!(app.app.warn_of_expiry(move || now + began.elapsed()));
    pass(&mut warn, seconds(3_600)).await;
    assert_eq!(lines.take(), "");
    let over = event("SecretExpired", "3", "DatabasePassword", &version, Some(0));
    post(&app, &json!([over])).await;
    assert!(lines.take().contains("SecretExpired"));
}

#[tokio::test]
async fn what_is_no_delivery_is_refused() {
    let app = one_reference(None);
    for body in ["", "x", "7", "null"] {
        let request = Request::post(EVENTS).body(Body::from(body));
        let answer = app.send(request.expect("a request")).await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (400, &"InvalidEvents".into())
        );
    }
    let large = Request::post(EVENTS).body(Body::from(" ".repeat(1_100_001)));
    let answer = app.send(large.expect("a request")).await;
    assert_eq!(
        (answer.status, &answer.json()["code"]),
        (413, &"EventsTooLarge".into())
    );
}
