//! SIGTERM lets requests in flight finish; SIGKILL loses nothing.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::support::{ClientRequest, FunctionsHost, Handler, Protocol, repository};

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
    assert_eq!(host.handler.ended().await.code(), Some(0));
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
