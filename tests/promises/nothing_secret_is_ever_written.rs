//! Values, tokens and keys go through every path, and neither an answer nor a line of the log
//! has one of them in any form.
//!
//! The search itself is in [`super::support::leaks`]. It reads whatever a handler wrote, at
//! `RUST_LOG=trace`, when a test lets go of it, and every answer.

use std::{fs, net::TcpListener, process::Command};

use axum::{body::Body, extract::Request};
use keyvault_functions::{
    dev_vault::{Attributes, NewSecret},
    host::{
        invocation::{Access, Limits},
        router::Functions,
    },
    settings::names,
    telemetry::{self, Export, LineStyle},
};

use super::support::{
    Answer, ClientRequest, FunctionsHost, Handler, Identity, Key, MODES, Protocol, Standalone,
    Stream, TlsVault, Wire, answer, client, free_port, leaks, read_envelope, repository,
    two_functions,
};

/// A value that every encoding writes in its own way. At most its first four characters are
/// ever shown.
const HOSTILE: &str = "canary \"q\" \\ +/=?&% é <b>'\t~";
const WRONG_KEY: &str = "canary-wrong-key";

/// What a client can ask for, with a key in the header and in the URL, as the host hands both on.
fn requests() -> Vec<ClientRequest> {
    let zeros = "0".repeat(32);
    let mut requests = vec![
        ClientRequest::config_check(),
        ClientRequest::config_check().with_header("accept", "text/html"),
        ClientRequest::config_check().with_query("strict", "true"),
        ClientRequest::config_check().with_query("strict", "canary"),
        ClientRequest::config_check().with_query("freshness", "true"),
        ClientRequest::config_check()
            .with_query("freshness", "true")
            .with_header("accept", "text/html"),
        ClientRequest::config_check().with_key(Key::None),
        ClientRequest::secret("Hostile"),
        ClientRequest::secret("Hostile").with_query("refresh", "true"),
        ClientRequest::secret("Hostile").with_query("version", &zeros),
        ClientRequest::secret("Hostile").with_query("version", "canary"),
        ClientRequest::secret("Off"),
        ClientRequest::secret("Missing"),
        ClientRequest::secret("a_b"),
        ClientRequest::secret("Hostile").with_key(Key::Function),
    ];
    requests = requests
        .into_iter()
        .map(|request| {
            request
                .with_query("code", "canary-key-in-the-url")
                .with_header("x-functions-key", "canary-key-in-the-header")
                .with_header("authorization", "Bearer canary-token-of-the-client")
                .with_header("cookie", "session=canary-cookie")
        })
        .collect();
    requests
}

async fn ask_everything(host: &FunctionsHost, secrets: &[String]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for mode in MODES {
        for request in requests() {
            let answer = host.call(mode, &request).await;
            leaks::assert_none("an answer", &format!("{answer:?}"), secrets);
            answers.push(answer);
        }
    }
    answers
}

/// A vault with values that would be noticed.
async fn vault() -> TlsVault {
    let vault = TlsVault::start().await;
    let set = |name: &str, secret| vault.vault.store().set(name, secret).expect("set");
    set("Hostile", NewSecret::of(HOSTILE));
    set("Older", NewSecret::of("canary of an older version"));
    set("Older", NewSecret::of(HOSTILE));
    set(
        "Off",
        NewSecret {
            attributes: Attributes {
                enabled: false,
                ..Attributes::default()
            },
            ..NewSecret::of(HOSTILE)
        },
    );
    vault
}

/// Settings of an app whose platform has put the vault's values in.
fn app_settings(vault: &TlsVault) -> Vec<(&'static str, String)> {
    let reference = |name: &str| {
        let port = vault.port;
        format!("@Microsoft.KeyVault(SecretUri=https://localhost:{port}/secrets/{name})")
    };
    let report = serde_json::json!({
        "EXTERNAL_API_KEY": {"rawReference": reference("Hostile"), "status": "Resolved"},
        "DATABASE_PASSWORD": {"rawReference": reference("Older"), "status": "Resolved"},
        "BROKEN": {"rawReference": reference("Missing"), "status": "SecretNotFound"},
    });
    vec![
        ("EXTERNAL_API_KEY", HOSTILE.to_owned()),
        ("DATABASE_PASSWORD", "canary of before".to_owned()),
        ("BROKEN", reference("Missing")),
        ("WEBSITE_KEYVAULT_REFERENCES", report.to_string()),
    ]
}

fn borrowed<'a>(settings: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    let borrow = |(name, value): &'a (&'static str, String)| (*name, value.as_str());
    settings.iter().map(borrow).collect()
}

#[tokio::test]
async fn a_healthy_vault_leaks_nothing_in_any_mode_from_either_source() {
    for (source, statuses) in [
        ("versions", &[200, 400, 401, 404, 503][..]),
        ("get", &[200, 400, 401, 404, 409, 503]),
    ] {
        let vault = vault().await;
        let mut settings = app_settings(&vault);
        settings.push(("SECRET_METADATA_SOURCE", source.to_owned()));
        let host = vault.host(&borrowed(&settings)).await;
        let answers = ask_everything(&host, &[vault.token().to_owned()]).await;
        let mut met: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        met.sort_unstable();
        met.dedup();
        assert_eq!(met, statuses, "{source}");
        let shown = answers.iter().any(|answer| answer.body.contains("cana..."));
        assert!(shown, "the values were there: {answers:?}");
        let stale = answers.iter().any(|answer| answer.body.contains("stale"));
        assert!(stale, "the values were compared: {answers:?}");
    }
}

/// Values come in through references where nobody else resolves them.
#[tokio::test]
async fn values_that_the_handler_reads_itself_are_not_written() {
    let vault = vault().await;
    let mut settings = app_settings(&vault);
    settings.retain(|(name, _)| *name != "WEBSITE_KEYVAULT_REFERENCES");
    settings.push(("AZURE_FUNCTIONS_ENVIRONMENT", "Development".to_owned()));
    settings[0].1 = settings[2].1.replace("Missing", "Hostile");
    let host = vault.host(&borrowed(&settings)).await;
    let answers = ask_everything(&host, &[vault.token().to_owned()]).await;
    let shown = answers.iter().any(|answer| answer.body.contains("cana..."));
    assert!(shown, "the value was read: {answers:?}");
}

/// A vault, or what stands in its place, that sends back whatever it was sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_vault_echoes_is_not_written() {
    let mut cases = Vec::new();
    for status in [200, 302, 307, 400, 401, 403, 404, 409, 429, 500, 503] {
        cases.extend([(status, "versions"), (status, "get")]);
    }
    let run = async |(status, source): &(u16, &str)| {
        let vault = vault().await;
        let mut settings = app_settings(&vault);
        settings.push(("SECRET_METADATA_SOURCE", (*source).to_owned()));
        let host = vault.host(&borrowed(&settings)).await;
        vault.wire(Wire::Echoes(*status));
        for request in requests() {
            let answer = host.call(Protocol::Envelope, &request).await;
            let token = [vault.token().to_owned()];
            leaks::assert_none("an answer", &format!("{answer:?}"), &token);
        }
        let request = ClientRequest::secret("Other");
        let failed = host.call(Protocol::Envelope, &request).await;
        let code = match status {
            400 => "RequestRefused",
            401 => "UnauthorizedClient",
            403 => "AccessToKeyVaultDenied",
            429 => "Throttled",
            500 | 503 => "VaultUnavailable",
            _ => "UnexpectedAnswer",
        };
        assert_eq!(failed.json()["code"], code, "{status} {source}: {failed:?}");
    };
    for some in cases.chunks(6) {
        futures_util::future::join_all(some.iter().map(run)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secret_header_that_the_identity_endpoint_echoes_is_not_written() {
    let run = async |status: u16| {
        let vault = vault().await;
        vault.identity(Identity::Echoes(status));
        let host = vault.host(&[]).await;
        let request = ClientRequest::secret("Hostile");
        let answer = host.call(Protocol::Envelope, &request).await;
        leaks::assert_none("an answer", &answer.body, &[vault.token().to_owned()]);
        assert_eq!(answer.json()["code"], "CredentialUnavailable", "{status}");
    };
    let statuses = [200, 302, 400, 401, 403, 404, 429, 500];
    futures_util::future::join_all(statuses.map(run)).await;
}

/// Entra ID, or what stands in its place, that echoes an application's secret or its assertion.
#[tokio::test]
async fn the_credential_that_the_authority_echoes_is_not_written() {
    let folder = super::support::Folder::new();
    folder.write("token", "canary-federated-token");
    let token_file = folder.path().join("token").display().to_string();
    for own in [
        ("AZURE_CLIENT_SECRET", "canary-client-secret"),
        ("AZURE_FEDERATED_TOKEN_FILE", token_file.as_str()),
    ] {
        for status in [200, 302, 400, 401, 500] {
            let vault = vault().await;
            let authority = format!("https://localhost:{}", vault.port);
            vault.wire(Wire::Echoes(status));
            let settings = [
                ("AZURE_AUTHORITY_HOST", authority.as_str()),
                ("AZURE_TENANT_ID", "00000000-0000-0000-0000-000000000001"),
                ("AZURE_CLIENT_ID", "00000000-0000-0000-0000-000000000002"),
                own,
            ];
            let host = vault.host(&settings).await;
            let request = ClientRequest::secret("Hostile");
            let answer = host.call(Protocol::Envelope, &request).await;
            let code = &answer.json()["code"];
            assert_eq!(code, "CredentialUnavailable", "{own:?} {status}");
        }
    }
}

/// The token would go along.
#[tokio::test]
async fn a_redirect_of_the_vault_is_not_followed() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").expect("a port");
    elsewhere.set_nonblocking(true).expect("set");
    let port = elsewhere.local_addr().expect("an address").port();
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:{port}/canary\r\nContent-Length: 2\r\n\r\n{{}}"
    );
    let vault = vault().await;
    let host = vault.host(&[]).await;
    vault.wire(Wire::Says(redirect.leak()));
    let request = ClientRequest::secret("Hostile");
    let answer = host.call(Protocol::Envelope, &request).await;
    assert_eq!(answer.json()["code"], "UnexpectedAnswer", "{answer:?}");
    let followed = elsewhere.accept();
    assert!(followed.is_err(), "{followed:?}");
}

#[tokio::test]
async fn keys_of_a_standalone_handler_are_not_written_with_any_status() {
    const FUNCTION: &str = "canary-function-key";
    const MASTER: &str = "canary-master-key";
    let environment = [
        ("STANDALONE_FUNCTION_KEY", FUNCTION),
        ("STANDALONE_MASTER_KEY", MASTER),
        ("PLAIN_SETTING", HOSTILE),
    ];
    let standalone = Standalone::start(repository(), &environment).await;
    let mut met = Vec::new();
    for path in [
        "/",
        "/api/config-check",
        "/api/config-check?strict=true",
        "/api/config-check?freshness=true",
        "/api/config-check?strict=7",
        "/api/secrets/ExternalApiKey",
        "/api/secrets/Missing",
        "/api/secrets/a_b",
        "/API/Secrets/ExternalApiKey/",
        "/api/nothing",
        "/config-check",
    ] {
        for key in [FUNCTION, MASTER, WRONG_KEY] {
            let separator = if path.contains('?') { '&' } else { '?' };
            let in_url = standalone.url(&format!("{path}{separator}code={key}"));
            let in_header = standalone.url(path);
            for accept in ["application/json", "text/html"] {
                let accept = ("accept", accept);
                let one = standalone.get(&in_url, &[accept]).await;
                let header = ("x-functions-key", key);
                let two = standalone.get(&in_header, &[accept, header]).await;
                met.extend([one.status, two.status]);
            }
            let post = client().post(in_url).body(HOSTILE).send().await;
            met.push(Answer::of(post.expect("an answer")).await.status);
        }
    }
    let mut many = client().get(standalone.url("/api/config-check"));
    for number in 0..150 {
        many = many.header(format!("x-{number}"), MASTER);
    }
    met.push(many.send().await.expect("an answer").status().as_u16());
    met.sort_unstable();
    met.dedup();
    assert_eq!(met, [200, 307, 400, 401, 404, 405, 431, 503]);
}

#[tokio::test]
async fn values_of_refused_settings_are_not_written() {
    let kept = [names::RUST_LOG, names::FUNCTIONS_APP_ROOT_PATH];
    let names = names::ALL.iter().filter(|name| !kept.contains(name));
    let bad: Vec<_> = names.map(|name| (*name, "canary \"\\ é")).collect();
    let mut handler = Handler::start(repository(), &[], &bad);
    assert_eq!(handler.ended().await.code(), Some(78));
    let lines = handler.lines(Stream::Stderr);
    assert!(lines.len() >= 5, "{lines:?}");
}

#[tokio::test]
async fn contents_of_refused_envelopes_are_not_written() {
    let host = FunctionsHost::start_in(repository(), free_port(), &[]).await;
    let whole = ClientRequest::secret("Hostile")
        .with_header("x-functions-key", "canary-key")
        .envelope()
        .to_string();
    for body in [
        whole[..whole.len() / 2].to_owned(),
        whole.replace("\"GET\"", "\"canary method\""),
        whole.replace("\"req\"", "\"canary\""),
        format!("{}{whole}", " ".repeat(1024 * 1024)),
        "canary".to_owned(),
    ] {
        let response = host.post("secrets-metadata", body.into_bytes()).await;
        let (answer, _) = read_envelope(&response);
        assert!([400, 413].contains(&answer.status), "{answer:?}");
    }
}

/// Runs in a process of its own, for [`what_a_panic_says_is_not_written`].
#[tokio::test]
#[ignore = "takes over the process's log and panics on purpose"]
async fn child_with_functions_that_panic() {
    async fn panics() -> String {
        let number: Result<u8, _> = HOSTILE.parse().map_err(|_| HOSTILE);
        number.expect("canary").to_string()
    }
    async fn panics_elsewhere() -> String {
        let elsewhere = tokio::spawn(async { std::panic::panic_any(HOSTILE.to_owned()) });
        let _: Result<(), _> = elsewhere.await;
        panic!("{HOSTILE}")
    }
    let all = "trace".parse().expect("a filter");
    let telemetry = telemetry::start(&all, LineStyle::Host, &Export::default()).expect("a thread");
    let router = Functions::new()
        .register("config-check", panics)
        .register("secrets-metadata", panics_elsewhere)
        .router(&two_functions(), &(), &Access::Host, Limits::default())
        .expect("fitting");
    for path in ["/api/config-check", "/api/secrets/x"] {
        let request = Request::get(format!("{path}?code=canary-key")).body(Body::empty());
        let answer = answer(&router, request.expect("a request")).await;
        tracing::info!(?answer, "answered");
    }
    for request in [ClientRequest::config_check(), ClientRequest::secret("x")] {
        let body = Body::from(request.envelope().to_string());
        let function = format!("/{}?code=canary-key", request.function);
        let request = Request::post(function).body(body).expect("a request");
        let answer = answer(&router, request).await;
        tracing::info!(?answer, "answered");
    }
    telemetry.flush();
}

#[test]
fn what_a_panic_says_is_not_written() {
    let name = "nothing_secret_is_ever_written::child_with_functions_that_panic";
    let child = Command::new(std::env::current_exe().expect("this test"))
        .args([name, "--exact", "--ignored", "--nocapture"])
        .env("RUST_BACKTRACE", "full")
        .output()
        .expect("started");
    let written = [child.stdout, child.stderr].map(|bytes| {
        let written = String::from_utf8_lossy(&bytes);
        written.into_owned()
    });
    let written = written.concat();
    assert!(child.status.success(), "{written}");
    let is_panic = |line: &&str| line.starts_with("ERROR") && line.contains("a handler panicked");
    let panics = written.lines().map(str::trim_start).filter(is_panic);
    assert_eq!(panics.count(), 6, "{written}");
    assert_eq!(written.matches("answered").count(), 4);
    leaks::assert_none("what the process wrote", &written, &[]);
}

#[test]
fn the_contract_and_the_documents_hold_no_secret() {
    let folders = ["docs", "docs/decisions", "tests/promises/snapshots"];
    let folders = folders.map(|folder| fs::read_dir(repository().join(folder)).expect(folder));
    let entries = folders.into_iter().flatten();
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = paths.filter(|path| path.is_file()).collect();
    files.push(repository().join("README.md"));
    files.push(repository().join("local.settings.json"));
    assert!(files.contains(&repository().join("docs/openapi.json")));
    for file in files {
        let content = fs::read(&file).expect("read");
        let content = String::from_utf8_lossy(&content);
        leaks::assert_none(&file.display().to_string(), &content, &[]);
    }
}
