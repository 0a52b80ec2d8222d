//! Azure Resource Manager as the rotation sees it, without a process: which version each setting is
//! resolved to, and the call that resolves them again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use azure_core::{
    Bytes,
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    error::ErrorKind,
    http::{AsyncRawResponse, HttpClient, Method, Request, StatusCode, headers::Headers},
};
use futures_util::stream;
use keyvault_functions::{
    key_vault::credential::Service,
    management::{ManagementUrl, ResourceManager, SiteId},
};
use serde_json::json;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep};

/// How long it takes if it takes its time.
pub(crate) const SLOW: Duration = Duration::from_millis(100);

/// How it answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Serves,
    /// This status, to lists and refreshes.
    Refuses(u16),
    /// This status, to lists alone.
    RefusesToList(u16),
    /// This status, to refreshes alone.
    RefusesToRefresh(u16),
    /// 429 with `Retry-After` in seconds.
    Throttles(u64),
    /// No answer to anything.
    Hangs,
    /// An answer to anything after `SLOW`.
    TakesItsTime,
    /// It refreshes, and the answer never comes.
    HangsAfterIt,
    /// It refreshes, and the answer breaks off.
    BreaksOff,
    /// It refreshes, and this is all that it says.
    Says(u16, &'static str),
    /// It refreshes, and says that the references are not resolved.
    DoesNotResolve,
    /// It refreshes nothing, and says that it did.
    StaysBehind,
    /// It refreshes nothing, and says nothing about it.
    StaysBehindSilently,
    /// The first token of the identity is too old.
    WantsNewToken,
    /// The list has a second page, at this origin.
    PagesAt(&'static str),
}

/// A platform of one app.
#[derive(Debug, Clone, Default)]
pub(crate) struct Platform(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    mood: Mood,
    /// The settings and the version that each is resolved to.
    active: BTreeMap<String, Option<String>>,
    /// What a refresh resolves to.
    newest: BTreeMap<String, String>,
    /// Method, origin and path of each request.
    asked: Vec<String>,
    /// When each refresh was asked for.
    refreshes: Vec<Instant>,
    tokens: usize,
}

impl Platform {
    /// With settings that are resolved to these versions.
    pub(crate) fn with(active: &[(&str, Option<&str>)]) -> Self {
        let platform = Self::default();
        for (setting, version) in active {
            let version = version.map(str::to_owned);
            let mut state = platform.state();
            state.active.insert((*setting).to_owned(), version);
        }
        platform
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("a lock")
    }

    pub(crate) fn set(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// The next refresh resolves `setting` to `version`.
    pub(crate) fn will_resolve(&self, setting: &str, version: &str) {
        let mut state = self.state();
        state.newest.insert(setting.to_owned(), version.to_owned());
    }

    /// From now on it does not tell to which version `setting` is resolved.
    pub(crate) fn conceals(&self, setting: &str) {
        self.state().active.insert(setting.to_owned(), None);
    }

    /// It has resolved `setting` to `version` itself.
    pub(crate) fn resolves(&self, setting: &str, version: &str) {
        let mut state = self.state();
        let version = Some(version.to_owned());
        state.active.insert(setting.to_owned(), version);
    }

    /// How often it was asked to resolve references again, which is never twice in a minute.
    pub(crate) fn refreshes(&self) -> usize {
        let state = self.state();
        for pair in state.refreshes.windows(2) {
            let pause = pair[1] - pair[0];
            assert!(pause >= Duration::from_secs(60), "{pause:?}");
        }
        state.refreshes.len()
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    pub(crate) fn manager(&self) -> ResourceManager {
        let url = ManagementUrl::parse("https://management.azure.com").expect("known");
        let site = SiteId::new("sub-a", "rg-a", "func-a", None).expect("names");
        let own: Arc<Self> = Arc::new(self.clone());
        ResourceManager::new(url, site, move |scope| {
            let scope = scope.expect("a cloud's");
            let service = Service::new(own.clone(), own.clone(), scope);
            std::future::ready(Ok(service))
        })
    }

    /// The references, as it tells them.
    fn list(&self, request: &Request) -> String {
        let state = self.state();
        let status = match state.mood {
            Mood::DoesNotResolve => "AccessToKeyVaultDenied",
            _ => "Resolved",
        };
        let value = state.active.iter().map(|(setting, version)| {
            json!({"name": setting, "properties": {"activeVersion": version, "status": status}})
        });
        let value: Vec<_> = value.collect();
        match state.mood {
            Mood::PagesAt(origin) if !request.url().path().ends_with("/page2") => {
                let next = format!("{origin}{}/page2?token=x", request.url().path());
                json!({"value": [], "nextLink": next}).to_string()
            }
            _ => json!({"id": null, "nextLink": null, "value": value}).to_string(),
        }
    }
}

#[async_trait]
impl HttpClient for Platform {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let url = request.url();
        let is_refresh = request.method() == Method::Post;
        let authorization = azure_core::http::headers::AUTHORIZATION;
        let authorization = request.headers().get_optional_str(&authorization);
        let is_first_token = authorization == Some("Bearer canary-token-1");
        let mood = {
            let mut state = self.state();
            let origin = url.origin().ascii_serialization();
            let method = request.method().as_str();
            state.asked.push(format!("{method} {origin}{}", url.path()));
            if is_refresh {
                state.refreshes.push(Instant::now());
            }
            state.mood
        };
        let answer = |status: u16, headers, body: String| {
            AsyncRawResponse::from_bytes(StatusCode::from(status), headers, body)
        };
        let refused = json!({"error": {"code": "canary", "message": "canary"}}).to_string();
        let mut headers = Headers::new();
        match mood {
            Mood::Refuses(status) => return Ok(answer(status, headers, refused)),
            Mood::RefusesToRefresh(status) if is_refresh => {
                return Ok(answer(status, headers, refused));
            }
            Mood::RefusesToList(status) if !is_refresh => {
                return Ok(answer(status, headers, refused));
            }
            Mood::WantsNewToken if is_first_token => return Ok(answer(401, headers, refused)),
            Mood::Throttles(seconds) => {
                headers.insert("retry-after", seconds.to_string());
                return Ok(answer(429, headers, refused));
            }
            Mood::Hangs => std::future::pending().await,
            Mood::TakesItsTime => sleep(SLOW).await,
            _ => {}
        }
        if !is_refresh {
            return Ok(answer(200, headers, self.list(request)));
        }
        if !matches!(mood, Mood::StaysBehind | Mood::StaysBehindSilently) {
            let mut state = self.state();
            for (setting, version) in std::mem::take(&mut state.newest) {
                state.active.insert(setting, Some(version));
            }
        }
        match mood {
            Mood::HangsAfterIt => std::future::pending().await,
            Mood::BreaksOff => {
                let broken = azure_core::Error::new(ErrorKind::Io, "canary");
                let body = [Ok(Bytes::from_static(b"{\"value\":")), Err(broken)];
                let body = Box::pin(stream::iter(body));
                Ok(AsyncRawResponse::new(StatusCode::Ok, headers, body))
            }
            Mood::StaysBehindSilently => Ok(answer(204, headers, String::new())),
            Mood::Says(status, body) => Ok(answer(status, headers, body.to_owned())),
            _ => Ok(answer(200, headers, self.list(request))),
        }
    }
}

#[async_trait]
impl TokenCredential for Platform {
    async fn get_token(
        &self,
        scopes: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        assert_eq!(scopes, ["https://management.azure.com/.default"]);
        let mut state = self.state();
        state.tokens += 1;
        let expires = OffsetDateTime::now_utc() + Duration::from_secs(360_000);
        let token = format!("canary-token-{}", state.tokens);
        Ok(AccessToken::new(token, expires))
    }
}
