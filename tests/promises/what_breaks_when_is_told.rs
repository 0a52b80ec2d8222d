//! `expiring` tells what expires when and which settings fail then, without a value, however much a
//! vault has and whatever it refuses.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use keyvault_functions::{
    dev_vault::{Attributes, DevVault, KeyType, NewCertificate, NewKey, NewSecret},
    diagnosis::Cause,
    key_vault::{Error, error::SettingError},
    references::AppSetting,
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tokio::time::{Instant, advance, sleep};

use super::support::{
    Answer, Fault, InProcess, Setup,
    expiry::{app_on, in_days, resolved, set, set_again},
    func_a,
};

const BROWSER: &str = "text/html,application/xhtml+xml";

fn expiring_in(days: i64) -> Attributes {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    Attributes {
        exp: Some(now + in_days(days)),
        ..Attributes::default()
    }
}

fn add_key(vault: &DevVault, name: &str, attributes: Attributes) {
    let key = NewKey {
        key_type: KeyType::Elliptic,
        attributes,
        tags: BTreeMap::new(),
    };
    let now = OffsetDateTime::now_utc();
    vault.store().add_key(name, key, now).expect("added");
}

fn add_certificate(vault: &DevVault, name: &str, days: i64) {
    let certificate = NewCertificate {
        dns_names: vec!["www.example.com".to_owned()],
        attributes: expiring_in(days),
        tags: BTreeMap::new(),
    };
    let now = OffsetDateTime::now_utc();
    let added = vault.store().add_certificate(name, certificate, now);
    added.expect("added");
}

/// On an empty vault.
fn app(settings: Vec<AppSetting>) -> InProcess {
    app_on(DevVault::default(), settings)
}

async fn ask(app: &InProcess, query: &str) -> Answer {
    app.get(&format!("/api/expiring?{query}")).await
}

async fn items(app: &InProcess, query: &str) -> Vec<Value> {
    let answer = ask(app, query).await.json();
    answer["items"].as_array().expect("an array").clone()
}

/// One member of each item.
fn each<'a>(items: &'a [Value], member: &str) -> Vec<&'a Value> {
    items.iter().map(|item| &item[member]).collect()
}

/// The kinds that could not be read, with the code.
fn incomplete(answer: &Value) -> Vec<(&str, &str)> {
    let all = answer["incomplete"].as_array().expect("an array").iter();
    let text = |one: &'_ Value, member: &str| -> &'static str {
        one[member]
            .as_str()
            .map_or("", |text| text.to_owned().leak())
    };
    all.map(|one| (text(one, "kind"), text(one, "code")))
        .collect()
}

#[tokio::test]
async fn what_expires_comes_soonest_first_with_the_settings_that_use_it() {
    let by_uri = "@Microsoft.KeyVault(SecretUri=https://embedded.vault.azure.net/secrets/Soon/)";
    let app = app(vec![
        resolved("BY_NAME", "SecretName=Soon"),
        AppSetting::new("BY_URI", by_uri.to_owned().into()),
        resolved("LATER", "SecretName=Later"),
        resolved("OF_CERTIFICATE", "SecretName=Web"),
    ]);
    set(&app.vault, "Soon", in_days(4));
    set(&app.vault, "Later", in_days(100));
    set(&app.vault, "Never", None);
    set(&app.vault, "Unused", in_days(12));
    add_key(&app.vault, "Signs", expiring_in(-3));
    add_key(&app.vault, "Stays", Attributes::default());
    add_certificate(&app.vault, "Web", 20);

    let answer = ask(&app, "").await.json();
    assert_eq!(answer["complete"], true);
    assert_eq!(answer["within"], "30d");
    assert_eq!(answer["no_expiry"], 2);
    assert_eq!(answer.get("never_expire"), None);
    let told = answer["items"].as_array().expect("an array");
    assert_eq!(each(told, "name"), ["Signs", "Soon", "Unused", "Web"]);
    assert_eq!(
        each(told, "kind"),
        ["key", "secret", "secret", "certificate"]
    );
    assert_eq!(each(told, "days_left"), [-3, 4, 12, 20]);
    assert_eq!(each(told, "enabled"), [true, true, true, true]);
    let used_by = [
        json!([]),
        json!(["BY_NAME", "BY_URI"]),
        json!([]),
        json!(["OF_CERTIFICATE"]),
    ];
    assert_eq!(each(told, "used_by"), used_by.iter().collect::<Vec<_>>());
    for item in told {
        assert_eq!(item["vault"], "embedded.vault.azure.net");
        assert_eq!(item["version"], Value::Null);
        assert_eq!(item["newer_version"], Value::Null);
    }
    // A secret's expiry is advice, a key's is not.
    for (item, detail, fix) in [
        (
            0,
            "refuses an expired key",
            "az keyvault key rotate --vault-name embedded --name Signs",
        ),
        (
            1,
            "keeps serving the value",
            "az keyvault secret set --vault-name embedded --name Soon",
        ),
        (
            3,
            "The certificate Web",
            "az keyvault certificate show --vault-name embedded",
        ),
    ] {
        let text = |member: &str| told[item][member].as_str().expect("text").to_owned();
        assert!(text("detail").contains(detail), "{}", text("detail"));
        assert!(text("fix").contains(fix), "{}", text("fix"));
    }
    assert_eq!(items(&app, "within=100d").await.len(), 4);
    assert_eq!(items(&app, "within=101d").await.len(), 5);
    assert_eq!(items(&app, "within=0h").await.len(), 1);
    let named = ask(&app, "no_expiry=true").await.json();
    let never = named["never_expire"].as_array().expect("an array");
    assert_eq!(each(never, "name"), ["Never", "Stays"]);
}

#[tokio::test]
async fn a_pinned_version_is_an_item_of_its_own_and_knows_the_newer_one() {
    let vault = DevVault::default();
    let old = set(&vault, "Twice", in_days(4));
    set_again(&vault, "Twice", in_days(20));
    let only = set(&vault, "Once", in_days(9));
    let pinned_to =
        |name: &str, version: &str| format!("SecretName={name};SecretVersion={version}");
    let app = app_on(
        vault,
        vec![
            resolved("PINNED", &pinned_to("Twice", &old)),
            resolved("PINNED_TOO", &pinned_to("Twice", &old)),
            resolved("LATEST", "SecretName=Twice"),
            resolved("PINNED_TO_THE_LATEST", &pinned_to("Once", &only)),
            resolved("WITHOUT", "SecretName=Once"),
            resolved("GONE", &pinned_to("Once", &"0".repeat(32))),
            resolved("MISSING", "SecretName=Missing"),
        ],
    );
    let answer = ask(&app, "").await.json();
    assert_eq!(answer["complete"], true, "{answer:#}");
    let told = answer["items"].as_array().expect("an array");
    assert_eq!(each(told, "name"), ["Twice", "Once", "Twice"]);
    assert_eq!(told[0]["version"], old);
    assert_eq!(told[0]["used_by"], json!(["PINNED", "PINNED_TOO"]));
    assert_eq!(told[1]["version"], only);
    assert_eq!(told[1]["newer_version"], Value::Null);
    assert_eq!(
        told[1]["used_by"],
        json!(["PINNED_TO_THE_LATEST", "WITHOUT"])
    );
    assert_eq!(told[2]["version"], Value::Null);
    assert_eq!(told[2]["used_by"], json!(["LATEST"]));
    let newer = told[0]["newer_version"].as_str().expect("a version");
    assert_ne!(newer, old);
    let fix = told[0]["fix"].as_str().expect("text");
    for setting in ["PINNED", "PINNED_TOO"] {
        let command = format!(
            "az functionapp config appsettings set --name func-a --resource-group rg-a --settings \
             \"{setting}=@Microsoft.KeyVault(VaultName=embedded;SecretName=Twice;SecretVersion={newer})\""
        );
        assert!(fix.contains(&command), "{fix}");
    }
}

/// Whoever follows a fix must not break the app with it.
#[tokio::test]
async fn a_newer_version_that_cannot_be_used_is_told_and_not_recommended() {
    let now = OffsetDateTime::now_utc();
    for (attributes, is_usable) in [
        (expiring_in(90), true),
        (Attributes::default(), true),
        (expiring_in(2), false),
        (
            Attributes {
                enabled: false,
                ..expiring_in(90)
            },
            false,
        ),
    ] {
        let vault = DevVault::default();
        let old = set(&vault, "Twice", in_days(4));
        let new = NewSecret {
            attributes,
            ..NewSecret::of("canary-value")
        };
        let later = now + Duration::from_secs(2);
        let newer = vault.store().set_at("Twice", new, later).expect("set");
        let pinned = format!("SecretName=Twice;SecretVersion={old}");
        let app = app_on(vault, vec![resolved("PINNED", &pinned)]);
        let told = items(&app, "").await;
        let item = told
            .iter()
            .find(|item| item["version"] == old)
            .expect("the pinned one");
        assert_eq!(item["newer_version"], newer);
        let fix = item["fix"].as_str().expect("text");
        assert_eq!(fix.contains(&newer), is_usable, "{attributes:?}: {fix}");
        // `config-check` gives the same advice.
        let check = app.get("/api/config-check?expiry=true").await.json();
        assert_eq!(check["references"][0]["fix"], item["fix"], "{attributes:?}");
    }
}

#[tokio::test]
async fn what_is_disabled_is_not_said_to_be_served() {
    let app = app(vec![]);
    let off = Attributes {
        enabled: false,
        ..expiring_in(4)
    };
    add_key(&app.vault, "Key", off);
    let secret = NewSecret {
        attributes: off,
        ..NewSecret::of("canary-value")
    };
    app.vault.store().set("Secret", secret).expect("set");
    for item in items(&app, "").await {
        let detail = item["detail"].as_str().expect("text");
        assert!(
            detail.ends_with("It is disabled, so Key Vault does not serve it now either."),
            "{detail}"
        );
    }
}

/// Asked of the vault: a list of names or of versions holds no value.
#[tokio::test]
async fn no_request_that_could_return_a_value_is_made() {
    let vault = DevVault::seeded().expect("randomness");
    let version = set(&vault, "Soon", in_days(4));
    let pinned = format!("SecretName=Soon;SecretVersion={version}");
    let app = app_on(
        vault,
        vec![resolved("A", &pinned), resolved("B", "SecretName=Missing")],
    );
    ask(&app, "strict=true&no_expiry=true").await;
    app.get_as("/api/expiring", BROWSER).await;
    let mut paths = app.asked();
    paths.sort();
    assert_eq!(
        paths,
        [
            "/certificates",
            "/keys",
            "/secrets",
            "/secrets/Soon/versions"
        ]
    );
}

#[tokio::test]
async fn a_start_lists_nothing_and_a_crowd_lists_once() {
    let app = app(vec![resolved("A", "SecretName=A")]);
    app.app.warm_up().await;
    let after_start = app.asked().len();
    let crowd = (0..100).map(|_| ask(&app, ""));
    for answer in futures_util::future::join_all(crowd).await {
        assert_eq!(answer.json()["complete"], true);
    }
    assert_eq!(app.asked().len() - after_start, 3);
}

#[tokio::test(start_paused = true)]
async fn an_old_list_is_given_at_once_while_a_new_one_is_read() {
    let app = app(vec![]);
    let count = async |query: &str| items(&app, query).await.len();
    set(&app.vault, "A", in_days(1));
    assert_eq!(count("").await, 1);
    set(&app.vault, "B", in_days(1));
    assert_eq!(count("").await, 1);
    // Forced, but not more often than each 10 s.
    assert_eq!(count("refresh=true").await, 1);
    advance(Duration::from_secs(10)).await;
    assert_eq!(count("refresh=true").await, 2);
    set(&app.vault, "C", in_days(1));
    advance(Duration::from_secs(331)).await;
    assert_eq!(count("").await, 2);
    tokio::task::yield_now().await;
    advance(Duration::from_millis(1)).await;
    assert_eq!(count("").await, 3);
}

#[tokio::test(start_paused = true)]
async fn an_outage_keeps_the_list_and_a_refusal_does_not() {
    let app = app(vec![resolved("A", "SecretName=A")]);
    set(&app.vault, "A", in_days(40));
    assert_eq!(ask(&app, "strict=true").await.status, 200);
    for (fault, code, kept) in [
        (Fault::Outage(503), "VaultUnavailable", 1),
        (Fault::Deny("ForbiddenByRbac"), "AccessToKeyVaultDenied", 0),
    ] {
        app.fail_with(fault);
        advance(Duration::from_secs(60)).await;
        let answer = ask(&app, "within=50d&refresh=true&strict=true").await;
        // What nobody can read is no reason to be content.
        assert_eq!(answer.status, 503, "{fault:?}");
        let answer = answer.json();
        assert_eq!(answer["complete"], false);
        let expected = ["secret", "key", "certificate"].map(|kind| (kind, code));
        assert_eq!(incomplete(&answer), expected);
        let told = answer["items"].as_array().expect("an array");
        assert_eq!(told.len(), kept, "{fault:?}");
    }
    app.fail_with(None);
    advance(Duration::from_secs(60)).await;
    let answer = ask(&app, "refresh=true").await.json();
    assert_eq!(answer["complete"], true);
}

/// The role Key Vault Secrets User alone.
#[tokio::test]
async fn a_kind_that_may_not_be_listed_says_so_and_the_rest_is_told() {
    let app = app(vec![resolved("A", "SecretName=A")]);
    set(&app.vault, "A", in_days(40));
    add_certificate(&app.vault, "Web", 20);
    app.fail_with(Fault::DenyAllBut("/secrets"));
    let answer = ask(&app, "strict=true").await;
    // Only secrets are used by references, and those are known.
    assert_eq!(answer.status, 200);
    let answer = answer.json();
    assert_eq!(answer["complete"], false);
    let code = "AccessToKeyVaultDenied";
    assert_eq!(incomplete(&answer), [("key", code), ("certificate", code)]);
    let told = answer["items"].as_array().expect("an array");
    // Known by its secret.
    assert_eq!(each(told, "kind"), ["certificate"]);
    for one in answer["incomplete"].as_array().expect("an array") {
        let text = |member: &str| one[member].as_str().expect("text");
        assert!(
            text("detail").contains("no role that allows it to list"),
            "{one}"
        );
        let fix = text("fix");
        assert!(
            fix.contains("az role assignment create --role \"Key Vault Reader\""),
            "{fix}"
        );
    }
    app.fail_with(Fault::DenyAllBut("/keys"));
    let secrets_unknown = app_on(app.vault.clone(), vec![resolved("A", "SecretName=A")]);
    secrets_unknown.fail_with(Fault::DenyAllBut("/keys"));
    assert_eq!(ask(&secrets_unknown, "strict=true").await.status, 503);
}

#[tokio::test]
async fn a_monitor_fails_for_what_the_app_uses_alone() {
    let app = app(vec![resolved("A", "SecretName=A")]);
    set(&app.vault, "A", in_days(40));
    set(&app.vault, "Unused", in_days(-4));
    for (query, status) in [
        ("strict=true", 200),
        ("strict=true&within=8w", 503),
        ("within=8w", 200),
        ("strict=true&within=36h", 200),
        ("within=401d", 400),
        ("within=", 400),
    ] {
        let answer = ask(&app, query).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.body);
    }
}

/// As `config-check` does with `strict` and `expiry`.
#[tokio::test]
async fn a_monitor_fails_for_a_reference_of_which_nothing_is_known() {
    let broken = "@Microsoft.KeyVault(VaultName=embedded)";
    let invalid = resolved("INVALID", "SecretName=A;SecretVersion=abc");
    for (setting, status) in [
        (resolved("A", "SecretName=A"), 200),
        (resolved("MISSING", "SecretName=Missing"), 503),
        (
            resolved(
                "GONE",
                &format!("SecretName=A;SecretVersion={}", "0".repeat(32)),
            ),
            503,
        ),
        (invalid, 503),
        (AppSetting::new("BROKEN", broken.to_owned().into()), 503),
    ] {
        let name = setting.name().to_owned();
        let app = app(vec![setting]);
        set(&app.vault, "A", in_days(40));
        assert_eq!(ask(&app, "strict=true").await.status, status, "{name}");
        let check = app.get("/api/config-check?strict=true&expiry=true").await;
        assert_eq!(check.status, status, "{name}: {}", check.body);
    }
}

/// One that is asked once a day.
#[tokio::test(start_paused = true)]
async fn a_monitor_does_not_judge_the_list_of_yesterday() {
    let app = app(vec![resolved("A", "SecretName=A")]);
    set(&app.vault, "A", in_days(40));
    assert_eq!(ask(&app, "strict=true").await.status, 200);
    set_again(&app.vault, "A", in_days(3));
    advance(Duration::from_secs(24 * 60 * 60)).await;
    assert_eq!(ask(&app, "strict=true").await.status, 503);
    // Nor is a person shown what is older than the hard limit of the cache.
    set(&app.vault, "B", in_days(3));
    advance(Duration::from_secs(3_601)).await;
    assert_eq!(items(&app, "").await.len(), 2);
}

#[tokio::test]
async fn a_vault_that_cannot_be_reached_does_not_hide_the_others() {
    let elsewhere = "@Microsoft.KeyVault(VaultName=elsewhere;SecretName=B)";
    let app = app(vec![
        resolved("A", "SecretName=A"),
        AppSetting::new("B", elsewhere.to_owned().into()),
    ]);
    set(&app.vault, "A", in_days(4));
    let answer = ask(&app, "").await.json();
    let expected = ["secret", "key", "certificate"].map(|kind| (kind, "VaultNotFound"));
    assert_eq!(incomplete(&answer), expected);
    assert_eq!(
        answer["incomplete"][0]["vault"],
        "elsewhere.vault.azure.net"
    );
    assert_eq!(
        each(answer["items"].as_array().expect("an array"), "name"),
        ["A"]
    );
}

#[tokio::test]
async fn without_a_vault_there_is_nothing_to_list_and_the_answer_says_why() {
    let wrong = SettingError {
        name: "KEY_VAULT_URL",
        found: "text that is not a vault's address",
        expected: "https://NAME.vault.azure.net, without a path".to_owned(),
        otherwise: None,
        is_reference: false,
    };
    let without = |cause, settings| {
        InProcess::with(Setup {
            no_vault: Some(cause),
            settings,
            surroundings: func_a(),
            ..Setup::default()
        })
    };
    let used = || vec![resolved("A", "SecretName=ExternalApiKey")];
    let wrong = || Cause::Failed(Error::WrongSetting(wrong.clone().into()));
    for (app, codes) in [
        (without(Cause::NoVault, vec![]), &["KeyVaultUrlNotSet"][..]),
        (without(wrong(), vec![]), &["WrongSetting"]),
        (without(wrong(), used()), &["WrongSetting"]),
        // References name their vault themselves.
        (without(Cause::NoVault, used()), &[]),
    ] {
        let answer = ask(&app, "").await.json();
        let found: Vec<_> = incomplete(&answer)
            .into_iter()
            .map(|(_, code)| code)
            .collect();
        assert_eq!(found, codes, "{answer:#}");
        assert_eq!(answer["complete"], codes.is_empty());
    }
}

/// 60 secrets that expire.
fn vault_of_three_pages() -> DevVault {
    let vault = DevVault::default();
    for number in 0..60 {
        set(&vault, &format!("n{number}"), in_days(3));
    }
    vault
}

/// A page can be empty and have a next one, and the next link names the port 443.
fn with_empty_pages(vault: Router) -> Router {
    vault.layer(middleware::from_fn(|request: Request, next: Next| async {
        let uri = request.uri().to_string();
        let is_first =
            !uri.contains("skiptoken") && request.headers().contains_key("authorization");
        if !is_first || uri.contains("versions") {
            return next.run(request).await;
        }
        let link = format!("https://embedded.vault.azure.net:443{uri}&%24skiptoken=0");
        json!({"value": [], "nextLink": link})
            .to_string()
            .into_response()
    }))
}

#[tokio::test]
async fn empty_pages_are_not_the_end() {
    let app = InProcess::on(
        vault_of_three_pages(),
        Setup {
            wrap: with_empty_pages,
            ..Setup::default()
        },
    );
    assert_eq!(items(&app, "").await.len(), 60);
}

/// Refuses the second page of secrets four times.
fn that_throttles(vault: Router) -> Router {
    let refused = Arc::new(AtomicUsize::new(0));
    vault.layer(middleware::from_fn(move |request: Request, next: Next| {
        let is_second = request.uri().path() == "/secrets"
            && request
                .uri()
                .query()
                .is_some_and(|query| query.contains("skiptoken=25"));
        let is_refused = is_second && refused.fetch_add(1, Ordering::SeqCst) < 4;
        async move {
            if is_refused {
                let mut response = Response::new(r#"{"error":{"code":"Throttled"}}"#.into());
                *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
                response.headers_mut().insert(header::RETRY_AFTER, 5.into());
                return response;
            }
            next.run(request).await
        }
    }))
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_throttles_halfway_is_waited_for_and_meanwhile_the_half_is_told() {
    let app = InProcess::on(
        vault_of_three_pages(),
        Setup {
            wrap: that_throttles,
            ..Setup::default()
        },
    );
    let began = Instant::now();
    let first = ask(&app, "").await;
    assert!(began.elapsed() < Duration::from_millis(3_100));
    assert_eq!(first.header("retry-after"), Some("2"));
    let first = first.json();
    assert_eq!(first["complete"], false);
    assert!(
        incomplete(&first).contains(&("secret", "Listing")),
        "{first:#}"
    );
    assert_eq!(first["items"].as_array().expect("an array").len(), 25);
    sleep(Duration::from_secs(60)).await;
    let second = ask(&app, "").await;
    assert_eq!(second.header("retry-after"), None);
    assert_eq!(second.json()["complete"], true);
    assert_eq!(
        second.json()["items"].as_array().expect("an array").len(),
        60
    );
}

/// So many, of one kind.
fn vault_of(secrets: usize) -> DevVault {
    let vault = DevVault::default();
    let now = OffsetDateTime::now_utc();
    for number in 0..secrets {
        let new = NewSecret {
            // One in ten expires soon.
            attributes: expiring_in(if number % 10 == 0 { 3 } else { 300 }),
            ..NewSecret::of("canary-value")
        };
        vault
            .store()
            .set_at(&format!("n{number}"), new, now)
            .expect("set");
    }
    vault
}

#[tokio::test(start_paused = true)]
async fn five_thousand_secrets_are_listed_within_the_instances_budget() {
    let app = app_on(vault_of(5_000), vec![]);
    let began = Instant::now();
    let mut answers = 0;
    let whole = loop {
        let answer = ask(&app, "").await;
        answers += 1;
        if answer.json()["complete"] == true {
            break answer.json();
        }
        assert_eq!(answer.header("retry-after"), Some("2"));
        advance(Duration::from_secs(1)).await;
        // Others are answered meanwhile.
        assert_eq!(app.get("/api/secrets/n1").await.status, 200);
    };
    // 200 pages, of which 100 may be asked for in 10 s.
    let took = began.elapsed();
    assert!((10..25).contains(&took.as_secs()), "{took:?}");
    assert!(answers > 1, "the first answer waited for everything");
    let pages = app
        .asked()
        .iter()
        .filter(|path| *path == "/secrets")
        .count();
    assert_eq!(pages, 200);
    assert_eq!(whole["items"].as_array().expect("an array").len(), 500);
}

#[tokio::test(start_paused = true)]
async fn beyond_four_hundred_pages_the_list_is_cut_and_says_so() {
    let app = app_on(
        vault_of(10_001),
        vec![resolved("USED", "SecretName=n10000")],
    );
    set(&app.vault, "n10000", in_days(2));
    let whole = loop {
        let answer = ask(&app, "").await;
        if answer.header("retry-after").is_none() {
            break answer.json();
        }
        advance(Duration::from_secs(1)).await;
    };
    assert_eq!(incomplete(&whole), [("secret", "TooManyObjects")]);
    // 1,000 that the app does not use.
    let items = whole["items"].as_array().expect("an array");
    assert!(items.len() >= 1_000, "{}", items.len());
    let pages = app
        .asked()
        .iter()
        .filter(|path| *path == "/secrets")
        .count();
    assert_eq!(pages, 400);
}

#[tokio::test]
async fn a_browser_gets_a_page_that_says_the_same() {
    let app = app(vec![
        resolved("DATABASE_PASSWORD", "SecretName=Soon"),
        resolved("<img src=x>", "SecretName=Soon"),
    ]);
    set(&app.vault, "Soon", in_days(4));
    set(&app.vault, "Never", None);
    add_key(&app.vault, "Signs", expiring_in(-3));
    let page = app.get_as("/api/expiring", BROWSER).await;
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    let page = page.body;
    for text in [
        "1 has expired, 1 expires within 30 days; this app uses 1 of them",
        "expires in 4 days",
        "expired 2 days ago",
        "<b class=\"setting\">DATABASE_PASSWORD</b>",
        "&lt;img src=x&gt;",
        "<svg class=\"timeline\" role=\"img\"",
        "1 object never expires.",
        "az keyvault secret set --vault-name embedded --name Soon",
    ] {
        assert!(page.contains(text), "{text} is not on {page}");
    }
    // A link is followed by a click alone.
    let loaded = page.replace("href=\"https://portal.azure.com/#", "");
    let loaded = loaded.replace("/https://embedded.vault.azure.net/", "");
    for forbidden in [
        "<script", "http://", "https://", "<img", " style=", "onclick",
    ] {
        assert!(!loaded.contains(forbidden), "{forbidden} is on {page}");
    }
    let place = |name: &str| page.find(&format!(">{name}<")).expect(name);
    assert!(place("Signs") < place("Soon"));
}

/// Whatever an answer of the vault holds besides, none of it is a value.
#[tokio::test]
async fn nothing_of_a_value_is_in_an_answer_or_on_the_page() {
    let vault = DevVault::seeded().expect("randomness");
    set(&vault, "Soon", in_days(4));
    let app = app_on(vault, vec![resolved("A", "SecretName=Soon")]);
    for accept in ["application/json", BROWSER] {
        for query in ["", "?no_expiry=true&within=400d"] {
            let answer = app.get_as(&format!("/api/expiring{query}"), accept).await;
            for value in ["canary-value", "sk-abc123def456", "PRIVATE KEY"] {
                assert!(!answer.body.contains(value), "{}", answer.body);
            }
        }
    }
}

/// The whole answer of the vault in a test is the vault's: a page that is none ends the list.
#[tokio::test]
async fn an_answer_that_is_no_list_is_told_as_such() {
    fn broken(vault: Router) -> Router {
        vault.layer(middleware::from_fn(|request: Request, next: Next| async {
            let is_list = request.uri().path() == "/keys";
            let response = next.run(request).await;
            if !is_list || response.status() != StatusCode::OK {
                return response;
            }
            let body = response.into_body().collect().await.expect("a body");
            let text = String::from_utf8(body.to_bytes().to_vec()).expect("text");
            text.replace("/keys/", "/secrets/").into_response()
        }))
    }
    let setup = Setup {
        wrap: broken,
        ..Setup::default()
    };
    let app = InProcess::with(setup);
    let answer = ask(&app, "").await.json();
    assert_eq!(incomplete(&answer), [("key", "UnexpectedAnswer")]);
}
