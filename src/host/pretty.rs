//! `?pretty=true` indents a JSON answer for the person who reads it in a terminal. It belongs to
//! no function, so that refusals are indented too; a function refuses what is no switch.

use axum::{
    body::{Body, HttpBody},
    http::{HeaderValue, Uri, header},
    response::Response,
};
use http_body_util::BodyExt;

use crate::answer::indented;

/// The switch's name in the query.
pub(crate) const NAME: &str = "pretty";

/// Larger bodies stay as they are: nobody reads them in a terminal.
const LIMIT: u64 = 1024 * 1024;

/// Whether the query asks for it. The last one counts.
pub(super) fn is_asked_for(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    // What nearly every request has takes no pass over its pairs.
    let is_near = |part: &[u8]| part.eq_ignore_ascii_case(NAME.as_bytes());
    query.as_bytes().windows(NAME.len()).any(is_near)
        && form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| name.eq_ignore_ascii_case(NAME))
            .last()
            .is_some_and(|(_, value)| value.eq_ignore_ascii_case("true") || value == "1")
}

/// The same answer with its JSON indented. What is not JSON, or not in memory, stays as it is.
pub(super) async fn indent(response: Response) -> Response {
    let json = HeaderValue::from_static("application/json");
    let size = response.body().size_hint().exact();
    if response.headers().get(header::CONTENT_TYPE) != Some(&json)
        || size.is_none_or(|size| size > LIMIT)
    {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let Ok(body) = body.collect().await else {
        return Response::from_parts(parts, Body::empty());
    };
    let body = body.to_bytes();
    parts.headers.remove(header::CONTENT_LENGTH);
    let body = indented(&body).map_or_else(|| body.into(), Body::from);
    Response::from_parts(parts, body)
}

#[cfg(test)]
mod tests {
    use axum::{http::StatusCode, response::IntoResponse};

    use super::*;

    #[test]
    fn it_is_asked_for_by_true_or_1() {
        for (query, is_wanted) in [
            ("", false),
            ("?pretty=true", true),
            ("?code=x&pretty=1", true),
            ("?pretty=TRUE", true),
            ("?Pretty=true", true),
            ("?pretty=false", false),
            ("?pretty=true&pretty=false", false),
            ("?pretty", false),
            ("?prettyish=true", false),
        ] {
            let uri = format!("/api/x{query}").parse().expect("a uri");
            assert_eq!(is_asked_for(&uri), is_wanted, "{query}");
        }
    }

    #[tokio::test]
    async fn what_is_not_json_stays_as_it_is() {
        let text = || (StatusCode::OK, "{ \"a\":1}").into_response();
        let body = indent(text()).await.into_body();
        let body = body.collect().await.expect("a body").to_bytes();
        assert_eq!(*body, *b"{ \"a\":1}");
    }
}
