//! A browser gets a page, and whatever is on it is text. How it looks is tested in a real
//! browser by `tests/page`.

use keyvault_functions::references::{AppSetting, Resolves};

use super::support::{InProcess, Setup, func_a};

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
