//! What a request is answered with, byte by byte where clients depend on it.

use std::time::Duration;

use axum::{Router, body::Body, http};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::advance;
use tower::ServiceExt;

use super::{Attributes, Caller, DevVault, NetworkInfo, NewSecret, tokens::AUDIENCE};

/// A vault and one who may do everything with it.
struct Owner {
    router: Router,
    token: String,
}

impl Owner {
    fn of(vault: &DevVault) -> Self {
        let token = vault.identity.give(AUDIENCE);
        Self {
            router: vault.router(),
            token: token.expect("randomness").reveal().to_owned(),
        }
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let sign = if path.contains('?') { '&' } else { '?' };
        // One official client escapes the hyphen.
        let request = http::Request::builder()
            .method(method)
            .uri(format!("/{path}{sign}api%2Dversion=2026-04-01"))
            .header("host", "localhost:1")
            .header("authorization", format!("Bearer {}", self.token))
            .body(Body::from(body.to_string()))
            .expect("a request");
        let response = self.router.clone().oneshot(request).await;
        let response = response.expect("answered");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a body");
        let body = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        (status, body)
    }

    async fn status(&self, method: &str, path: &str, body: &Value) -> u16 {
        self.ask(method, path, body).await.0
    }
}

fn owner() -> Owner {
    Owner::of(&DevVault::default())
}

#[tokio::test]
async fn an_update_changes_what_it_names() {
    let owner = owner();
    let new =
        json!({"value": "v", "contentType": "a", "tags": {"x": "1"}, "attributes": {"exp": 9}});
    let (_, first) = owner.ask("PUT", "secrets/n", &new).await;
    owner.ask("PUT", "secrets/n", &json!({"value": "w"})).await;

    let off = json!({"attributes": {"enabled": false, "nbf": 5}});
    let path = first["id"].as_str().expect("an id");
    let path = path
        .strip_prefix("https://localhost:1/")
        .expect("this host");
    let (status, updated) = owner.ask("PATCH", path, &off).await;
    assert_eq!(status, 200, "{updated}");
    assert_eq!(
        updated["value"],
        Value::Null,
        "an update never shows the value"
    );
    assert_eq!(updated["id"], first["id"]);
    assert_eq!(updated["contentType"], "a");
    assert_eq!(updated["tags"], json!({"x": "1"}));
    let attributes = &updated["attributes"];
    let own = ["enabled", "nbf", "exp"].map(|name| &attributes[name]);
    assert_eq!(own, [&json!(false), &json!(5), &json!(9)]);
    assert_eq!(owner.status("GET", path, &Value::Null).await, 403);

    let (_, latest) = owner.ask("GET", "secrets/N/", &Value::Null).await;
    assert_eq!(
        (&latest["value"], &latest["tags"]),
        (&json!("w"), &Value::Null)
    );
    let tags = json!({"tags": {"y": "2"}, "contentType": "b"});
    let (_, latest) = owner.ask("PATCH", "secrets/n/", &tags).await;
    assert_eq!(latest["tags"], json!({"y": "2"}));
    assert_eq!(owner.status("PATCH", "secrets/none", &tags).await, 404);
}

#[tokio::test]
async fn a_deleted_secret_blocks_its_name_until_it_is_recovered_or_purged() {
    let owner = owner();
    let (new, none) = (json!({"value": "v"}), Value::Null);
    owner.ask("PUT", "secrets/Ab", &new).await;
    assert_eq!(owner.status("DELETE", "secrets/none", &none).await, 404);
    let (status, deleted) = owner.ask("DELETE", "secrets/aB", &none).await;
    assert_eq!((status, &deleted["value"]), (200, &Value::Null));
    assert_eq!(
        deleted["recoveryId"],
        "https://localhost:1/deletedsecrets/Ab"
    );
    assert_eq!(
        owner.ask("GET", "deletedsecrets/ab", &none).await.1,
        deleted
    );
    let (_, list) = owner.ask("GET", "deletedsecrets", &none).await;
    assert_eq!(list["value"][0]["id"], "https://localhost:1/secrets/Ab");

    for (method, path, expected) in [
        ("GET", "secrets/ab", 404),
        ("PATCH", "secrets/ab", 404),
        ("DELETE", "secrets/ab", 404),
        ("PUT", "secrets/ab", 409),
        ("POST", "secrets/ab/backup", 404),
    ] {
        let status = owner.status(method, path, &new).await;
        assert_eq!(status, expected, "{method} {path}");
    }
    let (_, taken) = owner.ask("PUT", "secrets/ab", &new).await;
    let inner = &taken["error"]["innererror"]["code"];
    assert_eq!(inner, "ObjectIsDeletedButRecoverable");

    let (status, back) = owner.ask("POST", "deletedsecrets/ab/recover", &none).await;
    assert_eq!((status, &back["value"]), (200, &Value::Null));
    let (_, got) = owner.ask("GET", "secrets/ab", &none).await;
    assert_eq!(got["value"], "v");
    for method in ["GET", "DELETE"] {
        let status = owner.status(method, "deletedsecrets/ab", &none).await;
        assert_eq!(status, 404, "{method}");
    }

    owner.ask("DELETE", "secrets/ab", &none).await;
    assert_eq!(
        owner.status("DELETE", "deletedsecrets/ab", &none).await,
        204
    );
    let recover = owner.status("POST", "deletedsecrets/ab/recover", &none);
    assert_eq!(recover.await, 404);
    let (_, versions) = owner.ask("GET", "secrets/ab/versions", &none).await;
    assert_eq!(versions, json!({"value": [], "nextLink": null}));
    assert_eq!(owner.status("PUT", "secrets/ab", &new).await, 200);
}

/// By its id, which code that takes the last one for the latest does not survive.
#[tokio::test]
async fn a_list_is_in_the_order_of_ids_and_its_next_page_is_named_as_the_service_does() {
    let (owner, none) = (owner(), Value::Null);
    for _ in 0..12 {
        owner.ask("PUT", "secrets/n", &json!({"value": "v"})).await;
    }
    let (_, page) = owner
        .ask("GET", "secrets/n/versions?maxresults=11", &none)
        .await;
    let listed = page["value"].as_array().expect("a list").iter();
    let listed: Vec<_> = listed.map(|item| item["id"].as_str()).collect();
    assert!(listed.len() == 11 && listed.is_sorted(), "{page}");
    let next =
        "https://localhost:1/secrets/n/versions?api-version=2026-04-01&$skiptoken=11&maxresults=11";
    assert_eq!(page["nextLink"], next);
    let next = next.strip_prefix("https://localhost:1/").expect("here");
    let (_, last) = owner.ask("GET", next, &none).await;
    assert_eq!(last["value"].as_array().map(Vec::len), Some(1));
    assert_eq!(last["nextLink"], Value::Null);
}

/// In the service each of these takes some seconds.
#[tokio::test(start_paused = true)]
async fn deleting_recovering_and_purging_take_their_time() {
    let time = Duration::from_secs(5);
    let owner = Owner::of(&DevVault::default().with_deletion_that_takes(time));
    let (new, none) = (json!({"value": "v"}), Value::Null);
    let is_refused = async |method: &str, path: &str, reason: &str, text: &str| {
        let (status, refused) = owner.ask(method, path, &new).await;
        let error = &refused["error"];
        let found = (status, &error["innererror"]["code"], &error["message"]);
        assert_eq!(
            found,
            (409, &reason.into(), &text.into()),
            "{method} {path}"
        );
    };
    owner.ask("PUT", "secrets/ab", &new).await;
    let (status, deleted) = owner.ask("DELETE", "secrets/ab", &none).await;
    assert_eq!(status, 200, "{deleted}");
    let busy = ("ObjectIsBeingDeleted", "Secret is currently being deleted.");
    let taken = "Secret ab is currently being deleted and cannot be re-created; retry later.";
    is_refused("DELETE", "deletedsecrets/ab", busy.0, busy.1).await;
    is_refused("POST", "deletedsecrets/ab/recover", busy.0, busy.1).await;
    is_refused("PUT", "secrets/ab", busy.0, taken).await;
    let (status, missing) = owner.ask("GET", "deletedsecrets/ab", &none).await;
    let message = &missing["error"]["message"];
    assert_eq!(
        (status, message),
        (404, &"Deleted Secret not found: ab".into())
    );
    let (_, list) = owner.ask("GET", "deletedsecrets", &none).await;
    assert_eq!(list["value"], json!([]));
    assert_eq!(owner.status("GET", "secrets/ab", &none).await, 404);

    advance(time).await;
    assert_eq!(
        owner.ask("GET", "deletedsecrets/ab", &none).await.1,
        deleted
    );
    assert_eq!(
        owner
            .status("POST", "deletedsecrets/ab/recover", &none)
            .await,
        200
    );
    assert_eq!(owner.status("GET", "secrets/ab", &none).await, 404);
    assert_eq!(owner.status("GET", "deletedsecrets/ab", &none).await, 404);
    let taken = "Secret ab is currently being recovered and cannot be re-created; retry later.";
    is_refused("PUT", "secrets/ab", "ObjectIsBeingRecovered", taken).await;
    let recovered = (
        "ObjectIsBeingRecovered",
        "Secret is currently being recovered.",
    );
    is_refused("DELETE", "deletedsecrets/ab", recovered.0, recovered.1).await;
    advance(time).await;
    assert_eq!(owner.ask("GET", "secrets/ab", &none).await.1["value"], "v");

    owner.ask("DELETE", "secrets/ab", &none).await;
    advance(time).await;
    assert_eq!(
        owner.status("DELETE", "deletedsecrets/ab", &none).await,
        204
    );
    assert_eq!(owner.status("GET", "deletedsecrets/ab", &none).await, 404);
    is_refused("DELETE", "deletedsecrets/ab", busy.0, busy.1).await;
    assert_eq!(owner.status("PUT", "secrets/ab", &new).await, 409);
    advance(time).await;
    assert_eq!(owner.status("PUT", "secrets/ab", &new).await, 200);
}

#[tokio::test]
async fn a_secret_is_not_turned_into_another_content_type() {
    let owner = Owner::of(&DevVault::seeded().expect("randomness"));
    for (name, status) in [("ExternalApiKey", 400), ("WebCertificate", 200)] {
        let path = format!("secrets/{name}?outContentType=application/x-pem-file");
        assert_eq!(
            owner.status("GET", &path, &Value::Null).await,
            status,
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_backup_brings_back_every_version_and_holds_none() {
    let owner = owner();
    let none = Value::Null;
    for value in ["first-value", "second-value"] {
        owner
            .ask("PUT", "secrets/n", &json!({ "value": value }))
            .await;
    }
    let (status, backup) = owner.ask("POST", "secrets/n/backup", &none).await;
    assert_eq!(status, 200, "{backup}");
    let (status, taken) = owner.ask("POST", "secrets/restore", &backup).await;
    assert_eq!(status, 409, "{taken}");
    owner.ask("DELETE", "secrets/n", &none).await;
    owner.ask("DELETE", "deletedsecrets/n", &none).await;
    let (status, restored) = owner.ask("POST", "secrets/restore", &backup).await;
    assert_eq!((status, &restored["value"]), (200, &Value::Null));
    let (_, versions) = owner.ask("GET", "secrets/n/versions", &none).await;
    assert_eq!(versions["value"].as_array().map(Vec::len), Some(2));
    let (_, got) = owner.ask("GET", "secrets/n", &none).await;
    assert_eq!(got["value"], "second-value");
    let (status, corrupt) = owner
        .ask("POST", "secrets/restore", &json!({"value": "AA"}))
        .await;
    assert_eq!(
        (status, &corrupt["error"]["code"]),
        (400, &json!("Malformed backup blob"))
    );
}

#[tokio::test]
async fn what_the_service_would_not_take_is_refused() {
    let owner = owner();
    let value = |length: usize| json!({"value": "x".repeat(length)});
    let tags = |count: usize| {
        let tags: serde_json::Map<_, _> = (0..count).map(|n| (n.to_string(), "x".into())).collect();
        json!({"value": "x", "tags": tags})
    };
    for (method, path, body, expected) in [
        ("PUT", "secrets/n", value(25 * 1024), 200),
        ("PUT", "secrets/n", value(25 * 1024 + 1), 400),
        ("PUT", "secrets/n", value(70_000), 400),
        ("PUT", "secrets/n", json!({}), 400),
        ("PUT", "secrets/n", tags(15), 200),
        ("PUT", "secrets/n", tags(16), 400),
        ("PATCH", "secrets/n", tags(16), 400),
        (
            "PUT",
            "secrets/n",
            json!({"value": "x", "contentType": "x".repeat(256)}),
            400,
        ),
        ("PUT", "secrets/a_b", value(1), 400),
        ("DELETE", "secrets/a_b", Value::Null, 400),
        ("GET", "deletedsecrets/a_b", Value::Null, 400),
        (
            "DELETE",
            "secrets/n/0123456789abcdef0123456789abcdef",
            Value::Null,
            400,
        ),
        ("GET", "secrets/n/notAVersion", Value::Null, 400),
        ("GET", "secrets?maxresults=26", Value::Null, 400),
        ("GET", "keys/n", Value::Null, 404),
    ] {
        let (status, body) = owner.ask(method, path, &body).await;
        assert_eq!(status, expected, "{method} {path} {body}");
    }
}

#[tokio::test]
async fn an_api_version_must_be_a_known_one() {
    let owner = owner();
    for (query, expected) in [
        ("api-version=7.4", 200),
        ("api-version=2025-07-01", 200),
        ("api-version=1999-01-01", 400),
        ("api-version=", 400),
        ("", 400),
    ] {
        let request = http::Request::get(format!("/secrets?{query}"))
            .header("authorization", format!("Bearer {}", owner.token));
        let request = request.body(Body::empty()).expect("a request");
        let response = owner.router.clone().oneshot(request).await;
        assert_eq!(response.expect("answered").status(), expected, "{query}");
    }
}

/// A vault's own headers as it sends them with 200, 401 and 403.
async fn headers_of_three_answers(vault: &DevVault) -> Vec<Vec<(String, String)>> {
    let off = NewSecret {
        attributes: Attributes {
            enabled: false,
            ..Attributes::default()
        },
        ..NewSecret::of("x")
    };
    vault.store().set("off", off).expect("set");
    let owner = Owner::of(vault);
    let mut found = Vec::new();
    for (path, token, status) in [
        ("secrets", owner.token.as_str(), 200),
        ("secrets", "wrong", 401),
        ("secrets/off", &owner.token, 403),
    ] {
        let request = http::Request::get(format!("/{path}?api-version=7.4"))
            .header("authorization", format!("Bearer {token}"));
        let request = request.body(Body::empty()).expect("a request");
        let response = owner.router.clone().oneshot(request).await;
        let response = response.expect("answered");
        assert_eq!(response.status(), status, "{path}");
        let own = response.headers().iter().filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix("x-ms-keyvault-")?;
            Some((name.to_owned(), value.to_str().ok()?.to_owned()))
        });
        found.push(own.collect());
    }
    found
}

#[tokio::test]
async fn each_form_of_the_network_header_is_sent_with_every_answer() {
    let zeros = "00000000-0000-0000-0000-000000000000";
    let network =
        format!("/subscriptions/{zeros}/resourceGroups/rg-dev/providers/Microsoft.Network");
    for (word, expected) in [
        (
            "loopback",
            "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;",
        ),
        (
            "public",
            "conn_type=Ipv4;addr=203.0.113.10;act_addr_fam=InterNetwork;",
        ),
        (
            "private-link",
            &format!(
                "conn_type=PrivateLink;private_endpoint={network}/privateEndpoints/pe-dev;addr=10.1.2.4;act_addr_fam=InterNetworkV6;"
            ),
        ),
        (
            "subnet",
            &format!(
                "conn_type=Subnet;subnet={network}/virtualNetworks/vnet-dev/subnets/snet-dev;addr=10.1.2.4;act_addr_fam=InterNetworkV6"
            ),
        ),
        (
            "old-public",
            "addr=198.51.100.10;act_addr_fam=InterNetwork;",
        ),
        ("old-private", "addr=10.1.2.4;act_addr_fam=InterNetworkV6;"),
        (
            "managed-hsm",
            "conn_type=Ipv4;addr=192.0.2.10;act_addr_fam=Ipv4;",
        ),
        ("managed-hsm-address", "addr=192.0.2.10"),
    ] {
        let form = NetworkInfo::parse(word).expect(word);
        let vault = DevVault::default().with_network_info(form);
        let expected = [
            ("region", "embedded"),
            ("service-version", "1.9.3449.1"),
            ("network-info", expected),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        for headers in headers_of_three_answers(&vault).await {
            assert_eq!(headers, expected, "{word}");
        }
    }
}

#[tokio::test]
async fn without_the_network_header_nothing_names_key_vault() {
    let vault = DevVault::default().with_network_info(NetworkInfo::Absent);
    for headers in headers_of_three_answers(&vault).await {
        assert_eq!(headers, []);
    }
}

#[tokio::test]
async fn a_token_of_another_tenant_is_refused_everywhere() {
    let vault = DevVault::default();
    let stranger = Owner::of(&vault.clone().with_caller(Caller {
        tenant: "11111111-1111-1111-1111-111111111111".to_owned(),
        ..Caller::default()
    }));
    for (method, path) in [
        ("GET", "secrets"),
        ("PUT", "secrets/n"),
        ("GET", "keys/n"),
        ("GET", "certificates/n/policy"),
        ("DELETE", "deletedsecrets/n"),
        ("GET", "nothing"),
    ] {
        let (status, body) = stranger.ask(method, path, &json!({"value": "v"})).await;
        assert_eq!(status, 401, "{method} {path}");
        assert_eq!(
            body["error"]["message"],
            "AKV10032: Invalid issuer. Expected one of https://sts.windows.net/00000000-0000-0000-0000-000000000000/, found https://sts.windows.net/11111111-1111-1111-1111-111111111111/.",
        );
    }
    // It is the caller that is refused, not the vault that is broken.
    let owner = Owner::of(&vault);
    assert_eq!(owner.status("GET", "secrets", &Value::Null).await, 200);
}

/// 25,600 bytes that a client escapes are 300 KB of JSON.
#[tokio::test]
async fn a_value_is_measured_and_not_how_a_client_writes_it() {
    let owner = owner();
    let put = async |text: String| {
        let request = http::Request::builder()
            .method("PUT")
            .uri("/secrets/n?api-version=7.4")
            .header("authorization", format!("Bearer {}", owner.token));
        let body = format!("{{\"value\":\"{text}\"}}");
        let request = request.body(Body::from(body)).expect("a request");
        let response = owner.router.clone().oneshot(request).await;
        response.expect("answered").status().as_u16()
    };
    assert_eq!(put("\\ud83d\\udd11".repeat(6_400)).await, 200);
    assert_eq!(put("\\ud83d\\udd11".repeat(6_401)).await, 400);
    // Read to its end, and refused.
    assert_eq!(put("a".repeat(3_000_000)).await, 400);
}

#[tokio::test]
async fn null_is_not_given() {
    let owner = owner();
    let nulls = json!({
        "value": "v", "contentType": null, "tags": null,
        "attributes": {"enabled": null, "nbf": null, "exp": null},
    });
    let (status, set) = owner.ask("PUT", "secrets/n", &nulls).await;
    assert_eq!((status, &set["attributes"]["enabled"]), (200, &json!(true)));
    let nulls = json!({"value": "v", "attributes": null});
    assert_eq!(owner.status("PUT", "secrets/n", &nulls).await, 200);
    let nulls = json!({"tags": null, "attributes": null, "contentType": null});
    assert_eq!(owner.status("PATCH", "secrets/n", &nulls).await, 200);
}

#[tokio::test]
async fn a_deleted_secret_that_was_disabled_is_not_shown() {
    let owner = owner();
    let off = json!({"value": "v", "attributes": {"enabled": false}});
    owner.ask("PUT", "secrets/n", &off).await;
    assert_eq!(owner.status("DELETE", "secrets/n", &Value::Null).await, 200);
    let (status, refused) = owner.ask("GET", "deletedsecrets/n", &Value::Null).await;
    assert_eq!(status, 403);
    assert_eq!(refused["error"]["innererror"]["code"], "SecretDisabled");
    assert_eq!(
        owner
            .status("POST", "deletedsecrets/n/recover", &Value::Null)
            .await,
        200
    );
}

#[tokio::test]
async fn what_was_never_there_is_answered_as_the_service_does() {
    let owner = owner();
    let (status, refused) = owner
        .ask("POST", "deletedsecrets/n/recover", &Value::Null)
        .await;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (404, &json!("SecretNotFound"))
    );
    let message = refused["error"]["message"].as_str().expect("text");
    assert!(message.starts_with("A secret with (name/id) n was not found in this key vault."));
    assert_eq!(
        owner
            .status("PUT", "secrets/", &json!({"value": "v"}))
            .await,
        405
    );
}

#[tokio::test]
async fn an_answer_names_its_request_and_one_without_a_body_has_no_type() {
    let owner = owner();
    owner.ask("PUT", "secrets/n", &json!({"value": "v"})).await;
    owner.ask("DELETE", "secrets/n", &Value::Null).await;
    let purge = http::Request::builder()
        .method("DELETE")
        .uri("/deletedsecrets/n?api-version=7.4")
        .header("authorization", format!("Bearer {}", owner.token))
        .header("x-ms-client-request-id", "one")
        .body(Body::empty())
        .expect("a request");
    let purged = owner.router.clone().oneshot(purge).await.expect("answered");
    assert_eq!(purged.status(), 204);
    assert_eq!(purged.headers().get("content-type"), None);
    assert_eq!(purged.headers()["x-ms-client-request-id"], "one");
    assert!(purged.headers().contains_key("x-ms-keyvault-network-info"));
}
