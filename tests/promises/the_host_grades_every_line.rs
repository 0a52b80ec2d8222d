//! The Functions host gives every line the level it was written with, and a person finds the
//! request that a line belongs to.

use std::{env, time::Duration};

use axum::{body::Body, extract::Request};
use keyvault_functions::{
    host::{
        invocation::{Access, Limits},
        manifest::Manifest,
        router::Functions,
    },
    key_vault::MetadataSource,
    references::{AppSetting, Resolves},
    telemetry::{self, Export, LineStyle},
};
use tokio::{net::TcpStream, time::advance};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::filter::Targets;

use super::support::{
    Answer, ClientRequest, Fault, FunctionsHost, Handler, INVOCATION_ID, InProcess, Key, Lines,
    MODES, Protocol, Setup, Stream, TlsVault, answer, client, repository,
};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";

/// What the host makes of a line: `WorkerProcess`, with `useStdErrorStreamForErrorsOnly`.
fn grade(stream: Stream, line: &str) -> &'static str {
    match stream {
        Stream::Stdout => "Information",
        Stream::Stderr if line.to_ascii_lowercase().contains("warn") => "Warning",
        Stream::Stderr => "Error",
    }
}

/// Every line, which must begin with its level and be graded by it.
fn graded(handler: &Handler) -> Vec<String> {
    let mut lines = Vec::new();
    for stream in [Stream::Stdout, Stream::Stderr] {
        for line in handler.lines(stream) {
            let expected = match line.split_whitespace().next() {
                Some("ERROR") => "Error",
                Some("WARN") => "Warning",
                Some("INFO" | "DEBUG" | "TRACE") => "Information",
                _ => panic!("no level: {line:?}"),
            };
            assert_eq!(grade(stream, &line), expected, "{line}");
            assert!(!line.contains('\u{1b}'), "a colour: {line:?}");
            for query in ["?code=", "&code=", "%26code%3D"] {
                assert!(!line.contains(query), "a key's place: {line}");
            }
            lines.push(line);
        }
    }
    lines
}

#[tokio::test]
async fn what_the_handler_writes_is_graded_by_its_level_and_names_the_request() {
    let settings = [
        ("KEY_VAULT_URL", "https://no-such-vault.invalid"),
        ("RUST_LOG", "keyvault_functions=debug"),
    ];
    let mut host = FunctionsHost::start(&settings).await;
    for mode in MODES {
        let config_check = ClientRequest::config_check()
            .with_header("traceparent", TRACE)
            .with_query("code", "canary-function-key");
        assert_eq!(host.call(mode, &config_check).await.status, 200);
        let secret = ClientRequest::secret("a").with_query("code", "canary-master-key");
        assert_eq!(host.call(mode, &secret).await.status, 502);
        let refused = ClientRequest::secret("a_b").with_key(Key::Master);
        assert_eq!(host.call(mode, &refused).await.status, 400);
    }
    host.handler.terminate();
    assert_eq!(host.handler.ended().await.code(), Some(200));
    let lines = graded(&host.handler);
    let finished: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("invocation finished"))
        .collect();
    assert_eq!(finished.len(), 9, "one for each request: {finished:?}");
    let id = format!("id=\"{INVOCATION_ID}\"");
    for line in &finished {
        for part in [
            id.as_str(),
            "function=\"",
            "status=",
            "elapsed_ms=",
            "cache=\"",
        ] {
            assert!(line.contains(part), "no {part} in {line}");
        }
    }
    let with = |parts: &[&str]| {
        let has_all = |line: &&&String| parts.iter().all(|part| line.contains(part));
        finished.iter().filter(has_all).count()
    };
    assert_eq!(
        with(&[
            "DEBUG",
            "config-check",
            "trace=\"4bf92f3577b34da6a3ce929d0e0e4736\""
        ]),
        3
    );
    assert_eq!(
        with(&["WARN", "status=502", "code=\"CredentialUnavailable\""]),
        3
    );
    assert_eq!(
        with(&["INFO", "status=400", "code=\"InvalidSecretName\""]),
        3
    );
}

/// The Functions host has a record of each invocation already.
#[tokio::test]
async fn what_nobody_reads_is_not_written_and_counted_all_the_same() {
    let vault = TlsVault::start().await;
    let mut host = vault.host(&[("RUST_LOG", "info")]).await;
    host.handler.wrote("Key Vault answers").await;
    let secret = ClientRequest::secret("ExternalApiKey");
    for _ in 0..20 {
        assert_eq!(host.call(Protocol::Proxying, &secret).await.status, 200);
    }
    let check = ClientRequest::config_check();
    assert_eq!(host.call(Protocol::Proxying, &check).await.status, 200);
    let missing = ClientRequest::secret("Missing");
    for _ in 0..2 {
        assert_eq!(host.call(Protocol::Proxying, &missing).await.status, 404);
    }
    host.handler.terminate();
    host.handler.ended().await;
    let lines = graded(&host.handler);
    let with = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
    assert_eq!(with("invocation finished status=404"), 2, "{lines:#?}");
    assert_eq!(with("invocation finished status=200"), 0, "{lines:#?}");
    let told = "answers since the last such line 2xx=21 3xx=0 4xx=2 5xx=0 hit=19 miss=2 stale=0 \
                negative=1 refused=0 slowest_ms=";
    assert_eq!(with(told), 1, "{lines:#?}");
    assert!(lines.len() < 15, "{lines:#?}");
}

#[tokio::test]
async fn a_request_that_no_function_answers_is_a_line_too() {
    let mut host = FunctionsHost::start(&[]).await;
    let long = format!("/{}", "x".repeat(5_000));
    for (method, path, status, shown) in [
        (
            "GET",
            "/api/nothing?code=canary-code",
            404,
            "path=/api/nothing ",
        ),
        ("POST", "/", 405, "path=/ "),
        ("GET", "/config-check", 405, "path=/config-check "),
        ("GET", "/api/a%0Ab", 404, "path=/api/a… "),
        (
            "GET",
            "/api/config-check&code=canary-code",
            404,
            "path=/api/config-check… ",
        ),
        (
            "GET",
            "/api/secrets/canary-name/x",
            404,
            "path=/api/secrets… ",
        ),
        ("GET", long.as_str(), 404, "xxx… "),
    ] {
        let request = client().request(method.parse().expect("a method"), host.at(path));
        let answer = Answer::of(request.send().await.expect("an answer")).await;
        assert_eq!(answer.status, status, "{method} {path}");
        host.handler.wrote(shown).await;
    }
    host.handler.terminate();
    host.handler.ended().await;
    let lines = graded(&host.handler);
    let lines = lines
        .iter()
        .filter(|line| line.contains("no function answers this"));
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines.len(), 7, "one for each request: {lines:?}");
    for line in lines {
        assert!(
            line.starts_with("INFO") || line.starts_with(" INFO"),
            "{line}"
        );
        assert!(
            line.contains("method=") && line.contains("status=40"),
            "{line}"
        );
        assert!(line.len() < 400, "{} characters", line.len());
    }
}

#[test]
fn every_level_is_graded_as_itself_and_one_event_is_one_line() {
    let binary = env::current_exe().expect("this test");
    let name = format!(
        "{}::writes_every_level",
        module_path!().split_once("::").expect("a module").1
    );
    let arguments = [
        "--ignored",
        "--exact",
        name.as_str(),
        "--nocapture",
        "--quiet",
    ];
    let mut handler = Handler::start_binary(&binary, repository(), &arguments, &[]);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    assert!(
        runtime.block_on(handler.ended()).success(),
        "{}",
        handler.output()
    );
    let mut seen = Vec::new();
    for stream in [Stream::Stdout, Stream::Stderr] {
        for line in handler.lines(stream) {
            if line.contains("promises::") {
                let level = line.split_whitespace().next().expect("a level").to_owned();
                seen.push((level, grade(stream, &line)));
                assert!(line.contains("over two lines"), "{line}");
            }
        }
    }
    let expected = [
        ("TRACE", "Information"),
        ("DEBUG", "Information"),
        ("INFO", "Information"),
        ("WARN", "Warning"),
        ("ERROR", "Error"),
    ];
    assert_eq!(
        seen,
        expected.map(|(level, grade)| (level.to_owned(), grade))
    );
    let panic = handler.lines(Stream::Stderr);
    let panic = panic
        .iter()
        .filter(|line| line.contains("a handler panicked"));
    let panic: Vec<_> = panic.map(|line| grade(Stream::Stderr, line)).collect();
    assert_eq!(panic, ["Error"]);
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
fn writes_every_level() {
    let all = Targets::new().with_default(tracing::Level::TRACE);
    let telemetry = telemetry::start(&all, LineStyle::Host, &Export::default()).expect("a thread");
    tracing::trace!("over\ntwo lines");
    tracing::debug!("over\ntwo lines");
    tracing::info!(with = "a\nfield", "over\ntwo lines");
    tracing::warn!("over\ntwo lines");
    tracing::error!("over\ntwo lines");
    let panicked = std::thread::spawn(|| panic!("canary")).join();
    assert!(panicked.is_err());
    telemetry.flush();
}

/// Takes every line of this thread.
fn lines_of_this_thread() -> (Lines, DefaultGuard) {
    Lines::of_this_thread(&Targets::new().with_default(tracing::Level::DEBUG))
}

/// Status, code and cache outcome of the last request.
fn last(lines: &Lines) -> (String, String, String) {
    let written = lines.text();
    let line = written
        .lines()
        .rfind(|line| line.contains("invocation finished"));
    let line = line.expect("a line").to_owned();
    let field = |name: &str| {
        let value = line
            .split_whitespace()
            .find_map(|part| part.strip_prefix(name));
        value.unwrap_or_default().trim_matches('"').to_owned()
    };
    (field("status="), field("code="), field("cache="))
}
/// The name of a function, or a path, is what a person typed.
#[tokio::test]
async fn a_name_with_warn_in_it_makes_no_error_a_warning() {
    let (lines, _in_this_thread) = lines_of_this_thread();
    let function =
        r#"{"bindings":[{"type":"httpTrigger","name":"req"},{"type":"http","name":"res"}]}"#;
    let manifest = Manifest::parse("{}", &[("Forewarned", function)]).expect("valid");
    let breaks = async || {
        tracing::error!("an error of a function");
        "answer"
    };
    let functions = Functions::new().register("Forewarned", breaks);
    let router = functions.router(&manifest, &(), &Access::Host, Limits::default());
    let router = router.expect("fitting");
    let direct = Request::get("/api/Forewarned").body(Body::empty());
    let found = answer(&router, direct.expect("a request")).await;
    assert_eq!(found.status, 200);
    let key =
        r#"{"Data":{"req":{"Method":"GET","Url":"http://x/api/Forewarned","Identities":[]}}}"#;
    let envelope = Request::post("/Forewarned").body(Body::from(key));
    answer(&router, envelope.expect("a request")).await;
    let written = lines.text();
    assert_eq!(written.matches("Forew*rned").count(), 4, "{written}");
    for line in written.lines() {
        assert!(!line.to_ascii_lowercase().contains("warn"), "{line}");
    }
}

/// Only proxying tells the handler: the answer would reach nobody, and the line says so in place
/// of the outcome.
#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_is_a_line() {
    let (lines, _in_this_thread) = lines_of_this_thread();
    let app = InProcess::new(MetadataSource::Versions);
    app.fail_with(Fault::Delay(Duration::from_secs(2)));
    let request = Request::get("/api/secrets/ExternalApiKey")
        .header("x-azure-functions-invocationid", INVOCATION_ID)
        .body(Body::empty())
        .expect("a request");
    let patience = Duration::from_millis(1_500);
    let answer = tokio::time::timeout(patience, app.send(request)).await;
    assert!(answer.is_err(), "{answer:?}");
    let written = lines.text();
    let left: Vec<_> = written
        .lines()
        .filter(|line| line.contains("the caller left after 1500 ms"))
        .collect();
    assert_eq!(left.len(), 1, "{written}");
    assert!(
        left[0].contains("INFO") && left[0].contains(INVOCATION_ID),
        "{}",
        left[0]
    );
    assert!(left[0].contains("secrets-metadata"), "{}", left[0]);
    assert!(!written.contains("invocation finished"), "{written}");
    let there = app.get("/api/config-check").await;
    assert_eq!(there.status, 200);
    let written = lines.text();
    assert_eq!(written.matches("the caller left").count(), 1, "{written}");
}

/// The same through a real connection, as the host's proxy ends it.
#[tokio::test]
async fn a_connection_that_the_host_ends_is_a_line() {
    let vault = TlsVault::start().await;
    let host = vault.host(&[]).await;
    host.handler.wrote("Key Vault answers").await;
    let before = vault.requests();
    vault.fail_with(Fault::Delay(Duration::from_secs(3)));
    let mut connection = TcpStream::connect(("127.0.0.1", host.port))
        .await
        .expect("connected");
    let request = b"GET /api/secrets/ExternalApiKey HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut connection, request)
        .await
        .expect("sent");
    vault.was_asked_after(before).await;
    drop(connection);
    host.handler.wrote("the caller left after ").await;
}

#[tokio::test(start_paused = true)]
async fn the_line_of_a_request_says_how_the_answer_was_found() {
    let (lines, _in_this_thread) = lines_of_this_thread();
    let app = InProcess::new(MetadataSource::Versions);
    let get = async |path: &str| {
        let request = Request::get(path)
            .header("x-azure-functions-invocationid", INVOCATION_ID)
            .body(Body::empty());
        app.send(request.expect("a request")).await;
        last(&lines)
    };
    let expect = |status: &str, code: &str, cache: &str| {
        (status.to_owned(), code.to_owned(), cache.to_owned())
    };
    let (here, gone) = ("/api/secrets/ExternalApiKey", "/api/secrets/Missing");
    assert_eq!(get(here).await, expect("200", "", "miss"));
    assert_eq!(get(here).await, expect("200", "", "hit"));
    assert_eq!(get(gone).await, expect("404", "SecretNotFound", "miss"));
    assert_eq!(get(gone).await, expect("404", "SecretNotFound", "negative"));
    assert_eq!(get("/api/config-check").await, expect("200", "", "none"));
    assert_eq!(
        get("/api/secrets/a_b").await,
        expect("400", "InvalidSecretName", "none")
    );

    app.fail_with(Fault::Outage(500));
    advance(Duration::from_secs(331)).await;
    assert_eq!(get(here).await, expect("200", "", "stale"));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let unavailable = "VaultUnavailable";
    assert_eq!(get(here).await, expect("200", unavailable, "stale"));
    advance(Duration::from_secs(3_600)).await;
    assert_eq!(get(here).await, expect("503", unavailable, "miss"));
    assert_eq!(get(here).await, expect("503", unavailable, "negative"));
}

/// A reference is tried again and again; what did not change is not written again.
#[tokio::test(start_paused = true)]
async fn a_finding_about_a_reference_is_one_line_until_it_changes() {
    let (lines, _in_this_thread) = lines_of_this_thread();
    let value = "@Microsoft.KeyVault(VaultName=embedded;SecretName=ExternalApiKey)";
    let app = InProcess::with(Setup {
        settings: vec![AppSetting::new("KEY", value.to_owned().into())],
        resolves: Resolves::Handler,
        ..Setup::default()
    });
    let look_thrice = async |fault: Option<Fault>| {
        app.fail_with(fault);
        for _ in 0..3 {
            app.get("/api/config-check").await;
            // What was found stands for 10 s.
            advance(Duration::from_secs(11)).await;
        }
    };
    look_thrice(Some(Fault::Deny("ForbiddenByRbac"))).await;
    look_thrice(Some(Fault::BadParameter)).await;
    let read_before = app.reads();
    look_thrice(Some(Fault::Deny("ForbiddenByRbac"))).await;
    assert_eq!(app.reads(), read_before + 3, "each look tries it");
    look_thrice(None).await;
    let written = lines.text();
    let findings: Vec<_> = written
        .lines()
        .filter(|line| line.contains("Key Vault reference"))
        .collect();
    let expected = [
        (
            "WARN",
            "not resolved setting=\"KEY\" code=\"AccessToKeyVaultDenied\"",
        ),
        (
            "WARN",
            "not resolved setting=\"KEY\" code=\"RequestRefused\"",
        ),
        (
            "WARN",
            "not resolved setting=\"KEY\" code=\"AccessToKeyVaultDenied\"",
        ),
        ("INFO", "resolved setting=\"KEY\""),
    ];
    assert_eq!(findings.len(), expected.len(), "{written}");
    for (line, (level, text)) in findings.iter().zip(expected) {
        assert!(line.contains(level) && line.contains(text), "{line}");
    }
}
