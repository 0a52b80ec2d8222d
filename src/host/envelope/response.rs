//! The answer in an envelope.

use std::borrow::Cow;

use axum::{
    http::{
        HeaderMap, StatusCode,
        header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
    },
    response::Response,
};
use http_body_util::BodyExt;
use serde::{Serialize, Serializer};

use crate::{
    answer::{Problem, json, line},
    telemetry::InvocationLines,
};

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

/// Puts `response` where `output` says, with the lines of the invocation.
pub(super) async fn wrap(output: &str, response: Response, lines: &InvocationLines) -> Response {
    let (parts, body) = response.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes);
    let body = body.as_ref().ok().map(|bytes| std::str::from_utf8(bytes));
    // The envelope has no place for bytes that are not text.
    let Some(Ok(body)) = body else {
        return fail(output, &not_text(), lines.take());
    };
    let http = HttpOutput {
        status_code: parts.status.as_u16(),
        headers: Joined(&parts.headers),
        body,
    };
    respond(output, &http, lines.take())
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

pub(super) fn not_text() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "BodyIsNotText",
        "The function's answer is not text, which an envelope cannot carry.",
        "Set customHandler.enableProxyingHttpRequest in host.json to true.",
    )
}

/// The answer in place of one that cannot be sent.
pub(super) fn fail(output: &str, problem: &Problem, logs: Vec<String>) -> Response {
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
    use axum::{body::Body, response::IntoResponse};
    use serde_json::{Value, json};

    use super::*;

    async fn collected(body: Body) -> axum::body::Bytes {
        axum::body::to_bytes(body, usize::MAX)
            .await
            .expect("a body")
    }

    #[tokio::test]
    async fn the_output_goes_where_the_manifest_says() {
        let answer = async |output| {
            let response = (StatusCode::CREATED, [("x-a", "1"), ("x-b", "2")], "text");
            let wrapped = wrap(
                output,
                response.into_response(),
                &InvocationLines::default(),
            )
            .await;
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
        let wrapped = wrap("res", response, &InvocationLines::default()).await;
        let bytes = collected(wrapped.into_body()).await;
        let answer: Value = serde_json::from_slice(&bytes).expect("json");
        assert_eq!(answer["Outputs"]["res"]["statusCode"], 500);
    }
}
