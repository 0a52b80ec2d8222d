//! SIGTERM lets requests in flight finish, and the Functions host starts the handler again;
//! SIGKILL loses nothing. The handler does not outlive the host.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

#[cfg(unix)]
use super::support::free_port;
use super::support::{ClientRequest, FunctionsHost, Handler, MODES, Protocol, repository};

/// What asks the host to start the handler again, without counting an error.
const RESTART: i32 = 200;

#[tokio::test]
async fn a_request_in_flight_is_answered() {
    let mut host = FunctionsHost::start(&[]).await;
    let body = ClientRequest::config_check().envelope().to_string();
    let (first, rest) = body.split_at(body.len() / 2);
    let head = format!(
        "POST /config-check HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n\r\n{first}",
        body.len()
    );
    let mut connection = TcpStream::connect(("127.0.0.1", host.port))
        .await
        .expect("connected");
    connection.write_all(head.as_bytes()).await.expect("sent");
    // An answer on a later connection shows that this one was accepted.
    host.call(Protocol::Proxying, &ClientRequest::config_check())
        .await;

    host.handler.terminate();
    host.handler.wrote("stopping").await;
    connection.write_all(rest.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    connection
        .read_to_string(&mut answer)
        .await
        .expect("answered");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("statusCode"), "{answer}");
    assert_eq!(host.handler.ended().await.code(), Some(RESTART));
}

/// The host never starts a handler again that ended with 0. Ctrl+C in the terminal of Core Tools
/// reaches both, and ends both.
#[tokio::test]
async fn the_host_restarts_what_was_terminated_and_not_what_was_interrupted() {
    let mut host = FunctionsHost::start(&[]).await;
    host.handler.interrupt();
    assert_eq!(host.handler.ended().await.code(), Some(0));

    let mut host = FunctionsHost::start(&[]).await;
    host.handler.terminate();
    assert_eq!(host.handler.ended().await.code(), Some(RESTART));
    let settings = [("KEY_VAULT_URL", "embedded")];
    let again = FunctionsHost::start_in(repository(), host.port, &settings).await;
    let config_check = ClientRequest::config_check();
    for mode in MODES {
        assert_eq!(
            again.call(mode, &config_check).await.status,
            200,
            "{mode:?}"
        );
    }
}

/// A host that is killed can tell nobody. Its handler holds secrets, and goes too.
#[cfg(unix)]
#[tokio::test]
async fn a_handler_whose_host_was_killed_ends_by_itself() {
    let port = free_port().to_string();
    let environment = [
        ("FUNCTIONS_CUSTOMHANDLER_PORT", port.as_str()),
        ("KEY_VAULT_URL", "embedded"),
        ("HANDLER", env!("CARGO_BIN_EXE_handler")),
    ];
    let script = ["-c", "\"$HANDLER\" & echo \"handler $!.\"; wait"];
    let shell = std::path::Path::new("/bin/sh");
    let mut host = Handler::start_binary(shell, repository(), &script, &environment);
    host.wrote("listening").await;
    let output = host.output();
    let (_, id) = output.split_once("handler ").expect("its id");
    let id = id.split('.').next().expect("a number").to_owned();
    let _orphan = Orphan(id);
    host.kill();
    host.wrote("the Functions host has ended").await;
    // Its streams end with the handler, and not before.
    host.ended().await;
}

/// Does not stay if the test fails.
#[cfg(unix)]
struct Orphan(String);

#[cfg(unix)]
impl Drop for Orphan {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _ = std::process::Command::new("kill")
                .args(["-KILL", &self.0])
                .status();
        }
    }
}

/// Also without requests, when the server ends at once.
#[tokio::test]
async fn every_clean_stop_is_in_the_log() {
    for _ in 0..20 {
        let mut handler = Handler::start(repository(), &["--port", "0"], &[]);
        handler.wrote("Ctrl+C stops.").await;
        handler.terminate();
        assert_eq!(handler.ended().await.code(), Some(0));
        let output = handler.output();
        assert_eq!(output.matches("stopping: ").count(), 1, "{output}");
    }
}

#[tokio::test]
async fn a_killed_handler_starts_again_on_its_port() {
    let first = FunctionsHost::start(&[]).await;
    let port = first.port;
    first
        .call(Protocol::Proxying, &ClientRequest::config_check())
        .await;
    // Dropping kills without warning, as the host does.
    drop(first);
    let settings = [("KEY_VAULT_URL", "embedded")];
    let second = FunctionsHost::start_in(repository(), port, &settings).await;
    let answer = second
        .call(Protocol::Proxying, &ClientRequest::config_check())
        .await;
    assert_eq!(answer.status, 200);
}
