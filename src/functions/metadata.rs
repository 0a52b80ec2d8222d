//! The state of one object of the vault: what the functions for secrets, keys and certificates
//! have in common, which is nearly everything.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use axum::{
    body::Bytes,
    extract::Path,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::future::{OptionFuture, join};
use serde::Serialize;
use time::OffsetDateTime;

use super::{AppState, Shared, query::Query, refusal};
use crate::{
    answer::{Code, Lookup, Problem, json_bytes, line},
    diagnosis::{
        Cause, IdentityReport, Named, PathReport, Subject, days_left, explain, iso_format,
    },
    key_vault::{
        CertificateDetails, Details, Error, KeyDetails, Metadata, ObjectId, ObjectKind, ObjectName,
        ObjectVersion, Outcome, VaultUrl,
    },
};

const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
/// The code of the refusal that a stale answer stands in for.
const X_CACHE_ERROR: HeaderName = HeaderName::from_static("x-cache-error");

/// Of a secret, the recipe's five members; then what a person wants to know next.
#[derive(Serialize)]
struct Answer<'a> {
    /// As the vault spells it.
    name: &'a str,
    /// Whether it can be used.
    enabled: Option<bool>,
    /// When this version was created.
    created_on: Option<String>,
    /// Informational for a secret: the vault serves the value after it all the same.
    expires_on: Option<String>,
    /// Only a secret has one, so only there `null` says that there is none.
    #[serde(flatten)]
    content_type: Option<ContentType<'a>>,
    /// 32 hexadecimal digits.
    version: Option<&'a str>,
    /// When this version's attributes last changed.
    updated_on: Option<String>,
    /// Informational for a secret: the vault serves the value before it all the same.
    not_before: Option<String>,
    /// The owner's own labels.
    tags: &'a BTreeMap<String, String>,
    /// Whether a certificate's life cycle owns the secret or key; absent for a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    managed: Option<bool>,
    /// Whole days until it expires; negative once it has.
    days_left: Option<i64>,
    /// The other versions that were created in the same second; absent if there are none. Key
    /// Vault keeps times in whole seconds and lists versions by random ids: any of them may be
    /// the latest.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    also_latest: Vec<&'a str>,
    #[serde(flatten)]
    more: More<'a>,
    /// If that was asked.
    #[serde(flatten)]
    asked: Option<Asked>,
}

/// As whom the handler asks the vault, and on which path.
#[derive(Serialize)]
struct Asked {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<IdentityReport>,
}

#[derive(Serialize)]
struct ContentType<'a> {
    /// What the owner says the value is.
    content_type: Option<&'a str>,
}

/// What only one kind of object has.
#[derive(Serialize)]
#[serde(untagged)]
enum More<'a> {
    Secret {},
    Key {
        #[serde(flatten)]
        key: Key<'a>,
        /// What it may be used for, such as `sign`.
        key_operations: &'a [String],
    },
    Certificate {
        /// SHA-1 of the whole certificate, 40 hexadecimal digits.
        thumbprint: Option<&'a str>,
        /// Whom it is for.
        subject: Option<&'a str>,
        /// The DNS names that it is for.
        dns_names: &'a [String],
        /// Who renews it: an issuer that the vault knows, `Self`, or `Unknown` for nobody.
        issuer: Option<&'a str>,
        /// What the vault does before the end, such as `AutoRenew`.
        lifetime_actions: &'a [String],
        #[serde(flatten)]
        key: Key<'a>,
    },
}

#[derive(Serialize)]
struct Key<'a> {
    /// `RSA` or `EC`, with `-HSM` behind it where hardware keeps it.
    #[serde(rename = "key_type")]
    kind: Option<&'a str>,
    /// In bits.
    #[serde(rename = "key_size")]
    size: Option<usize>,
    /// Of an elliptic key, such as `P-256`.
    curve: Option<&'a str>,
}

impl Shared {
    /// The path to the vault at `url`, after a probe, and the identity.
    async fn asked(&self, url: &VaultUrl) -> Asked {
        let path = match self.vaults.open(url).await {
            Ok(vault) => {
                let (path, error) = vault.probed_path().await;
                Some(PathReport::new(&path, error.as_ref(), true))
            }
            Err(_) => None,
        };
        Asked {
            path,
            identity: IdentityReport::of(&self.seen_by_admins()),
        }
    }
}

/// What the vault said about one object, and the answer that this makes today.
pub(super) struct Described {
    metadata: Metadata,
    /// With the days that it counts.
    answer: Mutex<(Option<i64>, Bytes)>,
}

impl Described {
    pub(super) fn new(metadata: Metadata) -> Self {
        let days = days_left_of(&metadata, OffsetDateTime::now_utc());
        let answer = Mutex::new((days, body(&metadata, days, None)));
        Self { metadata, answer }
    }

    /// The body of an answer, ready to be sent as often as it is asked for. It is made once a
    /// day.
    fn body(&self, now: OffsetDateTime) -> Bytes {
        let days = days_left_of(&self.metadata, now);
        let mut answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        if answer.0 != days {
            *answer = (days, body(&self.metadata, days, None));
        }
        answer.1.clone()
    }
}

fn days_left_of(metadata: &Metadata, now: OffsetDateTime) -> Option<i64> {
    metadata.expires.map(|expires| days_left(expires, now))
}

/// Answers for the object of `kind` that a request names.
pub(super) async fn answer(
    app: &AppState,
    kind: ObjectKind,
    name: Option<Path<String>>,
    query: Option<&str>,
) -> Result<Response, Problem> {
    let name = name
        .and_then(|Path(name)| ObjectName::parse(&name).ok())
        .ok_or_else(|| refusal::invalid_name(kind))?;
    let query = Query::parse(query, &["version", "refresh", "path"])?;
    let version = version(kind, &query)?;
    let id = ObjectId {
        kind,
        name,
        version,
    };
    let anew = query.switch("refresh")?;
    let with_path = query.switch("path")?;
    let because = |cause: &Cause, vault: Option<&VaultUrl>| {
        let subject = Subject {
            vault,
            kind,
            name: Some(id.name.as_str()),
            version: id.version.as_ref().map(ObjectVersion::as_str),
            named: Named::KeyVaultUrl,
        };
        let (surroundings, now) = (app.0.seen_by_admins(), OffsetDateTime::now_utc());
        let refusal = refusal::because(explain(cause, &subject, &surroundings, now));
        let is_about_the_identity = matches!(
            cause.error(),
            Some(Error::AccessDenied(_) | Error::TokenRefused(_))
        );
        let identity = is_about_the_identity.then(|| IdentityReport::of(&surroundings));
        refusal.with("identity", identity.flatten())
    };
    let vault = app.0.described.as_ref();
    let vault = vault.map_err(|cause| because(cause, None))?;
    let read = async {
        if anew {
            vault.answers.refresh(&id).await
        } else {
            vault.answers.get(&id).await
        }
    };
    // Beside the read: an answer waits for the slower of both, and not for one after the other.
    let asked = OptionFuture::from(with_path.then(|| app.0.asked(&vault.url)));
    let (found, asked) = join(read, asked).await;
    let found = match found {
        Ok(found) => found,
        Err(failed) => {
            let cause = app.0.cause(&vault.url, failed.error).await;
            let mut refusal = because(&cause, Some(&vault.url));
            if let Some(Asked { path, identity }) = asked {
                let path = path.filter(|_| cause.path().is_none());
                refusal = refusal.with("path", path).with("identity", identity);
            }
            let mut response = refusal.into_response();
            response.extensions_mut().insert(if failed.was_remembered {
                Lookup::Negative
            } else {
                Lookup::Miss
            });
            return Ok(response);
        }
    };
    let now = OffsetDateTime::now_utc();
    let body = match asked {
        Some(asked) => {
            let days = days_left_of(&found.value.metadata, now);
            body(&found.value.metadata, days, Some(asked))
        }
        None => found.value.body(now),
    };
    let mut response = json_bytes(StatusCode::OK, body);
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
fn version(kind: ObjectKind, query: &Query<'_>) -> Result<Option<ObjectVersion>, Problem> {
    match query.text("version") {
        None | Some("") => Ok(None),
        Some(version) => ObjectVersion::parse(version)
            .map(Some)
            .map_err(|_| refusal::invalid_version(kind)),
    }
}

fn body(metadata: &Metadata, days_left: Option<i64>, asked: Option<Asked>) -> Bytes {
    let also_latest = metadata.also_latest.iter();
    let content_type = match &metadata.details {
        Details::Secret { content_type } => Some(ContentType {
            content_type: content_type.as_deref(),
        }),
        Details::Key { .. } | Details::Certificate(_) => None,
    };
    let is_certificate = matches!(metadata.details, Details::Certificate(_));
    let answer = Answer {
        name: metadata.name.as_str(),
        enabled: metadata.enabled,
        created_on: metadata.created.and_then(iso_format),
        expires_on: metadata.expires.and_then(iso_format),
        content_type,
        version: metadata.version.as_ref().map(ObjectVersion::as_str),
        updated_on: metadata.updated.and_then(iso_format),
        not_before: metadata.not_before.and_then(iso_format),
        tags: &metadata.tags,
        managed: (!is_certificate).then_some(metadata.managed),
        days_left,
        also_latest: also_latest.map(ObjectVersion::as_str).collect(),
        more: More::of(&metadata.details),
        asked,
    };
    line(&answer).into()
}

impl<'a> More<'a> {
    fn of(details: &'a Details) -> Self {
        match details {
            Details::Secret { .. } => Self::Secret {},
            Details::Key { key, operations } => Self::Key {
                key: Key::of(key),
                key_operations: operations,
            },
            Details::Certificate(certificate) => {
                let CertificateDetails {
                    thumbprint,
                    subject,
                    dns_names,
                    issuer,
                    key,
                    lifetime_actions,
                } = &**certificate;
                Self::Certificate {
                    thumbprint: thumbprint.as_deref(),
                    subject: subject.as_deref(),
                    dns_names,
                    issuer: issuer.as_deref(),
                    lifetime_actions,
                    key: Key::of(key),
                }
            }
        }
    }
}

impl<'a> Key<'a> {
    fn of(key: &'a KeyDetails) -> Self {
        Self {
            kind: key.key_type.as_deref(),
            size: key.size,
            curve: key.curve.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        Metadata {
            name: ObjectName::parse("Ab").expect("a name"),
            version: None,
            enabled: Some(false),
            created: OffsetDateTime::from_unix_timestamp(0).ok(),
            updated: None,
            not_before: None,
            expires: None,
            tags: BTreeMap::from([("env".into(), "dev".into())]),
            managed: false,
            also_latest: Vec::new(),
            details: Details::Secret { content_type: None },
        }
    }

    #[test]
    fn the_recipes_members_come_first_and_unset_ones_are_null() {
        let body = body(&metadata(), None, None);
        assert_eq!(
            std::str::from_utf8(&body).expect("text"),
            concat!(
                r#"{"name":"Ab","enabled":false,"created_on":"1970-01-01T00:00:00+00:00","#,
                r#""expires_on":null,"content_type":null,"version":null,"updated_on":null,"#,
                r#""not_before":null,"tags":{"env":"dev"},"managed":false,"days_left":null}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_kept_answer_counts_the_days_of_today() {
        let now = OffsetDateTime::now_utc();
        let day = time::Duration::DAY;
        let described = Described::new(Metadata {
            expires: Some(now + 5 * day),
            ..metadata()
        });
        let days = |now| -> serde_json::Value {
            let json: serde_json::Value =
                serde_json::from_slice(&described.body(now)).expect("JSON");
            json["days_left"].clone()
        };
        for (passed, left) in [(0, 5), (1, 4), (1, 4), (5, 0), (7, -2)] {
            assert_eq!(days(now + passed * day), left, "{passed}");
        }
    }

    #[test]
    fn versions_of_the_same_second_are_shown_only_if_there_are_any() {
        let version = |digit: &str| ObjectVersion::parse(&digit.repeat(32)).expect("valid");
        let mut metadata = metadata();
        let shown = |metadata: &Metadata| {
            let json: serde_json::Value =
                serde_json::from_slice(&body(metadata, None, None)).expect("JSON");
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
            assert_eq!(version(ObjectKind::Secret, &query).is_ok(), is_ok, "{text}");
        }
    }
}
