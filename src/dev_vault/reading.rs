//! Keys and certificates, which are only read: which request means what.

use axum::{http::Method, response::Response};

use super::{
    bundles::{CertificateBundle, KeyBundle, ListedObject, policy},
    objects::{Certificate, Collection, Key},
    refusal::{Refusal, ok},
    routes::{Api, Call, identifier, is_version},
};

impl Api {
    pub(super) fn keys(&self, call: &Call<'_>, path: &[&str]) -> Result<Response, Refusal> {
        let host = call.host;
        let item = |with_version| {
            move |(name, key): &(String, Key)| ListedObject::of_key(host, name, key, with_version)
        };
        match (call.method, path) {
            (&Method::GET, []) => {
                let all = self.store.keys(Collection::latest);
                Ok(call.query.page(host, "keys", &all, item(false)))
            }
            (&Method::GET, [name, "versions"]) => {
                let all = self.store.keys(|keys| keys.versions(name));
                let path = format!("keys/{name}/versions");
                Ok(call.query.page(host, &path, &all, item(true)))
            }
            (&Method::GET, [name, version @ ..]) => {
                let version = of_one(call.method, version)?;
                let found = self.store.keys(|keys| keys.get(name, version));
                let (name, key) =
                    found.ok_or_else(|| Refusal::KeyNotFound(identifier(name, version)))?;
                Ok(ok(&KeyBundle::new(host, &name, &key)))
            }
            _ => Err(Refusal::NoSuchPath),
        }
    }

    pub(super) fn certificates(&self, call: &Call<'_>, path: &[&str]) -> Result<Response, Refusal> {
        let host = call.host;
        let item = |with_version| {
            move |(name, certificate): &(String, Certificate)| {
                ListedObject::of_certificate(host, name, certificate, with_version)
            }
        };
        match (call.method, path) {
            (&Method::GET, []) => {
                let all = self.store.certificates(Collection::latest);
                Ok(call.query.page(host, "certificates", &all, item(false)))
            }
            (&Method::GET, [name, "versions"]) => {
                let all = self.store.certificates(|all| all.versions(name));
                let path = format!("certificates/{name}/versions");
                Ok(call.query.page(host, &path, &all, item(true)))
            }
            (&Method::GET, [name, "policy"]) => {
                let (name, certificate) = self.certificate(name, None)?;
                Ok(ok(&policy(host, &name, &certificate)))
            }
            (&Method::GET, [name, version @ ..]) => {
                let version = of_one(call.method, version)?;
                let (name, certificate) = self.certificate(name, version)?;
                Ok(ok(&CertificateBundle::new(host, &name, &certificate)))
            }
            _ => Err(Refusal::NoSuchPath),
        }
    }

    fn certificate(
        &self,
        name: &str,
        version: Option<&str>,
    ) -> Result<(String, Certificate), Refusal> {
        let found = self.store.certificates(|all| all.get(name, version));
        found.ok_or_else(|| Refusal::CertificateNotFound(identifier(name, version)))
    }
}

/// The version in the rest of a path that names one object.
fn of_one<'a>(method: &Method, rest: &[&'a str]) -> Result<Option<&'a str>, Refusal> {
    match rest {
        [] => Ok(None),
        [version] => {
            is_version(method, version)?;
            Ok(Some(version))
        }
        _ => Err(Refusal::NoSuchPath),
    }
}
