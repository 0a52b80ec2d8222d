//! One router for every protocol mode, built from the manifests.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Router,
    extract::Request,
    handler::Handler,
    http::{HeaderValue, Method, StatusCode, Uri, uri::PathAndQuery},
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, get, on_service},
};
use tokio::sync::Semaphore;
use tower::Service;

use super::{
    drain, envelope,
    front_door::root,
    grading::without_warn,
    invocation::{Access, Function, Limits, Run},
    manifest::{FunctionManifest, Manifest},
    pretty,
    route::Route,
    tally::Tally,
};
use crate::answer::Problem;

/// Most characters of an unknown path that are logged.
const PATH_SHOWN: usize = 100;
/// Most characters of a method that are logged; the longest that anybody uses has 17.
const METHOD_SHOWN: usize = 20;

/// The code of each function, by name. Routes, methods and auth levels come from the
/// manifests when the router is built.
pub struct Functions<S> {
    handlers: BTreeMap<&'static str, MakeMethodRouter<S>>,
    front_page: Option<&'static str>,
}

type MakeMethodRouter<S> = Box<dyn FnOnce(Arc<Function>, S) -> MethodRouter>;

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
            front_page: None,
        }
    }

    /// Leads a browser that opens `/` to the function called `name`. Under a host, `/` is the host's.
    #[must_use]
    pub fn front_page(mut self, name: &'static str) -> Self {
        self.front_page = Some(name);
        self
    }

    /// Registers the code of the function whose folder is called `name`.
    #[must_use]
    pub fn register<H, T>(mut self, name: &'static str, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let make: MakeMethodRouter<S> = Box::new(move |function, state| {
            // A manifest always has at least one method.
            let methods = function
                .manifest
                .method_filter()
                .unwrap_or(MethodFilter::GET);
            let inner = handler.with_state(state);
            let wrong_method = (async || wrong_method()).with_state(());
            on_service(methods, Run::new(&function, inner))
                .fallback_service(Run::new(&function, wrong_method))
        });
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
    ) -> Result<Entry, Vec<FunctionError>> {
        let permits = Arc::new(Semaphore::new(limits.in_flight));
        let tally = Arc::<Tally>::default();
        let mut errors = Vec::new();
        let mut router = Router::new();
        let mut known: Vec<Route> = Vec::new();
        let mut envelopes = Vec::new();
        for (name, function) in &manifest.functions {
            let Some(make) = self.handlers.remove(name.as_str()) else {
                errors.push(FunctionError::NoCode(name.clone()));
                continue;
            };
            if let Some(error) = conflict(manifest, name, function, &known) {
                errors.push(error);
                continue;
            }
            known.push(function.route.clone());
            let function = Arc::new(Function {
                name: without_warn(name).into(),
                manifest: function.clone(),
                prefix: manifest.route_prefix.clone(),
                access: access.clone(),
                request_time: limits.request_time,
                permits: permits.clone(),
                tally: tally.clone(),
            });
            let pattern = function.manifest.route.pattern(&function.prefix);
            let only_this = Router::new().route(&pattern, make(function.clone(), state.clone()));
            // Only a host sends envelopes. Without one, anybody could forge its claims.
            if matches!(access, Access::Host) {
                let answer = envelope::route(function, only_this.clone());
                router = router.route(&format!("/{name}"), answer);
                envelopes.push(name.clone());
            }
            router = router.merge(only_this);
        }
        errors.extend(self.handlers.into_keys().map(FunctionError::NoManifest));
        if !errors.is_empty() {
            return Err(errors);
        }
        known.sort_by_key(Route::precedence);
        let front_page = self
            .front_page
            .filter(|_| matches!(access, Access::Standalone(_)))
            .and_then(|name| path_of(manifest, name));
        let not_found = Arc::new(no_route(manifest));
        let router = router
            .route("/", get(move |request| root(front_page, request)))
            // At `/` and at an envelope's path, which no function's own line is about.
            .method_not_allowed_fallback(|request| unanswered(request, wrong_method()))
            .fallback(move |request| unanswered(request, Problem::clone(&not_found)));
        Ok(Entry {
            router,
            prefix: manifest.route_prefix.as_str().into(),
            routes: known.into(),
            envelopes: envelopes.into(),
            tally,
        })
    }
}

/// Where every request comes in.
#[derive(Debug, Clone)]
pub struct Entry {
    router: Router,
    prefix: Arc<str>,
    routes: Arc<[Route]>,
    /// The functions whose envelopes the host may send.
    envelopes: Arc<[String]>,
    tally: Arc<Tally>,
}

impl Entry {
    /// The manifests' spelling of `path`, if it is a route's and not spelt so already.
    fn other_spelling(&self, path: &str) -> Option<String> {
        let is_hosts_own = |name: &String| path.strip_prefix('/') == Some(name);
        let mut other = None;
        for route in &*self.routes {
            match route.canonical(&self.prefix, path) {
                Some(Cow::Borrowed(_)) => return None,
                Some(Cow::Owned(canonical)) => other = other.or(Some(canonical)),
                None => {}
            }
        }
        other.filter(|_| !self.envelopes.iter().any(is_hosts_own))
    }

    /// Counts the answers of all functions.
    #[must_use]
    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }
}

impl Service<Request> for Entry {
    type Response = Response;
    type Error = Infallible;
    type Future = <Router as Service<Request>>::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<Request>::poll_ready(&mut self.router, context)
    }

    /// The Functions host ignores the case of a route's fixed parts and a slash at its end, and
    /// forwards the path as the client wrote it. The router is given the manifests' spelling.
    fn call(&mut self, mut request: Request) -> Self::Future {
        if let Some(canonical) = self.other_spelling(request.uri().path())
            && let Some(uri) = with_path(request.uri(), &canonical)
        {
            *request.uri_mut() = uri;
        }
        self.router.call(request)
    }
}

/// Why `function` cannot be answered beside those with `routes`.
fn conflict(
    manifest: &Manifest,
    name: &str,
    function: &FunctionManifest,
    routes: &[Route],
) -> Option<FunctionError> {
    if name.eq_ignore_ascii_case(&manifest.route_prefix) {
        return Some(FunctionError::NamedLikePrefix(name.to_owned()));
    }
    if let Some(path) = hosts_own_path(manifest, function) {
        return Some(FunctionError::HostsOwnPath(name.to_owned(), path));
    }
    let is_taken = routes.iter().any(|route| route.collides(&function.route));
    is_taken.then(|| FunctionError::SameRoute(name.to_owned(), function.route.to_string()))
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

/// Where the function called `name` is, if its route has no parameter.
fn path_of(manifest: &Manifest, name: &str) -> Option<HeaderValue> {
    let route = &manifest.functions.get(name)?.route;
    let path = route.fill(&manifest.route_prefix, |_| None)?;
    HeaderValue::try_from(path).ok()
}

fn wrong_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        "This route does not answer this HTTP method.",
        "Use one of the methods in the Allow header.",
    )
}

/// What a path without a function is answered with.
#[must_use]
pub fn no_route(manifest: &Manifest) -> Problem {
    let routes = manifest.functions.values().flat_map(|function| {
        let path = function.route.pattern(&manifest.route_prefix);
        let methods = function.methods.iter();
        methods.map(move |method| format!("{method} {path}"))
    });
    let routes = routes.collect::<Vec<_>>().join(", ");
    Problem::new(
        StatusCode::NOT_FOUND,
        "RouteNotFound",
        "No function has this route.",
        format!("This app answers: {routes}."),
    )
}

/// Answers a request that reached no function, and writes its line.
async fn unanswered(request: Request, problem: Problem) -> Response {
    drain::answered(request, async |request| {
        log_unanswered(&request, problem.status());
        let is_pretty = pretty::is_asked_for(request.uri());
        let answer = problem.into_response();
        if is_pretty {
            pretty::indent(answer).await
        } else {
            answer
        }
    })
    .await
}

/// The line of a request that no function answers. A mistyped address can have a key or a
/// secret's name in its path: two segments are shown, up to what no route is made of.
fn log_unanswered(request: &Request, status: StatusCode) {
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
