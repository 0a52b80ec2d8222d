//! Both commands in a terminal of 80 columns, where a person reads and pastes.

use super::support::{Folder, Handler, repository};

/// What begins a colour.
const ESCAPE: char = '\u{1b}';

/// `cargo run` and `cargo run -- dev-vault`, with what they need beside a free port.
const COMMANDS: [&[&str]; 2] = [
    &["--port", "0"],
    &["dev-vault", "--port", "0", "--ca-out", "ca.pem"],
];

async fn started(arguments: &[&str], environment: &[(&str, &str)]) -> (Handler, Folder) {
    let folder = Folder::app_root();
    let file = repository().join("local.settings.json");
    let settings = std::fs::read_to_string(file).expect("the repository's own");
    folder.write("local.settings.json", &settings);
    let handler = Handler::start_in_terminal(folder.path(), arguments, environment);
    handler.wrote("Ctrl+C stops.").await;
    (handler, folder)
}

#[tokio::test]
async fn both_commands_start_and_stop_there() {
    for arguments in COMMANDS {
        let (mut handler, _folder) = started(arguments, &[]).await;
        handler.terminate();
        let status = handler.ended().await;
        let output = handler.output();
        assert_eq!(status.code(), Some(0), "{output}");
        assert!(!output.contains("panicked"), "{output}");
        assert!(output.contains(ESCAPE), "a terminal has colours: {output}");
    }
}

#[tokio::test]
async fn colours_are_off_for_who_does_not_want_them() {
    for arguments in COMMANDS {
        for wish in [("NO_COLOR", "1"), ("TERM", "dumb")] {
            let (mut handler, _folder) = started(arguments, &[wish]).await;
            handler.terminate();
            handler.ended().await;
            let output = handler.output();
            assert!(!output.contains(ESCAPE), "{wish:?}: {output}");
            assert!(
                output.contains("stopping"),
                "something was logged: {output}"
            );
        }
    }
}
