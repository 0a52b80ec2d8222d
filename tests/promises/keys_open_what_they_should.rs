//! Without a host, the handler enforces each function's auth level itself.

use super::support::{
    ClientRequest, Folder, Handler, InProcess, Setup, Standalone, Stream, client, repository,
};

const FUNCTION_KEY: &str = "canary-function-key";
const MASTER_KEY: &str = "canary-master-key";

async fn standalone() -> Standalone {
    let environment = [
        ("STANDALONE_FUNCTION_KEY", FUNCTION_KEY),
        ("STANDALONE_MASTER_KEY", MASTER_KEY),
    ];

    Standalone::start(repository(), &environment).await
}

#[tokio::test]
async fn keys_are_taken_by_header_or_by_code() {
    let standalone = standalone().await;
    let header = |key| vec![("x-functions-key", key)];
    for (path, headers, status) in [
        ("/api/config-check".to_owned(), header(FUNCTION_KEY), 200),
        ("/api/config-check".to_owned(), header(MASTER_KEY), 200),
        ("/api/config-check".to_owned(), header("canary-wrong"), 401),
        ("/api/config-check".to_owned(), vec![], 401),
        (
            format!("/api/config-check?code={FUNCTION_KEY}"),
            vec![],
            200,
        ),
        (
            format!("/api/config-check?code={FUNCTION_KEY}"),
            header("canary-wrong"),
            401,
        ),
        (
            "/api/config-check?code=canary-wrong".to_owned(),
            vec![],
            401,
        ),
        (
            "/api/secrets/ExternalApiKey".to_owned(),
            header(FUNCTION_KEY),
            401,
        ),
        (
            "/api/secrets/ExternalApiKey".to_owned(),
            header(MASTER_KEY),
            200,
        ),
        (
            format!("/api/secrets/ExternalApiKey?code={MASTER_KEY}"),
            vec![],
            200,
        ),
        (
            "/API/Secrets/ExternalApiKey/".to_owned(),
            header(FUNCTION_KEY),
            401,
        ),
    ] {
        let answer = standalone.get(&standalone.url(&path), &headers).await;
        assert_eq!(answer.status, status, "{path} {headers:?}");
        assert!(status == 200 || answer.body.is_empty(), "{answer:?}");
    }
}

/// 401 has no body, as the host's own. Why, the person who started the handler reads in its log.
#[tokio::test]
async fn the_log_says_which_key_was_shown() {
    let standalone = standalone().await;
    let secret = "/api/secrets/ExternalApiKey";
    for (path, key, cause) in [
        ("/api/config-check", None, "refused: no key was shown"),
        ("/api/config-check", Some(""), "refused: no key was shown"),
        (
            "/api/config-check",
            Some("canary-wrong"),
            "refused: the key is unknown",
        ),
        (secret, Some("canary-wrong"), "refused: the key is unknown"),
        (
            secret,
            Some(FUNCTION_KEY),
            "refused: this is the function key; this route needs the master key",
        ),
    ] {
        let before = standalone.handler.output().len();
        let headers: Vec<_> = key.iter().map(|key| ("x-functions-key", *key)).collect();
        let answer = standalone.get(&standalone.url(path), &headers).await;
        assert_eq!((answer.status, answer.body.as_str()), (401, ""), "{cause}");
        standalone.handler.wrote_after(before, cause).await;
    }
}

/// A browser would show its own error for an empty answer, and nobody would learn of the key.
#[tokio::test]
async fn a_browser_without_a_key_is_told_which_key_and_where_it_is() {
    let standalone = standalone().await;
    let html = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
    let check = "/api/config-check";
    let secret = "/api/secrets/ExternalApiKey";
    for (path, key, texts) in [
        (
            check,
            None,
            [
                "This page needs a key",
                "the function key or the master key",
            ],
        ),
        (
            check,
            Some("canary-wrong"),
            ["This key opens nothing here", "$STANDALONE_FUNCTION_KEY"],
        ),
        (
            secret,
            Some(FUNCTION_KEY),
            ["This page needs the master key", "$STANDALONE_MASTER_KEY"],
        ),
    ] {
        let key = key.map(|key| ("x-functions-key", key));
        let headers: Vec<_> = key.into_iter().chain([html]).collect();
        let page = standalone.get(&standalone.url(path), &headers).await;
        assert_eq!(page.status, 401, "{page:?}");
        assert_eq!(page.header("www-authenticate"), None, "{page:?}");
        let kind = page.header("content-type");
        assert_eq!(kind, Some("text/html; charset=utf-8"), "{page:?}");
        let address = format!("{}?code=", standalone.url(path));
        for text in texts.into_iter().chain([address.as_str()]) {
            assert!(page.body.contains(text), "{text} is not on {}", page.body);
        }
    }
}

/// What is in the address is shown as text, and a key that was tried is not shown at all.
#[tokio::test]
async fn the_page_for_a_wrong_key_repeats_nothing_that_could_do_harm() {
    let standalone = standalone().await;
    let url = standalone.url("/api/secrets/a%3Cb%3E?code=canary-tried");
    let headers = [
        ("accept", "text/html"),
        ("host", "<script>alert(1)</script>"),
    ];
    let page = standalone.get(&url, &headers).await;
    assert_eq!(page.status, 401, "{page:?}");
    assert!(!page.body.contains("canary-tried"), "{page:?}");
    assert!(!page.body.contains("<script"), "{page:?}");
}

#[tokio::test]
async fn a_browser_at_the_root_is_led_to_config_check_and_a_program_is_not() {
    let standalone = standalone().await;
    let root = standalone.url("/");
    let led = standalone.get(&root, &[("accept", "text/html")]).await;
    let location = led.header("location");
    assert_eq!((led.status, location), (307, Some("/api/config-check")));
    for accept in [None, Some(("accept", "*/*"))] {
        let headers: Vec<_> = accept.into_iter().collect();
        let ready = standalone.get(&root, &headers).await;
        assert_eq!((ready.status, ready.body.as_str()), (200, ""));
    }
}

/// There the root is the host's, which asks whether the handler is ready.
#[tokio::test]
async fn under_a_host_the_root_leads_nowhere() {
    let app = InProcess::with(Setup::default());
    let ready = app.get_as("/", "text/html").await;
    assert_eq!((ready.status, ready.body.as_str()), (200, ""), "{ready:?}");
}

/// Nobody vouches for claims when no host is in front.
#[tokio::test]
async fn envelopes_are_404_without_a_host() {
    let standalone = standalone().await;
    let forged = ClientRequest::secret("ExternalApiKey")
        .envelope()
        .to_string();
    let response = client()
        .post(standalone.url("/secrets-metadata"))
        .body(forged)
        .send()
        .await
        .expect("an answer");
    assert_eq!(response.status().as_u16(), 404);
}

/// Only a host that started the process can say that it checks the keys.
#[tokio::test]
async fn a_port_in_local_settings_does_not_switch_keys_off() {
    let root = Folder::app_root();
    root.write(
        "local.settings.json",
        r#"{"Values":{"FUNCTIONS_CUSTOMHANDLER_PORT":"7071","KEY_VAULT_URL":"embedded"}}"#,
    );
    let standalone = Standalone::start(root.path(), &[]).await;
    let url = standalone.url("/api/secrets/ExternalApiKey");
    assert_eq!(standalone.get(&url, &[]).await.status, 401);
}

/// Its text is in the file for everybody to read.
#[tokio::test]
async fn an_unresolved_reference_is_refused_as_a_key() {
    let reference = "@Microsoft.KeyVault(VaultName=embedded;SecretName=ExternalApiKey)";
    let environment = [("STANDALONE_MASTER_KEY", reference)];
    let mut handler = Handler::start(repository(), &["--port", "0"], &environment);
    assert_eq!(handler.ended().await.code(), Some(78));
    let lines = handler.lines(Stream::Stderr);
    let is_named = lines[0].contains("STANDALONE_MASTER_KEY: found a Key Vault reference");
    assert!(lines.len() == 1 && is_named, "{lines:?}");
}

#[tokio::test]
async fn an_operators_key_is_not_printed() {
    let standalone = standalone().await;
    let output = standalone.handler.output();
    assert!(
        output.contains("x-functions-key: $STANDALONE_MASTER_KEY"),
        "{output}"
    );
}
