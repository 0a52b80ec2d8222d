//! `GET expiring[?within=30d][&strict=true][&no_expiry=true][&refresh=true][&pretty=true]`: what
//! expires when, and which settings fail then? No request that could return a value is made.

mod answer;
mod page;
mod reading;
mod rows;
mod snapshot;
mod snapshots;
mod warnings;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use time::OffsetDateTime;
use tokio::time::Instant;

use self::{
    answer::{Answer, Asked},
    snapshots::{Given, Wish},
};
pub(super) use self::{snapshots::Snapshots, warnings::Heard};
use super::{AppState, Shared, query::Query};
use crate::{
    answer::{Problem, json_bytes, line, page as pages},
    diagnosis::{Cause, Named},
    key_vault::{Error, Metadata, ObjectId, Vault, VaultUrl, patiently},
    references::Reference,
};

/// The time that is looked ahead where nobody says how far.
const WITHIN: &str = "30d";

/// Seconds after which there is more to tell, while the vaults are read.
const AGAIN_AFTER: HeaderValue = HeaderValue::from_static("2");

pub(super) async fn get(
    State(app): State<AppState>,
    request: Request,
) -> Result<Response, Problem> {
    let known = ["within", "strict", "no_expiry", "refresh"];
    let query = Query::parse(request.uri().query(), &known)?;
    let within = query.text("within").unwrap_or(WITHIN);
    let time = query.time("within")?.unwrap_or(super::MONTH);
    let strict = query.switch("strict")?;
    let names_of_unending = query.switch("no_expiry")?;
    let anew = query.switch("refresh")?;
    let app = &app.0;
    let wish = match (anew, strict) {
        (true, _) => Wish::Anew,
        // A monitor that is asked once a day must not judge the list of yesterday.
        (false, true) => Wish::Fresh,
        (false, false) => Wish::AtOnce,
    };
    let Given {
        snapshot,
        is_being_read,
    } = app.snapshots.get(app, wish).await;
    let now = OffsetDateTime::now_utc();
    let asked = Asked {
        now,
        until: now + time,
        within,
        names_of_unending,
    };
    let answer = Answer::new(app, &snapshot, &asked);
    let status = if strict && !answer.is_healthy() {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::OK
    };
    let mut response = if pages::is_wanted(request.headers()) {
        pages::respond(status, page::render(&answer, app, &asked))
    } else {
        json_bytes(status, line(&answer))
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    if is_being_read || answer.is_being_read() {
        headers.insert(header::RETRY_AFTER, AGAIN_AFTER);
    }
    if let Some(as_of) = snapshot.as_of() {
        let age = u64::try_from((now - as_of).whole_seconds()).unwrap_or_default();
        headers.insert(header::AGE, HeaderValue::from(age));
    }
    Ok(response)
}

impl Shared {
    /// The vault of `KEY_VAULT_URL` and every one that a reference names, each once.
    pub(super) fn listed_vaults(&self) -> Vec<VaultUrl> {
        let own = self.described.iter().map(|described| &described.url);
        let named = self.references.references();
        let named = named.map(|(_, reference)| &reference.vault);
        let mut vaults: Vec<VaultUrl> = Vec::new();
        for vault in own.chain(named).map(|vault| self.vaults.meant(vault)) {
            if !vaults.contains(vault) {
                vaults.push(vault.clone());
            }
        }
        vaults
    }

    /// The setting that names `vault` first.
    fn named_by(&self, vault: &VaultUrl) -> Named<'_> {
        if self.described.as_ref().is_ok_and(|own| own.url == *vault) {
            return Named::KeyVaultUrl;
        }
        let mut references = self.references.references();
        let found = references.find(|(_, one)| self.vaults.meant(&one.vault) == vault);
        found.map_or(Named::KeyVaultUrl, |(setting, _)| setting.named())
    }

    /// The setting whose reference is pinned to `id` in `vault`.
    fn pinned_by(&self, vault: &VaultUrl, id: &ObjectId) -> Named<'_> {
        let mut references = self.references.references();
        let is_same = |one: &Reference| {
            self.vaults.meant(&one.vault) == vault && one.secret().is_ok_and(|own| own == *id)
        };
        let found = references.find(|(_, one)| is_same(one));
        found.map_or(Named::KeyVaultUrl, |(setting, _)| setting.named())
    }

    /// Why the vault of `KEY_VAULT_URL` is not listed. An app can do without one that has
    /// references.
    fn without_own_vault(&self) -> Option<&Cause> {
        let cause = self.described.as_ref().err()?;
        let is_needed = *cause != Cause::NoVault || self.references.references().next().is_none();
        is_needed.then_some(cause)
    }
}

/// Reads the metadata of one version of a secret without its value. Waits for the instance's
/// budget and for a vault that throttles, until `until`.
pub(super) async fn metadata(
    vault: &Vault,
    id: &ObjectId,
    until: Instant,
) -> Result<Metadata, Error> {
    patiently(until, Error::wait, || vault.probed_metadata(id)).await
}
