//! Under a host, a setting of ours that cannot be used stops the start no more: what a dying
//! process prints there is lost, an answer is not. `config-check` names the setting, and so does
//! whatever cannot do without it.

use std::collections::BTreeSet;

use serde_json::json;

use super::support::{Answer, ClientRequest, FunctionsHost, MODES, Protocol, Stream};

const BROWSER: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

/// Every setting that can be wrong, what was found, and whether `secrets/<name>` can do without.
const WRONG: [(&str, &str, &str, bool); 14] = [
    (
        "KEY_VAULT_URL",
        "http://canary.vault.azure.net",
        "text that is not a vault's address",
        false,
    ),
    (
        "KEY_VAULT_CA_FILE",
        "/no/such/canary.pem",
        "the path of a file that cannot be read",
        false,
    ),
    (
        "KEY_VAULT_CA_FILE",
        "/dev/null",
        "the path of a file without a PEM certificate",
        false,
    ),
    (
        "SECRET_METADATA_SOURCE",
        "canary",
        "an unknown value",
        false,
    ),
    (
        "AZURE_TOKEN_CREDENTIALS",
        "canary",
        "a word that this handler does not support",
        false,
    ),
    (
        "AZURE_AUTHORITY_HOST",
        "canary",
        "text that is not an https address",
        false,
    ),
    (
        "SECRET_CACHE_TTL_SECONDS",
        "canary",
        "text that is not a whole number",
        true,
    ),
    (
        "SECRET_CACHE_TTL_SECONDS",
        "0",
        "a number out of range",
        true,
    ),
    (
        "SECRET_CACHE_TTL_SECONDS",
        "86401",
        "a number out of range",
        true,
    ),
    (
        "SECRET_CACHE_MAX_STALE_SECONDS",
        "-1",
        "text that is not a whole number",
        true,
    ),
    (
        "SECRET_CACHE_NEGATIVE_TTL_SECONDS",
        "86401",
        "a number out of range",
        true,
    ),
    ("SECRET_CACHE_CAPACITY", "0", "a number out of range", true),
    (
        "SECRET_CACHE_CAPACITY",
        "1e3",
        "text that is not a whole number",
        true,
    ),
    (
        "SECRET_CACHE_CAPACITY",
        "canary",
        "text that is not a whole number",
        true,
    ),
];

async fn config_check(host: &FunctionsHost, strict: bool, accept: &'static str) -> Answer {
    let mut request = ClientRequest::config_check().with_header("accept", accept);
    if strict {
        request = request.with_query("strict", "true");
    }
    host.call(Protocol::Proxying, &request).await
}

#[tokio::test]
async fn each_wrong_setting_leaves_an_app_that_answers_and_names_it() {
    for (name, value, found, can_do_without) in WRONG {
        let vault = if can_do_without {
            "embedded"
        } else {
            "https://127.0.0.1:1"
        };
        let settings = [
            ("KEY_VAULT_URL", vault),
            ("WEBSITE_SITE_NAME", "func-a"),
            ("WEBSITE_RESOURCE_GROUP", "rg-a"),
            (name, value),
        ];
        let host = FunctionsHost::start(&settings).await;
        let answer = config_check(&host, false, "*/*").await;
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
        let listed = &answer.json()["settings"];
        assert_eq!(listed.as_array().map(Vec::len), Some(1), "{name}: {listed}");
        assert_eq!(listed[0]["name"], name);
        assert_eq!(listed[0]["found"], found, "{name}");
        let expected = listed[0]["expected"].as_str().expect("text").to_owned();
        assert_eq!(config_check(&host, true, "*/*").await.status, 503, "{name}");
        let page = config_check(&host, false, BROWSER).await.body;
        let (named, references) = (page.find(name), page.find("<h2>App settings</h2>"));
        assert!(
            named.expect(name) < references.expect("a heading"),
            "{page}"
        );
        assert!(page.contains("1 setting cannot be used"), "{page}");

        let status = if can_do_without { 200 } else { 503 };
        for mode in MODES {
            let secret = ClientRequest::secret("ExternalApiKey");
            let answer = host.call(mode, &secret).await;
            assert_eq!(answer.status, status, "{name} {mode:?}: {answer:?}");
            if !can_do_without {
                let refused = answer.json();
                assert_eq!(refused["code"], "WrongSetting", "{name}");
                let error = refused["error"].as_str().expect("text");
                assert!(error.contains(&format!("{name} is {found}")), "{error}");
                let fix = refused["fix"].as_str().expect("text");
                assert!(fix.contains(&format!("--settings {name}=<value>")), "{fix}");
            }
        }
        let line = format!("{name}: found {found}; ");
        host.handler.wrote(&line).await;
        let lines = host.handler.lines(Stream::Stderr);
        let lines: Vec<_> = lines.iter().filter(|at| at.contains(&line)).collect();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("ERROR"), "{}", lines[0]);
        assert!(
            !lines[0].to_ascii_lowercase().contains("warn"),
            "{}",
            lines[0]
        );
        if can_do_without {
            assert!(expected.contains("until then the default"), "{expected}");
        }
    }
}

#[tokio::test]
async fn all_wrong_settings_together_leave_an_app_that_answers_and_names_them() {
    let mut names = BTreeSet::new();
    let settings: Vec<_> = WRONG
        .iter()
        .filter(|(name, ..)| names.insert(*name))
        .map(|(name, value, ..)| (*name, *value))
        .collect();
    let host = FunctionsHost::start(&settings).await;
    for mode in MODES {
        let answer = host.call(mode, &ClientRequest::config_check()).await;
        let json = answer.json();
        let listed = json["settings"].as_array().expect("a list");
        let listed: BTreeSet<_> = listed
            .iter()
            .map(|one| one["name"].as_str().expect("text"))
            .collect();
        assert_eq!(listed, names, "{mode:?}");
        let answer = host.call(mode, &ClientRequest::secret("Ab")).await;
        assert_eq!(answer.status, 503, "{mode:?}: {answer:?}");
        assert_eq!(answer.json()["code"], "WrongSetting", "{mode:?}");
    }
}

/// A program that knows the recipe's members sees nothing new.
#[tokio::test]
async fn the_member_settings_is_left_out_if_none_is_wrong() {
    let host = FunctionsHost::start(&[]).await;
    let answer = config_check(&host, true, "*/*").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["settings"], json!(null));
    let page = config_check(&host, false, BROWSER).await.body;
    assert!(!page.contains("cannot be used"), "{page}");
}

/// What ends the process after all: the host closes its readers as soon as the process has ended,
/// so everything is one write. A datagram holds one.
#[cfg(unix)]
mod what_ends_the_process {
    use std::{
        os::{fd::OwnedFd, unix::net::UnixDatagram},
        process::{Command, Stdio},
    };

    use super::super::support::{Folder, free_port};

    fn last_words(root: &Folder, port: &str) -> (Option<i32>, String) {
        let (ours, theirs) = UnixDatagram::pair().expect("sockets");
        let status = Command::new(env!("CARGO_BIN_EXE_handler"))
            .current_dir(root.path())
            .env_clear()
            .env("FUNCTIONS_CUSTOMHANDLER_PORT", port)
            .env("SECRET_CACHE_TTL_SECONDS", "canary")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(OwnedFd::from(theirs))
            .status()
            .expect("the handler starts");
        ours.set_nonblocking(true).expect("set");
        let mut written = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(length) = ours.recv(&mut buffer) {
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            // Lines of the log are not the reason.
            if text.contains("keyvault-functions: ") {
                written.push(text);
            }
        }
        assert_eq!(written.len(), 1, "{written:?}");
        (status.code(), written.remove(0))
    }

    #[test]
    fn a_port_that_cannot_be_used_is_told_in_one_write() {
        let (code, words) = last_words(&Folder::app_root(), "canary");
        assert_eq!(code, Some(78), "{words}");
        assert!(
            words.contains("FUNCTIONS_CUSTOMHANDLER_PORT: found "),
            "{words}"
        );
        assert!(
            words.contains("SECRET_CACHE_TTL_SECONDS: found "),
            "{words}"
        );
        let port = free_port();
        let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).expect("free");
        let (code, words) = last_words(&Folder::app_root(), &port.to_string());
        assert_eq!(code, Some(69), "{words}");
        assert!(words.contains("already in use"), "{words}");
    }

    #[test]
    fn manifests_that_do_not_fit_are_told_in_one_write() {
        let root = Folder::app_root();
        root.write("host.json", "{");
        root.write("secrets-metadata/function.json", r#"{"bindings":[]}"#);
        let (code, words) = last_words(&root, &free_port().to_string());
        assert_eq!(code, Some(78), "{words}");
        for part in [
            "host.json: ",
            "secrets-metadata/function.json: ",
            "SECRET_CACHE_TTL_SECONDS",
        ] {
            assert!(words.contains(part), "{words}");
        }
        assert!(
            words
                .lines()
                .all(|line| line.starts_with("keyvault-functions: ")),
            "{words}"
        );
        let root = Folder::app_root();
        root.write(
            "hello/function.json",
            r#"{"bindings":[{"type":"httpTrigger","name":"req"},{"type":"http","name":"res"}]}"#,
        );
        let (code, words) = last_words(&root, &free_port().to_string());
        assert_eq!(code, Some(78), "{words}");
        assert!(words.contains("no code is registered"), "{words}");
    }

    /// The host grades a line by the substring, in any case, that a person can type.
    #[test]
    fn the_last_words_are_graded_as_an_error_whatever_a_person_typed() {
        let root = Folder::app_root();
        for (folder, member) in [
            ("Warnings", r#""methods":["warn"]"#),
            ("b", r#""authLevel":"WARN""#),
            ("c", r#""route":"{warn?}""#),
            ("forewarned", r#""route":"c""#),
        ] {
            root.write(
                &format!("{folder}/function.json"),
                &format!(r#"{{"bindings":[{{"type":"httpTrigger","name":"req",{member}}},{{"type":"http","name":"res"}}]}}"#),
            );
        }
        let (_, words) = last_words(&root, &free_port().to_string());
        assert_eq!(words.lines().count(), 4, "{words}");
        assert!(!words.to_ascii_lowercase().contains("warn"), "{words}");
        // A pattern of the shell that finds what is meant.
        assert!(words.contains("W*rnings/function.json"), "{words}");
    }
}
