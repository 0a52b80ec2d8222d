//! What all pages have in common: one file, no script, nothing from elsewhere. Every text from
//! outside is escaped by the template.

use std::sync::LazyLock;

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::{
    answer::json_bytes,
    diagnosis::{Fix, IdentityReport, PathReport},
};

const STYLE: &str = include_str!("page.css");

/// Nothing but this page's own style, by its digest.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    )
});

/// A whole page around `main`.
pub(super) fn frame(title: &str, main: &Markup) -> Bytes {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (main) }
            }
        }
    };
    page.into_string().into()
}

/// What is wrong, and what to do.
pub(super) fn explanation(detail: Option<&str>, fix: Option<&Fix>) -> Markup {
    html! {
        @if let Some(detail) = detail { p.detail { (detail) } }
        @if let Some(fix) = fix {
            p.fix { (fix.sentence) }
            @for command in &fix.commands {
                pre tabindex="0" { code { (command) } }
            }
        }
    }
}

/// Which path requests take to a vault.
pub(super) fn path(path: Option<&PathReport>) -> Markup {
    let line = path.map(PathReport::line).unwrap_or_default();
    html! {
        @if !line.is_empty() { p.place { "Path of this handler: " (line) "." } }
    }
}

/// As whom the handler reads vaults.
pub(super) fn identity(identity: Option<&IdentityReport>) -> Markup {
    html! {
        @if let Some(identity) = identity {
            p { "This handler reads vaults as " (identity.line()) "." }
        }
    }
}

/// How long until something expires, as a person says it.
pub(super) fn expires(days_left: i64) -> String {
    match days_left {
        -1 => "expired within the last day".to_owned(),
        -2 => "expired 1 day ago".to_owned(),
        days @ ..0 => format!("expired {} days ago", -days - 1),
        0 => "expires within a day".to_owned(),
        1 => "expires in 1 day".to_owned(),
        days => format!("expires in {days} days"),
    }
}

/// Sends a page that [`frame`] made.
pub(super) fn respond(status: StatusCode, page: Bytes) -> Response {
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
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
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
