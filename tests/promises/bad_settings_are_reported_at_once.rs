//! A configuration that cannot work ends the process with every reason, never with 0.

use super::support::{Folder, Handler, Standalone, Stream, free_port, repository};

#[tokio::test]
async fn bad_settings_have_a_line_each_without_the_value() {
    let mut handler = Handler::start(
        repository(),
        &[],
        &[
            ("FUNCTIONS_CUSTOMHANDLER_PORT", "canary"),
            ("KEY_VAULT_URL", "http://canary.vault.azure.net"),
            ("SECRET_CACHE_TTL_SECONDS", "canary"),
            ("SECRET_METADATA_SOURCE", "canary"),
        ],
    );
    assert_eq!(handler.ended().await.code(), Some(78));
    let lines = handler.lines(Stream::Stderr);
    assert_eq!(lines.len(), 4, "{lines:?}");
    for name in [
        "FUNCTIONS_CUSTOMHANDLER_PORT",
        "KEY_VAULT_URL",
        "SECRET_CACHE_TTL_SECONDS",
        "SECRET_METADATA_SOURCE",
    ] {
        let is_named = |line: &&String| line.contains(&format!("{name}: found "));
        assert_eq!(
            lines.iter().filter(is_named).count(),
            1,
            "{name}: {lines:?}"
        );
    }
}

#[tokio::test]
async fn bad_settings_and_bad_manifests_are_reported_together() {
    let root = Folder::app_root();
    root.write("host.json", "{");
    root.write("secrets-metadata/function.json", r#"{"bindings":[]}"#);
    root.write(
        "local.settings.json",
        r#"{"Values":{"SECRET_CACHE_TTL_SECONDS":"0"}}"#,
    );
    let mut handler = Handler::start(root.path(), &[], &[]);
    assert_eq!(handler.ended().await.code(), Some(78));
    let lines = handler.lines(Stream::Stderr);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].contains("SECRET_CACHE_TTL_SECONDS: found a number out of range"));
    assert!(lines[1].contains("host.json: line 1, column 1"));
    assert!(lines[2].contains("secrets-metadata/function.json: needs exactly one binding"));
}

#[tokio::test]
async fn a_folder_that_is_no_app_root_says_so() {
    let nowhere = Folder::new();
    let mut handler = Handler::start(nowhere.path(), &[], &[]);
    assert_eq!(handler.ended().await.code(), Some(78));
    let lines = handler.lines(Stream::Stderr);
    assert!(lines[0].contains("host.json: cannot be read"), "{lines:?}");
    assert!(lines[0].contains("FUNCTIONS_APP_ROOT_PATH"), "{lines:?}");
}

#[tokio::test]
async fn a_port_in_use_says_so() {
    let port = free_port();
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port)).expect("free");
    for (arguments, environment) in [
        (&["--port", &port.to_string()][..], &[][..]),
        (
            &[],
            &[("FUNCTIONS_CUSTOMHANDLER_PORT", port.to_string().as_str())],
        ),
    ] {
        let mut handler = Handler::start(repository(), arguments, environment);
        assert_eq!(handler.ended().await.code(), Some(69));
        let lines = handler.lines(Stream::Stderr);
        assert!(
            lines
                .last()
                .is_some_and(|line| line.contains("already in use")),
            "{lines:?}"
        );
    }
}

/// A standalone handler in a folder of its own, until it runs; what it wrote.
async fn started(local: Option<&str>, environment: &[(&str, &str)]) -> String {
    let root = Folder::app_root();
    if let Some(local) = local {
        root.write("local.settings.json", local);
    }
    let mut handler = Handler::start(root.path(), &["--port", "0"], environment);
    handler.wrote("Ctrl+C stops.").await;
    handler.terminate();
    assert_eq!(
        handler.ended().await.code(),
        Some(0),
        "{}",
        handler.output()
    );
    handler.output()
}

/// What is no mistake for sure is a warning: the handler runs, and says what it did not read.
#[tokio::test]
async fn settings_that_are_not_read_are_warnings_that_say_what_to_do() {
    let embedded = r#"{"Values":{"KEY_VAULT_URL":"embedded"}}"#;
    for (local, environment, warning) in [
        (None, &[][..], "local.settings.json: there is none"),
        (Some("{}"), &[], "local.settings.json: has no Values"),
        (
            Some(r#"{"Values":null}"#),
            &[],
            "local.settings.json: has no Values",
        ),
        (
            Some(r#"{"Values":{"KEY_VAULT_URI":"canary"}}"#),
            &[],
            "KEY_VAULT_URI: this handler has no such setting; did you mean KEY_VAULT_URL?",
        ),
        (
            Some(embedded),
            &[("SECRET_CACHE_TTL", "canary")],
            "SECRET_CACHE_TTL: this handler has no such setting; did you mean SECRET_CACHE_TTL_SECONDS?",
        ),
        (
            Some(embedded),
            &[("RUST_LOG", "verbose")],
            "RUST_LOG: found text that is not a log filter; give a level (off, error, warn, info, \
             debug, trace) or target=level, separated by commas",
        ),
    ] {
        let output = started(local, environment).await;
        let line = output.lines().find(|line| line.contains(warning));
        let line = line.unwrap_or_else(|| panic!("{warning:?} is not in:\n{output}"));
        assert!(line.contains(" WARN "), "{line}");
    }
    for (local, environment) in [
        (Some(embedded), &[][..]),
        (None, &[("KEY_VAULT_URL", "embedded")]),
        (Some(embedded), &[("KEY_VAULT_URI", "canary")]),
        (Some(embedded), &[("AZURE_SUBSCRIPTION_ID", "canary")]),
        (
            Some(embedded),
            &[("RUST_LOG", "warn,hyper,keyvault_functions::host=debug")],
        ),
    ] {
        let output = started(local, environment).await;
        assert!(!output.contains(" WARN "), "{environment:?}: {output}");
    }
}

/// As the Functions host and Core Tools read them.
#[tokio::test]
async fn comments_and_trailing_commas_are_read_in_json_files() {
    let root = Folder::app_root();
    for file in ["host.json", "config-check/function.json"] {
        let text = std::fs::read_to_string(root.path().join(file)).expect("a manifest");
        let text = text.replacen('{', "{ // the host's\n /* comment, */", 1);
        let (text, _) = text.rsplit_once('}').expect("an object");
        root.write(file, &format!("{text},}}\n// end\n"));
    }
    let local = r#"{
        // "KEY_VAULT_URL": "https://canary",
        "Values": { "KEY_VAULT_URL": "embedded", /* here */ },
    }"#;
    root.write("local.settings.json", local);
    let standalone = Standalone::start(root.path(), &[]).await;
    assert!(
        standalone
            .handler
            .output()
            .contains("embedded in this process")
    );
}

#[tokio::test]
async fn a_file_that_is_no_json_is_told_by_line_and_column() {
    let lines = async |file: &str, content: &str| {
        let root = Folder::app_root();
        root.write(file, content);
        let mut handler = Handler::start(root.path(), &[], &[]);
        assert_eq!(handler.ended().await.code(), Some(78), "{content}");
        handler.lines(Stream::Stderr)
    };
    let local = "local.settings.json";
    for (file, content, message) in [
        (
            local,
            "[]",
            "line 1, column 1: not an object; begin with {\"Values\": {",
        ),
        (
            local,
            r#"{"Values":[]}"#,
            "Values is not an object of names and texts",
        ),
        (
            local,
            "{\n\"Values\":{\"A\":\"b\" // c\n\"C\":\"d\"}}",
            "line 3, column 1: not JSON; look for a missing comma, quote or bracket",
        ),
        (
            "host.json",
            "{\"version\": /* two */ ;}",
            "line 1, column 23: not JSON; look for a missing comma, quote or bracket",
        ),
        ("host.json", "[]", "line 1, column 1: not an object"),
    ] {
        let lines = lines(file, content).await;
        let expected = format!("keyvault-functions: {file}: {message}");
        assert!(lines[0].starts_with(&expected), "{expected}\n{lines:?}");
    }
    for (arguments, code, message) in [
        (
            &["--port", "x"][..],
            64,
            "--port takes a number from 0 to 65535; \"x\" is none; see --help",
        ),
        (&["--port"], 64, "--port needs a value; see --help"),
        (
            &["--prot", "1"],
            64,
            "there is no option --prot; see --help",
        ),
        (&["x"], 64, "there is no command \"x\"; see --help"),
        (&[], 78, "host.json: cannot be read: there is no such file"),
    ] {
        let nowhere = Folder::new();
        let mut handler = Handler::start(nowhere.path(), arguments, &[]);
        assert_eq!(handler.ended().await.code(), Some(code), "{arguments:?}");
        let lines = handler.lines(Stream::Stderr);
        let expected = format!("keyvault-functions: {message}");
        assert!(lines[0].starts_with(&expected), "{expected}\n{lines:?}");
    }
}
