//! Whatever the host posts, it gets an answer that it can hand on, and an envelope for one
//! function never runs another.

use serde_json::{Value, json};

use super::support::{ClientRequest, FunctionsHost, Key, client, read_envelope};

#[tokio::test]
async fn what_is_not_an_envelope_is_a_400_for_the_caller() {
    let host = FunctionsHost::start(&[]).await;
    for body in [
        "",
        "{",
        "null",
        "[]",
        "{}",
        r#"{"Data":{}}"#,
        r#"{"Data":{"req":null}}"#,
        r#"{"Data":{"other":{"Method":"GET"}}}"#,
        r#"{"Data":{"req":{"Method":"\n"}}}"#,
    ] {
        let (answer, _) = read_envelope(&host.post("config-check", body.into()).await);
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.json()["code"], "InvalidEnvelope", "{body}");
    }
}

#[tokio::test]
async fn an_oversized_envelope_is_a_413_for_the_caller() {
    let host = FunctionsHost::start(&[]).await;
    let body = vec![b' '; 8 * 1024 * 1024];
    let (answer, _) = read_envelope(&host.post("config-check", body).await);
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json()["code"], "EnvelopeTooLarge");
}

/// The server's own bound, before any function.
#[tokio::test]
async fn an_envelope_with_too_many_headers_is_a_431() {
    let host = FunctionsHost::start(&[]).await;
    let mut request = client().get(host.at("/api/config-check"));
    for number in 0..150 {
        request = request.header(format!("x-{number}"), "x");
    }
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status().as_u16(), 431);
}

#[tokio::test]
async fn an_envelope_for_an_unknown_function_is_a_404() {
    let host = FunctionsHost::start(&[]).await;
    let envelope = ClientRequest::config_check().envelope().to_string();
    let answer = host.post("nobody", envelope.into()).await;
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (404, Some("RouteNotFound"))
    );
}

#[tokio::test]
async fn the_claims_must_reach_the_functions_level() {
    let host = FunctionsHost::start(&[]).await;
    for (request, key, status) in [
        (ClientRequest::config_check(), Key::None, 401),
        (ClientRequest::config_check(), Key::Function, 200),
        (ClientRequest::config_check(), Key::Master, 200),
        (ClientRequest::secret("ExternalApiKey"), Key::None, 401),
        (ClientRequest::secret("ExternalApiKey"), Key::Function, 401),
        (ClientRequest::secret("ExternalApiKey"), Key::Master, 200),
    ] {
        let function = request.function;
        let (answer, _) = host
            .invoke(function, request.with_key(key).envelope())
            .await;
        assert_eq!(answer.status, status, "{function} {key:?}");
        assert!(status == 200 || answer.body.is_empty(), "{answer:?}");
    }
}

/// Claims for the lower level, and everything that could name another function set to it.
#[tokio::test]
async fn an_envelope_for_one_function_never_runs_another() {
    let host = FunctionsHost::start(&[]).await;
    let mut envelope = ClientRequest::secret("ExternalApiKey")
        .with_key(Key::Function)
        .envelope();
    envelope["Metadata"] = json!({"sys": {"MethodName": "secrets-metadata"}});
    let (answer, _) = host.invoke("config-check", envelope.clone()).await;
    assert!(
        answer.json().get("external_api_key_set").is_some(),
        "{answer:?}"
    );
    for url in [
        "https://app.azurewebsites.net/secrets-metadata",
        "https://app.azurewebsites.net/api/config-check/../secrets/ExternalApiKey",
        "//api/secrets/ExternalApiKey",
        "not a url",
    ] {
        envelope["Data"]["req"]["Url"] = url.into();
        let (answer, _) = host.invoke("config-check", envelope.clone()).await;
        assert_eq!(answer.status, 200, "{url}");
        assert!(
            answer.json().get("external_api_key_set").is_some(),
            "{url}: {answer:?}"
        );
    }
    // The other way round the level is too low, whatever the URL.
    envelope["Data"]["req"]["Url"] = "https://app.azurewebsites.net/api/config-check".into();
    let (answer, _) = host.invoke("secrets-metadata", envelope).await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn the_method_of_the_envelope_is_the_clients() {
    let host = FunctionsHost::start(&[]).await;
    let mut envelope = ClientRequest::config_check().envelope();
    envelope["Data"]["req"]["Method"] = "DELETE".into();
    let (answer, _) = host.invoke("config-check", envelope).await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.json()["code"], "MethodNotAllowed");
}

#[tokio::test]
async fn envelopes_of_older_hosts_are_read() {
    let host = FunctionsHost::start(&[]).await;
    let mut envelope = ClientRequest::secret("ExternalApiKey").envelope();
    let req = &mut envelope["Data"]["req"];
    req["Query"] = "{}".into();
    req["Headers"] = json!({"Accept": "*/*"});
    let (answer, _) = host.invoke("secrets-metadata", envelope).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

/// A request from outside that the host passes on carries the client's host name.
#[tokio::test]
async fn an_envelope_that_a_client_posts_is_refused() {
    let host = FunctionsHost::start(&[]).await;
    let forged = ClientRequest::secret("ExternalApiKey")
        .envelope()
        .to_string();
    for (name, value) in [
        ("x-forwarded-host", "app.azurewebsites.net"),
        ("host", "app.azurewebsites.net"),
    ] {
        let response = client()
            .post(host.at("/secrets-metadata"))
            .header(name, value)
            .body(forged.clone())
            .send()
            .await
            .expect("an answer");
        let status = response.status().as_u16();
        let body: Value =
            serde_json::from_str(&response.text().await.expect("a body")).expect("JSON");
        assert_eq!(
            (status, body["code"].as_str()),
            (400, Some("InvalidEnvelope")),
            "{name}"
        );
    }
}
