//! What a request is answered with, byte by byte where clients depend on it.

use axum::{Router, body::Body, http};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{DevVault, tokens::AUDIENCE};

/// A vault and one who may do everything with it.
struct Owner {
    router: Router,
    token: String,
}

impl Owner {
    fn of(vault: &DevVault) -> Self {
        let token = vault.tokens.give(AUDIENCE);
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
