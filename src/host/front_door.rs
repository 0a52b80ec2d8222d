//! What a person with a browser meets who has no key: a page that says which key it takes and where
//! it is, instead of an empty 401. Only where no Functions host is in front, whose own
//! answers these would be.

use axum::{
    body::Bytes,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use maud::{Markup, html};

use super::{
    authorization::{AuthLevel, Refused},
    drain,
    invocation::Function,
};
use crate::answer::{
    empty,
    page::{Page, is_wanted, to_copy, verdict},
};

/// Answers `GET /`. The Functions host asks it every few milliseconds until it gets an answer, and
/// now and then later. A browser is led to the function at `front_page`, if there is one.
pub(super) async fn root(front_page: Option<HeaderValue>, request: Request) -> Response {
    drain::answered(request, async |request| {
        let Some(path) = front_page.filter(|_| is_wanted(request.headers())) else {
            return empty(StatusCode::OK);
        };
        let mut response = empty(StatusCode::TEMPORARY_REDIRECT);
        response.headers_mut().insert(header::LOCATION, path);
        response
    })
    .await
}

/// The page for `request`, which shows no key or a wrong one; nothing for a program.
pub(super) fn refusal(cause: Refused, function: &Function, request: &Request) -> Option<Bytes> {
    if !is_wanted(request.headers()) {
        return None;
    }
    let (title, detail) = match cause {
        Refused::NoKey => ("This page needs a key", None),
        Refused::UnknownKey => (
            "This key opens nothing here",
            Some(
                "A key that the handler made itself ends with the handler. The next start has new ones.",
            ),
        ),
        Refused::FunctionKey => (
            "This page needs the master key",
            Some("The key that was sent is the function key."),
        ),
        // A host is in front, and it has the word.
        Refused::Claims => return None,
    };
    let (keys, setting) = match function.manifest.auth_level {
        AuthLevel::Admin => ("the master key", "STANDALONE_MASTER_KEY"),
        AuthLevel::Function | AuthLevel::Anonymous => (
            "the function key or the master key",
            "STANDALONE_FUNCTION_KEY",
        ),
    };
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let address = format!("http://{host}{}?code=", request.uri().path());
    let header = html! {
        p.eyebrow { (function.name) }
        (verdict("soon", title))
        @if let Some(detail) = detail { p.also { (detail) } }
        p.also { "It opens with " (keys) "." }
    };
    let page = Page {
        title: &format!("{title} – {}", function.name),
        header,
        main: where_it_is(setting, &address),
        footer: None,
    };
    Some(page.render())
}

fn where_it_is(setting: &str, address: &str) -> Markup {
    html! {
        h2 { "Where the key is" }
        ol.steps {
            li {
                "Look at the terminal in which the handler was started. It shows commands with the \
                 keys, each behind " code { "x-functions-key:" } ". The first command has the \
                 function key, the last one the master key."
                p.place {
                    "If a command says " code { "$" (setting) } ", you chose the key: it is the value \
                     of that setting."
                }
            }
            li {
                "Put the key at the end of this address, and open it:"
                (to_copy(address))
            }
        }
        p.rest { "The browser keeps the address, and the key in it, in its history." }
    }
}
