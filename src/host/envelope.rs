//! `POST /<FunctionName>`: the host's JSON envelope around an ordinary HTTP request.
//!
//! The envelope is unwrapped into the request that the client made, the function's own
//! route answers it, and the answer is wrapped again. Whatever happens, the host gets 200
//! and a non-empty JSON object: anything else would hide the answer from the caller, and
//! an empty one would hang the invocation until the function times out.

use std::{borrow::Cow, sync::Arc};

use axum::{
    Router,
    body::Body,
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri,
        header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING},
    },
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::BodyExt;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, value::RawValue};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tower::ServiceExt;

use super::{
    authorization::{AuthLevel, Identity},
    drain::{self, MAX_DROPPED, READ_LIMIT},
    grading::without_warn,
    invocation::{self, Enveloped},
    json::{Pairs, Text, Texts},
    manifest::FunctionManifest,
    route::Route,
};
use crate::{
    answer::{Problem, json, line},
    telemetry::{InvocationLog, TraceParent, trace::TRACEPARENT},
};

/// Largest envelope taken, in bytes. The functions here read no body, so this is room for
/// headers and identities, and far below the host's own limit of 100 MB.
const MAX_ENVELOPE: usize = 1024 * 1024;

/// The function that one envelope path runs, and no other.
#[derive(Debug)]
pub(super) struct Target {
    name: String,
    route: Route,
    prefix: String,
    auth_level: AuthLevel,
    input: String,
    output: String,
    router: Router,
    places: Arc<Semaphore>,
}

impl Target {
    /// `router` holds the routes of this function only.
    pub(super) fn new(
        name: &str,
        manifest: &FunctionManifest,
        prefix: &str,
        router: Router,
        places: Arc<Semaphore>,
    ) -> Self {
        Self {
            name: without_warn(name).into_owned(),
            route: manifest.route.clone(),
            prefix: prefix.to_owned(),
            auth_level: manifest.auth_level,
            input: manifest.input.clone(),
            output: manifest.output.clone(),
            router,
            places,
        }
    }
}

/// Why an envelope cannot be unwrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum EnvelopeError {
    #[error("The envelope is larger than {MAX_ENVELOPE} bytes.")]
    TooLarge,
    #[error("The envelope did not arrive completely.")]
    Incomplete,
    #[error("The envelope is not a JSON object with a member `Data`.")]
    NotAnEnvelope,
    #[error("`Data` has no HTTP request under the name of the function's trigger binding.")]
    NoTrigger,
    #[error(
        "The HTTP request in the envelope has an invalid method, path or body, or too many headers."
    )]
    InvalidRequest,
}

impl From<EnvelopeError> for Problem {
    fn from(error: EnvelopeError) -> Self {
        let (status, code) = match error {
            EnvelopeError::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "EnvelopeTooLarge"),
            _ => (StatusCode::BAD_REQUEST, "InvalidEnvelope"),
        };
        Self::new(
            status,
            code,
            error.to_string(),
            "Call the function through the Functions host or its route; only the host sends envelopes.",
        )
    }
}

/// Answers one envelope.
pub(super) async fn answer(target: Arc<Target>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    if !is_from_host(&parts.headers) {
        drain::dropped(body.into_data_stream()).await;
        return Problem::from(EnvelopeError::NotAnEnvelope).into_response();
    }
    let log = InvocationLog::default();
    let Ok(place) = target.places.clone().try_acquire_owned() else {
        drain::dropped(body.into_data_stream()).await;
        let busy = invocation::too_many().into_response();
        return wrap(&target.output, busy, &log).await;
    };
    let response = match unwrap(&target, &parts.headers, body, &log, Arc::new(place)).await {
        // The router's own error type has no values.
        Ok(inner) => target
            .router
            .clone()
            .oneshot(inner)
            .await
            .unwrap_or_else(|never| match never {}),
        Err(error) => {
            let id = invocation::invocation_id(&parts.headers);
            let parent = TraceParent::of(&parts.headers);
            invocation::span(&target.name, id, parent.as_ref(), Some(&log))
                .in_scope(|| tracing::warn!(cause = ?error, "an envelope was refused"));
            Problem::from(error).into_response()
        }
    };
    wrap(&target.output, response, &log).await
}

/// The host reaches the handler at its loopback address and adds no forwarding headers to
/// envelopes, while a request that it passes on from outside always carries the client's
/// `Host` or `X-Forwarded-Host`.
fn is_from_host(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).map(HeaderValue::as_bytes);
    let is_loopback = host.is_none_or(|host| {
        [b"127.0.0.1".as_slice(), b"localhost"].iter().any(|name| {
            host.strip_prefix(*name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b":"))
        })
    });
    is_loopback && !headers.contains_key("x-forwarded-host")
}

async fn unwrap(
    target: &Target,
    outer: &HeaderMap,
    body: Body,
    log: &InvocationLog,
    place: Arc<OwnedSemaphorePermit>,
) -> Result<Request<Body>, EnvelopeError> {
    let bytes = timeout(READ_LIMIT, read(body))
        .await
        .unwrap_or(Err(EnvelopeError::Incomplete))?;
    let envelope: Envelope<'_> =
        serde_json::from_slice(&bytes).map_err(|_| EnvelopeError::NotAnEnvelope)?;
    let trigger = envelope.data.get(&target.input);
    let trigger: Trigger<'_> = trigger
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .ok_or(EnvelopeError::NoTrigger)?;
    let mut request = trigger.request(target)?;
    if let Some(id) = invocation::invocation_id(outer)
        && let Ok(id) = HeaderValue::from_str(id)
    {
        request.headers_mut().insert(
            HeaderName::from_static("x-azure-functions-invocationid"),
            id,
        );
    }
    // The host's own span comes after the one that the client may have sent.
    if TraceParent::of(outer).is_some()
        && let Some(parent) = outer.get(TRACEPARENT)
    {
        request.headers_mut().insert(TRACEPARENT, parent.clone());
    }
    request.extensions_mut().insert(Enveloped {
        is_admitted: target
            .auth_level
            .is_met_by(trigger.identities.as_deref().unwrap_or_default()),
        log: log.clone(),
        _place: place,
    });
    Ok(request)
}

async fn read(mut body: Body) -> Result<Vec<u8>, EnvelopeError> {
    let mut bytes = Vec::new();
    let mut dropped = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| EnvelopeError::Incomplete)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if dropped == 0 && bytes.len() + data.len() <= MAX_ENVELOPE {
            bytes.extend_from_slice(&data);
        } else {
            bytes = Vec::new();
            dropped += data.len();
            if dropped > MAX_DROPPED {
                break;
            }
        }
    }
    if dropped > 0 {
        return Err(EnvelopeError::TooLarge);
    }
    Ok(bytes)
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "Data", borrow)]
    data: Pairs<'a, &'a RawValue>,
}

/// Borrows from the envelope whatever holds no escapes, which is nearly everything.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Trigger<'a> {
    #[serde(default, borrow)]
    url: Option<Text<'a>>,
    #[serde(borrow)]
    method: Text<'a>,
    /// An object today; hosts before 3.0.15 sent the same object as a string.
    #[serde(default, borrow)]
    query: Option<&'a RawValue>,
    #[serde(default, borrow)]
    headers: Option<Pairs<'a, Texts<'a>>>,
    #[serde(default, borrow)]
    params: Option<Pairs<'a, Value>>,
    #[serde(default, borrow)]
    identities: Option<Vec<Identity<'a>>>,
    #[serde(default)]
    body: Option<Value>,
}

impl Trigger<'_> {
    fn request(&self, target: &Target) -> Result<Request<Body>, EnvelopeError> {
        let method = Method::from_bytes(self.method.to_ascii_uppercase().as_bytes())
            .map_err(|_| EnvelopeError::InvalidRequest)?;
        let headers = self.header_map()?;
        let body = self.body(headers.get(CONTENT_TYPE))?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = self.uri(target)?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// The route's path with the host's own route values, so that `Url` has no say in what
    /// runs. An envelope without route values is matched by its `Url`, and then only
    /// against this function's route.
    fn uri(&self, target: &Target) -> Result<Uri, EnvelopeError> {
        let url = self.url.as_ref().and_then(|url| url.parse::<Uri>().ok());
        let parameter = |name: &str| {
            self.params.as_ref()?.iter().find_map(|(key, value)| {
                key.eq_ignore_ascii_case(name)
                    .then(|| text(value))
                    .flatten()
            })
        };
        let path = target
            .route
            .fill(&target.prefix, parameter)
            .or_else(|| target.route.canonical(&target.prefix, url.as_ref()?.path()))
            .ok_or(EnvelopeError::InvalidRequest)?;
        let query = self
            .query_pairs()
            .or_else(|| Some(url.as_ref()?.query()?.to_owned()));
        match query {
            Some(query) => format!("{path}?{query}").parse(),
            None => path.parse(),
        }
        .map_err(|_| EnvelopeError::InvalidRequest)
    }

    /// `Query` as a query string; `None` if it says nothing.
    fn query_pairs(&self) -> Option<String> {
        let raw = self.query?.get();
        let inner = serde_json::from_str::<Text<'_>>(raw).ok();
        let json = inner.as_deref().unwrap_or(raw);
        let object: Pairs<'_, Value> = serde_json::from_str(json).ok()?;
        object.iter().next()?;
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (key, value) in object.iter() {
            query.append_pair(key, &text(value).unwrap_or_default());
        }
        Some(query.finish())
    }

    fn header_map(&self) -> Result<HeaderMap, EnvelopeError> {
        let mut map = HeaderMap::new();
        for (name, values) in self.headers.iter().flat_map(Pairs::iter) {
            let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
                continue;
            };
            for value in values.iter() {
                if let Ok(value) = HeaderValue::from_str(value) {
                    // `append` panics beyond the map's capacity.
                    map.try_append(&name, value)
                        .map_err(|_| EnvelopeError::InvalidRequest)?;
                }
            }
        }
        Ok(map)
    }

    /// The body's bytes: the host sends `application/octet-stream` and `multipart/*` in
    /// base64, everything else as text.
    fn body(&self, content_type: Option<&HeaderValue>) -> Result<Body, EnvelopeError> {
        let text = match &self.body {
            None | Some(Value::Null) => return Ok(Body::empty()),
            Some(Value::String(text)) => text,
            Some(other) => return Ok(Body::from(other.to_string())),
        };
        let content_type = content_type.and_then(|value| value.to_str().ok());
        let is_base64 = content_type.is_some_and(|value| {
            let kind = value.trim_start().to_ascii_lowercase();
            kind.starts_with("application/octet-stream") || kind.starts_with("multipart/")
        });
        if is_base64 {
            let bytes = STANDARD
                .decode(text)
                .map_err(|_| EnvelopeError::InvalidRequest)?;
            return Ok(Body::from(bytes));
        }
        Ok(Body::from(text.clone()))
    }
}

/// A JSON scalar as text; route and query values are strings, but be lenient.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.as_str().into()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string().into()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Answer<'a> {
    outputs: Named<'a>,
    logs: Vec<String>,
    return_value: Option<&'a HttpOutput<'a>>,
}

/// The host reads `statusCode` (not `status`), header values that are strings, and a body
/// that it hands on untouched when it is a string.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HttpOutput<'a> {
    status_code: u16,
    headers: Joined<'a>,
    body: &'a str,
}

async fn wrap(output: &str, response: Response, log: &InvocationLog) -> Response {
    let (parts, body) = response.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let body = body.as_ref().ok().map(|bytes| std::str::from_utf8(bytes));
    // The envelope has no place for bytes that are not text.
    let Some(Ok(body)) = body else {
        return fail(output, &not_text(), log.take());
    };
    let http = HttpOutput {
        status_code: parts.status.as_u16(),
        headers: Joined(&parts.headers),
        body,
    };
    respond(output, &http, log.take())
}

fn respond(output: &str, http: &HttpOutput<'_>, logs: Vec<String>) -> Response {
    let is_returned = output == "$return";
    let answer = Answer {
        outputs: Named((!is_returned).then_some((output, http))),
        logs,
        return_value: is_returned.then_some(http),
    };
    json(StatusCode::OK, &answer)
}

/// An object with one member or none.
struct Named<'a>(Option<(&'a str, &'a HttpOutput<'a>)>);

impl Serialize for Named<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0)
    }
}

/// One text for each name, without what belongs to the connection.
struct Joined<'a>(&'a HeaderMap);

impl Serialize for Joined<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let of_connection = [CONTENT_LENGTH, TRANSFER_ENCODING, CONNECTION];
        let names = self.0.keys().filter(|name| !of_connection.contains(name));
        serializer.collect_map(names.filter_map(|name| {
            let values = self.0.get_all(name).iter();
            let mut values = values.filter_map(|value| value.to_str().ok());
            let first = Cow::Borrowed(values.next()?);
            let all = values.fold(first, |all, value| Cow::Owned(format!("{all}, {value}")));
            Some((name.as_str(), all))
        }))
    }
}

fn not_text() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "BodyIsNotText",
        "The function's answer is not text, which an envelope cannot carry.",
        "Set customHandler.enableProxyingHttpRequest in host.json to true.",
    )
}

/// The answer in place of one that was lost in a panic outside the function itself.
pub(super) fn panicked(output: &str) -> Response {
    fail(output, &invocation::defect(), Vec::new())
}

fn fail(output: &str, problem: &Problem, logs: Vec<String>) -> Response {
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    // The headers that the same answer has outside an envelope.
    let direct = json(status, problem);
    let body = line(problem);
    let http = HttpOutput {
        status_code: status.as_u16(),
        headers: Joined(direct.headers()),
        body: std::str::from_utf8(&body).unwrap_or_default(),
    };
    respond(output, &http, logs)
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    fn target() -> Target {
        Target {
            name: "secrets-metadata".into(),
            route: Route::parse("secrets/{secret_name}").expect("a route"),
            prefix: "api".into(),
            auth_level: AuthLevel::Anonymous,
            input: "req".into(),
            output: "res".into(),
            router: Router::new(),
            places: Arc::new(Semaphore::new(1)),
        }
    }

    async fn unwrapped(body: impl ToString) -> Result<Request<Body>, EnvelopeError> {
        let body = Body::from(body.to_string());
        let target = target();
        let place = target.places.clone().try_acquire_owned().expect("room");
        let log = InvocationLog::default();
        unwrap(&target, &HeaderMap::new(), body, &log, Arc::new(place)).await
    }

    async fn with(request: Value) -> Request<Body> {
        let mut req = json!({"Method": "GET", "Params": {"secret_name": "N"}});
        req.as_object_mut()
            .expect("an object")
            .extend(request.as_object().expect("an object").clone());
        unwrapped(json!({"Data": {"req": req}}))
            .await
            .expect("unwrapped")
    }

    #[tokio::test]
    async fn the_url_cannot_choose_another_path() {
        let request = with(json!({"Url": "https://x/api/config-check?a=b"})).await;
        assert_eq!(request.uri(), "/api/secrets/N?a=b");
        let body = json!({"Data": {"req": {"Method": "GET", "Url": "https://x/api/config-check"}}});
        assert_eq!(
            unwrapped(body).await.err(),
            Some(EnvelopeError::InvalidRequest)
        );
        let body = json!({"Data": {"req": {"Method": "GET", "Url": "https://x/API/Secrets/N"}}});
        assert_eq!(
            unwrapped(body).await.expect("matched").uri(),
            "/api/secrets/N"
        );
    }

    #[tokio::test]
    async fn the_query_is_an_object_or_a_string() {
        for (query, uri) in [
            (json!({}), "/api/secrets/N"),
            (json!("{}"), "/api/secrets/N"),
            (
                json!({"v": "a,b", "w": "x y&z"}),
                "/api/secrets/N?v=a%2Cb&w=x+y%26z",
            ),
            (json!("{\"v\":\"1\"}"), "/api/secrets/N?v=1"),
            (Value::Null, "/api/secrets/N"),
        ] {
            let request = with(json!({"Query": query})).await;
            assert_eq!(request.uri(), uri, "{query}");
        }
    }

    #[tokio::test]
    async fn headers_are_arrays_and_bad_ones_are_left_out() {
        let headers =
            json!({"Accept": ["a", "b"], "x-one": "1", "bad name": ["x"], "x-bad": ["\n"]});
        let request = with(json!({ "Headers": headers })).await;
        let accept: Vec<_> = request.headers().get_all("accept").iter().collect();
        assert_eq!(accept, ["a", "b"]);
        assert_eq!(request.headers()["x-one"], "1");
        assert_eq!(request.headers().len(), 3);
    }

    async fn collected(body: Body) -> axum::body::Bytes {
        axum::body::to_bytes(body, usize::MAX)
            .await
            .expect("a body")
    }

    #[tokio::test]
    async fn binary_bodies_are_base64_and_others_are_text() {
        for (content_type, sent, received) in [
            ("application/octet-stream", "aGk=", "hi"),
            ("multipart/form-data; boundary=x", "aGk=", "hi"),
            ("application/json", "{\"a\":1}", "{\"a\":1}"),
        ] {
            let headers = json!({"Content-Type": [content_type]});
            let request = with(json!({"Headers": headers, "Body": sent})).await;
            let body = collected(request.into_body()).await;
            assert_eq!(body, received, "{content_type}");
        }
    }

    #[tokio::test]
    async fn what_is_not_an_envelope_is_named() {
        use EnvelopeError::{InvalidRequest, NoTrigger, NotAnEnvelope, TooLarge};
        let large = "x".repeat(MAX_ENVELOPE + 1);
        let headers: Map<_, _> = (0..30_000)
            .map(|n| (format!("x{n}"), json!([""])))
            .collect();
        let many_headers = json!({"Data": {"req": {"Method": "GET", "Headers": headers}}});
        let many_headers = many_headers.to_string();
        for (body, error) in [
            ("", NotAnEnvelope),
            ("{", NotAnEnvelope),
            ("[]", NotAnEnvelope),
            ("null", NotAnEnvelope),
            ("{}", NotAnEnvelope),
            (r#"{"Data":null}"#, NotAnEnvelope),
            (r#"{"Data":{}}"#, NoTrigger),
            (r#"{"Data":{"req":"text"}}"#, NoTrigger),
            (r#"{"Data":{"other":{"Method":"GET"}}}"#, NoTrigger),
            (r#"{"Data":{"req":{"Method":"G T"}}}"#, InvalidRequest),
            (r#"{"Data":{"req":{"Method":"GET"}}}"#, InvalidRequest),
            (&many_headers, InvalidRequest),
            (&large, TooLarge),
        ] {
            let shown = &body[..body.len().min(40)];
            assert_eq!(unwrapped(body).await.err(), Some(error), "{shown}");
        }
    }

    #[tokio::test]
    async fn the_output_goes_where_the_manifest_says() {
        let answer = async |output| {
            let response = (StatusCode::CREATED, [("x-a", "1"), ("x-b", "2")], "text");
            let wrapped = wrap(output, response.into_response(), &InvocationLog::default()).await;
            assert_eq!(wrapped.status(), StatusCode::OK);
            let bytes = collected(wrapped.into_body()).await;
            serde_json::from_slice::<Value>(&bytes).expect("json")
        };
        let res = json!({"statusCode": 201, "body": "text",
            "headers": {"content-type": "text/plain; charset=utf-8", "x-a": "1", "x-b": "2"}});
        assert_eq!(
            answer("res").await,
            json!({"Outputs": {"res": res}, "Logs": [], "ReturnValue": null})
        );
        assert_eq!(
            answer("$return").await,
            json!({"Outputs": {}, "Logs": [], "ReturnValue": res})
        );
    }

    #[tokio::test]
    async fn bytes_that_are_not_text_become_an_error_and_not_a_hang() {
        let response = axum::body::Bytes::from_static(b"\xff").into_response();
        let wrapped = wrap("res", response, &InvocationLog::default()).await;
        let bytes = collected(wrapped.into_body()).await;
        let answer: Value = serde_json::from_slice(&bytes).expect("json");
        assert_eq!(answer["Outputs"]["res"]["statusCode"], 500);
    }

    #[test]
    fn requests_that_were_passed_on_are_not_the_hosts_own() {
        let from = |headers: &[(&'static str, &'static str)]| {
            let map = headers
                .iter()
                .map(|(name, value)| {
                    (
                        HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .collect();
            is_from_host(&map)
        };
        assert!(from(&[("host", "127.0.0.1:7071")]));
        assert!(from(&[("host", "localhost")]));
        assert!(!from(&[("host", "app.azurewebsites.net")]));
        assert!(!from(&[("host", "127.0.0.1.evil.example")]));
        assert!(!from(&[
            ("host", "127.0.0.1:1"),
            ("x-forwarded-host", "app.azurewebsites.net")
        ]));
    }
}
