//! Forwarding, proxying and the envelope carry the same function.

use super::support::{
    CHARSET, ClientRequest, FunctionsHost, INVOCATION_ID, MODES, Protocol, Stream,
};

const VERSION: &str = "86126c1a06244d778606e003c7e7cb34";

#[tokio::test]
async fn status_headers_and_body_are_the_same_but_for_the_character_set() {
    let host = FunctionsHost::start(&[
        ("EXTERNAL_API_KEY", "canary-of-the-key"),
        ("DATABASE_PASSWORD", "canary-of-the-password"),
    ])
    .await;
    let name_with = |c: &str| format!("a{c}b");
    for (request, status) in [
        (ClientRequest::config_check(), 200),
        (
            ClientRequest::config_check()
                .with_query("code", "canary-code")
                .with_header("x-functions-key", "canary-header"),
            200,
        ),
        (ClientRequest::secret("ExternalApiKey"), 200),
        (ClientRequest::secret("DatabasePassword"), 200),
        (ClientRequest::secret("Missing"), 404),
        (
            ClientRequest::secret("ExternalApiKey").with_query("version", VERSION),
            404,
        ),
        (
            ClientRequest::secret("ExternalApiKey").with_query("version", "x"),
            400,
        ),
        (
            ClientRequest::secret("ExternalApiKey")
                .with_query("version", VERSION)
                .with_query("version", VERSION),
            400,
        ),
        (ClientRequest::secret(&name_with("_")), 400),
    ] {
        // The first answer about a secret is a MISS and the others are HITs.
        host.call(Protocol::Forwarding, &request).await;
        let mut answers = Vec::new();
        for mode in MODES {
            let answer = host.call(mode, &request).await;
            assert_eq!(answer.status, status, "{mode:?} {request:?}: {answer:?}");
            // The clock may tick between two modes.
            let mut headers = answer.headers;
            headers.retain(|(name, _)| name != "age");
            as_the_handler_said(mode, &mut headers);
            answers.push((headers, answer.body));
        }
        assert_eq!(answers[0], answers[1], "{request:?}");
        assert_eq!(answers[0], answers[2], "{request:?}");
    }
}

/// Takes away what the host adds to the answer of an envelope, which must be there.
fn as_the_handler_said(mode: Protocol, headers: &mut [(String, String)]) {
    let mut kinds = headers
        .iter_mut()
        .filter(|(name, _)| name == "content-type");
    let (_, kind) = kinds.next().expect("a content type");
    let is_added = kind.ends_with(CHARSET);
    assert_eq!(is_added, mode == Protocol::Envelope, "{mode:?}: {kind}");
    if is_added {
        kind.truncate(kind.len() - CHARSET.len());
    }
}

/// The host joins repeated parameters with a comma in two of its modes.
#[tokio::test]
async fn a_parameter_that_is_given_twice_is_refused() {
    let host = FunctionsHost::start(&[]).await;
    let secret = || ClientRequest::secret("ExternalApiKey");
    for (request, name, first, second) in [
        (ClientRequest::config_check(), "strict", "true", "false"),
        (ClientRequest::config_check(), "strict", "true", "true"),
        (ClientRequest::config_check(), "strict", "true", ""),
        (ClientRequest::config_check(), "freshness", "1", "0"),
        (secret(), "refresh", "true", "false"),
        (secret(), "version", VERSION, VERSION),
        (secret(), "version", "", ""),
    ] {
        // The host also joins names that differ in letter case.
        let upper = match name {
            "strict" => "STRICT",
            "freshness" => "Freshness",
            "refresh" => "REFRESH",
            _ => "Version",
        };
        for again in [name, upper] {
            let request = request.clone().with_query(name, first);
            let request = request.with_query("other", "x").with_query("other", "y");
            let request = request.with_query(again, second);
            let mut answers = Vec::new();
            for mode in MODES {
                let answer = host.call(mode, &request).await;
                assert_eq!(answer.status, 400, "{mode:?} {request:?}: {answer:?}");
                let json = answer.json();
                assert_eq!(json["code"], "InvalidQuery", "{mode:?} {request:?}");
                let error = json["error"].as_str().expect("text");
                assert!(error.contains(name), "{mode:?} {request:?}: {error}");
                let mut headers = answer.headers;
                as_the_handler_said(mode, &mut headers);
                answers.push((headers, answer.body));
            }
            assert_eq!(answers[0], answers[1], "{request:?}");
            assert_eq!(answers[0], answers[2], "{request:?}");
        }
    }
}

/// What nobody here reads passes by, however often it is given.
#[tokio::test]
async fn unknown_query_parameters_may_be_given_twice() {
    let missing = "@Microsoft.KeyVault(VaultName=embedded;SecretName=Missing)";
    let host = FunctionsHost::start(&[("EXTERNAL_API_KEY", missing)]).await;
    let request = ClientRequest::config_check()
        .with_query("code", "a")
        .with_query("code", "b");
    let strict = request.clone().with_query("Strict", "TRUE");
    for mode in MODES {
        assert_eq!(host.call(mode, &request).await.status, 200, "{mode:?}");
        assert_eq!(host.call(mode, &strict).await.status, 503, "{mode:?}");
    }
}

#[tokio::test]
async fn case_and_trailing_slash_of_the_route_do_not_matter() {
    let host = FunctionsHost::start(&[]).await;
    for path in ["/API/Config-Check", "/api/config-check/"] {
        for mode in [Protocol::Forwarding, Protocol::Proxying] {
            let request = ClientRequest {
                path: path.into(),
                ..ClientRequest::config_check()
            };
            let answer = host.call(mode, &request).await;
            assert_eq!(answer.status, 200, "{mode:?} {path}: {answer:?}");
        }
    }
    let nowhere = ClientRequest {
        path: "/api/nowhere".into(),
        ..ClientRequest::config_check()
    };
    let answer = host.call(Protocol::Proxying, &nowhere).await;
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (404, Some("RouteNotFound"))
    );
}

#[tokio::test]
async fn names_that_need_escaping_are_refused_alike_where_they_arrive() {
    let host = FunctionsHost::start(&[]).await;
    for (raw, decoded) in [
        ("%2e%2e", ".."),
        ("a%20b", "a b"),
        ("%C3%A4", "ä"),
        ("a%3Fb", "a?b"),
        ("a%23b", "a#b"),
        ("a%2541", "a%41"),
    ] {
        for mode in MODES {
            let request = ClientRequest {
                path: format!("/api/secrets/{raw}"),
                ..ClientRequest::secret(decoded)
            };
            // A client library would fold `..` away before it is sent.
            if decoded == ".." && mode != Protocol::Envelope {
                continue;
            }
            let answer = host.call(mode, &request).await;
            // The handler is asked for another name, which nobody can tell from the one meant.
            let is_another = mode == Protocol::Forwarding && decoded.contains(['?', '#', '%']);
            let expected = if is_another {
                "SecretNotFound"
            } else {
                "InvalidSecretName"
            };
            let code = answer.json()["code"].as_str().map(str::to_owned);
            let code = code.as_deref();
            assert_eq!(code, Some(expected), "{mode:?} {raw}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn log_lines_go_where_the_host_grades_them_and_name_the_invocation() {
    let mut host = FunctionsHost::start(&[]).await;
    let request = ClientRequest::secret("ExternalApiKey");
    let (_, logs) = host.invoke(request.function, request.envelope()).await;
    assert!(
        logs.iter()
            .any(|line| line.contains("invocation finished status=200")),
        "{logs:?}"
    );
    let bad = host.invoke("config-check", serde_json::json!({})).await;
    assert_eq!(bad.0.status, 400);
    assert!(
        bad.1
            .iter()
            .any(|line| line.contains("an envelope was refused")),
        "{:?}",
        bad.1
    );
    host.handler.wrote("an envelope was refused").await;
    host.handler.terminate();
    host.handler.ended().await;
    let stdout = host.handler.lines(Stream::Stdout).join("\n");
    let finished = stdout
        .lines()
        .find(|line| line.contains("invocation finished"));
    let finished = finished.expect("a line");
    assert!(finished.contains(INVOCATION_ID), "{finished}");
    assert!(finished.contains("secrets-metadata"), "{finished}");
    assert!(!stdout.contains('\u{1b}'), "colours under the host");
    assert!(!stdout.contains("WARN") && !stdout.contains("ERROR"));
    let stderr = host.handler.lines(Stream::Stderr);
    assert!(
        stderr
            .iter()
            .all(|line| line.contains("WARN") || line.contains("ERROR"))
    );
    let refused = stderr.iter().find(|line| line.contains("was refused"));
    let names_it = refused.is_some_and(|line| line.contains(INVOCATION_ID));
    assert!(names_it, "{stderr:?}");
}
