//! `docs/openapi.json` lists what the code takes and answers, and nothing else: a route, a
//! parameter, a member, a header or a code that is only in one of the two fails here. Each
//! refusal is the one that was agreed on.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    future::ready,
    net::IpAddr,
    path::Path,
    sync::Arc,
    time::Duration,
};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, header},
};
use futures_util::FutureExt;
use keyvault_functions::{
    dev_vault::{
        Attributes, Caller, CallerKind, DevVault, KeyType, NetworkInfo, NewCertificate, NewKey,
        NewSecret,
    },
    diagnosis::{Cause, RunsIn, Surroundings},
    host::{
        authorization::{AuthLevel, FunctionKey, Keys},
        invocation::{Access, Limits},
        manifest::{FunctionManifest, Manifest},
        router::{Entry, Functions},
    },
    key_vault::{Error, ObjectKind, dns::Resolver, error::SettingError},
    references::{AppSetting, Status, status::read_platform_report},
};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use tokio::time::advance;

use super::support::{
    Answer, Contract, Facts, Fault, FunctionsHost, InProcess, Mood, Platform, Setup, answer,
    client, codes, every_error,
    expiry::{in_days, resolved, set},
    func_a, read_envelope, repository,
};

const CHECK: &str = "/api/config-check";
const SECRETS: &str = "/api/secrets/{secret_name}";
const EXPIRING: &str = "/api/expiring";
const EVENTS: &str = "/api/events";
/// The functions that describe one object: their path, one that is there, and its kind.
const DESCRIBED: [(&str, &str, ObjectKind); 3] = [
    (SECRETS, "/api/secrets/ExternalApiKey", ObjectKind::Secret),
    (
        "/api/keys/{key_name}",
        "/api/keys/SigningKey",
        ObjectKind::Key,
    ),
    (
        "/api/certificates/{certificate_name}",
        "/api/certificates/WebCertificate",
        ObjectKind::Certificate,
    ),
];
/// What the app holds in the place of a reference.
const VALUE: &str = "canary-held";

fn manifest() -> Manifest {
    Manifest::read(repository()).expect("valid")
}

/// The documented path of a function.
fn path(function: &FunctionManifest) -> String {
    function.route.pattern(&manifest().route_prefix)
}

/// A documented path with something in the place of its parameter.
fn filled(path: &str) -> String {
    path.split('/')
        .map(|part| if part.starts_with('{') { "x" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

/// The method that a function with this path or a filled one is asked by.
fn method_of(path: &str) -> &'static str {
    if path == EVENTS { "POST" } else { "GET" }
}

/// A request for a function.
fn asked(path: &str) -> Request {
    let request = Request::builder().method(method_of(path)).uri(path);
    request.body(Body::empty()).expect("a request")
}

/// The texts of all files of `src` under their paths.
fn sources(folder: &Path) -> Vec<(String, String)> {
    let entries = fs::read_dir(folder).expect("a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| match path.extension() {
            None => sources(&path),
            Some(end) if end == "rs" => {
                let text = fs::read_to_string(&path).expect("a file");
                vec![(path.display().to_string(), text)]
            }
            Some(_) => Vec::new(),
        })
        .collect()
}

#[test]
fn it_is_about_this_package() {
    let info = &Contract::read().document()["info"];
    assert_eq!(info["title"], env!("CARGO_PKG_NAME"));
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(info["description"], env!("CARGO_PKG_DESCRIPTION"));
    assert_eq!(info["license"]["name"], env!("CARGO_PKG_LICENSE"));
}

#[test]
fn each_function_has_its_manifests_path_methods_and_level() {
    let contract = Contract::read();
    let mut documented: BTreeSet<(String, String)> = BTreeSet::new();
    for (path, item) in contract.paths() {
        let methods = item.as_object().expect("methods").keys();
        documented.extend(methods.map(|method| (path.clone(), method.clone())));
    }
    for (name, function) in &manifest().functions {
        let path = path(function);
        let needed = match function.auth_level {
            AuthLevel::Anonymous => None,
            AuthLevel::Function => Some("Needs a function key or the master key."),
            AuthLevel::Admin => Some("Needs the master key."),
        };
        for method in &function.methods {
            let method = method.as_str().to_lowercase();
            let operation = &contract.paths()[&path][&method];
            let id = match method.as_str() {
                "options" => format!("{name}-handshake"),
                _ => name.clone(),
            };
            assert_eq!(operation["operationId"], id.as_str(), "{path}");
            assert_eq!(operation["description"].as_str(), needed, "{path}");
            let keys = json!([{"x-functions-key": []}, {"code": []}]);
            let asked = needed.map_or(Value::Null, |_| keys);
            assert_eq!(operation["security"], asked, "{path}");
            assert!(documented.remove(&(path.clone(), method)), "{path}");
        }
    }
    assert_eq!(documented, BTreeSet::new(), "no manifest has these");
    let schemes = &contract.document()["components"]["securitySchemes"];
    let known = json!({
        "x-functions-key": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
        "code": {"type": "apiKey", "in": "query", "name": "code"},
    });
    assert_eq!(*schemes, known);
}

#[test]
fn each_component_is_used() {
    let document = Contract::read().document();
    let text = document.to_string();
    for (kind, components) in document["components"].as_object().expect("components") {
        for name in components.as_object().expect("components").keys() {
            let used = match kind.as_str() {
                "securitySchemes" => format!(r#"{{"{name}":[]}}"#),
                _ => format!(r##""#/components/{kind}/{name}""##),
            };
            assert!(text.contains(&used), "{kind}/{name}");
        }
    }
}

/// A function refuses a comma in each parameter that it reads. Any text in the sources could be the
/// name of one. What is no switch has a pattern, which none of the three values fits.
#[tokio::test]
async fn each_parameter_is_read_and_no_other() {
    let contract = Contract::read();
    let sources = sources(&repository().join("src"));
    let words: BTreeSet<_> = sources
        .iter()
        .flat_map(|(_, text)| text.split('"'))
        .filter(|word| {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            (1..=40).contains(&word.len()) && word.bytes().all(is_name)
        })
        .map(str::to_lowercase)
        .collect();
    let app = InProcess::with(Setup::default());
    for (path, item) in contract.paths() {
        if item["get"].is_null() {
            // What is asked is in the body.
            assert_eq!(item["post"]["parameters"], json!([]), "{path}");
            continue;
        }
        let (mut in_path, mut in_query) = (BTreeSet::new(), BTreeSet::new());
        for parameter in item["get"]["parameters"].as_array().into_iter().flatten() {
            let parameter = contract.resolve(parameter).1;
            let name = parameter["name"].as_str().expect("a name").to_owned();
            if parameter["in"] == "path" {
                assert_eq!(parameter["required"], true, "{name}");
                in_path.insert(name);
                continue;
            }
            let is_switch = contract.resolve(&parameter["schema"]).0 == Some("Switch");
            for (value, is_taken) in [("true", true), ("0", true), ("maybe", false)] {
                let answer = app.get(&format!("{}?{name}={value}", filled(path))).await;
                let is_refused = answer.status == 400;
                assert_eq!(is_refused, !(is_switch && is_taken), "{name}={value}");
            }
            in_query.insert(name);
        }
        let braces = path.split('{').skip(1);
        let braces = braces.filter_map(|part| Some(part.split_once('}')?.0.to_owned()));
        assert_eq!(in_path, braces.collect(), "{path}");
        let mut read = BTreeSet::new();
        for word in words.union(&in_query) {
            let answer = app.get(&format!("{}?{word}=,", filled(path))).await;
            if answer.status == 400 {
                assert_eq!(answer.json()["code"], "InvalidQuery", "{path} {word}");
                read.insert(word.clone());
            }
        }
        assert_eq!(in_query, read, "{path}");
    }
}

/// What the answers to requests show of the document, and every refusal by what brings it about.
#[derive(Default)]
struct Met {
    facts: Facts,
    refusals: Map<String, Value>,
}

impl Met {
    fn answer(&mut self, path: &str, answer: &Answer) {
        self.answer_to(method_of(path), path, answer);
    }

    fn answer_to(&mut self, method: &str, path: &str, answer: &Answer) {
        self.facts
            .extend(Contract::read().check(method, path, answer));
    }

    /// What the host room refuses is the same for each function.
    fn refusal(&mut self, what: impl Into<String>, path: &str, answer: &Answer) {
        if Contract::read().paths().contains_key(path) {
            self.answer(path, answer);
        }
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
        let what = what.into();
        let before = self.refusals.entry(&what).or_insert_with(|| shown.clone());
        assert_eq!(*before, shown, "{what}");
    }

    async fn get(&mut self, app: &InProcess, path: &str) {
        let (before_query, _) = path.split_once('?').unwrap_or((path, ""));
        let documented = Contract::read().path_of(before_query);
        self.answer(documented.expect("documented"), &app.get(path).await);
    }
}

/// A reference in each state that the platform knows, two that the handler looks into, and one of
/// another kind.
fn settings() -> Vec<AppSetting> {
    let raw = "@Microsoft.KeyVault(VaultName=embedded;SecretName=ExternalApiKey)";
    let report = Status::ALL.map(|(word, _)| (word, json!({"status": word, "rawReference": raw})));
    let report: Map<_, _> = report
        .into_iter()
        .map(|(word, entry)| (word.to_owned(), entry))
        .collect();
    let report = read_platform_report(&json!(report).to_string());
    let reported = report.into_iter().map(|entry| {
        AppSetting::new(&entry.setting, VALUE.to_owned().into())
            .reported(entry.raw_reference.as_deref(), entry.status)
    });
    let pinned = format!(
        "@Microsoft.KeyVault(VaultName=embedded;SecretName=Missing;SecretVersion={})",
        "0".repeat(32)
    );
    let other = "@Microsoft.AppConfiguration(Endpoint=https://s.azconfig.io; Key=K)";
    let unreported = [("PINNED", pinned.as_str()), ("OTHER", other)];
    let unreported = unreported.map(|(name, value)| AppSetting::new(name, value.to_owned().into()));
    reported.chain(unreported).collect()
}

async fn of_config_check(met: &mut Met) {
    let wrong = SettingError {
        name: "SECRET_CACHE_TTL_SECONDS",
        found: "text that is not a number",
        expected: "seconds".to_owned(),
        otherwise: None,
        is_reference: false,
    };
    let stale = InProcess::with(Setup {
        settings: settings(),
        not_listed: 1,
        wrong: vec![wrong],
        ..Setup::default()
    });
    let current = InProcess::with(Setup {
        settings: settings(),
        ..Setup::default()
    });
    let unknown = InProcess::with(Setup {
        settings: settings(),
        unconnected: Some(Error::TimedOut),
        ..Setup::default()
    });
    for (app, value) in [(&stale, "canary-new"), (&current, VALUE)] {
        let new = NewSecret::of(value);
        app.vault.store().set("ExternalApiKey", new).expect("set");
    }
    for app in [stale, current, unknown] {
        for query in [
            "",
            "?strict=true",
            "?freshness=true",
            "?expiry=true",
            "?pretty=true",
        ] {
            met.get(&app, &format!("{CHECK}{query}")).await;
        }
        for query in ["", "?strict=true"] {
            let page = app.get_as(&format!("{CHECK}{query}"), "text/html").await;
            met.answer(CHECK, &page);
        }
    }
}

async fn of_described(met: &mut Met) {
    let app = InProcess::with(Setup::default());
    let store = app.vault.store();
    let at = OffsetDateTime::from_unix_timestamp(1_700_000_000).expect("a time");
    let tags = BTreeMap::from([("env".to_owned(), "dev".to_owned())]);
    for _ in 0..2 {
        let tagged = NewSecret {
            tags: tags.clone(),
            ..NewSecret::of("canary")
        };
        store.set_at("Rotated", tagged, at).expect("set");
    }
    let path = "/api/secrets/Rotated";
    let key = || NewKey {
        key_type: KeyType::Rsa,
        attributes: Attributes::default(),
        tags: tags.clone(),
    };
    let certificate = || NewCertificate {
        dns_names: vec!["www.example.com".to_owned()],
        attributes: Attributes::default(),
        tags: tags.clone(),
    };
    for name in ["Tagged", "Rotated"] {
        store.add_key(name, key(), at).expect("added");
        store
            .add_certificate(name, certificate(), at)
            .expect("added");
    }
    store.add_key("Rotated", key(), at).expect("added");
    store
        .add_certificate("Rotated", certificate(), at)
        .expect("added");
    for path in [path, "/api/keys/Tagged", "/api/certificates/Tagged"] {
        met.get(&app, path).await;
        met.get(&app, path).await;
    }
    for (_, path, _) in DESCRIBED {
        met.get(&app, path).await;
    }
    // What is disabled is described by its versions, of which two are of one second.
    for (path, code) in [
        ("/api/keys/Rotated", "KeyDisabled"),
        ("/api/certificates/Rotated", "CertificateDisabled"),
    ] {
        app.fail_with(Fault::DenyGetting(code));
        met.get(&app, path).await;
    }
    app.fail_with(None);
    advance(Duration::from_secs(331)).await;
    app.fail_with(Fault::Outage(500));
    // The first is answered while the vault is asked again.
    for _ in 0..100 {
        for path in [path, "/api/keys/Tagged", "/api/certificates/Tagged"] {
            met.get(&app, path).await;
        }
        advance(Duration::from_secs(1)).await;
    }
}

async fn of_expiring(met: &mut Met) {
    let pinned = format!(
        "SecretName=DatabasePassword;SecretVersion={}",
        "1".repeat(32)
    );
    let app = || {
        InProcess::with(Setup {
            settings: vec![
                resolved("PASSWORD", "SecretName=DatabasePassword"),
                resolved("PINNED", &pinned),
                resolved("NEVER", "SecretName=Never"),
            ],
            ..Setup::default()
        })
    };
    let queries = [
        "",
        "?strict=true",
        "?no_expiry=true",
        "?strict=true&no_expiry=true",
    ];
    let whole = app();
    set(&whole.vault, "Never", None);
    let key = NewKey {
        key_type: KeyType::Elliptic,
        attributes: Attributes {
            exp: Some(0),
            ..Attributes::default()
        },
        tags: BTreeMap::new(),
    };
    let now = OffsetDateTime::now_utc();
    let store = whole.vault.store();
    store.add_key("OldKey", key, now).expect("added");
    let many = app();
    for number in 0..1_001 {
        set(&many.vault, &format!("n{number}"), in_days(3));
    }
    let denied = app();
    denied.fail_with(Fault::Deny("ForbiddenByRbac"));
    let not_the_versions = app();
    not_the_versions.fail_with(Fault::DenyListing("ForbiddenByRbac"));
    for query in ["", "?strict=true"] {
        let silent = app();
        silent.fail_with(Fault::Silence);
        met.get(&silent, &format!("{EXPIRING}{query}")).await;
    }
    let none = InProcess::with(Setup {
        no_vault: Some(Cause::NoVault),
        ..Setup::default()
    });
    for app in [whole, many, denied, not_the_versions, none] {
        for query in queries {
            met.get(&app, &format!("{EXPIRING}{query}")).await;
            let page = app.get_as(&format!("{EXPIRING}{query}"), "text/html").await;
            met.answer(EXPIRING, &page);
        }
    }
}

/// Checks keys that nobody knows.
fn without_a_host() -> Entry {
    let key = || FunctionKey::random().expect("randomness");
    let access = Access::Standalone(Keys {
        function: key(),
        master: key(),
    });
    router(&access, Limits::default(), |functions, name| {
        functions.register(name, panics)
    })
}

async fn of_events(met: &mut Met) {
    let app = InProcess::with(Setup {
        settings: settings(),
        ..Setup::default()
    });
    let validation = |vault: &str| {
        json!({
            "id": "1",
            "topic": format!("/subscriptions/s/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/{vault}"),
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "data": {"validationCode": "x"},
        })
    };
    for (what, body) in [
        ("events", json!([{}]).to_string()),
        ("a handshake", validation("embedded").to_string()),
        (
            "a handshake of another vault",
            validation("other").to_string(),
        ),
        ("no events", "x".to_owned()),
        ("too many events", " ".repeat(1_100_001)),
    ] {
        let request = Request::post(EVENTS).body(Body::from(body));
        let answer = app.send(request.expect("a request")).await;
        if answer.status == 200 {
            met.answer(EVENTS, &answer);
        } else {
            met.refusal(what, EVENTS, &answer);
        }
    }
    let handshake = || {
        let request = Request::options(EVENTS);
        let request = request.header("webhook-request-origin", "eventgrid.azure.net");
        request.body(Body::empty()).expect("a request")
    };
    met.answer_to("OPTIONS", EVENTS, &app.send(handshake()).await);
    let nobody = Request::options(EVENTS).body(Body::empty());
    let nobody = app.send(nobody.expect("a request")).await;
    met.answer_to("OPTIONS", EVENTS, &nobody);
    let wrong = Request::delete(EVENTS).body(Body::empty());
    let wrong = app.send(wrong.expect("a request")).await;
    met.answer_to("OPTIONS", EVENTS, &wrong);
    let panicking = router(&Access::Host, Limits::default(), |functions, name| {
        functions.register(name, panics)
    });
    met.answer_to("OPTIONS", EVENTS, &answer(&panicking, handshake()).await);
    let endless = |limits| {
        router(&Access::Host, limits, |functions, name| {
            functions.register(name, std::future::pending::<()>)
        })
    };
    let hang = answer(&endless(Limits::default()), handshake()).await;
    met.answer_to("OPTIONS", EVENTS, &hang);
    let full = Limits {
        in_flight: 0,
        ..Limits::default()
    };
    met.answer_to(
        "OPTIONS",
        EVENTS,
        &answer(&endless(full), handshake()).await,
    );
    let standalone = without_a_host();
    met.answer_to("OPTIONS", EVENTS, &answer(&standalone, handshake()).await);
    of_rotation(met).await;
}

/// What `config-check` tells of a secret with a new version.
async fn of_rotation(met: &mut Met) {
    let platform = Platform::with(&[]);
    platform.set(Mood::Refuses(403));
    let app = InProcess::with(Setup {
        settings: vec![
            resolved("PASSWORD", "SecretName=DatabasePassword"),
            AppSetting::new(
                "MISSING",
                "@Microsoft.KeyVault(VaultName=embedded;SecretName=Missing)"
                    .to_owned()
                    .into(),
            ),
        ],
        platform: Some(platform),
        ..Setup::default()
    });
    let event = json!([{
        "id": "1", "eventType": "Microsoft.KeyVault.SecretNewVersionCreated",
        "data": {"Id": "https://embedded.vault.azure.net/secrets/DatabasePassword"},
    }]);
    let rotated = app.app.clone();
    let work = async move { rotated.follow_rotation(OffsetDateTime::now_utc).await };
    let mut work = Box::pin(work);
    for _ in 0..2 {
        let request = Request::post(EVENTS).body(Body::from(event.to_string()));
        met.answer(EVENTS, &app.send(request.expect("a request")).await);
        for query in ["", "?strict=true"] {
            met.get(&app, &format!("{CHECK}{query}")).await;
        }
        let minute = tokio::time::sleep(Duration::from_secs(60));
        tokio::select! {
            never = &mut work => match never {},
            () = minute => {}
        }
    }
}

/// The path to a vault and the identity, with all that can be known of them.
async fn of_paths(met: &mut Met) {
    let kind = CallerKind::SystemAssigned {
        app: "func-a".to_owned(),
        slot: Some("staging".to_owned()),
    };
    // Nobody has to sign in to the vault inside the process.
    let embedded = InProcess::with(Setup {
        settings: settings(),
        surroundings: Surroundings {
            runs_in: RunsIn::Embedded(DevVault::url().expect("an address")),
            ..Surroundings::default()
        },
        ..Setup::default()
    });
    for query in ["", "?strict=true"] {
        met.get(&embedded, &format!("{CHECK}{query}")).await;
        met.get(&embedded, &format!("{EXPIRING}{query}")).await;
    }
    for network_info in [NetworkInfo::PrivateLink, NetworkInfo::Subnet] {
        let caller = Caller {
            kind: kind.clone(),
            ..Caller::default()
        };
        let vault = DevVault::seeded().expect("randomness");
        let vault = vault.with_network_info(network_info).with_caller(caller);
        let address = vec![IpAddr::from([10, 1, 2, 4])];
        let resolver = Resolver::of(move |_| ready(Ok(address.clone())).boxed());
        let app = InProcess::on(
            vault,
            Setup {
                settings: settings(),
                surroundings: Surroundings {
                    has_identity_endpoint: true,
                    ..Surroundings::default()
                },
                resolver: Some(Arc::new(resolver)),
                ..Setup::default()
            },
        );
        for (_, path, _) in DESCRIBED {
            met.get(&app, &format!("{path}?path=true")).await;
        }
        for query in ["?path=true", "?path=true&strict=true"] {
            met.get(&app, &format!("{CHECK}{query}")).await;
        }
        for inner in ["ForbiddenByFirewall", "ForbiddenByRbac"] {
            app.fail_with(Fault::Deny(inner));
            met.get(&app, "/api/secrets/DatabasePassword?refresh=true")
                .await;
            advance(Duration::from_secs(10)).await;
            met.get(&app, &format!("{EXPIRING}?refresh=true")).await;
        }
    }
}

/// Whether reading one object of `kind` can fail like this. A disabled key or certificate is
/// described all the same.
fn may_be_met(error: &Error, kind: ObjectKind) -> bool {
    match error {
        Error::NotFound(of) | Error::VersionNotFound(of) => *of == kind,
        Error::Disabled(of) => *of == kind && kind == ObjectKind::Secret,
        Error::TooManyObjects => false,
        _ => true,
    }
}

/// The functions' own, by the paths that lead there.
async fn refusals_of_the_functions(met: &mut Met) {
    let wait = Duration::from_secs(7);
    let told = [
        Error::Throttled {
            retry_after: Some(wait),
        },
        Error::Unavailable {
            retry_after: Some(wait * 100),
        },
    ];
    for error in every_error().into_iter().chain(told) {
        let app = InProcess::with(Setup {
            unconnected: Some(error.clone()),
            surroundings: func_a(),
            ..Setup::default()
        });
        for (documented, path, kind) in DESCRIBED {
            if may_be_met(&error, kind) {
                let answer = app.get(path).await;
                // The other kinds are refused in the same words, but for these.
                let has_own_words = matches!(
                    error,
                    Error::NotFound(_) | Error::VersionNotFound(_) | Error::AccessDenied(_)
                );
                match kind {
                    ObjectKind::Secret => met.refusal(format!("{error:?}"), documented, &answer),
                    kind if has_own_words => {
                        met.refusal(format!("{error:?} of a {kind}"), documented, &answer);
                    }
                    _ => met.answer(documented, &answer),
                }
            }
        }
    }
    let none = InProcess::with(Setup {
        no_vault: Some(Cause::NoVault),
        ..Setup::default()
    });
    for (documented, path, _) in DESCRIBED {
        met.refusal("NoVault", documented, &none.get(path).await);
    }
    let app = InProcess::with(Setup::default());
    let version = "0".repeat(32);
    for (documented, path, _) in DESCRIBED {
        let (collection, _) = path.rsplit_once('/').expect("a collection");
        for path in [
            format!("{collection}/Missing"),
            format!("{collection}/a_b"),
            format!("{collection}/%FF"),
            format!("{collection}/"),
            format!("{path}?version={version}"),
            format!("{path}?version=x"),
            format!("{path}?refresh=x"),
        ] {
            met.refusal(format!("GET {path}"), documented, &app.get(&path).await);
        }
    }
    for (documented, path) in [
        (EXPIRING, "/api/expiring?within=x"),
        (EXPIRING, "/api/expiring?no_expiry=x"),
        (CHECK, "/api/config-check?strict=x"),
        (CHECK, "/api/config-check?freshness=x"),
        (CHECK, "/api/config-check?expiry=x"),
        (CHECK, "/api/config-check?expiry=true&within=x"),
        (CHECK, "/api/config-check?strict=true&strict=false"),
        ("", "/api/nothing"),
    ] {
        met.refusal(format!("GET {path}"), documented, &app.get(path).await);
    }
}

async fn panics() {
    panic!("a defect")
}

async fn is_not_text() -> [u8; 2] {
    [0xFF; 2]
}

/// What the host room answers in place of `function`.
async fn refusals_of_the_host(met: &mut Met, name: &str, function: &FunctionManifest) {
    let documented = path(function);
    let path = &filled(&documented);
    let panicking = router(&Access::Host, Limits::default(), |functions, name| {
        functions.register(name, panics)
    });
    met.refusal(
        "a panic",
        &documented,
        &answer(&panicking, asked(path)).await,
    );
    let wrong = Request::trace(path.as_str()).body(Body::empty());
    let wrong = answer(&panicking, wrong.expect("a request")).await;
    let allowed = wrong.header("allow").unwrap_or_default().to_owned();
    met.refusal(
        format!("another method than {allowed}"),
        &documented,
        &wrong,
    );
    let post = |body: String| {
        let request = Request::post(format!("/{name}")).body(Body::from(body));
        request.expect("a request")
    };
    for (what, body) in [
        ("an envelope without data", "{}"),
        ("an envelope without a request", r#"{"Data":{}}"#),
        (
            "an envelope with a broken request",
            r#"{"Data":{"req":{"Method":"G T"}}}"#,
        ),
        ("too large an envelope", &" ".repeat(1024 * 1024 + 1)),
    ] {
        let outer = answer(&panicking, post(body.to_owned())).await;
        met.refusal(what, &documented, &read_envelope(&outer).0);
    }
    let params: Map<_, _> = documented
        .split('{')
        .skip(1)
        .filter_map(|part| Some((part.split_once('}')?.0.to_owned(), "x".into())))
        .collect();
    let envelope = json!({"Data": {"req": {
        "Method": method_of(path),
        "Url": format!("https://app.azurewebsites.net{path}"),
        "Params": params,
        "Identities": [{
            "AuthenticationType": "WebJobsAuthLevel",
            "IsAuthenticated": true,
            "Claims": [{
                "Type": "http://schemas.microsoft.com/2017/07/functions/claims/authlevel",
                "Value": "Admin",
            }],
        }],
    }}});
    let mut forged = post(envelope.to_string());
    let outside = HeaderValue::from_static("app.azurewebsites.net");
    forged.headers_mut().insert(header::HOST, outside);
    let forged = answer(&panicking, forged).await;
    met.refusal("an envelope from outside", &documented, &forged);
    let bytes = router(&Access::Host, Limits::default(), |functions, name| {
        functions.register(name, is_not_text)
    });
    let outer = answer(&bytes, post(envelope.to_string())).await;
    met.refusal(
        "an answer in an envelope that is not text",
        &documented,
        &read_envelope(&outer).0,
    );
    if documented == EVENTS {
        let handshake = envelope.to_string().replace("\"POST\"", "\"OPTIONS\"");
        let outer = answer(&bytes, post(handshake)).await;
        met.answer_to("OPTIONS", EVENTS, &read_envelope(&outer).0);
    }

    let endless = |limits| {
        router(&Access::Host, limits, |functions, name| {
            functions.register(name, std::future::pending::<()>)
        })
    };
    let hang = answer(&endless(Limits::default()), asked(path)).await;
    met.refusal("a function that does not end", &documented, &hang);
    let full = Limits {
        in_flight: 0,
        ..Limits::default()
    };
    let refused = answer(&endless(full), asked(path)).await;
    met.refusal("no place for a request", &documented, &refused);

    if function.auth_level != AuthLevel::Anonymous {
        let standalone = without_a_host();
        let refused = answer(&standalone, asked(path)).await;
        met.refusal("no key", &documented, &refused);
        page_without_a_key(met, path, &documented, &standalone).await;
    }
}

/// A browser gets a page with the refusal.
async fn page_without_a_key(met: &mut Met, path: &str, documented: &str, standalone: &Entry) {
    let mut request = asked(path);
    let html = HeaderValue::from_static("text/html");
    request.headers_mut().insert(header::ACCEPT, html);
    let page = answer(standalone, request).await;
    if Contract::read().paths().contains_key(documented) {
        met.answer(documented, &page);
    }
    if documented == EVENTS {
        met.answer_to("OPTIONS", EVENTS, &page);
    }
}

/// The routes of this app with code of another kind behind each.
fn router(
    access: &Access,
    limits: Limits,
    register: impl Fn(Functions<()>, &'static str) -> Functions<()>,
) -> Entry {
    let manifest = manifest();
    let names = manifest.functions.keys();
    let functions = names.fold(Functions::new(), |functions, name| {
        register(functions, name.clone().leak())
    });
    let router = functions.router(&manifest, &(), access, limits);
    router.expect("fitting")
}

/// Of the server itself, which has no router in a test without a process.
async fn too_many_headers(met: &mut Met) {
    let host = FunctionsHost::start(&[]).await;
    for path in Contract::read().paths().keys() {
        let method = method_of(path).parse().expect("a method");
        let mut request = client().request(method, host.at(&filled(path)));
        for number in 0..150 {
            request = request.header(format!("x-{number}"), "x");
        }
        let answer = Answer::of(request.send().await.expect("an answer")).await;
        met.refusal("too many headers", path, &answer);
        if path == EVENTS {
            met.answer_to("OPTIONS", EVENTS, &answer);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_documented_is_answered_and_each_refusal_is_as_agreed() {
    let mut met = Met::default();
    let app = InProcess::with(Setup::default());
    for path in Contract::read()
        .paths()
        .keys()
        .filter(|path| *path != EVENTS)
    {
        met.get(&app, &filled(path)).await;
    }
    of_events(&mut met).await;
    of_config_check(&mut met).await;
    of_described(&mut met).await;
    of_expiring(&mut met).await;
    of_paths(&mut met).await;
    refusals_of_the_functions(&mut met).await;
    for (name, function) in &manifest().functions {
        refusals_of_the_host(&mut met, name, function).await;
    }
    tokio::time::resume();
    too_many_headers(&mut met).await;
    let documented = Contract::read().facts();
    let unmet: Vec<_> = documented.difference(&met.facts).collect();
    assert!(unmet.is_empty(), "documented and not answered: {unmet:#?}");
    insta::assert_snapshot!("refusals", format!("{:#}", Value::Object(met.refusals)));
}

/// What is written where a refusal is made, tested or not.
#[test]
fn each_code_in_the_sources_is_documented() {
    let contract = Contract::read();
    let code = &contract.document()["components"]["schemas"]["Problem"]["properties"]["code"];
    let known: BTreeSet<_> = codes(code).collect();
    let mut by_response: BTreeSet<&str> = BTreeSet::new();
    let operations = contract.paths().values().filter_map(Value::as_object);
    for operation in operations.flat_map(Map::values) {
        let responses = operation["responses"].as_object().expect("responses");
        by_response.extend(
            responses
                .values()
                .flat_map(|one| codes(contract.resolve(one).1)),
        );
    }
    assert_eq!(known, by_response);
    let mut met = 0;
    for (file, text) in sources(&repository().join("src")) {
        let production = text.split("#[cfg(test)]").next().expect("a part");
        for call in production.split("Problem::new(").skip(1) {
            // Elsewhere the code is the cause's or the kind's, and each of those is met above.
            let code = call.split(',').nth(1).expect("a second argument").trim();
            if let Some(code) = code.strip_prefix('"') {
                let code = code.trim_end_matches('"');
                assert!(known.contains(code), "{file}: {code}");
                met += 1;
            }
        }
    }
    assert!(met > 5, "{met}");
}
