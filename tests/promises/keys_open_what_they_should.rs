//! Without a host, the handler enforces each function's auth level itself.

use super::support::{ClientRequest, Folder, Handler, Standalone, Stream, client, repository};

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
