//! The functions on an embedded vault that counts what reaches it, without a process.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{Router, body::Body, extract::Request, http::Method, middleware};
use azure_core::{
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    http::HttpClient,
};
use http_body_util::BodyExt;
use keyvault_functions::{
    dev_vault::{self, DevVault},
    diagnosis::{Cause, FunctionApp, Surroundings},
    functions::{self, AppState, MetadataOptions, Rotation},
    host::{
        invocation::{Access, Limits},
        manifest::Manifest,
        router::Entry,
    },
    key_vault::{
        CachePolicy, Connection, Error, MetadataSource, Vaults, dns::Resolver, error::SettingError,
    },
    references::{AppSetting, AppSettings, Inspector, Resolves},
};
use tower::ServiceExt;

use super::{Answer, Contract, Fault, Platform, faults::Faults, repository};

#[derive(Clone)]
pub(crate) struct InProcess {
    router: Entry,
    pub(crate) app: AppState,
    pub(crate) vault: DevVault,
    faults: Faults,
    asked: Arc<Mutex<Vec<String>>>,
    challenges: Arc<AtomicUsize>,
    tokens: Arc<AtomicUsize>,
}

/// Counts how often a token is asked for.
#[derive(Debug)]
struct Counted {
    credential: Arc<dyn TokenCredential>,
    tokens: Arc<AtomicUsize>,
}

#[async_trait]
impl TokenCredential for Counted {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        self.tokens.fetch_add(1, Ordering::SeqCst);
        self.credential.get_token(scopes, options).await
    }
}

/// The app `func-a` in the resource group `rg-a`, on Azure, with its system-assigned identity.
pub(crate) fn func_a() -> Surroundings {
    Surroundings {
        app: FunctionApp::new(Some("func-a"), Some("rg-a"), None, None),
        ..Surroundings::default()
    }
}

/// What is not as usual.
pub(crate) struct Setup {
    pub(crate) source: MetadataSource,
    pub(crate) settings: Vec<AppSetting>,
    pub(crate) resolves: Resolves,
    pub(crate) surroundings: Surroundings,
    pub(crate) wrap: fn(Router) -> Router,
    pub(crate) in_flight: usize,
    pub(crate) access: Access,
    /// Carries the requests in the place of the way to the embedded vault.
    pub(crate) transport: Option<Arc<dyn HttpClient>>,
    /// Resolves the vaults' names.
    pub(crate) resolver: Option<Arc<Resolver>>,
    /// No connection can be made, for this reason.
    pub(crate) unconnected: Option<Error>,
    /// No vault is set, for this reason.
    pub(crate) no_vault: Option<Cause>,
    /// References beyond the cap.
    pub(crate) not_listed: usize,
    /// Who resolves references again when a secret has a new version, if anybody does.
    pub(crate) platform: Option<Platform>,
    /// Settings of the handler that cannot be used.
    pub(crate) wrong: Vec<SettingError>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            source: MetadataSource::Versions,
            settings: Vec::new(),
            resolves: Resolves::Platform,
            surroundings: Surroundings::default(),
            wrap: |vault| vault,
            in_flight: 20_000,
            access: Access::Host,
            transport: None,
            resolver: None,
            unconnected: None,
            no_vault: None,
            not_listed: 0,
            platform: None,
            wrong: Vec::new(),
        }
    }
}

impl InProcess {
    pub(crate) fn new(source: MetadataSource) -> Self {
        Self::with(Setup {
            source,
            ..Setup::default()
        })
    }

    pub(crate) fn with(setup: Setup) -> Self {
        Self::on(DevVault::seeded().expect("randomness"), setup)
    }

    pub(crate) fn on(vault: DevVault, setup: Setup) -> Self {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let challenges = Arc::<AtomicUsize>::default();
        let (signed, unsigned) = (asked.clone(), challenges.clone());
        let faults = Faults::default();
        let counted = (setup.wrap)(faults.wrap(vault.router())).layer(middleware::from_fn(
            move |request: Request, next: middleware::Next| {
                if request.headers().contains_key("authorization") {
                    let path = request.uri().path().to_owned();
                    signed.lock().expect("a lock").push(path);
                } else {
                    unsigned.fetch_add(1, Ordering::SeqCst);
                }
                next.run(request)
            },
        ));
        let tokens = Arc::<AtomicUsize>::default();
        let credential = Arc::new(Counted {
            credential: vault.credential(),
            tokens: tokens.clone(),
        });
        let connection = match setup.unconnected {
            Some(error) => Err(error),
            None => {
                let embedded = || Arc::new(dev_vault::InProcess::new(counted)) as _;
                let transport = setup.transport.unwrap_or_else(embedded);
                let connection = Connection::new(transport, credential);
                Ok(match setup.resolver {
                    Some(resolver) => connection.resolving_with(resolver),
                    None => connection,
                })
            }
        };
        let vaults = Arc::new(Vaults::new(move || std::future::ready(connection.clone())));
        let options = MetadataOptions {
            source: setup.source,
            cache: CachePolicy {
                fresh_for: Duration::from_secs(300),
                max_stale: Duration::from_secs(3_600),
                missing_for: Duration::from_secs(30),
                capacity: 100,
            },
        };
        let settings = AppSettings {
            not_listed: setup.not_listed,
            ..setup.settings.into()
        };
        let references = Inspector::new(settings, setup.resolves, &vaults, setup.surroundings);
        let url = match setup.no_vault {
            Some(cause) => Err(cause),
            None => DevVault::url().ok_or(Cause::NoVault),
        };
        let manager = setup.platform.map(|platform| platform.manager());
        let rotation = Rotation::new(manager);
        let app = AppState::new(references, vaults, url, options, rotation, setup.wrong);
        let manifest = Manifest::read(repository()).expect("valid");
        let limits = Limits {
            in_flight: setup.in_flight,
            ..Limits::default()
        };
        let router = functions::all().router(&manifest, &app, &setup.access, limits);
        Self {
            router: router.expect("fitting"),
            app,
            vault,
            faults,
            asked,
            challenges,
            tokens,
        }
    }

    /// Switches `fault` on, or every fault off.
    pub(crate) fn fail_with(&self, fault: impl Into<Option<Fault>>) {
        self.faults.set(fault);
    }

    pub(crate) fn router(&self) -> &Entry {
        &self.router
    }

    /// Requests with a token that reached the vault.
    pub(crate) fn reads(&self) -> usize {
        self.asked.lock().expect("a lock").len()
    }

    /// The paths of the requests with a token that reached the vault.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("a lock").clone()
    }

    /// Requests without a token that reached the vault.
    pub(crate) fn challenges(&self) -> usize {
        self.challenges.load(Ordering::SeqCst)
    }

    /// How often a token was asked for.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens.load(Ordering::SeqCst)
    }

    pub(crate) async fn get_as(&self, path: &str, accept: &str) -> Answer {
        let request = Request::get(path).header("accept", accept);
        self.send(request.body(Body::empty()).expect("a request"))
            .await
    }

    /// Whatever is asked, the answer is one that the contract lists.
    pub(crate) async fn send(&self, request: Request) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answer = answer(&self.router, request).await;
        let contract = Contract::read();
        if let Some(path) = contract.path_of(&path)
            && method != Method::HEAD
        {
            contract.check(method.as_str(), path, &answer);
        }
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = Request::get(path).body(Body::empty());
        self.send(request.expect("a request")).await
    }
}

/// Sends one request through a router.
pub(crate) async fn answer(router: &Entry, request: Request) -> Answer {
    let response = router.clone().oneshot(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let text = |value: &axum::http::HeaderValue| value.to_str().expect("text").to_owned();
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), text(value)));
    let body = String::from_utf8(body.to_vec()).expect("text");
    Answer::new(parts.status.as_u16(), headers, body)
}
