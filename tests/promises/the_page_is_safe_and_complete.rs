//! A browser gets a page, and whatever is on it is text. How it looks is tested in a real
//! browser by `tests/page`.

use keyvault_functions::{
    diagnosis::{FunctionApp, Surroundings},
    references::{AppSetting, Resolves},
};

use super::support::{InProcess, Setup, expiry, func_a};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn app(name: &str) -> InProcess {
    let broken = "@Microsoft.KeyVault(VaultName=embedded;SecretName=Missing)";
    InProcess::with(Setup {
        settings: vec![
            AppSetting::new(name, broken.to_owned().into()),
            AppSetting::new("EXTERNAL_API_KEY", "canary<b>of a key".to_owned().into()),
        ],
        surroundings: func_a(),
        ..Setup::default()
    })
}

#[tokio::test]
async fn a_browser_gets_a_page_and_a_program_json() {
    let app = app("KEY");
    let page = app.get_as("/api/config-check", BROWSER).await;
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(page.header("vary"), Some("Accept"));
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(
        policy.starts_with("default-src 'none'; style-src 'sha256-"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    for accept in ["*/*", "application/json"] {
        let json = app.get_as("/api/config-check", accept).await;
        assert_eq!(json.header("content-type"), Some("application/json"));
    }
    let strict = app.get_as("/api/config-check?strict=true", BROWSER).await;
    assert_eq!(strict.status, 503);
}

#[tokio::test]
async fn the_page_says_what_the_json_says() {
    let page = app("KEY").get_as("/api/config-check", BROWSER).await.body;
    for text in [
        "1 of 1 references not resolved",
        "KEY",
        "SecretNotFound",
        "The vault embedded has no secret Missing.",
        "az keyvault secret list --vault-name embedded",
        "EXTERNAL_API_KEY",
        "cana...",
        "latest version",
        // Which app, as whom, which vault, and what the word means.
        "func-a",
        "none: the app has no managed identity",
        "embedded.vault.azure.net",
        "The vault has no secret of this name.",
    ] {
        assert!(page.contains(text), "{text} is not on {page}");
    }
    for forbidden in ["<script", "http://", "https://", "src=", "onclick"] {
        assert!(!page.contains(forbidden), "{forbidden} is on {page}");
    }
}

#[tokio::test]
async fn what_is_broken_comes_first_and_says_who_checked_it() {
    let reference =
        |secret: &str| format!("@Microsoft.KeyVault(VaultName=embedded;SecretName={secret})");
    let setting = |name, secret| AppSetting::new(name, reference(secret).into());
    let app = InProcess::with(Setup {
        settings: vec![
            setting("FIRST", "ExternalApiKey"),
            setting("SECOND", "Missing"),
            setting("THIRD", "DatabasePassword"),
            setting("FOURTH", "Missing"),
        ],
        resolves: Resolves::Handler,
        ..Setup::default()
    });
    let page = app.get_as("/api/config-check", BROWSER).await.body;
    let place = |text: &str| {
        page.find(text)
            .unwrap_or_else(|| panic!("no {text}: {page}"))
    };
    let places = ["SECOND", "FOURTH", "THIRD", "FIRST"].map(|name| place(&format!(">{name}<")));
    assert!(places.is_sorted(), "{page}");
    assert_eq!(page.matches("checked by this handler").count(), 4, "{page}");
    let json = app.get("/api/config-check").await.json();
    let order = json["references"].as_array().expect("an array");
    let order: Vec<_> = order
        .iter()
        .map(|reference| &reference["setting"])
        .collect();
    assert_eq!(order, ["FIRST", "SECOND", "THIRD", "FOURTH"]);
}

#[tokio::test]
async fn hostile_names_are_text_on_the_page() {
    let name = "<img src=x onerror=alert(1)>\"'&";
    let page = app(name).get_as("/api/config-check", BROWSER).await.body;
    assert!(!page.contains("<img"), "{page}");
    assert!(
        page.contains("&lt;img src=x onerror=alert(1)&gt;"),
        "{page}"
    );
}

/// `config-check` opens with a function key, `expiring` with the master key alone.
#[tokio::test]
async fn the_subscription_is_in_the_links_of_expiring_alone() {
    let id = "5ca1ab1e-0000-4000-8000-00000000c0de";
    let app = FunctionApp::new(Some("func-a"), Some("rg-a"), Some("staging"), None);
    let soon = expiry::resolved("KEY", "SecretName=Soon");
    let app = InProcess::with(Setup {
        settings: vec![soon],
        surroundings: Surroundings {
            app: app.in_subscription(Some(id)),
            ..Surroundings::default()
        },
        ..Setup::default()
    });
    expiry::set(&app.vault, "Soon", expiry::in_days(4));
    for accept in [BROWSER, "application/json"] {
        for query in ["", "?path=true&freshness=true&expiry=true"] {
            let path = format!("/api/config-check{query}");
            let check = app.get_as(&path, accept).await.body;
            assert!(check.contains("KEY"), "{check}");
            assert!(!check.contains(id) && !check.contains("portal."), "{check}");
        }
    }
    let page = app.get_as("/api/expiring", BROWSER).await.body;
    let settings = format!(
        "/resource/subscriptions/{id}/resourceGroups/rg-a/providers/Microsoft.Web/sites/func-a/slots/staging/environmentVariablesAppSettings\""
    );
    let secret =
        "/asset/Microsoft_Azure_KeyVault/Secret/https://embedded.vault.azure.net/secrets/Soon\"";
    assert_eq!(
        page.matches("href=\"https://portal.azure.com/#@").count(),
        4
    );
    for link in [&settings, secret] {
        assert!(page.contains(link), "{link} is not on {page}");
    }
    let json = app.get("/api/expiring").await.body;
    assert!(!json.contains(id), "{json}");
}

/// It says when the report was made, and leads back to itself without repeating the key.
#[tokio::test]
async fn the_page_says_when_it_was_checked_and_how_to_check_again() {
    for path in ["/api/config-check", "/api/expiring"] {
        let page = app("KEY")
            .get_as(&format!("{path}?code=tried"), BROWSER)
            .await;
        let page = page.body;
        let (_, checked) = page.split_once("<time datetime=\"20").expect("a time");
        assert!(checked.contains(" UTC</time>"), "{page}");
        assert!(page.contains("<a href=\"\">Check again</a>"), "{page}");
        assert!(!page.contains("tried"), "{page}");
    }
}

#[tokio::test]
async fn a_pinned_reference_is_told_from_one_that_follows_the_latest_version() {
    let version = "0".repeat(32);
    let reference = format!(
        "@Microsoft.KeyVault(VaultName=embedded;SecretName=ExternalApiKey;SecretVersion={version})"
    );
    let app = InProcess::with(Setup {
        settings: vec![AppSetting::new("PINNED", reference.into())],
        ..Setup::default()
    });
    let page = app.get_as("/api/config-check", BROWSER).await.body;
    let pinned = format!("pinned to version <code>{version}</code>");
    assert!(page.contains(&pinned), "{page}");
    assert!(!page.contains("latest version"), "{page}");
}
