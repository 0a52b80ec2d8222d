//! `?expiry=true` tells when the secret behind each reference expires, without reading its value,
//! and `?strict=true` makes a monitor of it.

use std::time::Duration;

use keyvault_functions::{
    dev_vault::DevVault,
    references::{AppSetting, Resolves},
};
use serde_json::{Value, json};
use tokio::time::advance;

use super::support::{
    Fault, InProcess, Setup,
    expiry::{in_days, resolved, set, set_again},
    func_a,
};

const BROWSER: &str = "text/html,application/xhtml+xml";

fn app(settings: Vec<AppSetting>) -> InProcess {
    InProcess::with(Setup {
        settings,
        surroundings: func_a(),
        ..Setup::default()
    })
}

async fn references(app: &InProcess, query: &str) -> Vec<Value> {
    let answer = app.get(&format!("/api/config-check?{query}")).await.json();
    answer["references"].as_array().expect("an array").clone()
}

#[tokio::test]
async fn each_reference_says_when_its_secret_expires() {
    let app = app(vec![
        resolved("LATER", "SecretName=Later"),
        resolved("SOON", "SecretName=Soon"),
        resolved("EXPIRED", "SecretName=Expired"),
        resolved("NEVER", "SecretName=Never"),
    ]);
    set(&app.vault, "Later", in_days(100));
    set(&app.vault, "Soon", in_days(4));
    set(&app.vault, "Expired", in_days(-3));
    set(&app.vault, "Never", None);
    let told = references(&app, "expiry=true").await;
    let days: Vec<_> = told.iter().map(|one| one["days_left"].clone()).collect();
    assert_eq!(days, [json!(100), json!(4), json!(-3), Value::Null]);
    assert_eq!(told[3]["expires_on"], Value::Null);
    for (reference, sentence) in [
        (&told[1], "expires in 4 days, on 20"),
        (&told[2], "expired on 20"),
    ] {
        assert_eq!(reference["status"], "Resolved");
        assert!(
            reference["expires_on"]
                .as_str()
                .expect("a time")
                .ends_with("+00:00")
        );
        let detail = reference["detail"].as_str().expect("text");
        assert!(detail.contains(sentence), "{detail}");
        assert!(detail.contains("keeps serving the value"), "{detail}");
        let fix = reference["fix"].as_str().expect("text");
        assert!(
            fix.contains("az keyvault secret set --vault-name embedded"),
            "{fix}"
        );
    }
    for reference in [&told[0], &told[3]] {
        assert_eq!(reference.get("detail"), None, "{reference}");
    }
}

/// The value is not what is asked for, so no request can return it.
#[tokio::test]
async fn no_request_that_could_return_a_value_is_made() {
    let app = app(vec![
        resolved("A", "SecretName=Soon"),
        resolved("B", "SecretName=Missing"),
    ]);
    set(&app.vault, "Soon", in_days(4));
    references(&app, "expiry=true").await;
    app.get_as("/api/config-check", BROWSER).await;
    let paths = app.asked();
    assert!(!paths.is_empty());
    for path in paths {
        let may_return_none = path.ends_with("/versions") || path.starts_with("/deletedsecrets/");
        assert!(may_return_none, "{path}");
    }
}

#[tokio::test]
async fn a_pinned_reference_has_the_expiry_of_its_version() {
    let vault = DevVault::seeded().expect("randomness");
    let old = set(&vault, "Twice", in_days(4));
    set_again(&vault, "Twice", in_days(200));
    let pinned = format!("SecretName=Twice;SecretVersion={old}");
    let setup = Setup {
        settings: vec![
            resolved("PINNED", &pinned),
            resolved("LATEST", "SecretName=Twice"),
        ],
        surroundings: func_a(),
        ..Setup::default()
    };
    let app = InProcess::on(vault, setup);
    let told = references(&app, "expiry=true").await;
    assert_eq!(told[0]["days_left"], 4);
    assert_eq!(told[1]["days_left"], 200);
    let fix = told[0]["fix"].as_str().expect("text");
    assert!(
        fix.starts_with("The reference is pinned to this version, and there is a newer one."),
        "{fix}"
    );
}

#[tokio::test]
async fn nobody_who_did_not_ask_is_told_or_makes_the_vault_work() {
    let app = app(vec![resolved("A", "SecretName=Soon")]);
    set(&app.vault, "Soon", in_days(4));
    let plain = references(&app, "strict=true").await;
    assert_eq!(plain[0].get("expires_on"), None);
    assert_eq!(plain[0].get("days_left"), None);
    assert_eq!(app.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_monitor_fails_while_a_secret_expires_within_its_time() {
    let app = app(vec![resolved("A", "SecretName=A")]);
    set(&app.vault, "A", in_days(40));
    for (query, status) in [
        ("strict=true", 200),
        ("strict=true&expiry=true", 200),
        ("strict=true&expiry=true&within=8w", 503),
        ("strict=true&expiry=true&within=960h", 200),
        ("expiry=true&within=8w", 200),
        ("strict=true&within=8w", 503),
        ("strict=true&within=36h", 200),
        ("expiry=true&within=401d", 400),
        ("expiry=true&within=soon", 400),
    ] {
        let answer = app.get(&format!("/api/config-check?{query}")).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.body);
    }
}

/// A monitor that turns green because nothing can be read would be worse than none.
#[tokio::test]
async fn what_cannot_be_read_fails_a_monitor_and_says_why() {
    let app = app(vec![resolved("A", "SecretName=A")]);
    app.fail_with(Fault::Deny("ForbiddenByRbac"));
    let answer = app.get("/api/config-check?strict=true&expiry=true").await;
    assert_eq!(answer.status, 503);
    let reference = &answer.json()["references"][0];
    assert_eq!(reference["status"], "Resolved");
    assert_eq!(reference.get("expires_on"), None);
    let detail = reference["detail"].as_str().expect("text");
    assert!(
        detail.starts_with("When the secret expires cannot be read. "),
        "{detail}"
    );
    assert!(
        reference["fix"]
            .as_str()
            .expect("text")
            .contains("az role assignment create")
    );
    assert_eq!(app.get("/api/config-check?strict=true").await.status, 200);
    // A person who looks for what is broken does not stumble over it.
    let page = app.get_as("/api/config-check", BROWSER).await.body;
    let folded = "<details><summary>When it expires is unknown</summary>";
    assert!(page.contains(folded), "{page}");
    assert!(page.contains("class=\"good\""), "{page}");
}

#[tokio::test(start_paused = true)]
async fn it_is_read_anew_after_ten_seconds() {
    let app = app(vec![resolved("A", "SecretName=A")]);
    set(&app.vault, "A", in_days(4));
    let days = async || references(&app, "expiry=true").await[0]["days_left"].clone();
    assert_eq!(days().await, 4);
    set_again(&app.vault, "A", in_days(90));
    assert_eq!(days().await, 4);
    assert_eq!(app.asked().len(), 1);
    advance(Duration::from_secs(10)).await;
    assert_eq!(days().await, 90);
}

#[tokio::test]
async fn a_page_always_tells_and_shows_the_soonest_first() {
    let app = app(vec![
        resolved("LATER", "SecretName=Later"),
        resolved("SOON", "SecretName=Soon"),
        resolved("EXPIRED", "SecretName=Expired"),
    ]);
    set(&app.vault, "Later", in_days(100));
    set(&app.vault, "Soon", in_days(4));
    set(&app.vault, "Expired", in_days(-3));
    let page = app.get_as("/api/config-check?strict=true", BROWSER).await;
    // Expiry is told, but nobody asked for it to count.
    assert_eq!(page.status, 200);
    let page = page.body;
    for text in [
        "All 3 references are resolved; 1 secret has expired; 1 secret expires within 30 days",
        "expires in 4 days",
        "expired 2 days ago",
        "expires in 100 days",
        "class=\"soon\"",
    ] {
        assert!(page.contains(text), "{text} is not on {page}");
    }
    let place = |name: &str| page.find(&format!(">{name}<")).expect(name);
    assert!([place("EXPIRED"), place("SOON"), place("LATER")].is_sorted());
}

/// Where the handler resolves references itself, they have an expiry, too.
#[tokio::test]
async fn a_reference_that_the_handler_resolves_is_told_of_as_well() {
    let raw = "@Microsoft.KeyVault(VaultName=embedded;SecretName=Soon)";
    let app = InProcess::with(Setup {
        settings: vec![AppSetting::new("A", raw.to_owned().into())],
        resolves: Resolves::Handler,
        ..Setup::default()
    });
    set(&app.vault, "Soon", in_days(4));
    let told = references(&app, "expiry=true").await;
    assert_eq!(told[0]["status"], "Resolved");
    assert_eq!(told[0]["days_left"], 4);
}
