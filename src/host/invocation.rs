//! One run of one function: who may call it, how long it may take, and what is said of it.

use std::{
    convert::Infallible,
    future::poll_fn,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::Bytes,
    extract::Request,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout},
};
use tower::Service;
use tracing::{Instrument, Span};

use super::{
    authorization::{Keys, Refused},
    drain::{self, LentBody},
    front_door,
    manifest::FunctionManifest,
    pretty,
    tally::{Answered, Tally},
};
use crate::{
    answer::{Code, Lookup, Problem, empty, no_store, page::respond},
    telemetry::{Invocation, InvocationId, InvocationLines, TraceParent, spans},
};

/// What an envelope tells about an invocation; requests that come directly have none.
#[derive(Debug, Clone)]
pub(super) struct Enveloped {
    /// Whether the caller's claims reach the function's level.
    pub(super) is_admitted: bool,
    pub(super) lines: InvocationLines,
    /// Taken before the envelope was read.
    pub(super) permit: Arc<OwnedSemaphorePermit>,
}

/// Who stands in front of the handler and has checked the caller's key.
#[derive(Debug, Clone)]
pub enum Access {
    /// The Functions host: every request that arrives has passed it.
    Host,
    /// Nobody: the handler checks keys itself.
    Standalone(Keys),
}

/// What requests may take of the process.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Requests of functions that are under way at the same time; more get 429. The Functions
    /// host itself sets no limit.
    pub in_flight: usize,
    /// Time for one request, far below the 230 s of Azure's front end.
    pub request_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: 1_000,
            request_time: Duration::from_secs(30),
        }
    }
}

/// What every run of one function needs to know.
#[derive(Debug)]
pub(super) struct Function {
    /// As it may be written into a line.
    pub(super) name: Arc<str>,
    pub(super) manifest: FunctionManifest,
    /// First segment of the route, or nothing.
    pub(super) prefix: String,
    pub(super) access: Access,
    pub(super) request_time: Duration,
    /// For requests under way; shared by all functions.
    pub(super) permits: Arc<Semaphore>,
    pub(super) tally: Arc<Tally>,
}

impl Function {
    /// Names a run for its lines, by the headers of the request.
    pub(super) fn invocation(
        &self,
        headers: &HeaderMap,
        lines: Option<InvocationLines>,
    ) -> Invocation {
        Invocation {
            function: self.name.clone(),
            id: InvocationId::of(headers),
            parent: TraceParent::of(headers),
            lines,
        }
    }

    /// Lets a request in, if its caller may call the function and there is room.
    fn admit(&self, enveloped: Option<Enveloped>, request: &Request) -> Result<Permit, TurnedAway> {
        let level = self.manifest.auth_level;
        match (&enveloped, &self.access) {
            (Some(enveloped), _) if enveloped.is_admitted => Ok(()),
            (Some(_), _) => Err(Refused::Claims),
            (None, Access::Host) => Ok(()),
            (None, Access::Standalone(keys)) => keys.admit(level, request.headers(), request.uri()),
        }
        .map_err(|cause| TurnedAway::Refused(cause, front_door::refusal(cause, self, request)))?;
        if let Some(enveloped) = enveloped {
            return Ok(Permit::Enveloped(enveloped.permit));
        }
        let permit = self.permits.clone().try_acquire_owned();
        permit.map(Permit::Direct).map_err(|_| TurnedAway::Full)
    }

    /// Writes what came of one request, if anybody would read it, and counts it.
    pub(super) fn finished(
        &self,
        response: &Response,
        elapsed: Duration,
        is_refused: bool,
        span: &Span,
    ) {
        const FINISHED: &str = "invocation finished";
        let lookup = response.extensions().get::<Lookup>().copied();
        let status = response.status();
        self.tally.count(&Answered {
            status: status.as_u16(),
            lookup,
            is_refused,
            elapsed,
        });
        let cache = lookup.map_or("none", Lookup::as_str);
        let code = response.extensions().get::<Code>().map(|code| code.0);
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        let (is_ok, is_failure) = (status.is_success(), status.is_server_error());
        let status = status.as_u16();
        spans::finish_request(span, status, code.filter(|_| is_failure), cache);
        if is_failure {
            tracing::warn!(status, code, elapsed_ms, cache, "{FINISHED}");
        } else if is_ok {
            tracing::debug!(status, code, elapsed_ms, cache, "{FINISHED}");
        } else {
            tracing::info!(status, code, elapsed_ms, cache, "{FINISHED}");
        }
    }
}

/// Room for one request, until it is dropped.
#[expect(dead_code, reason = "what counts is when it is dropped")]
enum Permit {
    Direct(OwnedSemaphorePermit),
    Enveloped(Arc<OwnedSemaphorePermit>),
}

/// The service `inner`, which is a function's own code, with everything that holds for each of
/// its runs.
#[derive(Debug, Clone)]
pub(super) struct Run<S> {
    function: Arc<Function>,
    inner: S,
}

impl<S> Run<S> {
    pub(super) fn new(function: &Arc<Function>, inner: S) -> Self {
        let function = function.clone();
        Self { function, inner }
    }
}

impl<S> Service<Request> for Run<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    // What needs the request is done here, so that the future does not carry it along.
    fn call(&mut self, mut request: Request) -> Self::Future {
        let since = Instant::now();
        let function = self.function.clone();
        let enveloped = request.extensions_mut().remove::<Enveloped>();
        let lines = enveloped.as_ref().map(|enveloped| enveloped.lines.clone());
        let invocation = function.invocation(request.headers(), lines);
        let id = || invocation.id.as_ref()?.as_str();
        let span = spans::request(&function.name, id, invocation.parent);
        let is_pretty = pretty::is_asked_for(request.uri());
        let admitted = function.admit(enveloped, &request);
        let lent = drain::lend(&mut request);
        let work = admitted.map(|permit| (self.inner.call(request), permit));
        let of_answer = span.clone();
        let answer = async move {
            let caller = Caller { since, waits: true };
            let (mut response, is_refused) = match work {
                Ok((work, permit)) => {
                    let response = within(function.request_time, work).await;
                    drop(permit);
                    (response, false)
                }
                Err(turned_away) => (turned_away.answer(), true),
            };
            let elapsed = caller.answered();
            no_store(&mut response);
            function.finished(&response, elapsed, is_refused, &of_answer);
            if is_pretty {
                response = pretty::indent(response).await;
            }
            response
        };
        // Nothing is made for a span that nobody gets.
        if span.is_disabled() {
            Box::pin(invocation.name(drained(answer, lent)))
        } else {
            Box::pin(invocation.name(drained(answer.instrument(span), lent)))
        }
    }
}

/// What `answer` is, after what it left of the request's body.
async fn drained(
    answer: impl Future<Output = Response>,
    lent: Option<LentBody>,
) -> Result<Response, Infallible> {
    let response = answer.await;
    if let Some(lent) = lent {
        lent.read_to_its_end().await;
    }
    Ok(response)
}

/// What `work` answers, if it does so within `limit` and does not panic.
async fn within(
    limit: Duration,
    work: impl Future<Output = Result<Response, Infallible>>,
) -> Response {
    let mut work = pin!(AssertUnwindSafe(work).catch_unwind());
    // Most answers are there at once, and need no timer.
    let first = poll_fn(|context| Poll::Ready(work.as_mut().poll(context))).await;
    let done = match first {
        Poll::Ready(done) => Ok(done),
        Poll::Pending => timeout(limit, work).await,
    };
    match done {
        Ok(Ok(Ok(response))) => response,
        Ok(Ok(Err(never))) => match never {},
        // The panic hook has logged the place.
        Ok(Err(_)) => defect().into_response(),
        Err(_) => out_of_time().into_response(),
    }
}

/// Why a request was turned away before its function ran.
enum TurnedAway {
    /// A person with a browser is shown a page.
    Refused(Refused, Option<Bytes>),
    Full,
}

impl TurnedAway {
    fn answer(self) -> Response {
        match self {
            Self::Refused(cause, page) => {
                tracing::info!("refused: {cause}");
                match page {
                    Some(page) => respond(StatusCode::UNAUTHORIZED, page),
                    // As the host's own 401 is.
                    None => empty(StatusCode::UNAUTHORIZED),
                }
            }
            Self::Full => too_many().into_response(),
        }
    }
}

/// Who waits for the answer. In proxying the host ends the request when its own caller has left;
/// in the other modes nobody tells the handler.
struct Caller {
    since: Instant,
    waits: bool,
}

impl Caller {
    /// The time that the caller waited.
    fn answered(mut self) -> Duration {
        self.waits = false;
        self.since.elapsed()
    }
}

impl Drop for Caller {
    /// The request was dropped, and the line of its outcome will not be written. A function that
    /// panics is answered all the same.
    fn drop(&mut self) {
        if self.waits {
            let elapsed = self.since.elapsed().as_millis();
            tracing::info!("the caller left after {elapsed} ms");
        }
    }
}

pub(super) fn too_many() -> Problem {
    Problem::new(
        StatusCode::TOO_MANY_REQUESTS,
        "TooManyRequests",
        "This instance is answering as many requests as it can.",
        "Wait a moment and try again.",
    )
    .retry_after(Duration::from_secs(1))
}

fn out_of_time() -> Problem {
    Problem::new(
        StatusCode::GATEWAY_TIMEOUT,
        "RequestTimedOut",
        "The function did not finish in time.",
        "Try again; if it stays, look for what it waits for in the log.",
    )
}

/// The refusal after a panic.
pub(crate) fn defect() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalError",
        "The function failed because of a defect in the handler.",
        "Look for \"a handler panicked\" in the log and report the place it names.",
    )
}
