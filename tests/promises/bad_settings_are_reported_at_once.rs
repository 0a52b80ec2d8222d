//! A configuration that cannot work ends the process with every reason, never with 0.

use super::support::{Folder, Handler, Stream, free_port, repository};

#[tokio::test]
async fn each_on_its_own_line_and_without_its_value() {
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
async fn together_with_what_is_wrong_in_the_manifests() {
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
