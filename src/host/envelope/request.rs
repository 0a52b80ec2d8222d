//! The request in an envelope.

use std::{borrow::Cow, sync::Arc};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header::CONTENT_TYPE},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use super::{EnvelopeError, MAX_ENVELOPE};
use crate::{
    host::{
        authorization::Identity,
        drain::{MAX_DROPPED, READ_LIMIT},
        invocation::{Enveloped, Function},
        json::{Object, Text, Texts},
    },
    telemetry::{
        InvocationLines, TraceParent, invocation::INVOCATION_ID, trace_parent::TRACEPARENT,
    },
};

/// The request that the client made, for `function` alone; `outer` are the headers of the
/// envelope's own request.
pub(super) async fn unwrap(
    function: &Function,
    outer: &HeaderMap,
    body: Body,
    lines: &InvocationLines,
    permit: Arc<OwnedSemaphorePermit>,
) -> Result<Request<Body>, EnvelopeError> {
    let bytes = timeout(READ_LIMIT, read(body))
        .await
        .unwrap_or(Err(EnvelopeError::Incomplete))?;
    let envelope: Envelope<'_> =
        serde_json::from_slice(&bytes).map_err(|_| EnvelopeError::NotAnEnvelope)?;
    let trigger = envelope.data.get(function.manifest.input.as_str());
    let trigger: Trigger<'_> = trigger
        .and_then(|raw| serde_json::from_str(raw.get()).ok())
        .ok_or(EnvelopeError::NoTrigger)?;
    let mut request = trigger.request(function)?;
    let headers = request.headers_mut();
    if let Some(id) = outer.get(INVOCATION_ID) {
        headers.insert(INVOCATION_ID, id.clone());
    }
    // The host's own span comes after the one that the client may have sent.
    if TraceParent::of(outer).is_some()
        && let Some(parent) = outer.get(TRACEPARENT)
    {
        headers.insert(TRACEPARENT, parent.clone());
    }
    request.extensions_mut().insert(Enveloped {
        is_admitted: function
            .manifest
            .auth_level
            .is_met_by(trigger.identities.as_deref().unwrap_or_default()),
        lines: lines.clone(),
        permit,
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
    data: Object<'a, &'a RawValue>,
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
    headers: Option<Object<'a, Texts<'a>>>,
    #[serde(default, borrow)]
    params: Option<Object<'a, Value>>,
    #[serde(default, borrow)]
    identities: Option<Vec<Identity<'a>>>,
    #[serde(default)]
    body: Option<Value>,
}

impl Trigger<'_> {
    fn request(&self, function: &Function) -> Result<Request<Body>, EnvelopeError> {
        let method = Method::from_bytes(self.method.to_ascii_uppercase().as_bytes())
            .map_err(|_| EnvelopeError::InvalidRequest)?;
        let headers = self.header_map()?;
        let body = self.body(headers.get(CONTENT_TYPE))?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = self.uri(function)?;
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// The route's path with the host's own route values, so that `Url` has no say in what
    /// runs. An envelope without route values is matched by its `Url`, and then only
    /// against this function's route.
    fn uri(&self, function: &Function) -> Result<Uri, EnvelopeError> {
        let url = self.url.as_ref().and_then(|url| url.parse::<Uri>().ok());
        let parameter = |name: &str| {
            self.params.as_ref()?.iter().find_map(|(key, value)| {
                key.eq_ignore_ascii_case(name)
                    .then(|| text(value))
                    .flatten()
            })
        };
        let (route, prefix) = (&function.manifest.route, function.prefix.as_str());
        let path = route
            .fill(prefix, parameter)
            .or_else(|| Some(route.canonical(prefix, url.as_ref()?.path())?.into_owned()))
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
        let object: Object<'_, Value> = serde_json::from_str(json).ok()?;
        object.iter().next()?;
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (key, value) in &object {
            query.append_pair(key, &text(value).unwrap_or_default());
        }
        Some(query.finish())
    }

    fn header_map(&self) -> Result<HeaderMap, EnvelopeError> {
        let mut map = HeaderMap::new();
        for (name, values) in self.headers.iter().flatten() {
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

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};
    use tokio::sync::Semaphore;

    use super::*;
    use crate::host::{invocation::Access, manifest::Manifest};

    fn function() -> Function {
        let text = r#"{"bindings": [{"type": "httpTrigger", "name": "req", "authLevel": "anonymous",
            "route": "secrets/{secret_name}"}, {"type": "http", "name": "res"}]}"#;
        let manifest = Manifest::parse("{}", &[("secrets-metadata", text)]).expect("valid");
        Function {
            name: "secrets-metadata".into(),
            manifest: manifest.functions["secrets-metadata"].clone(),
            prefix: "api".into(),
            access: Access::Host,
            request_time: READ_LIMIT,
            permits: Arc::new(Semaphore::new(1)),
            tally: Arc::default(),
        }
    }

    async fn unwrapped(body: impl ToString) -> Result<Request<Body>, EnvelopeError> {
        let body = Body::from(body.to_string());
        let function = function();
        let permit = function.permits.clone().try_acquire_owned().expect("room");
        let lines = InvocationLines::default();
        unwrap(&function, &HeaderMap::new(), body, &lines, Arc::new(permit)).await
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
}
