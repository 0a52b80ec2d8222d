//! `cargo run` on a fresh clone, then the printed curl lines.

use super::support::{Handler, Standalone, Stream, repository};

#[tokio::test]
async fn each_printed_line_answers_200_and_401_without_its_key() {
    let standalone = Standalone::start(repository(), &[]).await;
    let with_key = standalone
        .lines
        .iter()
        .filter_map(|(key, url)| Some((key.as_deref()?, url)));
    let with_key: Vec<_> = with_key.collect();
    assert!(with_key.len() >= 2, "{}", standalone.handler.output());
    for (key, url) in with_key {
        let answer = standalone.get(url, &[("x-functions-key", key)]).await;
        assert_eq!(answer.status, 200, "{url}: {answer:?}");
        let refused = standalone.get(url, &[]).await;
        assert_eq!((refused.status, refused.body.as_str()), (401, ""), "{url}");
    }
}

#[tokio::test]
async fn config_check_answers_as_the_recipe_says() {
    let standalone = Standalone::start(repository(), &[]).await;
    let (key, url) = &standalone.lines[0];
    let key = key.as_deref().expect("a key");
    let answer = standalone.get(url, &[("x-functions-key", key)]).await;
    let recipe =
        r#"{"external_api_key_set":true,"database_password_set":true,"api_key_prefix":"sk-a...","#;
    assert!(answer.body.starts_with(recipe), "{}", answer.body);
    let json = answer.json();
    let references = json["references"].as_array().expect("an array");
    let shown: Vec<_> = references
        .iter()
        .map(|reference| (&reference["setting"], &reference["status"]))
        .map(|(setting, status)| {
            (
                setting.as_str().unwrap_or(""),
                status.as_str().unwrap_or(""),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("EXTERNAL_API_KEY", "Resolved"),
            ("DATABASE_PASSWORD", "Resolved"),
            ("PAYMENT_API_KEY", "SecretNotFound"),
        ],
        "in the file's order, two healthy and one broken"
    );
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
}

#[tokio::test]
async fn the_process_environment_wins_over_local_settings() {
    let environment = [("EXTERNAL_API_KEY", "canary-of-the-environment")];
    let standalone = Standalone::start(repository(), &environment).await;
    let (key, url) = &standalone.lines[0];
    let key = key.as_deref().expect("a key");
    let answer = standalone.get(url, &[("x-functions-key", key)]).await;
    assert_eq!(answer.json()["api_key_prefix"], "cana...");
}

#[tokio::test]
async fn help_ends_with_0_and_a_wrong_option_with_64() {
    let mut help = Handler::start(repository(), &["--help"], &[]);
    assert_eq!(help.ended().await.code(), Some(0));
    assert!(
        help.output().contains("Usage: handler"),
        "{}",
        help.output()
    );
    let mut wrong = Handler::start(repository(), &["--prot", "1"], &[]);
    assert_eq!(wrong.ended().await.code(), Some(64));
    assert_eq!(wrong.lines(Stream::Stderr).len(), 1);
}
