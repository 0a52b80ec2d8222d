//! `handler check` tries the references of any app from a laptop or a pipeline: each secret once,
//! no value read, and nothing of the other settings kept or printed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    iter,
    path::Path,
    process::{Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use azure_core::http::{AsyncRawResponse, HttpClient, Request, StatusCode, headers::Headers};
use keyvault_functions::{
    dev_vault::DevVault,
    diagnosis::Cause,
    key_vault::{Connection, Error, Vaults},
    references::{Reference, check},
};
use serde_json::{Value, json};

use super::support::{DevVaultProcess, Folder, Handler, repository};

const GOOD: &str = "@Microsoft.KeyVault(VaultName=embedded;SecretName=ExternalApiKey)";
const MISSING: &str = "@Microsoft.KeyVault(VaultName=embedded;SecretName=Missing)";

/// Runs `handler check` with nothing in its environment but `environment`.
fn check_in(
    folder: &Path,
    arguments: &[&str],
    stdin: &str,
    environment: &[(&str, &str)],
) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_handler"))
        .arg("check")
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let mut input = child.stdin.take().expect("piped");
    // Who needs no input may be gone already.
    let _ = input.write_all(stdin.as_bytes());
    drop(input);
    child.wait_with_output().expect("ended")
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(both).expect("text")
}

/// As `az functionapp config appsettings list -o json` prints it.
fn az_list(settings: &[(&str, &str)]) -> String {
    let entry =
        |(name, value): &(&str, &str)| json!({"name": name, "slotSetting": false, "value": value});
    let all: Vec<_> = settings.iter().map(entry).collect();
    serde_json::to_string_pretty(&all).expect("JSON")
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn what_az_prints_is_checked_from_a_pipe() {
    let folder = Folder::new();
    let list = az_list(&[
        ("GOOD", GOOD),
        ("MISSING", MISSING),
        ("BROKEN", "@Microsoft.KeyVault(VaultName=embedded)"),
        (
            "OTHER",
            "@Microsoft.AppConfiguration(Endpoint=https://s.azconfig.io; Key=K)",
        ),
        ("PLAIN", "canary-value"),
        (
            "AzureWebJobsStorage",
            "DefaultEndpointsProtocol=https;AccountKey=canary-key==",
        ),
    ]);
    let options = ["--name", "func-a", "-g", "rg-a", "--slot", "staging", "-"];
    let output = check_in(folder.path(), &options, &list, &[]);
    let told = text(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    for part in [
        "func-a: 4 of 6 settings are references, 2 cannot be read",
        "✓ GOOD",
        "ExternalApiKey  Readable, 365 d left",
        "SecretNotFound",
        "InvalidSyntax",
        "NotChecked",
        "az functionapp config appsettings set --name func-a --resource-group rg-a --slot staging",
        "The app's own identity may see otherwise",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    // Only the platform can say this.
    assert!(!told.contains("Resolved"), "{told}");
    assert!(!told.contains('\u{1b}'), "colours in a pipe: {told}");
    let is_command = |line: &str| line.starts_with("        az ");
    for line in told.lines().filter(|line| !is_command(line)) {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let strict = check_in(folder.path(), &["--strict"], &list, &[]);
    assert_eq!(strict.status.code(), Some(1));
}

/// Whatever is printed, it holds nothing of what is no reference.
#[test]
fn nothing_of_the_other_settings_is_printed() {
    let folder = Folder::new();
    let settings = [
        ("A", "canary-value-1"),
        ("B", GOOD),
        ("C", "Server=x;Password=canary-value-2"),
    ];
    let lines = settings
        .map(|(name, value)| format!("{name}={value}"))
        .join("\n");
    let values: BTreeMap<_, _> = settings.into();
    let local = json!({"IsEncrypted": false, "Values": values}).to_string();
    for input in [az_list(&settings), lines, local] {
        for options in [
            &[][..],
            &["--json"],
            &["--by", "secret"],
            &["--json", "--by", "secret"],
        ] {
            let told = text(&check_in(folder.path(), options, &input, &[]));
            assert!(told.contains("ExternalApiKey"), "{told}");
            for hidden in ["canary", "sk-abc", "Password"] {
                assert!(!told.contains(hidden), "{told}");
            }
        }
    }
}

#[test]
fn an_exit_code_says_how_it_went() {
    let folder = Folder::new();
    folder.write("good.json", &az_list(&[("A", GOOD)]));
    folder.write("bad.json", &az_list(&[("A", MISSING)]));
    folder.write("foreign.json", "{\"canary\": [1]}");
    folder.write("empty.json", "");
    folder.write("plain.json", &az_list(&[("A", "1")]));
    for (arguments, code, told) in [
        (&["good.json"][..], 0, "nothing is wrong with them"),
        (&["good.json", "--strict"], 0, ""),
        (&["good.json", "--strict", "--expiring", "30d"], 0, ""),
        (&["good.json", "--strict", "--expiring", "400d"], 1, ""),
        (&["good.json", "--expiring", "400d"], 0, ""),
        (&["bad.json"], 0, "1 cannot be read"),
        (&["bad.json", "--strict"], 1, ""),
        (
            &["foreign.json"],
            2,
            "foreign.json: this JSON is no list of settings; expected is",
        ),
        (&["empty.json"], 2, "empty.json: nothing is in it"),
        (&["none.json"], 2, "none.json: cannot be read"),
        (
            &["good.json", "foreign.json"],
            2,
            "foreign: not understood, so not checked",
        ),
        (
            &["plain.json"],
            0,
            "plain: none of 1 settings is a reference",
        ),
        (&["--by", "app"], 64, "--by takes the word secret"),
        (&["--expiring", "soon"], 64, "--expiring takes hours"),
        (
            &["--name", "a", "good.json", "bad.json"],
            64,
            "are about one FILE",
        ),
        (&["--nonsense"], 64, "--nonsense"),
    ] {
        let output = check_in(folder.path(), arguments, "", &[]);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            text(&output)
        );
        assert!(
            text(&output).contains(told),
            "{arguments:?}: {}",
            text(&output)
        );
        assert!(!text(&output).contains("canary"), "{arguments:?}");
    }
}

#[test]
fn several_files_are_several_apps_and_can_be_turned_round() {
    let folder = Folder::new();
    let pinned =
        "@Microsoft.KeyVault(SecretUri=https://embedded.vault.azure.net/secrets/externalapikey)";
    folder.write("orders.json", &az_list(&[("KEY", GOOD), ("GONE", MISSING)]));
    folder.write("shop.json", &az_list(&[("API_KEY", pinned)]));
    folder.write("torn.json", "[{\"name\":");
    let files = ["orders.json", "shop.json", "torn.json"];
    let by_app = check_in(folder.path(), &[&["--json"][..], &files].concat(), "", &[]);
    assert_eq!(by_app.status.code(), Some(2));
    let by_app = json_of(&by_app);
    let apps = by_app["apps"].as_array().expect("apps");
    assert_eq!(apps.len(), 3);
    assert!(apps[2]["error"].is_string(), "{by_app:#}");
    let by_secret = check_in(
        folder.path(),
        &[&["--json", "--by", "secret"][..], &files].concat(),
        "",
        &[],
    );
    let by_secret = json_of(&by_secret);
    let secrets = by_secret["secrets"].as_array().expect("secrets");
    let gone = apps[0]["references"].as_array().expect("an array");
    let gone = gone.iter().find(|one| one["setting"] == "GONE");
    let fix = gone.expect("GONE")["fix"].as_str().expect("text");
    // The file that was read is another.
    assert!(fix.starts_with("Point GONE at a secret of"), "{fix}");
    // The same facts, turned round.
    let mut one_way = BTreeSet::new();
    for app in apps {
        for reference in app["references"].as_array().expect("an array") {
            let secret = reference["secret"].as_str().expect("text").to_lowercase();
            one_way.insert((
                secret,
                reference["state"].clone().to_string(),
                app["app"].to_string(),
                reference["setting"].to_string(),
            ));
        }
    }
    let mut other_way = BTreeSet::new();
    for secret in secrets {
        for user in secret["used_by"].as_array().expect("an array") {
            let name = secret["secret"].as_str().expect("text").to_lowercase();
            other_way.insert((
                name,
                secret["state"].clone().to_string(),
                user["app"].to_string(),
                user["setting"].to_string(),
            ));
        }
    }
    assert_eq!(one_way, other_way);
    assert_eq!(secrets.len(), 2);
    let told = text(&check_in(
        folder.path(),
        &[&["--by", "secret"][..], &files].concat(),
        "",
        &[],
    ));
    for part in [
        "ExternalApiKey in embedded.vault.azure.net",
        "    orders: KEY",
        "    shop: API_KEY",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
}

#[test]
fn by_secret_what_names_no_secret_is_shown_too() {
    let folder = Folder::new();
    let broken = "@Microsoft.KeyVault(VaultName=embedded)";
    folder.write(
        "orders.json",
        &az_list(&[("KEY", GOOD), ("BROKEN", broken)]),
    );
    folder.write("torn.json", "[{\"name\":");
    folder.write("plain.json", &az_list(&[("PLAIN", "canary-value")]));
    let files = ["orders.json", "torn.json", "plain.json"];
    let by_secret = [&["--by", "secret"][..], &files].concat();
    let told = text(&check_in(folder.path(), &by_secret, "", &[]));
    for part in [
        "orders: BROKEN",
        "InvalidSyntax",
        "torn",
        "plain: none of 1",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    let by_secret = [&["--json"][..], &by_secret].concat();
    let told = json_of(&check_in(folder.path(), &by_secret, "", &[]));
    let others = told["others"].as_array().expect("others");
    assert_eq!(others.len(), 2, "{told:#}");
    assert_eq!(others[0]["references"][0]["setting"], "BROKEN");
    assert_eq!(others[0]["references"].as_array().map(Vec::len), Some(1));
    assert!(others[1]["error"].is_string());
}

#[test]
fn two_files_of_one_name_are_told_apart() {
    let folder = Folder::new();
    for part in ["test", "prod"] {
        fs::create_dir(folder.path().join(part)).expect("a folder");
        folder.write(&format!("{part}/orders.json"), &az_list(&[("KEY", GOOD)]));
    }
    let files = ["test/orders.json", "prod/orders.json"];
    for options in [&[][..], &["--by", "secret"]] {
        let told = text(&check_in(
            folder.path(),
            &[options, &files].concat(),
            "",
            &[],
        ));
        for file in files {
            assert!(told.contains(file), "{file} is not in {told}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_report_that_cannot_be_written_is_no_success() {
    let folder = Folder::new();
    folder.write("orders.json", &az_list(&[("KEY", GOOD)]));
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let output = Command::new(env!("CARGO_BIN_EXE_handler"))
        .args(["check", "orders.json"])
        .current_dir(folder.path())
        .env_clear()
        .stdin(Stdio::null())
        .stdout(full.expect("a device that is full"))
        .output()
        .expect("ended");
    assert_eq!(output.status.code(), Some(74));
    assert_eq!(
        text(&output),
        "keyvault-functions: the report cannot be written: the disk is full\n"
    );
}

/// The list may be anybody's, and so may the vaults that it names.
#[tokio::test]
async fn no_token_leaves_for_another_domain_or_audience() {
    for (host, audience) in [
        ("your-kv.evil.example", "https://vault.azure.net"),
        ("your-kv.evil.example", "https://evil.example"),
        (
            "your-kv.vault.azure.net.evil.example",
            "https://vault.azure.net",
        ),
        ("your-kv.vault.azure.net", "https://evil.example"),
        ("your-kv.vault.azure.net", "https://management.azure.com"),
    ] {
        let transport = Arc::new(Counted {
            audience: Some(audience),
            ..Counted::default()
        });
        let text = format!("@Microsoft.KeyVault(SecretUri=https://{host}/secrets/A)");
        let reference = iter::once(Reference::parse(&text).expect("a reference"));
        let found = check::check(reference, &transport.vaults(), |_, _| {}).await;
        assert!(found.values().all(Result::is_err), "{host}: {found:?}");
        assert_eq!(found.len(), 1);
        let asked = transport.asked.lock().expect("a lock").clone();
        assert!(asked.is_empty(), "{host}, {audience}: {asked:?}");
    }
}

/// Who checks may know their own ids, and which path their requests take.
#[tokio::test]
async fn as_whom_and_on_which_path_it_checks_is_told() {
    let vault = DevVaultProcess::start().await;
    let environment: Vec<_> = ["KEY_VAULT_CA_FILE", "IDENTITY_ENDPOINT", "IDENTITY_HEADER"]
        .map(|name| (name, vault.printed(name)))
        .into();
    let served = vault.printed("KEY_VAULT_URL");
    let good = format!("@Microsoft.KeyVault(SecretUri={served}/secrets/ExternalApiKey)");
    // Nothing listens there.
    let silent = "@Microsoft.KeyVault(SecretUri=https://localhost:1/secrets/A)";
    let list = az_list(&[("GOOD", &good), ("SILENT", silent)]);
    let folder = Folder::new();
    let printed = text(&check_in(folder.path(), &["-"], &list, &environment));
    let ids = "00000000-0000-0000-0000-000000000000";
    let one_line = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        &*format!(
            "Checked from here with managed identity, system-assigned: dev-vault, object id {ids}, tenant {ids}. No value was read."
        ),
        "Path from here: the name resolves to",
        "(this machine).",
    ] {
        assert!(one_line.contains(expected), "{expected}: {printed}");
    }
    for line in printed.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
    let json = json_of(&check_in(
        folder.path(),
        &["--json", "-"],
        &list,
        &environment,
    ));
    let identity = json!({
        "kind": "system-assigned", "name": "dev-vault",
        "object_id": ids, "client_id": ids, "tenant": ids,
    });
    assert_eq!(json["identity"], identity, "{json}");
    let references = &json["apps"][0]["references"];
    assert_eq!(references[0]["path"], Value::Null, "{json}");
    assert_eq!(references[1]["path"]["problem"], "NoConnection", "{json}");
    vault.stop().await;
}

#[test]
fn names_of_any_length_fit_a_terminal() {
    let folder = Folder::new();
    for length in [1, 20, 27, 28, 35, 50, 56] {
        let (name, secret) = ("N".repeat(length), "s".repeat(length));
        let missing = format!("@Microsoft.KeyVault(VaultName=embedded;SecretName={secret})");
        let list = az_list(&[(&name, GOOD), ("SHORT", &missing)]);
        for options in [&["-"][..], &["--by", "secret", "-"]] {
            let told = text(&check_in(folder.path(), options, &list, &[]));
            assert!(told.contains("Readable, 365 d left"), "{told}");
            let is_command = |line: &str| line.starts_with("        az ");
            for line in told.lines().filter(|line| !is_command(line)) {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }
}

#[tokio::test]
async fn at_a_terminal_it_has_colours_and_fits() {
    let folder = Folder::new();
    let settings = fs::read_to_string(repository().join("local.settings.json")).expect("the file");
    folder.write("local.settings.json", &settings);
    let arguments = ["check", "local.settings.json"];
    let mut handler = Handler::start_in_terminal(folder.path(), &arguments, &[]);
    let status = handler.ended().await;
    let output = handler.output();
    assert_eq!(status.code(), Some(0), "{output}");
    assert!(
        output.contains("\u{1b}[32m✓\u{1b}[0m EXTERNAL_API_KEY"),
        "{output}"
    );
    assert!(
        output.contains("In local.settings.json, point PAYMENT_API_KEY"),
        "{output}"
    );
    let arguments = ["check", "--help"];
    let mut handler = Handler::start_in_terminal(folder.path(), &arguments, &[]);
    handler.ended().await;
    for line in handler.output().lines() {
        assert!(line.trim_end().chars().count() <= 80, "{line}");
    }
}

/// 1,000 settings of which 300 are references, over TLS and with an identity.
#[tokio::test]
async fn a_large_app_costs_two_requests_for_each_secret() {
    const SECRETS: usize = 300;
    let names: Vec<_> = (0..SECRETS)
        .map(|number| format!("Secret{number}"))
        .collect();
    let contents = names
        .iter()
        .map(|name| (name.clone(), json!({"value": "canary-value"})));
    let contents = json!({"secrets": contents.collect::<serde_json::Map<_, _>>()}).to_string();
    let vault = DevVaultProcess::start_with(&contents).await;
    let settings: Vec<_> = (0..1_000)
        .map(|number| {
            let name = names.get(number);
            let reference =
                |name| format!("@Microsoft.KeyVault(VaultName=embedded;SecretName={name})");
            let value = name.map_or_else(|| format!("canary-{number}"), reference);
            (format!("SETTING_{number}"), value)
        })
        .collect();
    let pairs: Vec<_> = settings
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let list = az_list(&pairs);
    let environment: Vec<_> = [
        "KEY_VAULT_URL",
        "KEY_VAULT_CA_FILE",
        "IDENTITY_ENDPOINT",
        "IDENTITY_HEADER",
    ]
    .map(|name| (name.to_owned(), vault.printed(name).to_owned()))
    .into();
    let folder = Folder::new();
    let checked = tokio::task::spawn_blocking(move || {
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        check_in(folder.path(), &["--strict", "--json"], &list, &environment)
    });
    let output = checked.await.expect("ended");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(!text(&output).contains("canary"));
    let references = json_of(&output)["apps"][0]["references"]
        .as_array()
        .map(Vec::len);
    assert_eq!(references, Some(SECRETS));
    let asked = vault.stop().await;
    assert_eq!(asked.signed, 2 * SECRETS);
    assert_eq!(asked.tokens, 1);
}

/// Vaults of any name, of which each request is remembered.
#[derive(Debug, Default)]
struct Counted {
    asked: Mutex<Vec<String>>,
    /// How many requests are throttled before the first that is not.
    throttled: AtomicUsize,
    /// Get is allowed, and List is not.
    may_not_list: bool,
    /// What the vault says that a token should be for.
    audience: Option<&'static str>,
}

impl Counted {
    fn vaults(self: &Arc<Self>) -> Arc<Vaults> {
        let credential = DevVault::default().credential();
        let connection = Connection::new(self.clone(), credential).without_budget();
        Arc::new(Vaults::new(move || {
            std::future::ready(Ok(connection.clone()))
        }))
    }
}

#[async_trait]
impl HttpClient for Counted {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let mut headers = Headers::new();
        if request
            .headers()
            .get_optional_str(&"authorization".into())
            .is_none()
        {
            let audience = self.audience.unwrap_or("https://vault.azure.net");
            let challenge = format!(
                "Bearer authorization=\"https://login.microsoftonline.com/t\", \
                 resource=\"{audience}\""
            );
            headers.insert("www-authenticate", challenge);
            return Ok(AsyncRawResponse::from_bytes(
                StatusCode::Unauthorized,
                headers,
                "",
            ));
        }
        let url = request.url();
        let path = url.path().trim_end_matches('/').to_owned();
        let host = url.host_str().expect("a host");
        self.asked
            .lock()
            .expect("a lock")
            .push(format!("{host}{path}"));
        let is_throttled = |left: usize| left.checked_sub(1);
        let throttled =
            self.throttled
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, is_throttled);
        if throttled.is_ok() {
            headers.insert("retry-after", "7");
            let body = json!({"error": {"code": "Throttled", "message": ""}});
            return Ok(AsyncRawResponse::from_bytes(
                StatusCode::TooManyRequests,
                headers,
                body.to_string(),
            ));
        }
        let (status, body) = match path.strip_suffix("/versions") {
            Some(_) if self.may_not_list => (
                StatusCode::Forbidden,
                json!({"error": {
                    "code": "Forbidden",
                    "message": "",
                    "innererror": {"code": "ForbiddenByRbac"},
                }}),
            ),
            Some(secret) => {
                let id = format!("https://{host}{secret}/86126c1a06244d778606e003c7e7cb34");
                (
                    StatusCode::Ok,
                    json!({"value": [{"id": id, "attributes": {"enabled": true}}]}),
                )
            }
            // The version that no secret has.
            None => (
                StatusCode::NotFound,
                json!({"error": {"code": "SecretNotFound", "message": ""}}),
            ),
        };
        Ok(AsyncRawResponse::from_bytes(
            status,
            headers,
            body.to_string(),
        ))
    }
}

#[tokio::test]
async fn forty_apps_that_share_sixty_secrets_ask_for_each_once() {
    let transport = Arc::new(Counted::default());
    let vaults = transport.vaults();
    // Every app uses every secret, in one spelling or another.
    let references = (0..40).flat_map(|app| {
        (0..60).map(move |number| {
            let name = if app % 2 == 0 { "Secret" } else { "SECRET" };
            let text = format!(
                "@Microsoft.KeyVault(VaultName=your-kv{};SecretName={name}{number})",
                number % 3
            );
            Reference::parse(&text).expect("a reference")
        })
    });
    let told = Mutex::new(Vec::new());
    let found = check::check(references, &vaults, |done, all| {
        told.lock().expect("a lock").push((done, all));
    })
    .await;
    assert_eq!(found.len(), 60);
    assert!(found.values().all(Result::is_ok), "{found:?}");
    let asked = transport.asked.lock().expect("a lock").clone();
    // May it be got, and which versions are there?
    assert_eq!(asked.len(), 2 * 60);
    assert_eq!(asked.iter().collect::<BTreeSet<_>>().len(), 2 * 60);
    assert_eq!(told.into_inner().expect("a lock").last(), Some(&(60, 60)));
}

fn one_reference() -> Reference {
    Reference::parse("@Microsoft.KeyVault(VaultName=your-kv;SecretName=A)").expect("a reference")
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_throttles_is_waited_for_as_long_as_it_says() {
    let transport = Arc::new(Counted {
        throttled: AtomicUsize::new(2),
        ..Counted::default()
    });
    let vaults = transport.vaults();
    let begun = tokio::time::Instant::now();
    let found = check::check(iter::once(one_reference()), &vaults, |_, _| {}).await;
    assert!(found.values().all(Result::is_ok), "{found:?}");
    assert!(begun.elapsed().as_secs() >= 14, "{:?}", begun.elapsed());
    assert_eq!(transport.asked.lock().expect("a lock").len(), 2 + 2);
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_throttles_for_ever_is_not_waited_for_for_ever() {
    let transport = Arc::new(Counted {
        throttled: AtomicUsize::new(usize::MAX),
        ..Counted::default()
    });
    let vaults = transport.vaults();
    let begun = tokio::time::Instant::now();
    let found = check::check(iter::once(one_reference()), &vaults, |_, _| {}).await;
    let found: Vec<_> = found.into_values().collect();
    assert!(
        matches!(found[..], [Err(Cause::Failed(Error::Throttled { .. }))]),
        "{found:?}"
    );
    assert!(begun.elapsed().as_secs() <= 120, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn who_may_get_and_not_list_is_not_told_that_a_secret_is_there() {
    let transport = Arc::new(Counted {
        may_not_list: true,
        ..Counted::default()
    });
    let found = check::check(iter::once(one_reference()), &transport.vaults(), |_, _| {}).await;
    let found: Vec<_> = found.into_values().collect();
    assert!(matches!(found[..], [Err(Cause::MayNotList)]), "{found:?}");
}
