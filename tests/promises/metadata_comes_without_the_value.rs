//! `secrets/<name>` tells the state of a secret, whatever state it is in, and nothing more.

use std::time::Duration;

use keyvault_functions::{
    dev_vault::{Attributes, NewSecret},
    key_vault::MetadataSource,
};
use time::OffsetDateTime;

use super::support::InProcess;

const BOTH: [MetadataSource; 2] = [MetadataSource::Versions, MetadataSource::Get];

#[tokio::test]
async fn metadata_has_the_recipes_members_first() {
    for source in BOTH {
        let app = InProcess::new(source);
        let answer = app.get("/api/secrets/ExternalApiKey").await;
        let json = answer.json();
        assert_eq!(json["name"], "ExternalApiKey");
        assert_eq!(json["enabled"], true);
        assert_eq!(json["content_type"], "text/plain");
        for member in ["created_on", "expires_on", "updated_on"] {
            let time = json[member].as_str().expect(member);
            assert!(time.len() == 25 && time.ends_with("+00:00"), "{time}");
        }
        let members: Vec<_> = answer
            .body
            .split("\":")
            .filter_map(|part| part.rsplit('"').next())
            .collect();
        assert_eq!(
            members[..5],
            [
                "name",
                "enabled",
                "created_on",
                "expires_on",
                "content_type"
            ]
        );
    }
}

#[tokio::test]
async fn metadata_is_of_the_latest_version_or_the_one_asked_for() {
    for source in BOTH {
        let app = InProcess::new(source);
        let set = |number: i64| {
            let at = OffsetDateTime::from_unix_timestamp(1_700_000_000 + number).expect("a time");
            let secret = NewSecret::of(&format!("canary-{number}"));
            let store = app.vault.store();
            store.set_at("Rotated", secret, at).expect("set")
        };
        let versions: Vec<_> = (0..60).map(set).collect();
        let latest = app.get("/api/secrets/Rotated").await.json();
        assert_eq!(latest["version"], versions[59].as_str(), "{source:?}");
        let third = app
            .get(&format!("/api/secrets/Rotated?version={}", versions[2]))
            .await;
        assert_eq!(third.json()["version"], versions[2].as_str(), "{source:?}");
        let unknown = "0".repeat(32);
        let missing = app
            .get(&format!("/api/secrets/Rotated?version={unknown}"))
            .await;
        assert_eq!(missing.status, 404);
        assert_eq!(missing.json()["code"], "SecretVersionNotFound");
    }
}

/// Key Vault keeps whole seconds, so its list cannot tell which of them it serves.
#[tokio::test]
async fn versions_of_the_same_second_are_all_named() {
    let app = InProcess::new(MetadataSource::Versions);
    let at = OffsetDateTime::from_unix_timestamp(1_700_000_000).expect("a time");
    let set = |at| {
        let store = app.vault.store();
        let secret = NewSecret::of("canary");
        store.set_at("Rotated", secret, at).expect("set")
    };
    let alone = app.get("/api/secrets/ExternalApiKey").await.json();
    assert_eq!(alone.get("also_latest"), None);
    set(at - Duration::from_secs(1));
    let mut both = [set(at), set(at)];
    both.sort();
    let found = app.get("/api/secrets/Rotated").await.json();
    assert_eq!(found["version"], both[0].as_str());
    assert_eq!(found["also_latest"], serde_json::json!([both[1]]));
}

#[tokio::test]
async fn a_missing_secret_is_the_recipes_404() {
    for source in BOTH {
        let answer = InProcess::new(source).get("/api/secrets/Missing").await;
        assert_eq!(answer.status, 404);
        assert_eq!(answer.json()["error"], "Secret not found: Missing");
        assert_eq!(answer.json()["code"], "SecretNotFound");
    }
}

#[tokio::test]
async fn a_disabled_secret_is_described_by_its_versions_and_refused_by_get() {
    let disabled = || NewSecret {
        attributes: Attributes {
            enabled: false,
            ..Attributes::default()
        },
        ..NewSecret::of("canary")
    };
    let versions = InProcess::new(MetadataSource::Versions);
    versions.vault.store().set("Off", disabled()).expect("set");
    let answer = versions.get("/api/secrets/Off").await;
    assert_eq!(
        (answer.status, &answer.json()["enabled"]),
        (200, &false.into())
    );

    let get = InProcess::new(MetadataSource::Get);
    get.vault.store().set("Off", disabled()).expect("set");
    let answer = get.get("/api/secrets/Off").await;
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (409, Some("SecretDisabled"))
    );
}

/// The SDK would splice such a name into its path and sign the request.
#[tokio::test]
async fn a_name_that_is_a_path_never_leaves_the_process() {
    let app = InProcess::new(MetadataSource::Versions);
    for name in [
        "..%2Fkeys%2Fk",
        "%2E%2E",
        "a%2Fb",
        "%7Bsecret-version%7D",
        "x%00",
        "%FF",
    ] {
        let answer = app.get(&format!("/api/secrets/{name}")).await;
        assert_eq!(answer.status, 400, "{name}");
        assert_eq!(answer.json()["code"], "InvalidSecretName", "{name}");
    }
    for version in ["..", "versions", "abc123def456"] {
        let answer = app
            .get(&format!("/api/secrets/ExternalApiKey?version={version}"))
            .await;
        assert_eq!(answer.json()["code"], "InvalidSecretVersion", "{version}");
    }
    assert_eq!(app.reads(), 0);
}
