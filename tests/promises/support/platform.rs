//! Azure Resource Manager as the rotation sees it, without a process: which version each setting is
//! resolved to, and the call that resolves them again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use azure_core::{
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    http::{AsyncRawResponse, HttpClient, Method, Request, StatusCode, headers::Headers},
};
use keyvault_functions::{
    key_vault::credential::Service,
    management::{ManagementUrl, ResourceManager, SiteId},
};
use serde_json::json;
use time::OffsetDateTime;

/// How it answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Serves,
    /// This status.
    Refuses(u16),
    /// 429 with `Retry-After` in seconds.
    Throttles(u64),
    Hangs,
    /// It refreshes, and says that the references are not resolved.
    DoesNotResolve,
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
    /// Method and path of each request.
    asked: Vec<String>,
}

impl Platform {
    /// With settings that are resolved to these versions.
    pub(crate) fn with(active: &[(&str, Option<&str>)]) -> Self {
        let platform = Self::default();
        for (setting, version) in active {
            let version = version.map(str::to_owned);
            platform
                .state()
                .active
                .insert((*setting).to_owned(), version);
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
        self.state()
            .newest
            .insert(setting.to_owned(), version.to_owned());
    }

    /// How often it was asked to resolve references again.
    pub(crate) fn refreshes(&self) -> usize {
        let state = self.state();
        let is_refresh = |asked: &&String| asked.starts_with("POST ");
        state.asked.iter().filter(is_refresh).count()
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.state().asked.clone()
    }

    pub(crate) fn manager(&self) -> ResourceManager {
        let url = ManagementUrl::parse("https://management.azure.com").expect("known");
        let site = SiteId::new("sub-a", "rg-a", "func-a", None).expect("names");
        let own: Arc<Self> = Arc::new(self.clone());
        ResourceManager::new(url, site, move |scope| {
            let service = Service::new(own.clone(), own.clone(), scope);
            std::future::ready(Ok(service))
        })
    }
}

#[async_trait]
impl HttpClient for Platform {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let (is_refresh, mood) = {
            let mut state = self.state();
            let path = request.url().path();
            state
                .asked
                .push(format!("{} {path}", request.method().as_str()));
            (request.method() == Method::Post, state.mood)
        };
        let mut headers = Headers::new();
        let refused = |status: u16, headers| {
            let body = json!({"error": {"code": "canary", "message": "canary"}}).to_string();
            Ok(AsyncRawResponse::from_bytes(
                StatusCode::from(status),
                headers,
                body,
            ))
        };
        match mood {
            Mood::Refuses(status) => return refused(status, headers),
            Mood::Throttles(seconds) => {
                headers.insert("retry-after", seconds.to_string());
                return refused(429, headers);
            }
            Mood::Hangs => std::future::pending().await,
            Mood::Serves | Mood::DoesNotResolve => {}
        }
        let mut state = self.state();
        if is_refresh && mood == Mood::Serves {
            let newest = std::mem::take(&mut state.newest);
            for (setting, version) in newest {
                state.active.insert(setting, Some(version));
            }
        }
        let status = match mood {
            Mood::DoesNotResolve => "AccessToKeyVaultDenied",
            _ => "Resolved",
        };
        let value = state.active.iter().map(|(setting, version)| {
            json!({"name": setting, "properties": {"activeVersion": version, "status": status}})
        });
        let body = json!({"id": null, "nextLink": null, "value": value.collect::<Vec<_>>()});
        Ok(AsyncRawResponse::from_bytes(
            StatusCode::Ok,
            headers,
            body.to_string(),
        ))
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
        let expires = OffsetDateTime::now_utc() + Duration::from_secs(3_600);
        Ok(AccessToken::new("canary-token", expires))
    }
}
