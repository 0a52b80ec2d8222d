//! The REST API: which request means what.
//!
//! Source: azure-rest-api-specs, Security.KeyVault.Secrets 2025-07-01, and the recordings of
//! the real service in Microsoft's SDK repositories.

use std::sync::Arc;

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use secrecy::ExposeSecret;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    bundles::{Bundle, DeletedBundle, Item},
    network::NetworkInfo,
    query::Query,
    refusal::{Refusal, add_headers, ok},
    secrets::{Change, Deleted, NewSecret, Version},
    store::{Restored, Store},
    tokens::Tokens,
};
use crate::key_vault::{ObjectName, ObjectVersion};

/// A secret has at most 25 KB, of which a client can write each character with up to 12.
const BODY_LIMIT: usize = 512 * 1024;
/// What is larger is read to its end, or the client sees a broken connection and not the refusal;
/// up to this.
const DRAIN_LIMIT: usize = 64 * 1024 * 1024;
/// Longest value, in bytes.
const VALUE_LIMIT: usize = 25 * 1024;
/// Longest content type, in characters.
const CONTENT_TYPE_LIMIT: usize = 255;
/// Most tags.
const TAGS_LIMIT: usize = 15;
/// Longest name or value of a tag, in characters.
const TAG_LIMIT: usize = 512;

/// What every request is answered with.
#[derive(Clone)]
pub(super) struct Api {
    pub(super) store: Arc<Store>,
    tokens: Arc<Tokens>,
    network_info: NetworkInfo,
}

pub(super) fn router(store: Arc<Store>, tokens: Arc<Tokens>, network_info: NetworkInfo) -> Router {
    let api = Api {
        store,
        tokens,
        network_info,
    };
    Router::new().fallback(answer).with_state(api)
}

async fn answer(State(api): State<Api>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let result = match api.tokens.check(&parts.headers) {
        Ok(()) => match read(body).await {
            Some(body) => api.route(&parts.method, &parts.uri, &parts.headers, &body),
            None => Err(Refusal::bad("The request body is too large.")),
        },
        Err(why) => Err(Refusal::Unauthorized(why)),
    };
    let mut response = result.unwrap_or_else(IntoResponse::into_response);
    add_headers(&parts.headers, api.network_info, &mut response);
    response
}

/// The body, if it is not too large.
async fn read(mut body: Body) -> Option<Bytes> {
    let (mut kept, mut seen) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else {
            continue;
        };
        seen += data.len();
        if seen > DRAIN_LIMIT {
            break;
        }
        if seen <= BODY_LIMIT {
            kept.extend_from_slice(&data);
        }
    }
    (seen <= BODY_LIMIT).then(|| kept.into())
}

/// One request that has passed the checks.
pub(super) struct Call<'a> {
    pub(super) method: &'a Method,
    /// What was called, which is where answers point to.
    pub(super) host: &'a str,
    pub(super) query: Query,
    body: &'a Bytes,
}

impl Call<'_> {
    fn json<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(self.body)
            .map_err(|_| Refusal::bad("The request body is not what this operation takes."))
    }
}

impl Api {
    fn route(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<Response, Refusal> {
        let call = Call {
            method,
            host: headers
                .get(header::HOST)
                .and_then(|host| host.to_str().ok())
                .unwrap_or("localhost"),
            query: Query::parse(uri)?,
            body,
        };
        let path = uri.path().split('/').filter(|part| !part.is_empty());
        let path: Vec<_> = path.collect();
        let Some((area, path)) = path.split_first() else {
            return Err(Refusal::NoSuchPath);
        };
        // Restoring is the one operation without a name in its path.
        let is_restore = *method == Method::POST && path == ["restore"];
        if let Some(name) = path.first().filter(|_| !is_restore) {
            ObjectName::parse(name).map_err(|_| {
                Refusal::bad(&format!("The request URI contains an invalid name: {name}"))
            })?;
        }
        if area.eq_ignore_ascii_case("secrets") {
            self.secrets(&call, path)
        } else if area.eq_ignore_ascii_case("deletedsecrets") {
            self.deleted_secrets(&call, path)
        } else if area.eq_ignore_ascii_case("keys") {
            self.keys(&call, path)
        } else if area.eq_ignore_ascii_case("certificates") {
            self.certificates(&call, path)
        } else {
            Err(Refusal::NoSuchPath)
        }
    }

    fn secrets(&self, call: &Call<'_>, path: &[&str]) -> Result<Response, Refusal> {
        match (call.method, path) {
            (&Method::GET, []) => {
                let item =
                    |(name, version): &(String, Version)| Item::of_secret(call.host, name, version);
                let all = self.store.latest();
                Ok(call.query.page(call.host, "secrets", &all, item))
            }
            (&Method::GET, [name, "versions"]) => {
                let item = |(name, version): &(String, Version)| {
                    Item::of_version(call.host, name, version)
                };
                let path = format!("secrets/{name}/versions");
                let all = self.store.versions(name);
                Ok(call.query.page(call.host, &path, &all, item))
            }
            (&Method::GET, [name]) => self.get(call, name, None),
            (&Method::GET, [name, version]) => {
                is_version(call.method, version)?;
                self.get(call, name, Some(version))
            }
            (&Method::PUT, [name]) => self.set(call, name),
            (&Method::PATCH, [name]) => self.update(call, name, None),
            (&Method::PATCH, [name, version]) => {
                is_version(call.method, version)?;
                self.update(call, name, Some(version))
            }
            (&Method::DELETE, [name]) => {
                let deleted = self.store.take(name);
                let deleted = deleted.ok_or_else(|| not_found(name, None))?;
                Ok(ok(&DeletedBundle::of_version(call.host, &deleted)))
            }
            (&Method::POST, ["restore"]) => self.restore(call),
            (&Method::POST, [name, "backup"]) => match self.store.back_up(name)? {
                Some(ticket) => Ok(ok(&json!({ "value": ticket }))),
                None => Err(Refusal::SecretNotFound((*name).to_owned())),
            },
            (method, [_, operation]) => Err(not_allowed(method, operation)),
            (&Method::PUT, []) => Err(Refusal::MethodNotAllowed),
            _ => Err(Refusal::NoSuchPath),
        }
    }

    fn deleted_secrets(&self, call: &Call<'_>, path: &[&str]) -> Result<Response, Refusal> {
        match (call.method, path) {
            (&Method::GET, []) => {
                let item = |deleted: &Deleted| DeletedBundle::of_secret(call.host, deleted);
                let all = self.store.all_deleted();
                Ok(call.query.page(call.host, "deletedsecrets", &all, item))
            }
            (&Method::GET, [name]) => {
                let deleted = self.store.deleted(name);
                let deleted = deleted.ok_or_else(|| Refusal::NotDeleted((*name).to_owned()))?;
                if !deleted.latest.attributes.enabled {
                    return Err(Refusal::SecretDisabled);
                }
                Ok(ok(&DeletedBundle::of_version(call.host, &deleted)))
            }
            (&Method::POST, [name, "recover"]) => {
                self.may_be_recovered_or_purged(name)?;
                let recovered = self.store.recover(name);
                let (name, latest) = recovered.ok_or_else(|| not_found(name, None))?;
                Ok(ok(&Item::of_version(call.host, &name, &latest)))
            }
            (&Method::DELETE, [name]) => {
                self.may_be_recovered_or_purged(name)?;
                if !self.store.purge(name) {
                    return Err(Refusal::NotDeleted((*name).to_owned()));
                }
                Ok(StatusCode::NO_CONTENT.into_response())
            }
            (method, [_, operation]) => Err(not_allowed(method, operation)),
            _ => Err(Refusal::NoSuchPath),
        }
    }

    fn set(&self, call: &Call<'_>, name: &str) -> Result<Response, Refusal> {
        let new: NewSecret = call.json()?;
        if new.value.expose_secret().len() > VALUE_LIMIT {
            return Err(Refusal::bad("A value has at most 25 KB."));
        }
        within_limits(new.content_type.as_deref(), &new.tags)?;
        if let Some(refusal) = Refusal::to_set(name, self.store.stage(name)) {
            return Err(refusal);
        }
        let version = self.store.set(name, new)?;
        let set = self.store.get(name, Some(&version));
        let (name, set) = set.ok_or_else(|| not_found(name, Some(&version)))?;
        Ok(bundle(call.host, &name, &set))
    }

    fn update(
        &self,
        call: &Call<'_>,
        name: &str,
        version: Option<&str>,
    ) -> Result<Response, Refusal> {
        let change: Change = call.json()?;
        within_limits(change.content_type.as_deref(), change.tags.iter().flatten())?;
        let (name, updated) = self
            .store
            .update(name, version, change)
            .ok_or_else(|| not_found(name, version))?;
        Ok(ok(&Item::of_version(call.host, &name, &updated)))
    }

    fn restore(&self, call: &Call<'_>) -> Result<Response, Refusal> {
        #[derive(Deserialize)]
        struct Backup {
            value: String,
        }
        let Backup { value } = call.json()?;
        match self.store.restore(&value) {
            Restored::Done(name) => self.item(call.host, &name),
            Restored::NameIsTaken(name) => Err(Refusal::NameIsTaken(name)),
            Restored::NoSuchBackup => Err(Refusal::NoSuchBackup),
        }
    }

    fn may_be_recovered_or_purged(&self, name: &str) -> Result<(), Refusal> {
        let refusal = Refusal::to_recover_or_purge(self.store.stage(name));
        refusal.map_or(Ok(()), Err)
    }

    /// The latest version without its value.
    fn item(&self, host: &str, name: &str) -> Result<Response, Refusal> {
        let latest = self.store.get(name, None);
        let (name, version) = latest.ok_or_else(|| not_found(name, None))?;
        Ok(ok(&Item::of_version(host, &name, &version)))
    }

    fn get(&self, call: &Call<'_>, name: &str, version: Option<&str>) -> Result<Response, Refusal> {
        let found = self.store.get(name, version);
        let (name, found) = found.ok_or_else(|| not_found(name, version))?;
        if !found.attributes.enabled {
            return Err(Refusal::SecretDisabled);
        }
        let wanted = call.query.content_type.as_deref();
        if wanted.is_some() && wanted != found.content_type.as_deref() {
            // The service turns a certificate's PFX into PEM, and nothing else into anything.
            return Err(Refusal::bad("The secret is of another content type."));
        }
        Ok(bundle(call.host, &name, &found))
    }
}

/// A version with its value. A disabled one is shown to whoever has just set it.
fn bundle(host: &str, name: &str, version: &Version) -> Response {
    let value = version.value.expose_secret();
    let item = Item::of_version(host, name, version);
    ok(&Bundle { value, item })
}

pub(super) fn is_version(method: &Method, text: &str) -> Result<(), Refusal> {
    ObjectVersion::parse(text).map_err(|_| not_allowed(method, text))?;
    Ok(())
}

fn not_allowed(method: &Method, operation: &str) -> Refusal {
    Refusal::bad(&format!(
        "Method {method} does not allow operation '{operation}'"
    ))
}

fn not_found(name: &str, version: Option<&str>) -> Refusal {
    Refusal::SecretNotFound(identifier(name, version))
}

pub(super) fn identifier(name: &str, version: Option<&str>) -> String {
    version.map_or_else(|| name.to_owned(), |version| format!("{name}/{version}"))
}

fn within_limits<'a>(
    content_type: Option<&str>,
    tags: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Result<(), Refusal> {
    let is_within = |text: &str, limit| text.chars().count() <= limit;
    if !content_type.is_none_or(|text| is_within(text, CONTENT_TYPE_LIMIT)) {
        return Err(Refusal::bad("A content type has at most 255 characters."));
    }
    let mut count = 0;
    for (name, value) in tags {
        count += 1;
        if count > TAGS_LIMIT || !is_within(name, TAG_LIMIT) || !is_within(value, TAG_LIMIT) {
            return Err(Refusal::bad(
                "There are at most 15 tags, of at most 512 characters for the name and the value.",
            ));
        }
    }
    Ok(())
}
