//! No cache between the client and the handler keeps an answer: each says `no-store`, a refusal
//! and an empty answer too.

use std::time::Duration;

use axum::{body::Body, extract::Request, http::Method};
use keyvault_functions::{
    host::{
        authorization::{FunctionKey, Keys},
        invocation::{Access, Limits},
        router::{Entry, Functions},
    },
    key_vault::{
        Error,
        error::{CredentialError, Reach},
    },
};

use super::support::{
    Answer, ClientRequest, InProcess, Key, Setup, answer, read_envelope, two_functions,
};

/// How the Functions host hands a request over, and nobody in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Forwarding,
    Proxying,
    Envelope,
    Standalone,
}

const MODES: [Mode; 4] = [
    Mode::Forwarding,
    Mode::Proxying,
    Mode::Envelope,
    Mode::Standalone,
];

const KEY: &str = "canary-master-key";

fn keys() -> Keys {
    let key = |text: &str| FunctionKey::parse(text.to_owned()).expect("a key");
    Keys {
        function: key("canary-function-key"),
        master: key(KEY),
    }
}

fn request(method: &Method, path: &str, headers: &[(&str, &str)], body: Body) -> Request {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).expect("a request")
}

/// Asks in `mode`; an envelope's own answer is checked too.
async fn ask(router: &Entry, mode: Mode, asked: &ClientRequest, method: &Method) -> Answer {
    let query = asked
        .query
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    let query = query.collect::<Vec<_>>().join("&");
    let path = format!("{}?{query}", asked.path);
    let headers: &[(&str, &str)] = match mode {
        Mode::Forwarding => &[("host", "app.azurewebsites.net")],
        Mode::Proxying => &[("x-forwarded-host", "app.azurewebsites.net")],
        Mode::Standalone if asked.key == Key::None => &[],
        Mode::Standalone => &[("x-functions-key", KEY)],
        Mode::Envelope => {
            let mut envelope = asked.envelope();
            envelope["Data"]["req"]["Method"] = method.as_str().into();
            let body = Body::from(envelope.to_string());
            let path = format!("/{}", asked.function);
            let outer = answer(router, request(&Method::POST, &path, &[], body)).await;
            assert_stored_nowhere("the envelope", &outer);
            return read_envelope(&outer).0;
        }
    };
    answer(router, request(method, &path, headers, Body::empty())).await
}

fn assert_stored_nowhere(what: &str, answer: &Answer) {
    let control = answer.header("cache-control");
    assert_eq!(control, Some("no-store"), "{what}: {answer:?}");
}

fn app(mode: Mode, setup: Setup) -> InProcess {
    InProcess::with(Setup {
        access: match mode {
            Mode::Standalone => Access::Standalone(keys()),
            _ => Access::Host,
        },
        ..setup
    })
}

fn failing(error: Error) -> Setup {
    Setup {
        unconnected: Some(error),
        ..Setup::default()
    }
}

#[tokio::test(start_paused = true)]
async fn no_store_with_every_status() {
    let secret = || ClientRequest::secret("ExternalApiKey");
    let check = ClientRequest::config_check;
    for mode in MODES {
        for (setup, asked, method, status) in [
            (Setup::default(), check(), Method::GET, 200),
            (Setup::default(), secret(), Method::GET, 200),
            (
                Setup::default(),
                check().with_query("strict", "x"),
                Method::GET,
                400,
            ),
            (
                Setup::default(),
                check().with_key(Key::None),
                Method::GET,
                401,
            ),
            (
                Setup::default(),
                ClientRequest::secret("Missing"),
                Method::GET,
                404,
            ),
            (Setup::default(), check(), Method::POST, 405),
            (
                Setup {
                    in_flight: 0,
                    ..Setup::default()
                },
                check(),
                Method::GET,
                429,
            ),
            (
                failing(Error::Credential(CredentialError::NothingConfigured)),
                secret(),
                Method::GET,
                502,
            ),
            (
                failing(Error::Unreachable(Reach::Connection)),
                secret(),
                Method::GET,
                503,
            ),
            (failing(Error::TimedOut), secret(), Method::GET, 504),
        ] {
            // The host refuses these callers itself before it forwards or proxies.
            if status == 401 && matches!(mode, Mode::Forwarding | Mode::Proxying) {
                continue;
            }
            let app = app(mode, setup);
            let found = ask(app.router(), mode, &asked, &method).await;
            assert_eq!(found.status, status, "{mode:?} {asked:?}: {found:?}");
            assert_stored_nowhere(&format!("{mode:?} {asked:?}"), &found);
        }
    }
}

#[tokio::test]
async fn no_store_with_every_path() {
    for mode in [Mode::Proxying, Mode::Standalone] {
        let app = app(mode, Setup::default());
        for (method, path, status) in [
            (Method::GET, "/", 200),
            (Method::HEAD, "/", 200),
            (Method::POST, "/", 405),
            (Method::GET, "/api/nowhere", 404),
            (Method::GET, "/nowhere", 404),
        ] {
            let found = answer(app.router(), request(&method, path, &[], Body::empty())).await;
            assert_eq!(found.status, status, "{mode:?} {method} {path}: {found:?}");
            assert_stored_nowhere(&format!("{mode:?} {method} {path}"), &found);
        }
    }
    // A person without a host: the way in, and the page for who has no key.
    let standalone = app(Mode::Standalone, Setup::default());
    for (path, status) in [("/", 307), ("/api/config-check", 401)] {
        let found = standalone.get_as(path, "text/html").await;
        assert_eq!(found.status, status, "{path}: {found:?}");
        assert_stored_nowhere(path, &found);
    }
    let host = app(Mode::Proxying, Setup::default());
    let found = answer(
        host.router(),
        request(&Method::GET, "/config-check", &[], Body::empty()),
    )
    .await;
    assert_eq!((found.status, found.header("allow")), (405, Some("POST")));
    assert_stored_nowhere("GET of an envelope's path", &found);
    let page = host.get_as("/api/config-check", "text/html").await;
    assert_stored_nowhere("the page", &page);
}

/// Answers of code that thinks of no header, or of nothing any more.
#[tokio::test(start_paused = true)]
async fn no_store_whatever_a_function_does() {
    async fn panics() -> &'static str {
        panic!("a defect")
    }
    let functions = || {
        Functions::new()
            .register("config-check", panics)
            .register("secrets-metadata", async || "text")
    };
    let hanging = || {
        Functions::new()
            .register("config-check", std::future::pending::<()>)
            .register("secrets-metadata", async || [0xFF_u8; 2])
    };
    for mode in MODES {
        let access = match mode {
            Mode::Standalone => Access::Standalone(keys()),
            _ => Access::Host,
        };
        let router = |functions: Functions<()>| {
            let limits = Limits {
                request_time: Duration::from_secs(1),
                ..Limits::default()
            };
            let router = functions.router(&two_functions(), &(), &access, limits);
            router.expect("fitting")
        };
        let (panicking, hanging) = (router(functions()), router(hanging()));
        let check = ClientRequest::config_check();
        let secret = ClientRequest::secret("x");
        let not_text = if mode == Mode::Envelope { 500 } else { 200 };
        for (router, asked, status) in [
            (&panicking, &check, 500),
            (&panicking, &secret, 200),
            (&hanging, &check, 504),
            (&hanging, &secret, not_text),
        ] {
            if status == 200 && std::ptr::eq(router, &raw const hanging) {
                continue;
            }
            let found = ask(router, mode, asked, &Method::GET).await;
            assert_eq!(found.status, status, "{mode:?} {asked:?}: {found:?}");
            assert_stored_nowhere(&format!("{mode:?} {asked:?}"), &found);
        }
    }
}

#[tokio::test]
async fn no_store_for_every_envelope() {
    let app = app(Mode::Envelope, Setup::default());
    let large = " ".repeat(1024 * 1024 + 1);
    for (body, status) in [(large.as_str(), 413), ("{}", 400), ("x", 400)] {
        let body = Body::from(body.to_owned());
        let outer = answer(
            app.router(),
            request(&Method::POST, "/config-check", &[], body),
        )
        .await;
        assert_stored_nowhere("the envelope", &outer);
        let (inner, _) = read_envelope(&outer);
        assert_eq!(inner.status, status, "{inner:?}");
        assert_stored_nowhere("in the envelope", &inner);
    }
    let forged = ClientRequest::config_check().envelope().to_string();
    let headers = [("host", "app.azurewebsites.net")];
    let forged = request(&Method::POST, "/config-check", &headers, Body::from(forged));
    let refused = answer(app.router(), forged).await;
    assert_eq!(refused.status, 400);
    assert_stored_nowhere("an envelope from outside", &refused);
}
