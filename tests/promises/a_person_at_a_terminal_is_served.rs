//! Both commands in a terminal of 80 columns, where a person reads and pastes.

use super::support::{Folder, Handler, commands, repository};

/// What begins a colour.
const ESCAPE: char = '\u{1b}';

/// `cargo run` and `cargo run -- dev-vault`, with what they need beside a free port.
const COMMANDS: [&[&str]; 2] = [&["--port", "0"], &["dev-vault", "--port", "0"]];

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
async fn run_and_dev_vault_start_and_stop_at_a_terminal() {
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
async fn no_color_and_a_dumb_terminal_switch_colours_off() {
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

/// What is printed for the person, without the log around it.
fn banner(output: &str) -> Vec<&str> {
    let is_log = |line: &&str| line.contains(" INFO ") || line.contains(" WARN ");
    output.lines().filter(|line| !is_log(line)).collect()
}

#[tokio::test]
async fn no_line_is_wider_than_the_terminal() {
    for arguments in COMMANDS {
        let (handler, _folder) = started(arguments, &[("NO_COLOR", "1")]).await;
        for line in banner(&handler.output()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}

#[tokio::test]
async fn own_keys_of_the_environment_are_filled_in_by_the_shell() {
    let own = [
        ("STANDALONE_FUNCTION_KEY", "canary-function-key"),
        ("STANDALONE_MASTER_KEY", "canary-master-key"),
    ];
    let (handler, _folder) = started(COMMANDS[0], &own).await;
    let output = handler.output();
    let commands = commands(&output);
    assert!(commands.len() >= 2, "{output}");
    for command in commands.iter().filter(|command| command.contains("-H")) {
        let header = "-H \"x-functions-key: $STANDALONE_";
        assert!(command.contains(header), "{command}");
    }
    let browser = "/api/config-check?code=$STANDALONE_FUNCTION_KEY\"";
    assert!(output.contains(browser), "{output}");
    assert!(!output.contains("canary"), "{output}");
}

#[tokio::test]
async fn own_keys_of_the_file_are_asked_for_by_the_shell() {
    let folder = Folder::app_root();
    let file = r#"{"Values":{"KEY_VAULT_URL":"embedded",
        "STANDALONE_FUNCTION_KEY":"canary-function-key",
        "STANDALONE_MASTER_KEY":"canary-master-key"}}"#;
    folder.write("local.settings.json", file);
    let handler = Handler::start_in_terminal(folder.path(), COMMANDS[0], &[]);
    handler.wrote("Ctrl+C stops.").await;
    let output = handler.output();
    for name in ["STANDALONE_FUNCTION_KEY", "STANDALONE_MASTER_KEY"] {
        assert!(
            output.contains(&format!("  read -r {name}\r\n")),
            "{output}"
        );
        assert!(
            output.contains(&format!("x-functions-key: ${name}\"")),
            "{output}"
        );
    }
    assert!(
        !output.contains('<'),
        "nothing to replace by hand: {output}"
    );
    assert!(!output.contains("canary"), "{output}");
}

/// `health` of CONTRIBUTING.md sorts after `config-check`, and `about` before it.
#[tokio::test]
async fn the_address_for_a_browser_does_not_hang_on_the_order_of_functions() {
    let folder = Folder::app_root();
    // The level of the one that sorts first.
    let anonymous = std::fs::read_to_string(folder.path().join("config-check/function.json"));
    let anonymous = anonymous
        .expect("a manifest")
        .replace("\"function\"", "\"anonymous\"");
    folder.write("config-check/function.json", &anonymous);
    let handler = Handler::start_in_terminal(folder.path(), COMMANDS[0], &[]);
    handler.wrote("Ctrl+C stops.").await;
    let output = handler.output();
    assert!(
        output.contains("In a browser:\r\n\r\n  http://127.0.0.1:"),
        "{output}"
    );
}
