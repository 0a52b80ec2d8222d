//! What a person with a browser gets: one file, no script, nothing from elsewhere. The template
//! escapes every text from outside.

use std::sync::LazyLock;

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::json_bytes;

const STYLE: &str = include_str!("page.css");

/// Nothing but this page's own style, by its digest.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    )
});

/// The parts of a page, each a landmark for a screen reader.
pub(crate) struct Page<'a> {
    /// In the browser's tab.
    pub(crate) title: &'a str,
    /// The verdict, and what it is about.
    pub(crate) header: Markup,
    /// What to do, and what is fine.
    pub(crate) main: Markup,
    /// What explains the rest.
    pub(crate) footer: Option<Markup>,
}

impl Page<'_> {
    /// The whole page.
    pub(crate) fn render(&self) -> Bytes {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    header { (self.header) }
                    main { (self.main) }
                    @if let Some(footer) = &self.footer { footer { (footer) } }
                }
            }
        };
        page.into_string().into()
    }
}

/// The verdict. What it says does not depend on its colour or its sign.
pub(crate) fn verdict(class: &str, text: &str) -> Markup {
    html! {
        h1 class=(class) {
            span.sign aria-hidden="true" { (sign(class)) }
            span { (text) }
        }
    }
}

/// The sign beside a text of this class.
pub(crate) fn sign(class: &str) -> &'static str {
    match class {
        "good" => "✓",
        "bad" => "✗",
        "soon" => "!",
        "unknown" => "?",
        _ => "·",
    }
}

/// A text to copy. One click selects all of it.
pub(crate) fn to_copy(text: &str) -> Markup {
    html! {
        pre tabindex="0" { code { (text) } }
    }
}

/// Sends a page that [`Page::render`] made.
pub(crate) fn respond(status: StatusCode, page: Bytes) -> Response {
    let mut response = json_bytes(status, page);
    let headers = response.headers_mut();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, html);
    if let Ok(policy) = HeaderValue::from_str(&POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    // The address of this page can hold a function key.
    headers.insert(
        HeaderName::from_static("referrer-policy"),
        HeaderValue::from_static("no-referrer"),
    );
    response
}

/// Whether a person is looking: a browser asks for HTML, a program for JSON or for anything.
pub(crate) fn is_wanted(headers: &HeaderMap) -> bool {
    let names = |kind: &[u8]| {
        let mut accepted = headers.get_all(header::ACCEPT).into_iter();
        accepted.any(|value| {
            let mut parts = value.as_bytes().windows(kind.len());
            parts.any(|part| part.eq_ignore_ascii_case(kind))
        })
    };
    names(b"text/html") && !names(b"application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn html_is_for_who_names_it_and_not_json() {
        let browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        for (accept, html) in [
            ("", false),
            ("*/*", false),
            ("application/json", false),
            ("application/json, text/plain, */*", false),
            ("text/html", true),
            ("Text/HTML", true),
            (browser, true),
            ("text/html, application/json", false),
            ("text/html;q=0.5, application/json;q=0.4", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("accept", accept.parse().expect("a value"));
            assert_eq!(is_wanted(&headers), html, "{accept}");
        }
        assert!(!is_wanted(&HeaderMap::new()));
    }
}
