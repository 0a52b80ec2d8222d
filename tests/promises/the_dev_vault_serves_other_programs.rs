//! `handler dev-vault` gives other programs on this machine a vault and an identity, and the
//! rest of the world nothing. With Microsoft's own clients: `tests/clients/run`.

use std::{fs, net::TcpListener, path::Path};

use keyvault_functions::dev_vault::{Contents, DevVault, VaultName};
use serde_json::Value;

use super::support::{DevVaultProcess, Folder, Handler, Standalone, client, free_port, repository};

async fn list(vault: &DevVaultProcess, host: &str, token: &str) -> (u16, Value) {
    let port = vault.printed("KEY_VAULT_URL").rsplit(':').next();
    let url = format!(
        "https://{host}:{}/secrets?api-version=7.4",
        port.expect("a port")
    );
    let request = vault.client().get(url).bearer_auth(token);
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    let body = response.text().await.expect("a body");
    (status, serde_json::from_str(&body).expect("JSON"))
}

#[tokio::test]
async fn the_dev_vault_opens_to_a_token_of_its_own_identity_only() {
    let vault = DevVaultProcess::start().await;
    let header = vault.printed("IDENTITY_HEADER");
    let (_, given) = vault.token(header, "https://vault.azure.net").await;
    let own = given["access_token"].as_str().expect("text");
    for host in ["localhost", "127.0.0.1"] {
        let (status, secrets) = list(&vault, host, own).await;
        assert_eq!(status, 200, "{secrets}");
        // The third is the certificate's.
        assert_eq!(secrets["value"].as_array().map(Vec::len), Some(3));
    }
    assert_eq!(list(&vault, "localhost", "made-up").await.0, 401);
    let (_, given) = vault.token(header, "https://management.azure.com").await;
    let other = given["access_token"].as_str().expect("text");
    let (status, refused) = list(&vault, "localhost", other).await;
    assert_eq!(status, 401);
    let message = refused["error"]["message"].as_str().expect("text");
    assert!(message.starts_with("AKV10022"), "{message}");

    let (status, refused) = vault.token("made-up", "https://vault.azure.net").await;
    assert_eq!((status, &refused["access_token"]), (401, &Value::Null));
    let untrusted = client().get(vault.printed("KEY_VAULT_URL")).send().await;
    assert!(untrusted.is_err(), "trusted without its authority");
}

/// Its token, its authority and its identity endpoint are as good after a new start as before.
#[tokio::test]
async fn a_running_client_goes_on_after_a_new_start_of_a_vault_that_keeps() {
    let folder = Folder::new();
    let file = folder.path().join("kept.json");
    let (file_name, port) = (file.to_string_lossy(), free_port().to_string());
    let options = ["--keep", &*file_name, "--port", &*port];
    let identity_port = free_port().to_string();
    let first = [&options[..], &["--identity-port", &*identity_port]].concat();
    let first = DevVaultProcess::start_as(&first).await;
    let client = first.client();
    let header = first.printed("IDENTITY_HEADER").to_owned();
    let endpoint = first.printed("IDENTITY_ENDPOINT").to_owned();
    assert!(
        endpoint.contains(&format!(":{identity_port}/")),
        "{endpoint}"
    );
    let (_, given) = first.token(&header, "https://vault.azure.net").await;
    let token = given["access_token"].as_str().expect("text").to_owned();
    let url = format!("https://localhost:{port}/secrets?api-version=7.4");
    let list = async || {
        let answer = client.get(&url).bearer_auth(&token).send().await;
        answer.expect("trusted").status().as_u16()
    };
    assert_eq!(list().await, 200);
    first.stop().await;

    let second = DevVaultProcess::start_as(&options).await;
    assert_eq!(list().await, 200);
    assert_eq!(second.printed("IDENTITY_HEADER"), header);
    assert_eq!(second.printed("IDENTITY_ENDPOINT"), endpoint);
    let kept = fs::read_to_string(&file).expect("a file");
    for of_the_vault in ["sk-abc123def456", "super-secret-password"] {
        assert!(!kept.contains(of_the_vault));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    second.stop().await;

    let stranger = DevVaultProcess::start().await;
    assert_eq!(self::list(&stranger, "localhost", &token).await.0, 401);
    stranger.stop().await;
}

/// Each by its own name, as with a hosts file; the first is the one that `localhost` means.
#[tokio::test]
async fn vaults_have_names_of_ones_choice() {
    let files = Folder::new();
    let contents = r#"{"vaults": {"billing": {"secrets": {"Card": {"value": "canary"}}}}}"#;
    files.write("contents.json", contents);
    let contents = files.path().join("contents.json");
    let contents = contents.to_string_lossy();
    let options = ["--vault", "Shop", "--vault", "billing"];
    let options = [&options[..], &["--contents", &*contents]].concat();
    let vaults = DevVaultProcess::start_as(&options).await;
    let output = vaults.handler.output();
    let url = vaults.printed("KEY_VAULT_URL");
    let port = url.rsplit(':').next().expect("a port");
    assert!(
        output.contains("# 127.0.0.1 shop.vault.azure.net billing.vault.azure.net"),
        "{output}"
    );
    let pem = fs::read(vaults.printed("SSL_CERT_FILE")).expect("a file");
    let authority = reqwest::Certificate::from_pem(&pem).expect("a certificate");
    let mut client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([authority]);
    for name in ["shop", "billing", "embedded"] {
        let address = ([127, 0, 0, 1], port.parse().expect("a number")).into();
        client = client.resolve(&format!("{name}.vault.azure.net"), address);
    }
    let client = client.build().expect("a client");
    let header = vaults.printed("IDENTITY_HEADER");
    let (_, given) = vaults.token(header, "https://vault.azure.net").await;
    let token = given["access_token"].as_str().expect("text");
    for (host, names) in [
        (
            "localhost",
            &["DatabasePassword", "ExternalApiKey", "WebCertificate"][..],
        ),
        (
            "shop.vault.azure.net",
            &["DatabasePassword", "ExternalApiKey", "WebCertificate"],
        ),
        ("billing.vault.azure.net", &["Card"]),
    ] {
        let listed = client
            .get(format!("https://{host}:{port}/secrets?api-version=7.4"))
            .bearer_auth(token)
            .send();
        let listed = listed.await.expect("trusted").text().await.expect("a body");
        let listed: Value = serde_json::from_str(&listed).expect("JSON");
        let listed: Vec<_> = listed["value"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|item| item["id"].as_str()?.rsplit('/').next())
            .collect();
        assert_eq!(listed, names, "{host}");
    }
    // The certificate is for these names and no other.
    let other = client.get(format!("https://embedded.vault.azure.net:{port}/secrets"));
    assert!(other.send().await.is_err(), "trusted under another name");
}

/// A program that knows only the Azure CLI asks it as it would ask `az`.
#[cfg(unix)]
#[tokio::test]
async fn a_stand_in_for_the_azure_cli_gives_tokens_and_holds_none() {
    let vault = DevVaultProcess::start_as(&["--az-out", "bin"]).await;
    let az = vault.files.path().join("bin/az");
    let script = fs::read_to_string(&az).expect("a file");
    let header = vault.printed("IDENTITY_HEADER");
    assert!(!script.contains(header));
    let folder = vault.printed("PATH").strip_suffix(":$PATH");
    assert_eq!(
        folder.map(Path::new),
        az.parent().and_then(|at| at.canonicalize().ok()).as_deref()
    );
    let ask = |arguments: &[&str]| {
        let mut command = std::process::Command::new(&az);
        command.args(arguments).env("IDENTITY_HEADER", header);
        command.env("IDENTITY_ENDPOINT", vault.printed("IDENTITY_ENDPOINT"));
        // What it sends is for this machine, whatever proxy there is.
        command.env("http_proxy", "http://127.0.0.1:1");
        command.output().expect("an answer")
    };
    let begin = ["account", "get-access-token", "--output", "json"];
    for end in [
        ["--resource", "https://vault.azure.net"],
        ["--scope", "https://vault.azure.net/.default"],
    ] {
        let answer = ask(&[&begin[..], &end].concat());
        let given: Value = serde_json::from_slice(&answer.stdout).expect("JSON");
        assert!(given["expires_on"].is_number() && given["expiresOn"].is_string());
        let token = given["accessToken"].as_str().expect("a token");
        assert_eq!(list(&vault, "localhost", token).await.0, 200);
    }
    let text = [&begin[..2], &["--query", "accessToken", "-o", "tsv"]].concat();
    let text = ask(&[&text[..], &["--resource=https://vault.azure.net"]].concat());
    let token = String::from_utf8(text.stdout).expect("text");
    assert_eq!(list(&vault, "localhost", token.trim()).await.0, 200);
    let wrong = [
        &["login"][..],
        &["account", "get-access-token", "--resource"],
        &["account", "get-access-token", "--resource-type", "ms-graph"],
        &["account", "get-access-token", "--output", "table"],
    ];
    for arguments in wrong {
        let refused = ask(arguments);
        assert_eq!(refused.status.code(), Some(2), "{arguments:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("knows only"));
        assert!(refused.stdout.is_empty(), "{arguments:?}");
    }
}

/// What a private endpoint looks like from the app, on a machine that has none.
#[tokio::test]
async fn the_dev_vault_names_the_network_path_that_it_is_told() {
    let vault = DevVaultProcess::start_as(&["--network-info", "private-link"]).await;
    let url = vault.printed("KEY_VAULT_URL");
    let answer = vault.client().get(url).send().await.expect("an answer");
    assert_eq!(answer.status(), 401);
    let header = answer.headers()["x-ms-keyvault-network-info"].to_str();
    let header = header.expect("text");
    assert!(header.starts_with("conn_type=PrivateLink;"), "{header}");
}

/// `cargo run` in a second terminal, with the lines that the first one prints. The references of
/// the repository's local.settings.json name `embedded.vault.azure.net`.
#[tokio::test]
async fn this_handler_resolves_references_in_the_dev_vault() {
    let vault = DevVaultProcess::start().await;
    let printed = [
        "IDENTITY_ENDPOINT",
        "IDENTITY_HEADER",
        "KEY_VAULT_URL",
        "KEY_VAULT_CA_FILE",
    ]
    .map(|name| (name, vault.printed(name)));
    let mut standalone = Standalone::start(repository(), &printed).await;
    let header = vault.printed("IDENTITY_HEADER").to_owned();
    standalone.handler.forbid(header);
    let (key, url) = &standalone.lines[0];
    let key = key.as_deref().expect("a key");
    let answer = standalone.get(url, &[("x-functions-key", key)]).await;
    let answer = answer.json();
    let references = answer["references"].as_array().expect("an array");
    let statuses: Vec<_> = references.iter().map(|entry| &entry["status"]).collect();
    assert_eq!(
        statuses,
        ["Resolved", "Resolved", "SecretNotFound"],
        "{answer}"
    );
    assert_eq!(answer["api_key_prefix"], "sk-a...");
    assert_eq!(references[0]["vault"], "embedded.vault.azure.net");
    // No vault on Azure is meant, and `az` knows none of that name.
    let fix = references[2]["fix"].as_str().expect("text");
    assert!(!fix.contains("az "), "{fix}");
}

#[tokio::test]
async fn the_key_of_the_dev_vaults_authority_is_never_written() {
    let vault = DevVaultProcess::start().await;
    let files = fs::read_dir(vault.files.path()).expect("a folder");
    let names: Vec<_> = files
        .map(|file| file.expect("a file").file_name())
        .collect();
    assert_eq!(names, ["ca.pem"]);
    let pem = fs::read_to_string(vault.printed("KEY_VAULT_CA_FILE")).expect("a file");
    assert_eq!(pem.matches("-----BEGIN ").count(), 1);
    assert!(pem.starts_with("-----BEGIN CERTIFICATE-----"), "{pem}");
    assert!(!vault.handler.output().contains("PRIVATE KEY"));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_dev_vault_listens_on_loopback_only() {
    let vault = DevVaultProcess::start().await;
    let process = format!("/proc/{}", vault.handler.id());
    let open: Vec<_> = fs::read_dir(format!("{process}/fd"))
        .expect("a folder")
        .filter_map(|file| fs::read_link(file.ok()?.path()).ok())
        .filter_map(|link| {
            let link = link.to_str()?.strip_prefix("socket:[")?;
            Some(link.strip_suffix(']')?.to_owned())
        })
        .collect();
    let mut listening = Vec::new();
    for table in ["tcp", "tcp6"] {
        let Ok(table) = fs::read_to_string(format!("{process}/net/{table}")) else {
            continue;
        };
        for line in table.lines().skip(1) {
            let cells: Vec<_> = line.split_whitespace().collect();
            let (address, state, socket) = (cells[1], cells[3], cells[9]);
            if state == "0A" && open.iter().any(|open| open == socket) {
                listening.push(address.split(':').next().expect("an address").to_owned());
            }
        }
    }
    // 127.0.0.1, twice: the vault and the identity endpoint.
    assert_eq!(listening, ["0100007F", "0100007F"]);
}

#[tokio::test]
async fn what_keeps_the_dev_vault_from_starting_is_named() {
    let files = Folder::new();
    files.write("wrong.json", r#"{"secret": {}}"#);
    files.write("az", "somebody's own");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let path = files.path().join("no-folder/ca.pem");
    let path = path.to_str().expect("a path");
    for (arguments, code, text) in [
        (&["--ca-out"][..], 64, "--ca-out needs a value"),
        (&["--ca-out", "a", "--address", "::"], 64, "--address"),
        (
            &["--network-info", "wifi"],
            64,
            "--network-info takes one of loopback, public, private-link, subnet,",
        ),
        (
            &["--events", "http://example.com/api/events"],
            64,
            "--events takes an http or https URL on localhost, 127.0.0.1 or [::1]",
        ),
        (
            &["--events", "http://localhost/api/events?code=canary"],
            64,
            "--events takes a URL without a key; set DEV_VAULT_EVENTS_KEY instead",
        ),
        (
            &["--vault", "a.b"],
            64,
            "--vault takes 3 to 24 letters, digits and hyphens, each name once",
        ),
        (
            &["--deletion-seconds", "x"],
            64,
            "--deletion-seconds takes a number from 0 to 3600",
        ),
        (
            &["--port", "0", "--az-out", "wrong.json"],
            73,
            "--az-out wrong.json cannot be written",
        ),
        (
            &["--port", "0", "--az-out", "."],
            73,
            "--az-out .: another program is called az there",
        ),
        (
            &["--port", "0", "--ca-out", path],
            73,
            "no-folder/ca.pem cannot be written",
        ),
        (&["--ca-out", "a", "--port", &port], 69, "already in use"),
        (&["--contents", "none.json"], 66, "none.json cannot be read"),
        (
            &["--contents", "wrong.json"],
            78,
            "wrong.json: line 1, column 9: a member that nothing here has",
        ),
    ] {
        let arguments = [&["dev-vault"], arguments].concat();
        let mut handler = Handler::start(files.path(), &arguments, &[]);
        let status = handler.ended().await;
        let output = handler.output();
        assert_eq!(status.code(), Some(code), "{arguments:?}: {output}");
        assert!(output.contains(text), "{arguments:?}: {output}");
    }
    // A start that fails leaves the files of a vault that runs.
    let own = fs::read_to_string(files.path().join("az")).expect("a file");
    assert_eq!(own, "somebody's own");
    assert!(!files.path().join("a").exists());
}

/// What `docs/dev-vault.md` shows can be given to `--contents`.
#[test]
fn the_documented_contents_can_be_in_a_vault() {
    let text = fs::read_to_string(repository().join("docs/dev-vault.md")).expect("the document");
    let (_, section) = text.split_once("## Contents").expect("a section");
    let (_, json) = section.split_once("```json").expect("JSON");
    let (json, _) = json.split_once("```").expect("its end");
    let vaults = ["embedded", "billing"].map(|name| {
        let name = VaultName::parse(name).expect("a name");
        (name, DevVault::default())
    });
    let contents = Contents::parse(json).expect("valid");
    contents.put_into(&vaults).expect("put");
}
