//! A secret that gets a new version reaches the references that follow it: the event is acknowledged
//! at once, the cache reads it again, and Azure is asked once to resolve the references. No value is
//! read.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body, extract::Request, http::Method};
use keyvault_functions::{
    dev_vault::{Attributes, DevVault, NewSecret},
    key_vault::credential,
    management::{ManagementUrl, ResourceManager, SiteId},
    references::AppSetting,
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::{
    net::TcpListener,
    select,
    time::{Instant, sleep},
};
use tracing::Level;
use tracing_subscriber::filter::Targets;

use super::support::{
    Answer, Fault, InProcess, Lines, Mood, Platform, SLOW, Setup, func_a, leaks, read_envelope,
};

const EVENTS: &str = "/api/events";
const CHECK: &str = "/api/config-check";
const SECRET: &str = "/api/secrets/ExternalApiKey";
const SETTING: &str = "EXTERNAL_API_KEY";
const TOPIC: &str =
    "/subscriptions/s/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/Embedded";
const OLD: &str = "00000000000000000000000000000001";

/// One reference to each of two secrets.
const BOTH: [(&str, &str); 2] = [
    (SETTING, "SecretName=ExternalApiKey"),
    ("DATABASE_PASSWORD", "SecretName=DatabasePassword"),
];

/// Seconds by which instances that start together differ, at most.
const SPREAD: u64 = 30;

/// An event of the Event Grid schema about `secret` of the embedded vault.
fn event(what: &str, id: &str, secret: &str, version: &str) -> Value {
    json!({
        "id": id,
        "topic": TOPIC,
        "subject": secret,
        "eventType": format!("Microsoft.KeyVault.{what}"),
        "eventTime": "2026-07-25T01:08:33.1036736Z",
        "data": {
            "Id": format!("https://embedded.vault.azure.net/secrets/{secret}/{version}"),
            "VaultName": "Embedded", "ObjectType": "Secret", "ObjectName": secret,
            "Version": version, "NBF": null, "EXP": 1,
        },
        "dataVersion": "1",
        "metadataVersion": "1",
    })
}

fn new_version(id: &str, version: &str) -> Value {
    event("SecretNewVersionCreated", id, "ExternalApiKey", version)
}

async fn post(app: &InProcess, body: &Value) -> Answer {
    let request = Request::post(EVENTS).body(Body::from(body.to_string()));
    app.send(request.expect("a request")).await
}

async fn tell_of(app: &InProcess, id: &str, version: &str) {
    let answer = post(app, &json!([new_version(id, version)])).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// An app on `vault` whose settings are references that the platform has resolved.
fn app_on(vault: DevVault, platform: Option<&Platform>, references: &[(&str, &str)]) -> InProcess {
    let setting = |(name, rest): &(&str, &str)| {
        let reference = format!("@Microsoft.KeyVault(VaultName=embedded;{rest})");
        AppSetting::new(*name, "held".to_owned().into()).reported(Some(&reference), None)
    };
    InProcess::on(
        vault,
        Setup {
            settings: references.iter().map(setting).collect(),
            surroundings: func_a(),
            platform: platform.cloned(),
            ..Setup::default()
        },
    )
}

fn app(platform: Option<&Platform>, references: &[(&str, &str)]) -> InProcess {
    app_on(
        DevVault::seeded().expect("randomness"),
        platform,
        references,
    )
}

/// With one reference that follows its secret.
fn followed(platform: &Platform) -> InProcess {
    app(Some(platform), &[(SETTING, "SecretName=ExternalApiKey")])
}

/// Gives the secret a new version `after` the date on which tests begin, and tells which.
fn rotate_at(app: &InProcess, after: Duration) -> String {
    let new = NewSecret::of("canary-new");
    let store = app.vault.store();
    store
        .set_at("ExternalApiKey", new, began() + after)
        .expect("set")
}

/// The same, with each version in a second of its own.
fn rotate(app: &InProcess) -> String {
    static SECONDS: AtomicUsize = AtomicUsize::new(0);
    let number = SECONDS.fetch_add(1, Ordering::Relaxed);
    rotate_at(app, seconds(number as u64 + 1))
}

/// The date on which tests begin. The vault has been filled before.
fn began() -> OffsetDateTime {
    static BEGAN: std::sync::OnceLock<OffsetDateTime> = std::sync::OnceLock::new();
    *BEGAN.get_or_init(|| OffsetDateTime::now_utc() + seconds(600))
}

/// The work behind the answers, from `after` the date on which tests begin.
fn work_from(app: &InProcess, after: Duration) -> impl Future<Output = Infallible> + use<> {
    let app = app.app.clone();
    let began = (Instant::now(), began() + after);
    async move { app.follow_rotation(|| began.1 + began.0.elapsed()).await }
}

fn work(app: &InProcess) -> impl Future<Output = Infallible> + use<> {
    work_from(app, Duration::ZERO)
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
    let app = followed(&platform);
    let first = rotate(&app);
    let mut work = pin!(work(&app));
    platform.will_resolve(SETTING, &first);
    pass(&mut work, seconds(55)).await;
    assert_eq!(
        platform.refreshes(),
        0,
        "a start may be the doing of a refresh"
    );
    pass(&mut work, seconds(40)).await;
    assert_eq!(platform.refreshes(), 1, "what is behind at the start");
    pass(&mut work, seconds(100)).await;
    app.get(SECRET).await;
    let cached = app.get(SECRET).await;
    assert_eq!(cached.header("x-cache"), Some("HIT"));

    let second = rotate(&app);
    platform.will_resolve(SETTING, &second);
    let answer = post(&app, &json!([new_version("1", &second)])).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let expected = json!({
        "accepted": 1, "ignored": 0, "duplicates": 0, "malformed": 0, "rotation": "on",
    });
    assert_eq!(answer.json(), expected);
    let told = rotation(&app).await;
    assert_eq!(told["outcome"], "waiting");
    assert_eq!(told["secret"], "ExternalApiKey");
    assert_eq!(told["event_at"], "2026-07-25T01:08:33+00:00");
    let read_again = app.get(SECRET).await;
    assert_eq!(read_again.header("x-cache"), Some("MISS"));
    assert_eq!(read_again.json()["version"], second.as_str());
    pass(&mut work, seconds(25)).await;
    assert_eq!(platform.refreshes(), 1, "not before it is quiet");
    pass(&mut work, seconds(10)).await;
    assert_eq!(platform.refreshes(), 2);
    let told = rotation(&app).await;
    assert_eq!(told["outcome"], "refreshed");
    assert!(told["asked_at"].is_string(), "{told}");
    pass(&mut work, seconds(36_000)).await;
    assert_eq!(platform.refreshes(), 2);
    // Versions are listed, and none is got.
    for path in app.asked() {
        assert!(path.trim_end_matches('/').ends_with("versions"), "{path}");
    }
}

/// What an outage is bridged with stays.
#[tokio::test(start_paused = true)]
async fn a_vault_that_is_out_leaves_what_was_known_before_the_event() {
    let app = followed(&Platform::default());
    let known = app.get(SECRET).await.json();
    tell_of(&app, "1", OLD).await;
    app.fail_with(Fault::Outage(503));
    let stale = app.get(SECRET).await;
    assert_eq!(
        (stale.status, stale.header("x-cache")),
        (200, Some("STALE"))
    );
    assert_eq!(stale.json()["version"], known["version"]);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_events_are_one_refresh() {
    let platform = Platform::with(&[(SETTING, Some(OLD))]);
    let app = followed(&platform);
    let newest = rotate(&app);
    platform.will_resolve(SETTING, &newest);
    let mut work = pin!(work(&app));
    pass(&mut work, seconds(600)).await;
    assert_eq!(platform.refreshes(), 1, "at the start");
    let newest = rotate(&app);
    platform.will_resolve(SETTING, &newest);
    let (mut accepted, mut duplicates) = (0, 0);
    for batch in 0..100 {
        let event = |number| new_version(&format!("{batch}-{}", number / 2), &newest);
        let events: Vec<_> = (0..100).map(event).collect();
        let answer = post(&app, &json!(events)).await.json();
        accepted += answer["accepted"].as_u64().expect("a number");
        duplicates += answer["duplicates"].as_u64().expect("a number");
    }
    assert_eq!((accepted, duplicates), (5_000, 5_000));
    let reads = app.reads();
    pass(&mut work, seconds(6_000)).await;
    assert_eq!(platform.refreshes(), 2);
    assert_eq!(
        app.reads(),
        reads + 2,
        "the newest version was looked at once before the call and once after"
    );
}

#[tokio::test(start_paused = true)]
async fn azure_is_asked_once_a_minute_at_most() {
    for mood in [
        Mood::Serves,
        Mood::StaysBehind,
        Mood::Throttles(0),
        Mood::RefusesToRefresh(503),
        Mood::RefusesToRefresh(409),
        Mood::RefusesToRefresh(403),
        Mood::HangsAfterIt,
    ] {
        let platform = Platform::with(&[(SETTING, None)]);
        platform.set(mood);
        let app = followed(&platform);
        let mut work = pin!(work(&app));
        // One event in 10 s, for ten minutes, each of a version of its own: it is never quiet.
        for number in 0..60 {
            tell_of(&app, &number.to_string(), &rotate(&app)).await;
            pass(&mut work, seconds(10)).await;
        }
        // Looks at the pauses.
        let refreshes = platform.refreshes();
        assert!(refreshes <= 10, "{mood:?}: {refreshes}");
        assert_eq!(refreshes == 0, mood == Mood::Throttles(0), "{mood:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_version_is_asked_for_once() {
    let platform = Platform::with(&[(SETTING, None)]);
    platform.set(Mood::StaysBehind);
    let app = followed(&platform);
    let newest = rotate(&app);
    let mut work = pin!(work(&app));
    // What the platform does not tell asks for nothing at the start, or it would never end.
    pass(&mut work, seconds(600)).await;
    assert_eq!(platform.refreshes(), 0);
    for id in ["1", "2", "3"] {
        tell_of(&app, id, &newest).await;
        pass(&mut work, seconds(600)).await;
        assert_eq!(platform.refreshes(), 1);
        assert_eq!(rotation(&app).await["outcome"], "refreshed");
    }
    // Nor does an event of another version, which may be anybody's.
    for (number, id) in ["4", "5", "6"].into_iter().enumerate() {
        tell_of(&app, id, &format!("{number:032x}")).await;
        pass(&mut work, seconds(600)).await;
        assert_eq!(platform.refreshes(), 1);
        assert_eq!(rotation(&app).await["outcome"], "refreshed");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_in_effect_already_asks_for_nothing() {
    let platform = Platform::with(&[(SETTING, Some(OLD))]);
    let app = followed(&platform);
    let newest = rotate(&app);
    let platform = Platform::with(&[(SETTING, Some(&newest))]);
    let setting = [(SETTING, "SecretName=ExternalApiKey")];
    let app = app_on(app.vault.clone(), Some(&platform), &setting);
    let mut work = pin!(work(&app));
    pass(&mut work, seconds(600)).await;
    assert_eq!(
        rotation(&app).await,
        Value::Null,
        "a start is nobody's news"
    );
    tell_of(&app, "1", &newest).await;
    pass(&mut work, seconds(600)).await;
    assert_eq!(platform.refreshes(), 0);
    assert_eq!(rotation(&app).await["outcome"], "current");
}

#[tokio::test(start_paused = true)]
async fn a_disabled_version_is_not_asked_for() {
    let platform = Platform::with(&[(SETTING, Some(OLD))]);
    let app = followed(&platform);
    let disabled = NewSecret {
        attributes: Attributes {
            enabled: false,
            ..Attributes::default()
        },
        ..NewSecret::of("canary")
    };
    let store = app.vault.store();
    let newest = store.set_at("ExternalApiKey", disabled, began() + seconds(1));
    let mut work = pin!(work(&app));
    pass(&mut work, seconds(600)).await;
    tell_of(&app, "1", &newest.expect("set")).await;
    pass(&mut work, seconds(600)).await;
    assert_eq!(platform.refreshes(), 0);
    let told = rotation(&app).await;
    assert_eq!(told["outcome"], "disabled");
    assert!(told["next_at"].is_string(), "{told}");
    // No event tells of what can be used from now on.
    platform.will_resolve(SETTING, &rotate_at(&app, seconds(2)));
    pass(&mut work, seconds(3_600)).await;
    assert_eq!(platform.refreshes(), 1);
    assert_eq!(rotation(&app).await["outcome"], "refreshed");
}

/// A platform that stays behind, and starts the app again each time that it is asked, must not do so
/// for ever.
#[tokio::test(start_paused = true)]
async fn starts_ask_ever_more_seldom_and_not_for_what_is_old() {
    let platform = Platform::with(&[(SETTING, Some(OLD))]);
    platform.set(Mood::StaysBehind);
    let app = followed(&platform);
    let newest = rotate_at(&app, Duration::ZERO);
    for (age, asked_after) in [
        (10, Some(60)),
        (600, Some(600)),
        (7_200, Some(3_600)),
        (90_000, None),
    ] {
        let before = platform.asked().len();
        let refreshes = || {
            let asked = platform.asked();
            let asked = asked[before..].iter();
            asked.filter(|asked| asked.starts_with("POST ")).count()
        };
        let mut work = pin!(work_from(&app, seconds(age)));
        // Whoever can send events makes it no sooner.
        tell_of(&app, &age.to_string(), OLD).await;
        let asked_after = asked_after.unwrap_or(90_000);
        pass(&mut work, seconds(45)).await;
        let told = rotation(&app).await;
        // What is too old to be asked for is left to the platform, and that is told.
        let outcome = if age < 90_000 { "waiting" } else { "behind" };
        assert_eq!(told["outcome"], outcome, "{age}");
        assert!(told["next_at"].is_string(), "{told}");
        assert_eq!(told["fix"].is_string(), age >= 90_000, "{told}");
        pass(&mut work, seconds(asked_after - 46)).await;
        assert_eq!(refreshes(), 0, "{age}");
        pass(&mut work, seconds(SPREAD + 2)).await;
        assert_eq!(refreshes(), usize::from(age < 90_000), "{age}");
        pass(&mut work, seconds(90_000)).await;
        assert_eq!(refreshes(), usize::from(age < 90_000), "{age}");
        assert_eq!(rotation(&app).await["outcome"], "behind", "{age}");
    }
    // The platform may look itself at any time.
    let mut work = pin!(work_from(&app, seconds(90_000)));
    tell_of(&app, "last", OLD).await;
    pass(&mut work, seconds(100)).await;
    assert_eq!(rotation(&app).await["outcome"], "behind");
    platform.resolves(SETTING, &newest);
    pass(&mut work, seconds(3_600)).await;
    assert_eq!(rotation(&app).await["outcome"], "current");
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
    let unused = event("SecretNewVersionCreated", "2", "Unused", OLD);
    let events = json!([
        new_version("1", OLD),
        unused,
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
async fn a_refusal_says_which_right_is_missing_and_heals_once_it_is_granted() {
    let lines = Targets::new().with_target("keyvault_functions::functions", Level::INFO);
    let (lines, _in_this_thread) = Lines::of_this_thread(&lines);
    for mood in [Mood::Refuses(403), Mood::RefusesToRefresh(403)] {
        let platform = Platform::with(&[(SETTING, Some(OLD))]);
        platform.set(mood);
        let app = followed(&platform);
        let newest = rotate(&app);
        let mut work = pin!(work(&app));
        pass(&mut work, seconds(36_000)).await;
        let asked = platform.asked().len();
        assert!((20..=120).contains(&asked), "{mood:?}: {asked}");
        let written = lines.take();
        leaks::assert_none("the log", &written, &[]);
        assert_eq!(written.matches("WARN").count(), 1, "{written}");
        for part in ["RotationRefreshDenied", "Website Contributor", "func-a"] {
            assert!(written.contains(part), "{part}: {written}");
        }
        let told = rotation(&app).await;
        assert_eq!(told["outcome"], "denied");
        let fix = told["fix"].to_string();
        assert!(fix.contains("az role assignment create"), "{fix}");
        let page = app.get_as(CHECK, "text/html").await.body;
        for text in [
            "Rotation",
            "denied",
            "az role assignment create",
            "Next look",
        ] {
            assert!(page.contains(text), "{text}: {page}");
        }
        // Roles take minutes to arrive. No event is needed.
        platform.set(Mood::Serves);
        platform.will_resolve(SETTING, &newest);
        pass(&mut work, seconds(1_000)).await;
        assert_eq!(rotation(&app).await["outcome"], "refreshed");
        lines.take();
    }
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_tried_again() {
    for (mood, asked_within_a_minute, refreshes) in [
        (Mood::Throttles(20), 2..=4, 1),
        (Mood::Refuses(503), 4..=7, 1),
        (Mood::Refuses(409), 4..=7, 1),
        // A list that cannot be understood does not keep from the refresh, which has its minute.
        (Mood::Refuses(302), 2..=2, 2),
        (Mood::Refuses(418), 2..=2, 2),
        (Mood::Hangs, 1..=1, 1),
    ] {
        let platform = Platform::with(&[(SETTING, None)]);
        let app = followed(&platform);
        let mut work = pin!(work(&app));
        pass(&mut work, seconds(100)).await;
        let newest = rotate(&app);
        platform.will_resolve(SETTING, &newest);
        tell_of(&app, "1", &newest).await;
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
        pass(&mut work, seconds(1_200)).await;
        assert_eq!(rotation(&app).await["outcome"], "refreshed", "{mood:?}");
        assert_eq!(platform.refreshes(), refreshes, "{mood:?}");
    }
}

/// That it was done is documented. What is said about the references then is not.
#[tokio::test(start_paused = true)]
async fn a_refresh_that_was_done_is_done_whatever_is_said_about_it() {
    for mood in [
        Mood::Says(200, ""),
        Mood::Says(202, ""),
        Mood::Says(204, ""),
        Mood::Says(200, r#"{"properties": {"keyToReferenceStatuses": {}}}"#),
        Mood::Says(
            200,
            r#"{"value": [{"name": "EXTERNAL_API_KEY", "properties": {"activeVersion": null, "status": "Resolved"}}]}"#,
        ),
        Mood::BreaksOff,
        Mood::WantsNewToken,
        Mood::PagesAt("https://management.azure.com"),
        Mood::PagesAt("https://evil.example"),
    ] {
        let platform = Platform::with(&[(SETTING, Some(OLD))]);
        platform.set(mood);
        let app = followed(&platform);
        let newest = rotate(&app);
        platform.will_resolve(SETTING, &newest);
        let mut work = pin!(work(&app));
        tell_of(&app, "1", &newest).await;
        pass(&mut work, seconds(3_600)).await;
        assert_eq!(platform.refreshes(), 1, "{mood:?}");
        assert_eq!(rotation(&app).await["outcome"], "refreshed", "{mood:?}");
        for asked in platform.asked() {
            assert!(asked.contains(" https://management.azure.com/"), "{asked}");
        }
    }
}

/// An answer that does not come says nothing: it is looked at again what is in effect.
#[tokio::test(start_paused = true)]
async fn a_refresh_without_an_answer_is_not_repeated_if_it_was_done() {
    let platform = Platform::with(&[(SETTING, Some(OLD))]);
    platform.set(Mood::HangsAfterIt);
    let app = followed(&platform);
    let newest = rotate(&app);
    platform.will_resolve(SETTING, &newest);
    let mut work = pin!(work(&app));
    tell_of(&app, "1", &newest).await;
    pass(&mut work, seconds(3_600)).await;
    assert_eq!(platform.refreshes(), 1);
    assert_eq!(rotation(&app).await["outcome"], "current");
}

/// A refresh reads each secret, which takes its time.
#[tokio::test]
async fn a_slow_refresh_is_waited_for_and_asked_for_once() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let router = Router::new().fallback(async move |request: Request| {
        assert_eq!(request.method(), Method::POST);
        let length = request.headers().get("content-length");
        assert_eq!(
            length.map(axum::http::HeaderValue::as_bytes),
            Some(&b"0"[..])
        );
        assert!(
            !request.headers().contains_key("authorization"),
            "a stand-in gets no token"
        );
        counted.fetch_add(1, Ordering::SeqCst);
        // Longer than a request to a vault may take.
        sleep(seconds(5)).await;
        json!({"value": [{"name": "A", "properties": {"status": "Resolved"}}]}).to_string()
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });
    let url = ManagementUrl::parse(&url).expect("on loopback");
    let site = SiteId::new("sub-a", "rg-a", "func-a", None).expect("names");
    let manager = ResourceManager::new(url, site, |scope| {
        assert_eq!(scope, None);
        let limit = keyvault_functions::management::CALL_LIMIT;
        std::future::ready(credential::connect_to_stand_in(None, limit))
    });
    let refreshed = manager.refresh().await.expect("done");
    assert_eq!(refreshed.len(), 1);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    serving.abort();
}

/// It is looked at again, and not asked for again.
#[tokio::test(start_paused = true)]
async fn what_is_not_in_effect_after_it_is_told_until_it_is() {
    for (mood, version, outcome) in [
        (Mood::DoesNotResolve, None, "unresolved"),
        (Mood::DoesNotResolve, Some(OLD), "unresolved"),
        (Mood::StaysBehind, Some(OLD), "behind"),
        (Mood::StaysBehindSilently, Some(OLD), "behind"),
    ] {
        let platform = Platform::with(&[(SETTING, version)]);
        platform.set(mood);
        let app = followed(&platform);
        let newest = rotate(&app);
        let mut work = pin!(work(&app));
        tell_of(&app, "1", &newest).await;
        pass(&mut work, seconds(200)).await;
        let told = rotation(&app).await;
        assert_eq!(told["outcome"], outcome);
        // Nor does an event hide it, which tells of nothing new.
        tell_of(&app, "2", &newest).await;
        assert_eq!(rotation(&app).await["outcome"], outcome);
        pass(&mut work, seconds(60)).await;
        assert!(
            told["asked_at"].is_string() && told["next_at"].is_string(),
            "{told}"
        );
        assert_eq!(told["fix"].is_string(), outcome == "behind", "{told}");
        // Ever more seldom.
        let asked = platform.asked().len();
        pass(&mut work, seconds(36_000)).await;
        let asked = platform.asked().len() - asked;
        assert!((10..=17).contains(&asked), "{asked}");
        assert_eq!(rotation(&app).await["outcome"], outcome);

        platform.set(Mood::Serves);
        platform.resolves(SETTING, &newest);
        pass(&mut work, seconds(3_600)).await;
        let healed = rotation(&app).await;
        assert_eq!(healed["outcome"], "refreshed");
        assert_eq!(healed["asked_at"], told["asked_at"]);
        assert_eq!(healed["next_at"], Value::Null);
        assert_eq!(platform.refreshes(), 1);
    }
}

/// Azure tells a version or not, as it likes.
#[tokio::test(start_paused = true)]
async fn what_a_start_found_behind_stays_so_where_no_version_is_told_any_more() {
    for mood in [
        Mood::DoesNotResolve,
        Mood::RefusesToRefresh(403),
        Mood::RefusesToRefresh(503),
    ] {
        let platform = Platform::with(&[(SETTING, Some(OLD))]);
        let app = followed(&platform);
        let newest = rotate(&app);
        platform.set(mood);
        let mut work = pin!(work(&app));
        pass(&mut work, seconds(100)).await;
        let told = rotation(&app).await;
        platform.conceals(SETTING);
        pass(&mut work, seconds(10_000)).await;
        assert_eq!(rotation(&app).await["outcome"], told["outcome"], "{mood:?}");
        platform.set(Mood::Serves);
        platform.will_resolve(SETTING, &newest);
        pass(&mut work, seconds(8_000)).await;
        assert_eq!(rotation(&app).await["outcome"], "refreshed", "{mood:?}");
    }
}

/// Nor is it taken for current then.
#[tokio::test(start_paused = true)]
async fn what_a_start_left_stays_left_where_no_version_is_told_any_more() {
    let disabled = || NewSecret {
        attributes: Attributes {
            enabled: false,
            ..Attributes::default()
        },
        ..NewSecret::of("canary")
    };
    for (new, age, outcome, concealed) in [
        (disabled(), 10, "disabled", "disabled"),
        // The platform has had its day.
        (NewSecret::of("canary"), 100_000, "behind", "unknown"),
    ] {
        let platform = Platform::with(&[(SETTING, Some(OLD))]);
        let app = followed(&platform);
        let set = app.vault.store().set_at("ExternalApiKey", new, began());
        set.expect("set");
        let mut work = pin!(work_from(&app, seconds(age)));
        pass(&mut work, seconds(100)).await;
        assert_eq!(rotation(&app).await["outcome"], outcome);
        platform.conceals(SETTING);
        pass(&mut work, seconds(10_000)).await;
        assert_eq!(rotation(&app).await["outcome"], concealed);
        platform.resolves(SETTING, OLD);
        pass(&mut work, seconds(4_000)).await;
        assert_eq!(rotation(&app).await["outcome"], outcome);
        assert_eq!(platform.refreshes(), 0);
        // What comes is seen, without an event.
        let newest = rotate_at(&app, seconds(200_000));
        platform.will_resolve(SETTING, &newest);
        pass(&mut work, seconds(4_000)).await;
        assert_eq!(rotation(&app).await["outcome"], "refreshed");
    }
}

/// A list that says nothing does not stand in its way, and what says nothing hides nothing.
#[tokio::test(start_paused = true)]
async fn a_platform_without_a_list_is_asked_for_what_events_tell() {
    let platform = Platform::with(&[]);
    platform.set(Mood::RefusesToList(404));
    let app = app(Some(&platform), &BOTH);
    let newest = rotate(&app);
    let mut work = pin!(work(&app));
    pass(&mut work, seconds(100)).await;
    assert_eq!(rotation(&app).await["outcome"], "unknown");
    tell_of(&app, "1", &newest).await;
    pass(&mut work, seconds(80_000)).await;
    let told = rotation(&app).await;
    assert_eq!(
        (&told["secret"], &told["outcome"]),
        (&"ExternalApiKey".into(), &"refreshed".into())
    );
    assert_eq!(platform.refreshes(), 1);
}

/// The failures of one rotation do not slow the next one down.
#[tokio::test(start_paused = true)]
async fn what_the_platform_heals_itself_ends_the_pauses() {
    let lines = Targets::new().with_target("keyvault_functions::functions", Level::INFO);
    let (lines, _in_this_thread) = Lines::of_this_thread(&lines);
    // Another secret that is gone has nothing to do with it.
    let platform = Platform::with(&[(SETTING, Some(OLD)), ("OTHER", Some(OLD))]);
    platform.set(Mood::RefusesToRefresh(403));
    let references = [
        (SETTING, "SecretName=ExternalApiKey"),
        ("OTHER", "SecretName=Missing"),
    ];
    let app = app(Some(&platform), &references);
    let mut work = pin!(work(&app));
    for _ in 0..2 {
        let newest = rotate(&app);
        tell_of(&app, &newest, &newest).await;
        let before = platform.refreshes();
        pass(&mut work, seconds(600)).await;
        assert!(platform.refreshes() - before >= 3);
        assert_eq!(lines.take().matches("RotationRefreshDenied").count(), 1);
        pass(&mut work, seconds(20_000)).await;
        platform.resolves(SETTING, &newest);
        pass(&mut work, seconds(1_000)).await;
        assert_eq!(rotation(&app).await["outcome"], "current");
    }
}

/// Nothing was ever known to be behind.
#[tokio::test(start_paused = true)]
async fn a_secret_that_comes_back_is_not_called_behind() {
    let long_ago = began() - seconds(100_000);
    for (active, is_told, made) in [(None, true, long_ago), (Some(OLD), false, began())] {
        let platform = Platform::with(&[("LATER", active)]);
        let app = app(Some(&platform), &[("LATER", "SecretName=Later")]);
        let mut work = pin!(work(&app));
        if is_told {
            let told = event("SecretNewVersionCreated", "1", "Later", OLD);
            post(&app, &json!([told])).await;
        }
        pass(&mut work, seconds(100)).await;
        let outcome = rotation(&app).await["outcome"].clone();
        assert_eq!(outcome == "gone", is_told, "{outcome}");
        platform.conceals("LATER");
        let new = NewSecret::of("canary");
        app.vault.store().set_at("Later", new, made).expect("set");
        pass(&mut work, seconds(10_000)).await;
        let outcome = rotation(&app).await["outcome"].clone();
        assert_eq!(outcome == "unknown", is_told, "{outcome}");
        assert_eq!(platform.refreshes(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_setting_of_which_nothing_is_told_is_not_behind_because_another_one_was() {
    let platform = Platform::with(&[(SETTING, Some(OLD)), ("SECOND", None)]);
    let references = [
        (SETTING, "SecretName=ExternalApiKey"),
        ("SECOND", "SecretName=ExternalApiKey"),
    ];
    let app = app(Some(&platform), &references);
    let newest = rotate_at(&app, Duration::ZERO);
    let mut work = pin!(work_from(&app, seconds(7_200)));
    pass(&mut work, seconds(100)).await;
    assert_eq!(rotation(&app).await["outcome"], "waiting");
    platform.resolves(SETTING, &newest);
    pass(&mut work, seconds(100_000)).await;
    assert_eq!(rotation(&app).await["outcome"], "current");
    assert_eq!(platform.refreshes(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_start_could_not_read_is_tried_until_it_can() {
    let platform = Platform::with(&[(SETTING, Some(OLD))]);
    let app = followed(&platform);
    let newest = rotate(&app);
    app.fail_with(Fault::Deny("ForbiddenByRbac"));
    let mut work = pin!(work(&app));
    pass(&mut work, seconds(100)).await;
    platform.conceals(SETTING);
    pass(&mut work, seconds(5_000)).await;
    assert_eq!(rotation(&app).await["outcome"], "failed");
    platform.resolves(SETTING, OLD);
    platform.will_resolve(SETTING, &newest);
    app.fail_with(None);
    pass(&mut work, seconds(5_000)).await;
    assert_eq!(rotation(&app).await["outcome"], "refreshed");
}

/// Nobody has said so.
#[tokio::test(start_paused = true)]
async fn an_event_does_not_make_the_unknown_current_and_ends_no_pause_of_the_list() {
    let platform = Platform::with(&[(SETTING, Some(OLD))]);
    platform.set(Mood::RefusesToList(404));
    let app = followed(&platform);
    rotate_at(&app, Duration::ZERO);
    let mut work = pin!(work_from(&app, seconds(100_000)));
    pass(&mut work, seconds(2_000)).await;
    let asked = platform.asked().len();
    for id in 0..10 {
        tell_of(&app, &id.to_string(), OLD).await;
        pass(&mut work, seconds(35)).await;
        assert_eq!(rotation(&app).await["outcome"], "unknown", "{id}");
    }
    assert!(platform.asked().len() <= asked + 1);
    platform.set(Mood::Serves);
    pass(&mut work, seconds(2_000)).await;
    assert_eq!(rotation(&app).await["outcome"], "behind");
}

/// The platform has looked itself by then.
#[tokio::test(start_paused = true)]
async fn a_refused_call_for_what_nobody_tells_ends_after_a_day() {
    let platform = Platform::with(&[(SETTING, None)]);
    platform.set(Mood::RefusesToRefresh(403));
    let app = followed(&platform);
    let mut work = pin!(work(&app));
    tell_of(&app, "1", &rotate(&app)).await;
    pass(&mut work, seconds(80_000)).await;
    assert_eq!(rotation(&app).await["outcome"], "denied");
    pass(&mut work, seconds(20_000)).await;
    assert_eq!(rotation(&app).await["outcome"], "unknown");
    let asked = platform.refreshes();
    platform.set(Mood::Serves);
    pass(&mut work, seconds(100_000)).await;
    assert_eq!(platform.refreshes(), asked);
}

/// What it finds could be what a crash has lost.
#[tokio::test(start_paused = true)]
async fn a_start_that_gets_no_list_tries_again_and_says_so() {
    let lines = Targets::new().with_target("keyvault_functions::functions", Level::INFO);
    let (lines, _in_this_thread) = Lines::of_this_thread(&lines);
    for (status, outcome, code) in [
        (404, "unknown", "RotationVersionsUnknown"),
        (418, "unknown", "RotationVersionsUnknown"),
        (503, "failed", "RotationRefreshFailed"),
        (403, "denied", "RotationRefreshDenied"),
    ] {
        let platform = Platform::with(&[(SETTING, Some(OLD))]);
        platform.set(Mood::Refuses(status));
        let app = followed(&platform);
        let newest = rotate(&app);
        platform.will_resolve(SETTING, &newest);
        let mut work = pin!(work(&app));
        pass(&mut work, seconds(10_000)).await;
        let told = rotation(&app).await;
        assert_eq!(told["outcome"], outcome, "{status}");
        assert!(told["fix"].is_string(), "{told}");
        assert_eq!(lines.take().matches(code).count(), 1, "{status}");
        assert_eq!(platform.refreshes(), 0);
        platform.set(Mood::Serves);
        pass(&mut work, seconds(1_000)).await;
        assert_eq!(rotation(&app).await["outcome"], "refreshed", "{status}");
    }
    // Where Azure tells no version, there is nothing to find.
    let platform = Platform::with(&[(SETTING, None)]);
    platform.set(Mood::Refuses(503));
    let app = followed(&platform);
    let mut work = pin!(work(&app));
    pass(&mut work, seconds(100)).await;
    platform.set(Mood::Serves);
    pass(&mut work, seconds(1_000)).await;
    assert_eq!(rotation(&app).await, Value::Null);
}

/// Nor does another secret's, whose success could pass for an end of it.
#[tokio::test(start_paused = true)]
async fn no_event_ends_a_pause() {
    let lines = Targets::new().with_target("keyvault_functions::functions", Level::INFO);
    let (lines, _in_this_thread) = Lines::of_this_thread(&lines);
    let platform = Platform::with(&[(SETTING, Some(OLD)), ("DATABASE_PASSWORD", None)]);
    let app = app(Some(&platform), &BOTH);
    let mut work = pin!(work(&app));
    pass(&mut work, seconds(100)).await;
    let crowd = async |work: &mut Pin<&mut _>, name: &str, minutes: usize| {
        for number in 0..minutes * 2 {
            let secret = ["ExternalApiKey", "DatabasePassword"][number % 2];
            let id = format!("{name}-{number}");
            let told = event("SecretNewVersionCreated", &id, secret, OLD);
            post(&app, &json!([told])).await;
            pass(work, seconds(30)).await;
        }
    };
    // As long as Azure says, whatever it is asked.
    platform.set(Mood::Throttles(1_800));
    let asked = platform.asked().len();
    crowd(&mut work, "throttled", 29).await;
    assert_eq!(platform.asked().len(), asked + 1);
    platform.set(Mood::Serves);
    pass(&mut work, seconds(600)).await;

    // A refusal of one operation is no news because another one succeeded.
    let newest = rotate(&app);
    platform.set(Mood::RefusesToRefresh(403));
    lines.take();
    tell_of(&app, "denied", &newest).await;
    let asked = platform.asked().len();
    crowd(&mut work, "denied", 300).await;
    let refreshes = platform.asked().split_off(asked);
    let refreshes = refreshes
        .iter()
        .filter(|asked| asked.starts_with("POST "))
        .count();
    assert!((20..=30).contains(&refreshes), "{refreshes}");
    assert_eq!(lines.take().matches("WARN").count(), 1);
    platform.set(Mood::Serves);
    platform.will_resolve(SETTING, &newest);
    pass(&mut work, seconds(1_000)).await;
    assert_eq!(rotation(&app).await["outcome"], "refreshed");

    // Nor is the vault asked more often.
    app.fail_with(Fault::Outage(503));
    lines.take();
    let reads = app.reads();
    crowd(&mut work, "outage", 300).await;
    let reads = app.reads() - reads;
    assert!(reads <= 400, "{reads}");
    assert!(lines.take().lines().count() <= 2);
}

/// Others may be in order.
#[tokio::test(start_paused = true)]
async fn what_needs_a_person_is_told_first() {
    let vault = app(None, &BOTH).vault;
    let newest_of = |secret: &str, after| {
        let new = NewSecret::of("canary");
        let store = vault.store();
        store
            .set_at(secret, new, began() + seconds(after))
            .expect("set")
    };
    let (key, password) = (
        newest_of("ExternalApiKey", 1),
        newest_of("DatabasePassword", 1),
    );
    let platform = Platform::with(&[(SETTING, Some(OLD)), ("DATABASE_PASSWORD", Some(&password))]);
    platform.set(Mood::RefusesToRefresh(403));
    let app = app_on(vault.clone(), Some(&platform), &BOTH);
    let mut work = pin!(work(&app));
    tell_of(&app, "1", &key).await;
    pass(&mut work, seconds(120)).await;
    let of_password = |id| event("SecretNewVersionCreated", id, "DatabasePassword", &password);
    for (id, pause) in [("2", 0), ("3", 300)] {
        post(&app, &json!([of_password(id)])).await;
        pass(&mut work, seconds(pause)).await;
        let told = rotation(&app).await;
        assert_eq!(
            (&told["secret"], &told["outcome"]),
            (&"ExternalApiKey".into(), &"denied".into())
        );
    }
    // Nor does an event of the same one hide why the one before came to nothing.
    tell_of(&app, "4", &key).await;
    assert_eq!(rotation(&app).await["outcome"], "denied");
    platform.set(Mood::Serves);
    platform.will_resolve(SETTING, &key);
    pass(&mut work, seconds(1_000)).await;
    let told = rotation(&app).await;
    assert_eq!(told["outcome"], "refreshed");
    post(&app, &json!([of_password("5")])).await;
    pass(&mut work, seconds(60)).await;
    let told = rotation(&app).await;
    assert_eq!(
        (&told["secret"], &told["outcome"]),
        (&"DatabasePassword".into(), &"current".into())
    );
}

/// The answers to it are about what was there before.
#[tokio::test(start_paused = true)]
async fn an_event_that_comes_during_a_look_waits_for_the_next() {
    let platform = Platform::with(&[(SETTING, None)]);
    let app = followed(&platform);
    let mut work = pin!(work(&app));
    pass(&mut work, seconds(100)).await;
    platform.set(Mood::TakesItsTime);
    let first = rotate(&app);
    platform.will_resolve(SETTING, &first);
    tell_of(&app, "1", &first).await;
    // The list is there, and the refresh is on its way.
    pass(&mut work, seconds(30) + SLOW * 3 / 2).await;
    let second = rotate(&app);
    tell_of(&app, "2", &second).await;
    pass(&mut work, SLOW).await;
    assert_eq!(platform.refreshes(), 1);
    assert_eq!(rotation(&app).await["outcome"], "waiting");
    platform.will_resolve(SETTING, &second);
    pass(&mut work, seconds(120)).await;
    assert_eq!(rotation(&app).await["outcome"], "refreshed");
    assert_eq!(platform.refreshes(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_deleted_is_not_called_current() {
    let platform = Platform::with(&[(SETTING, Some(OLD))]);
    let app = followed(&platform);
    assert!(app.vault.store().delete("ExternalApiKey"));
    let mut work = pin!(work(&app));
    tell_of(&app, "1", OLD).await;
    pass(&mut work, seconds(600)).await;
    assert_eq!(rotation(&app).await["outcome"], "gone");
    assert_eq!(platform.refreshes(), 0);
}

/// Those that start together find the same behind.
#[tokio::test(start_paused = true)]
async fn of_instances_that_start_together_one_asks() {
    // They differ by chance: once in 100 times by less than Azure takes.
    for _ in 0..6 {
        let platform = Platform::with(&[(SETTING, Some(OLD))]);
        platform.set(Mood::TakesItsTime);
        let one = followed(&platform);
        platform.will_resolve(SETTING, &rotate(&one));
        let setting = [(SETTING, "SecretName=ExternalApiKey")];
        let other = app_on(one.vault.clone(), Some(&platform), &setting);
        let (mut work, mut others) = (pin!(work(&one)), pin!(work(&other)));
        let time = seconds(600);
        tokio::join!(pass(&mut work, time), pass(&mut others, time));
        let asked = platform.asked();
        if asked
            .iter()
            .filter(|asked| asked.starts_with("POST "))
            .count()
            == 1
        {
            return;
        }
    }
    panic!("each asked");
}

/// What cannot be read is not taken for current.
#[tokio::test(start_paused = true)]
async fn a_vault_that_does_not_answer_is_asked_again() {
    for fault in [
        Fault::Deny("ForbiddenByRbac"),
        Fault::Outage(503),
        Fault::Silence,
    ] {
        let platform = Platform::with(&[(SETTING, Some(OLD))]);
        let app = followed(&platform);
        let newest = rotate(&app);
        platform.will_resolve(SETTING, &newest);
        app.fail_with(fault);
        let mut work = pin!(work(&app));
        pass(&mut work, seconds(3_600)).await;
        assert_eq!(platform.refreshes(), 0, "{fault:?}");
        let told = rotation(&app).await;
        assert_eq!(told["outcome"], "failed", "{fault:?}");
        assert!(
            told["detail"].is_string() && told["fix"].is_string(),
            "{told}"
        );
        app.fail_with(None);
        pass(&mut work, seconds(1_200)).await;
        assert_eq!(platform.refreshes(), 1, "{fault:?}");
        assert_eq!(rotation(&app).await["outcome"], "refreshed", "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_secret_that_was_behind_is_told() {
    let vault = app(None, &BOTH).vault;
    let newest_of = |secret: &str| {
        let new = NewSecret::of("canary");
        vault.store().set_at(secret, new, began()).expect("set")
    };
    let (key, password) = (newest_of("ExternalApiKey"), newest_of("DatabasePassword"));
    let platform = Platform::with(&[(SETTING, Some(OLD)), ("DATABASE_PASSWORD", Some(&password))]);
    platform.will_resolve(SETTING, &key);
    let app = app_on(vault.clone(), Some(&platform), &BOTH);
    let mut work = pin!(work(&app));
    let of_password = event(
        "SecretNewVersionCreated",
        "2",
        "DatabasePassword",
        &password,
    );
    post(&app, &json!([new_version("1", &key), of_password])).await;
    pass(&mut work, seconds(120)).await;
    let told = rotation(&app).await;
    assert_eq!(
        (&told["secret"], &told["outcome"]),
        (&"ExternalApiKey".into(), &"refreshed".into())
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_that_comes_while_azure_is_asked_is_not_lost() {
    let platform = Platform::with(&[(SETTING, None)]);
    platform.set(Mood::HangsAfterIt);
    let app = followed(&platform);
    let first = rotate(&app);
    platform.will_resolve(SETTING, &first);
    let mut work = pin!(work(&app));
    tell_of(&app, "1", &first).await;
    pass(&mut work, seconds(100)).await;
    assert_eq!(platform.refreshes(), 1, "it is being asked");
    let second = rotate(&app);
    platform.will_resolve(SETTING, &second);
    tell_of(&app, "2", &second).await;
    platform.set(Mood::Serves);
    pass(&mut work, seconds(600)).await;
    assert_eq!(platform.refreshes(), 2);
    assert_eq!(rotation(&app).await["outcome"], "refreshed");
}

/// Only the instance that gets the event asks; the answers of another one expire.
#[tokio::test(start_paused = true)]
async fn one_instance_asks_for_all() {
    let platform = Platform::with(&[(SETTING, Some(OLD))]);
    let one = followed(&platform);
    let other = app_on(
        one.vault.clone(),
        Some(&platform),
        &[(SETTING, "SecretName=ExternalApiKey")],
    );
    let first = rotate(&one);
    platform.set(Mood::Serves);
    platform.will_resolve(SETTING, &first);
    let (mut work, mut others) = (pin!(work(&one)), pin!(work(&other)));
    let both = async |work: &mut Pin<&mut _>, others: &mut Pin<&mut _>, time| {
        tokio::join!(pass(work, time), pass(others, time));
    };
    both(&mut work, &mut others, seconds(70)).await;
    let second = rotate(&one);
    platform.will_resolve(SETTING, &second);
    other.get(SECRET).await;
    let before = platform.asked().len();
    tell_of(&one, "1", &second).await;
    both(&mut work, &mut others, seconds(200)).await;
    let asked = platform.asked();
    let refreshes = asked[before..]
        .iter()
        .filter(|asked| asked.starts_with("POST "));
    assert_eq!(refreshes.count(), 1);
    assert_eq!(other.get(SECRET).await.header("x-cache"), Some("HIT"));
}

fn validation(topic: &str) -> Value {
    json!({
        "id": "1", "topic": topic, "subject": "",
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": {"validationCode": "512d38b6", "validationUrl": "https://rp.eventgrid.azure.net:553/x"},
        "eventTime": "2026-01-25T22:12:19.4556811Z", "metadataVersion": "1", "dataVersion": "1",
    })
}

#[tokio::test(start_paused = true)]
async fn only_events_of_the_apps_own_vaults_are_subscribed_to() {
    let platform = Platform::with(&[(SETTING, None)]);
    let app = followed(&platform);
    let answer = post(&app, &json!([validation(TOPIC)])).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json(), json!({"validationResponse": "512d38b6"}));
    for topic in [
        TOPIC.replace("Embedded", "other"),
        TOPIC.replace("Microsoft.KeyVault/vaults", "Microsoft.EventGrid/topics"),
        "Embedded".to_owned(),
    ] {
        let answer = post(&app, &json!([validation(&topic)])).await;
        let refused = (403, &"EventsOfAnotherVault".into());
        assert_eq!((answer.status, &answer.json()["code"]), refused, "{topic}");
    }
    // Beside a handshake nothing is lost.
    let mut work = pin!(work(&app));
    let newest = rotate(&app);
    let both = json!([validation(TOPIC), new_version("1", &newest)]);
    assert_eq!(
        post(&app, &both).await.json()["validationResponse"],
        "512d38b6"
    );
    pass(&mut work, seconds(120)).await;
    assert_eq!(platform.refreshes(), 1);
}

#[tokio::test]
async fn cloud_events_of_event_grid_alone_are_consented_to() {
    let app = followed(&Platform::default());
    let ask = async |origin: Option<&str>| {
        let mut request = Request::options(EVENTS);
        if let Some(origin) = origin {
            request = request.header("webhook-request-origin", origin);
        }
        let request = request.body(Body::empty()).expect("a request");
        app.send(request).await
    };
    let answer = ask(Some("eventgrid.azure.net")).await;
    assert_eq!(answer.status, 200);
    let consent = answer.header("webhook-allowed-origin");
    assert_eq!(consent, Some("eventgrid.azure.net"));
    assert_eq!(answer.header("webhook-allowed-rate"), Some("*"));
    assert_eq!(answer.header("allow"), Some("POST"));
    for origin in [None, Some("evil.example"), Some("*")] {
        let answer = ask(origin).await;
        assert_eq!(answer.header("webhook-allowed-origin"), None, "{origin:?}");
        assert_eq!(answer.header("webhook-allowed-rate"), None, "{origin:?}");
    }
}

/// In both schemas, and in each mode in which the Functions host hands a request on.
#[tokio::test]
async fn every_schema_arrives_in_every_protocol_mode() {
    let captured = new_version("1", OLD);
    let cloud_event = json!({
        "specversion": "1.0", "id": "2", "source": TOPIC, "subject": "ExternalApiKey",
        "type": captured["eventType"], "time": captured["eventTime"], "data": captured["data"],
    });
    for body in [json!([captured]), cloud_event.clone(), json!([cloud_event])] {
        let app = followed(&Platform::default());
        let direct = post(&app, &body).await;
        assert_eq!(direct.json()["accepted"], 1, "{body}");
        let app = followed(&Platform::default());
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
async fn switched_off_it_confirms_acknowledges_and_says_so() {
    let lines = Targets::new().with_target("keyvault_functions::functions", Level::TRACE);
    let (lines, _in_this_thread) = Lines::of_this_thread(&lines);
    let app = app(None, &[(SETTING, "SecretName=ExternalApiKey")]);
    let confirmed = post(&app, &json!([validation(TOPIC)])).await.json();
    assert_eq!(confirmed, json!({"validationResponse": "512d38b6"}));
    assert!(lines.take().contains("rotation=\"off\""));
    app.get(SECRET).await;
    let reads = app.reads();
    let mut work = pin!(work(&app));
    let events = json!([
        new_version("1", OLD),
        event("SecretExpired", "2", "ExternalApiKey", OLD)
    ]);
    let expected = json!({
        "accepted": 0, "ignored": 2, "duplicates": 0, "malformed": 0, "rotation": "off",
    });
    assert_eq!(post(&app, &events).await.json(), expected);
    pass(&mut work, seconds(600)).await;
    assert_eq!(rotation(&app).await, Value::Null);
    assert_eq!(
        app.get(SECRET).await.header("x-cache"),
        Some("STALE"),
        "its time has come"
    );
    assert_eq!(lines.take(), "");
    assert_eq!(app.reads(), reads);
}

/// Whoever tells it first. When it is, only the vault knows.
#[tokio::test(start_paused = true)]
async fn an_expiry_is_one_line() {
    let lines = Targets::new().with_target("keyvault_functions::functions", Level::WARN);
    let (lines, _in_this_thread) = Lines::of_this_thread(&lines);
    let references = [
        ("DATABASE_PASSWORD", "SecretName=DatabasePassword"),
        (SETTING, "SecretName=ExternalApiKey"),
    ];
    let app = app(Some(&Platform::default()), &references);
    let now = OffsetDateTime::now_utc();
    let began = Instant::now();
    let mut warn = pin!(app.app.warn_of_expiry(move || now + began.elapsed()));
    for id in ["1", "2", "1"] {
        // That they expired long ago is not so.
        let near = event("SecretNearExpiry", id, "DatabasePassword", OLD);
        let not_near = event("SecretExpired", id, "ExternalApiKey", OLD);
        let answer = post(&app, &json!([near, not_near])).await;
        assert_eq!(answer.status, 200);
        pass(&mut warn, seconds(1)).await;
    }
    let written = lines.take();
    assert_eq!(
        written.matches("DATABASE_PASSWORD may fail").count(),
        1,
        "{written}"
    );
    assert_eq!(written.matches("WARN").count(), 1, "{written}");
    assert!(written.contains("SecretExpiresSoon"), "{written}");
    // The clock has nothing new to say, and a crowd of events asks no more often.
    let reads = app.reads();
    for id in 10..70 {
        let near = event("SecretNearExpiry", &id.to_string(), "DatabasePassword", OLD);
        post(&app, &json!([near])).await;
        pass(&mut warn, seconds(10)).await;
    }
    assert!(app.reads() <= reads + 3, "{} reads", app.reads() - reads);
    pass(&mut warn, seconds(3_600)).await;
    assert_eq!(lines.take(), "");
}

/// Its clock and the handler's differ.
#[tokio::test(start_paused = true)]
async fn an_event_that_comes_before_the_end_does_not_put_it_off() {
    let lines = Targets::new().with_target("keyvault_functions::functions", Level::WARN);
    let (lines, _in_this_thread) = Lines::of_this_thread(&lines);
    let app = app(
        Some(&Platform::default()),
        &[(SETTING, "SecretName=ExternalApiKey")],
    );
    let now = began();
    let new = NewSecret {
        attributes: Attributes {
            exp: Some((now + seconds(7_200)).unix_timestamp()),
            ..Attributes::default()
        },
        ..NewSecret::of("canary")
    };
    let version = app
        .vault
        .store()
        .set_at("ExternalApiKey", new, now)
        .expect("set");
    let start = Instant::now();
    let mut warn = pin!(app.app.warn_of_expiry(move || now + start.elapsed()));
    pass(&mut warn, seconds(7_198)).await;
    assert!(lines.take().contains("SecretExpiresSoon"));
    post(
        &app,
        &json!([event("SecretExpired", "1", "ExternalApiKey", &version)]),
    )
    .await;
    pass(&mut warn, seconds(120)).await;
    assert!(lines.take().contains("SecretExpired\""));
}

/// A read of the vault that fails for the event is tried again, without another one.
#[tokio::test(start_paused = true)]
async fn an_expiry_that_cannot_be_looked_at_is_looked_at_later() {
    let lines = Targets::new().with_target("keyvault_functions::functions", Level::WARN);
    let (lines, _in_this_thread) = Lines::of_this_thread(&lines);
    let references = [("DATABASE_PASSWORD", "SecretName=DatabasePassword")];
    let app = app(Some(&Platform::default()), &references);
    let mut warn = pin!(app.app.warn_of_expiry(OffsetDateTime::now_utc));
    app.fail_with(Fault::Outage(503));
    let near = event("SecretNearExpiry", "1", "DatabasePassword", OLD);
    post(&app, &json!([near])).await;
    pass(&mut warn, seconds(60)).await;
    assert_eq!(lines.take(), "");
    app.fail_with(None);
    pass(&mut warn, seconds(1_800)).await;
    assert!(lines.take().contains("SecretExpiresSoon"));
}

#[tokio::test]
async fn what_is_no_delivery_is_refused() {
    let app = followed(&Platform::default());
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
