//! One router for every protocol mode, built from the manifests.

use std::{collections::BTreeMap, fmt, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::Request,
    handler::Handler,
    http::{Method, StatusCode, Uri, uri::PathAndQuery},
    middleware,
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, get, on, post},
};
use tokio::sync::Semaphore;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;

use super::{
    drain,
    envelope::{self, Target},
    grading::without_warn,
    invocation::{self, Access, Function, Limits},
    manifest::{FunctionManifest, Manifest},
    pretty,
    route::Route,
};
use crate::answer::{Problem, empty};

/// Most characters of an unknown path that are logged.
const PATH_SHOWN: usize = 100;
/// Most characters of a method that are logged; the longest that anybody uses has 17.
const METHOD_SHOWN: usize = 20;

/// The code of each function, by name. Routes, methods and auth levels come from the
/// manifests when the router is built.
pub struct Functions<S> {
    handlers: BTreeMap<&'static str, MakeMethodRouter<S>>,
}

type MakeMethodRouter<S> = Box<dyn FnOnce(MethodFilter) -> MethodRouter<S>>;

/// Code and manifests do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FunctionError {
    /// A folder with a `function.json`, and nothing registered under its name.
    #[error(
        "{0}/function.json: no code is registered for this function; register it in src/functions/mod.rs or remove the folder"
    )]
    NoCode(String),
    /// Code without its folder.
    #[error(
        "{0}: this function has code but no {0}/function.json; add the folder, or set FUNCTIONS_APP_ROOT_PATH to the app's root"
    )]
    NoManifest(&'static str),
    /// Two functions, one route.
    #[error("{0}/function.json: another function has the route /{1} already; give each its own")]
    SameRoute(String, String),
    /// A name under which the host's own requests could not be told from others.
    #[error(
        "{0}/function.json: a function cannot be named like the route prefix; rename the folder"
    )]
    NamedLikePrefix(String),
    /// Without a route prefix, a route where an outside POST would look like the host's own, or
    /// be mistaken for its question whether the handler is ready.
    #[error(
        "{0}/function.json: without a routePrefix, /{1} is the host's own path to the handler, and anybody could send what only the host may send; give the function another route or leave POST out of its methods, or set extensions.http.routePrefix"
    )]
    HostsOwnPath(String, String),
}

impl<S: Clone + Send + Sync + 'static> Default for Functions<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Clone + Send + Sync + 'static> Functions<S> {
    /// No functions yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            handlers: BTreeMap::new(),
        }
    }

    /// Registers the code of the function whose folder is called `name`.
    #[must_use]
    pub fn register<H, T>(mut self, name: &'static str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let make: MakeMethodRouter<S> = Box::new(move |methods| on(methods, handler));
        self.handlers.insert(name, make);
        self
    }

    /// Builds the router: `GET /` for readiness, every function's direct route and, where a
    /// Functions host is in front, `POST /<FunctionName>`.
    ///
    /// # Errors
    ///
    /// Every function that has only code or only a manifest, and routes that collide.
    pub fn router(
        mut self,
        manifest: &Manifest,
        state: &S,
        access: &Access,
        limits: Limits,
    ) -> Result<Router, Vec<FunctionError>> {
        let places = Arc::new(Semaphore::new(limits.in_flight));
        let prefix = manifest.route_prefix.as_str();
        let mut errors = Vec::new();
        let mut direct = Router::new();
        let mut envelopes = Router::new();
        let mut routes: Vec<Route> = Vec::new();
        for (name, function) in &manifest.functions {
            let Some(make) = self.handlers.remove(name.as_str()) else {
                errors.push(FunctionError::NoCode(name.clone()));
                continue;
            };
            if name.eq_ignore_ascii_case(prefix) {
                errors.push(FunctionError::NamedLikePrefix(name.clone()));
                continue;
            }
            if let Some(path) = hosts_own_path(manifest, function) {
                errors.push(FunctionError::HostsOwnPath(name.clone(), path));
                continue;
            }
            if routes.iter().any(|route| route.collides(&function.route)) {
                let route = function.route.to_string();
                errors.push(FunctionError::SameRoute(name.clone(), route));
                continue;
            }
            routes.push(function.route.clone());
            let only_this = function_router(
                make,
                &function.route.pattern(prefix),
                function.method_filter(),
                Function {
                    name: without_warn(name).into_owned(),
                    auth_level: function.auth_level,
                    access: access.clone(),
                    request_time: limits.request_time,
                    places: places.clone(),
                },
            )
            .with_state(state.clone());
            // Only a host sends envelopes. Without one, anybody could forge its claims.
            if matches!(access, Access::Host) {
                let target = Arc::new(Target::new(
                    name,
                    function,
                    prefix,
                    only_this.clone(),
                    places.clone(),
                ));
                let path = format!("/{name}");
                let output = function.output.clone();
                let answer = post(move |request| envelope::answer(target, request)).layer(
                    CatchPanicLayer::custom(move |_| envelope::panicked(&output)),
                );
                envelopes = envelopes.route(&path, answer);
            }
            direct = direct.merge(only_this);
        }
        errors.extend(self.handlers.into_keys().map(FunctionError::NoManifest));
        if !errors.is_empty() {
            return Err(errors);
        }
        let spelling = Spelling::new(manifest, routes, direct.clone());
        Ok(direct
            .merge(envelopes)
            .route("/", get(ready))
            // At `/` and at an envelope's path, which no function's own line is about.
            .method_not_allowed_fallback(async |request: Request<Body>| {
                log_unanswered(&request, StatusCode::METHOD_NOT_ALLOWED);
                drain::answered(request, async |_| wrong_method().await.into_response()).await
            })
            .fallback(move |request| {
                drain::answered(request, async |request| spelling.answer(request).await)
            }))
    }
}

/// The path of the host itself that a request for `function` could have. The paths of envelopes
/// win over a parameter, so that such a route could not be asked for with a function's name.
fn hosts_own_path(manifest: &Manifest, function: &FunctionManifest) -> Option<String> {
    if !manifest.route_prefix.is_empty() {
        return None;
    }
    let route = &function.route;
    if route.is_empty() {
        return Some(String::new());
    }
    let takes_post = function.methods.contains(&Method::POST);
    let is_in_the_way = takes_post || route.is_one_parameter();
    let mut names = manifest.functions.keys();
    let name = names.find(|name| is_in_the_way && route.matches_name(name));
    name.cloned()
}

fn function_router<S: Clone + Send + Sync + 'static>(
    make: MakeMethodRouter<S>,
    pattern: &str,
    methods: Option<MethodFilter>,
    function: Function,
) -> Router<S> {
    // A manifest always has at least one method.
    let method_router = make(methods.unwrap_or(MethodFilter::GET))
        .fallback(wrong_method)
        .layer(CatchPanicLayer::custom(invocation::panicked))
        .layer(middleware::from_fn_with_state(
            Arc::new(function),
            invocation::run,
        ));
    Router::new().route(pattern, method_router)
}

/// What the host asks every few milliseconds until it gets an answer, and now and then later.
async fn ready(request: Request<Body>) -> Response {
    drain::answered(request, async |_| empty(StatusCode::OK)).await
}

async fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        "This route does not answer this HTTP method.",
        "Use one of the methods in the Allow header.",
    )
}

/// Paths that no route matched letter by letter. The Functions host ignores the case of a
/// route's fixed parts and a slash at its end, and forwards the path as the client wrote it.
#[derive(Clone)]
struct Spelling(Arc<SpellingInner>);

struct SpellingInner {
    prefix: String,
    routes: Vec<Route>,
    direct: Router,
    fix: String,
}

impl Spelling {
    fn new(manifest: &Manifest, routes: Vec<Route>, direct: Router) -> Self {
        let prefix = manifest.route_prefix.clone();
        let list = manifest
            .functions
            .values()
            .flat_map(|function| function.methods.iter().map(move |m| (m, &function.route)))
            .map(|(method, route)| match prefix.as_str() {
                "" => format!("{method} /{route}"),
                prefix => format!("{method} /{prefix}/{route}"),
            })
            .collect::<Vec<_>>()
            .join(", ");
        Self(Arc::new(SpellingInner {
            prefix,
            routes,
            direct,
            fix: format!("This app answers: {list}."),
        }))
    }

    async fn answer(self, mut request: Request<Body>) -> Response {
        let given = request.uri().path();
        let canonical = self
            .0
            .routes
            .iter()
            .find_map(|route| route.canonical(&self.0.prefix, given))
            .filter(|canonical| canonical != given)
            .and_then(|canonical| with_path(request.uri(), &canonical));
        let Some(uri) = canonical else {
            log_unanswered(&request, StatusCode::NOT_FOUND);
            let answer = self.not_found().into_response();
            if pretty::is_asked_for(request.uri()) {
                return pretty::indent(answer).await;
            }
            return answer;
        };
        *request.uri_mut() = uri;
        self.0
            .direct
            .clone()
            .oneshot(request)
            .await
            .unwrap_or_else(|never| match never {})
    }

    fn not_found(&self) -> Problem {
        Problem::new(
            StatusCode::NOT_FOUND,
            "RouteNotFound",
            "No function has this route.",
            self.0.fix.clone(),
        )
    }
}

impl fmt::Debug for Spelling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Spelling").field(&self.0.routes).finish()
    }
}

/// The line of a request that no function answers. A mistyped address can have a key or a
/// secret's name in its path: two segments are shown, up to what no route is made of.
fn log_unanswered(request: &Request<Body>, status: StatusCode) {
    let path = request.uri().path();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.');
    let plain = path.find(|c| !is_plain(c)).unwrap_or(path.len());
    let third = path
        .match_indices('/')
        .nth(2)
        .map_or(path.len(), |(at, _)| at);
    let end = plain.min(third).min(PATH_SHOWN);
    let shown = match path.get(..end) {
        Some(shown) if shown.len() < path.len() => &format!("{shown}…"),
        _ => path,
    };
    let status = status.as_u16();
    let method = request.method().as_str();
    let method = method.get(..METHOD_SHOWN).unwrap_or(method);
    tracing::info!(%method, path = %shown, status, "no function answers this");
}

fn with_path(uri: &Uri, path: &str) -> Option<Uri> {
    let path_and_query = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path_and_query).ok()?);
    Uri::from_parts(parts).ok()
}
