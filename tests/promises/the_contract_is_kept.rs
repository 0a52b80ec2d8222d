//! `docs/openapi.json` is what the code answers, and each refusal is the one that was agreed on.
//!
//! After an intended change, `UPDATE_CONTRACT=1 cargo test the_contract_is_kept` writes both
//! files anew.

use std::{env, fs, time::Duration};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, header},
};
use keyvault_functions::{
    functions::contract,
    host::{
        authorization::{AuthLevel, FunctionKey, Keys},
        invocation::{Access, Limits},
        manifest::Manifest,
        router::Functions,
    },
    key_vault::Error,
};
use serde_json::{Map, Value, json};

use super::support::{
    Answer, ClientRequest, InProcess, Setup, answer, func_a, read_envelope, repository,
    two_functions,
};

const DOCUMENT: &str = "docs/openapi.json";
const REFUSALS: &str = "tests/contract/refusals.json";

/// Compares a file of the repository with what it should be, or writes it.
fn check(file: &str, now: &Value) {
    let path = repository().join(file);
    let now = format!("{now:#}\n");
    if env::var_os("UPDATE_CONTRACT").is_some() {
        fs::write(&path, &now).expect("written");
    }
    let then = fs::read_to_string(&path).unwrap_or_default();
    let difference = then
        .lines()
        .zip(now.lines())
        .find(|(then, now)| then != now);
    assert!(
        then == now,
        "{file} is not what the code says, first at {difference:?}; if that is intended: \
         UPDATE_CONTRACT=1 cargo test the_contract_is_kept"
    );
}

fn manifest() -> Manifest {
    Manifest::read(repository()).expect("valid")
}

fn document() -> Value {
    serde_json::to_value(contract::document(&manifest())).expect("JSON")
}

#[test]
fn the_document_is_fresh() {
    check(DOCUMENT, &document());
}

#[test]
fn each_function_has_its_manifests_path_methods_and_level() {
    let document = document();
    let manifest = manifest();
    assert_eq!(
        document["paths"].as_object().expect("paths").len(),
        manifest.functions.len()
    );
    for (name, function) in &manifest.functions {
        let path = function.route.pattern("api");
        for method in &function.methods {
            let operation = &document["paths"][path.as_str()][method.as_str().to_lowercase()];
            assert_eq!(operation["operationId"], name.as_str(), "{path}");
            let is_open = function.auth_level == AuthLevel::Anonymous;
            let ways = operation["security"].as_array().map_or(0, Vec::len);
            assert_eq!(ways, if is_open { 0 } else { 2 }, "{path}");
            assert_ne!(operation["responses"]["401"].is_object(), is_open, "{path}");
        }
    }
    for scheme in document["components"]["securitySchemes"]
        .as_object()
        .expect("schemes")
        .values()
    {
        assert_eq!(scheme["type"], "apiKey");
    }
}

/// Every refusal that is met below, by what brings it about.
#[derive(Default)]
struct Met(Map<String, Value>);

impl Met {
    fn add(&mut self, what: impl Into<String>, answer: &Answer) {
        let body = match answer.body.as_str() {
            "" => Value::Null,
            _ => answer.json(),
        };
        let mut shown = json!({"status": answer.status, "body": body});
        for name in ["retry-after", "allow", "content-type", "cache-control"] {
            if let Some(value) = answer.header(name) {
                shown[name] = value.into();
            }
        }
        let before = self.0.insert(what.into(), shown);
        assert_eq!(before, None, "one name, one refusal");
    }
}

fn get(path: &str) -> Request {
    Request::get(path).body(Body::empty()).expect("a request")
}

fn envelope(body: impl Into<Body>) -> Request {
    let request = Request::post("/config-check").body(body.into());
    request.expect("a request")
}

/// The functions' own, by the paths that lead there.
async fn of_functions(met: &mut Met) {
    for error in Error::every() {
        let app = InProcess::with(Setup {
            unconnected: Some(error.clone()),
            surroundings: func_a(),
            ..Setup::default()
        });
        let answer = app.get("/api/secrets/ExternalApiKey").await;
        met.add(format!("{error:?}"), &answer);
    }
    let wait = Duration::from_secs(7);
    for error in [
        Error::Throttled {
            retry_after: Some(wait),
        },
        Error::Unavailable {
            retry_after: Some(wait * 100),
        },
    ] {
        let unconnected = Some(error.clone());
        let app = InProcess::with(Setup {
            unconnected,
            ..Setup::default()
        });
        let answer = app.get("/api/secrets/ExternalApiKey").await;
        met.add(format!("{error:?}"), &answer);
    }
    let app = InProcess::with(Setup::default());
    let version = "0".repeat(32);
    for path in [
        "/api/secrets/Missing",
        "/api/secrets/a_b",
        "/api/secrets/%FF",
        &format!("/api/secrets/ExternalApiKey?version={version}"),
        "/api/secrets/ExternalApiKey?version=x",
        "/api/secrets/ExternalApiKey?refresh=x",
        "/api/config-check?strict=x",
        "/api/config-check?freshness=x",
        "/api/config-check?strict=true&strict=false",
        "/api/nothing",
    ] {
        met.add(format!("GET {path}"), &app.get(path).await);
    }
    let wrong = Request::post("/api/config-check").body(Body::empty());
    let wrong = answer(app.router(), wrong.expect("a request")).await;
    met.add("POST /api/config-check", &wrong);
    let full = InProcess::with(Setup {
        in_flight: 0,
        ..Setup::default()
    });
    let refused = full.get("/api/config-check").await;
    met.add("no place for a request", &refused);
}

/// What the host room answers in place of a function.
async fn of_the_host(met: &mut Met) {
    async fn panics() {
        panic!("a defect")
    }
    let functions = || {
        Functions::new()
            .register("config-check", panics)
            .register("secrets-metadata", std::future::pending::<()>)
    };
    let of = |access: &Access| {
        let router = functions().router(&two_functions(), &(), access, Limits::default());
        router.expect("fitting")
    };
    let host = of(&Access::Host);
    met.add("a panic", &answer(&host, get("/api/config-check")).await);
    let hang = answer(&host, get("/api/secrets/x")).await;
    met.add("a function that does not end", &hang);
    for (what, body) in [
        ("an envelope without data", "{}"),
        ("an envelope without a request", r#"{"Data":{}}"#),
        (
            "an envelope with a broken request",
            r#"{"Data":{"req":{"Method":"G T"}}}"#,
        ),
        ("too large an envelope", &" ".repeat(1024 * 1024 + 1)),
    ] {
        let (inner, _) = read_envelope(&answer(&host, envelope(body.to_owned())).await);
        met.add(what, &inner);
    }
    let mut forged = envelope(ClientRequest::config_check().envelope().to_string());
    let outside = HeaderValue::from_static("app.azurewebsites.net");
    forged.headers_mut().insert(header::HOST, outside);
    met.add("an envelope from outside", &answer(&host, forged).await);
    let bytes = Functions::new()
        .register("config-check", async || [0xFF_u8; 2])
        .register("secrets-metadata", async || ())
        .router(&two_functions(), &(), &Access::Host, Limits::default())
        .expect("fitting");
    let request = envelope(ClientRequest::config_check().envelope().to_string());
    let (inner, _) = read_envelope(&answer(&bytes, request).await);
    met.add("an answer in an envelope that is not text", &inner);

    let key = || FunctionKey::random().expect("randomness");
    let standalone = of(&Access::Standalone(Keys {
        function: key(),
        master: key(),
    }));
    let refused = answer(&standalone, get("/api/config-check")).await;
    met.add("no key", &refused);
}

#[tokio::test(start_paused = true)]
async fn every_refusal_is_as_agreed_and_in_the_document() {
    let mut met = Met::default();
    of_functions(&mut met).await;
    of_the_host(&mut met).await;
    in_the_document(&met.0);
    check(REFUSALS, &Value::Object(met.0));
}

/// What the document lists and what can be met are the same codes with the same statuses.
fn in_the_document(met: &Map<String, Value>) {
    let outside = ["RouteNotFound", "MethodNotAllowed"];
    let mut met: Vec<(String, String)> = met
        .values()
        .filter_map(|refusal| {
            let code = refusal["body"]["code"].as_str()?;
            Some((refusal["status"].to_string(), code.to_owned()))
        })
        .filter(|(_, code)| !outside.contains(&code.as_str()))
        .collect();
    // Takes a vault setting that the routers above have.
    met.push(("503".to_owned(), "KeyVaultUrlNotSet".to_owned()));
    let document = document();
    let mut listed: Vec<(String, String)> = Vec::new();
    for item in document["paths"].as_object().expect("paths").values() {
        let responses = item["get"]["responses"].as_object().expect("responses");
        for (status, response) in responses {
            let schema = &response["content"]["application/json"]["schema"];
            let codes = schema["allOf"][1]["properties"]["code"]["enum"].as_array();
            let codes = codes.into_iter().flatten().filter_map(Value::as_str);
            listed.extend(codes.map(|code| (status.clone(), code.to_owned())));
        }
    }
    listed.retain(|(_, code)| !outside.contains(&code.as_str()));
    for list in [&mut met, &mut listed] {
        list.sort();
        list.dedup();
    }
    assert_eq!(met, listed);
}
