//! `GET secrets/{secret_name}[?version=VERSION][&refresh=true][&pretty=true]`: the state of a
//! secret, never its value.

use std::collections::BTreeMap;

use axum::{
    body::Bytes,
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use time::OffsetDateTime;

use super::{AppState, query::Query, refusal};
use crate::{
    answer::{Code, Lookup, Problem, json_bytes, line},
    diagnosis::{Cause, Named, Subject, explain, iso_format},
    key_vault::{Outcome, SecretId, SecretMetadata, SecretName, SecretVersion, VaultUrl},
};

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
/// The code of the refusal that a stale answer stands in for.
const X_CACHE_ERROR: HeaderName = HeaderName::from_static("x-cache-error");

/// The recipe's five members, then what a person wants to know next.
#[derive(Serialize)]
struct Answer<'a> {
    /// As the vault spells it.
    name: &'a str,
    /// Whether the value can be read.
    enabled: Option<bool>,
    /// When this version was created.
    created_on: Option<String>,
    /// Informational: the vault serves the value after it all the same.
    expires_on: Option<String>,
    /// What the owner says the value is.
    content_type: Option<&'a str>,
    /// 32 hexadecimal digits.
    version: Option<&'a str>,
    /// When this version's attributes last changed.
    updated_on: Option<String>,
    /// Informational: the vault serves the value before it all the same.
    not_before: Option<String>,
    /// The owner's own labels.
    tags: &'a BTreeMap<String, String>,
    /// Whether a certificate's life cycle owns the secret.
    managed: bool,
    /// The other versions that were created in the same second; absent if there are none. Key
    /// Vault keeps times in whole seconds and lists versions by random ids: any of them may be
    /// the latest.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    also_latest: Vec<&'a str>,
}

pub(super) async fn get(
    State(app): State<AppState>,
    name: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let name = name
        .ok()
        .and_then(|Path(name)| SecretName::parse(&name).ok())
        .ok_or_else(refusal::invalid_name)?;
    let query = Query::parse(query.as_deref(), &["version", "refresh"])?;
    let version = version(&query)?;
    let id = SecretId { name, version };
    let anew = query.switch("refresh")?;
    let because = |cause: &Cause, vault: Option<&VaultUrl>| {
        let subject = Subject {
            vault,
            secret: id.name.as_str(),
            version: id.version.as_ref().map(SecretVersion::as_str),
            named: Named::KeyVaultUrl,
        };
        let (surroundings, now) = (app.0.references.surroundings(), OffsetDateTime::now_utc());
        refusal::because(explain(cause, &subject, surroundings, now))
    };
    let vault = app.0.described.as_ref();
    let vault = vault.map_err(|cause| because(cause, None))?;
    let found = if anew {
        vault.answers.refresh(&id).await
    } else {
        vault.answers.get(&id).await
    };
    let found = match found {
        Ok(found) => found,
        Err(failed) => {
            let refusal = because(&Cause::Failed(failed.error), Some(&vault.url));
            let mut response = refusal.into_response();
            response.extensions_mut().insert(if failed.was_remembered {
                Lookup::Negative
            } else {
                Lookup::Miss
            });
            return Ok(response);
        }
    };
    let mut response = json_bytes(StatusCode::OK, found.value);
    let headers = response.headers_mut();
    headers.insert(header::AGE, HeaderValue::from(found.age.as_secs()));
    let mut not_renewed = None;
    let (outcome, lookup) = match found.outcome {
        Outcome::Hit => ("HIT", Lookup::Hit),
        Outcome::Miss => ("MISS", Lookup::Miss),
        Outcome::Stale { cause } => {
            // RFC 7234, 5.5: obsolete, and still what tools know.
            let warning = match &cause {
                None => "110 - \"Response is Stale\"",
                Some(_) => "111 - \"Revalidation Failed\"",
            };
            headers.insert(header::WARNING, HeaderValue::from_static(warning));
            if let Some(cause) = cause {
                let code = cause.code();
                headers.insert(X_CACHE_ERROR, HeaderValue::from_static(code));
                not_renewed = Some(Code(code));
            }
            ("STALE", Lookup::Stale)
        }
    };
    headers.insert(X_CACHE, HeaderValue::from_static(outcome));
    let extensions = response.extensions_mut();
    extensions.insert(lookup);
    if let Some(code) = not_renewed {
        extensions.insert(code);
    }
    Ok(response)
}

/// `?version=`; empty means the latest, as in Key Vault's own paths.
fn version(query: &Query<'_>) -> Result<Option<SecretVersion>, Problem> {
    match query.text("version") {
        None | Some("") => Ok(None),
        Some(version) => SecretVersion::parse(version)
            .map(Some)
            .map_err(|_| refusal::invalid_version()),
    }
}

/// The body of an answer, ready to be sent as often as it is asked for.
pub(super) fn body(metadata: &SecretMetadata) -> Bytes {
    let also_latest = metadata.also_latest.iter();
    let answer = Answer {
        name: &metadata.name,
        enabled: metadata.enabled,
        created_on: metadata.created.and_then(iso_format),
        expires_on: metadata.expires.and_then(iso_format),
        content_type: metadata.content_type.as_deref(),
        version: metadata.version.as_ref().map(SecretVersion::as_str),
        updated_on: metadata.updated.and_then(iso_format),
        not_before: metadata.not_before.and_then(iso_format),
        tags: &metadata.tags,
        managed: metadata.managed,
        also_latest: also_latest.map(SecretVersion::as_str).collect(),
    };
    line(&answer).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_recipes_members_come_first_and_unset_ones_are_null() {
        let metadata = SecretMetadata {
            name: "Ab".into(),
            version: None,
            enabled: Some(false),
            created: OffsetDateTime::from_unix_timestamp(0).ok(),
            updated: None,
            not_before: None,
            expires: None,
            content_type: None,
            tags: BTreeMap::from([("env".into(), "dev".into())]),
            managed: false,
            also_latest: Vec::new(),
        };
        let body = body(&metadata);
        assert_eq!(
            std::str::from_utf8(&body).expect("text"),
            concat!(
                r#"{"name":"Ab","enabled":false,"created_on":"1970-01-01T00:00:00+00:00","#,
                r#""expires_on":null,"content_type":null,"version":null,"updated_on":null,"#,
                r#""not_before":null,"tags":{"env":"dev"},"managed":false}"#,
                "\n"
            )
        );
    }

    #[test]
    fn versions_of_the_same_second_are_shown_only_if_there_are_any() {
        let version = |digit: &str| SecretVersion::parse(&digit.repeat(32)).expect("valid");
        let mut metadata = SecretMetadata {
            name: "Ab".into(),
            version: Some(version("a")),
            enabled: None,
            created: None,
            updated: None,
            not_before: None,
            expires: None,
            content_type: None,
            tags: BTreeMap::new(),
            managed: false,
            also_latest: Vec::new(),
        };
        let shown = |metadata: &SecretMetadata| {
            let json: serde_json::Value = serde_json::from_slice(&body(metadata)).expect("JSON");
            json.get("also_latest").cloned()
        };
        assert_eq!(shown(&metadata), None);
        metadata.also_latest = vec![version("b"), version("c")];
        let both = serde_json::json!(["b".repeat(32), "c".repeat(32)]);
        assert_eq!(shown(&metadata), Some(both));
    }

    #[test]
    fn a_version_has_32_digits_or_none() {
        let valid = "86126c1a06244d778606e003c7e7cb34";
        for (text, is_ok) in [
            ("", true),
            ("code=x", true),
            ("version=", true),
            (&format!("code=x&version={valid}"), true),
            ("version=x", false),
            ("version=../keys/k", false),
        ] {
            let query = Query::parse(Some(text), &["version"]).expect(text);
            assert_eq!(version(&query).is_ok(), is_ok, "{text}");
        }
    }
}
