//! A client may send a body to a function that reads none. The Functions host is still writing it
//! when the answer is there: who closes the connection then loses the answer, and the caller gets
//! a 500.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::support::{ClientRequest, FunctionsHost, Protocol, Standalone, repository};

/// Far more than any buffer between the two.
const SIZE: usize = 8 * 1024 * 1024;

/// Sends the whole body before it looks at the answer, as the host does, twice on one connection.
async fn sends_all_and_is_answered(port: u16, head: &str, is_chunked: bool, status: &str) {
    let mut connection = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("connected");
    let chunk = vec![b'x'; 64 * 1024];
    for round in 0..2 {
        let length = if is_chunked {
            "Transfer-Encoding: chunked".to_owned()
        } else {
            format!("Content-Length: {SIZE}")
        };
        let head = format!("{head}{length}\r\n\r\n");
        connection.write_all(head.as_bytes()).await.expect("sent");
        for _ in 0..SIZE / chunk.len() {
            if is_chunked {
                let size = format!("{:x}\r\n", chunk.len());
                connection.write_all(size.as_bytes()).await.expect(&head);
            }
            connection.write_all(&chunk).await.expect(&head);
            if is_chunked {
                connection.write_all(b"\r\n").await.expect(&head);
            }
        }
        if is_chunked {
            connection.write_all(b"0\r\n\r\n").await.expect(&head);
        }
        let answer = read_answer(&mut connection, head.starts_with("HEAD")).await;
        let expected = format!("HTTP/1.1 {status}");
        assert!(
            answer.starts_with(&expected),
            "round {round}, {head}: {answer}"
        );
    }
}

/// Up to the end of the body, whose length is given.
async fn read_answer(connection: &mut TcpStream, is_head: bool) -> String {
    let mut answer = Vec::new();
    let mut buffer = [0; 4_096];
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lines = head.to_ascii_lowercase();
            let length = lines
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().expect("a number"));
            if is_head || body.len() >= length {
                return text;
            }
        }
        let read = connection.read(&mut buffer).await.expect("an answer");
        assert!(read > 0, "closed after: {text}");
        answer.extend_from_slice(&buffer[..read]);
    }
}

#[tokio::test]
async fn unread_bodies_are_drained_in_every_mode_and_method() {
    let host = FunctionsHost::start(&[]).await;
    let forwarded = "Host: app.azurewebsites.net\r\n";
    let proxied = "Host: 127.0.0.1\r\nX-Forwarded-Host: app.azurewebsites.net\r\n";
    for headers in [forwarded, proxied] {
        for (method, path, status) in [
            ("GET", "/api/config-check", "200"),
            ("GET", "/api/secrets/ExternalApiKey", "200"),
            ("GET", "/api/secrets/a_b", "400"),
            ("GET", "/API/Config-Check/", "200"),
            ("HEAD", "/api/config-check", "200"),
            ("POST", "/api/config-check", "405"),
            ("PUT", "/api/config-check", "405"),
            ("PATCH", "/api/secrets/ExternalApiKey", "405"),
            ("DELETE", "/api/secrets/ExternalApiKey", "405"),
            ("OPTIONS", "/api/config-check", "405"),
            ("POST", "/api/nothing", "404"),
            ("POST", "/", "405"),
        ] {
            let head = format!("{method} {path} HTTP/1.1\r\n{headers}");
            for is_chunked in [false, true] {
                sends_all_and_is_answered(host.port, &head, is_chunked, status).await;
            }
        }
    }
    let envelope = "POST /config-check HTTP/1.1\r\nHost: 127.0.0.1\r\n";
    for is_chunked in [false, true] {
        sends_all_and_is_answered(host.port, envelope, is_chunked, "200").await;
    }
    // What looks like an envelope and is none.
    let forged = "POST /config-check HTTP/1.1\r\nHost: app.azurewebsites.net\r\n";
    sends_all_and_is_answered(host.port, forged, false, "400").await;
    let request = ClientRequest::config_check();
    assert_eq!(host.call(Protocol::Proxying, &request).await.status, 200);
}

/// Also what is refused for its key.
#[tokio::test]
async fn unread_bodies_are_drained_without_a_host() {
    let standalone = Standalone::start(repository(), &[]).await;
    let head = "GET /api/config-check HTTP/1.1\r\nHost: 127.0.0.1\r\n";
    let url = standalone.url("");
    let port = url.rsplit(':').next().and_then(|port| port.parse().ok());
    sends_all_and_is_answered(port.expect("a port"), head, false, "401").await;
}
