//! Lines that nobody reads hold up nothing: no request, no readiness, no end.

use std::path::Path;

use super::support::{Handler, Stream, client, free_port, repository};

/// Of warnings that fill a pipe three times.
const REQUESTS: usize = 2_000;

/// A handler without a vault: every read is a warning.
fn start(
    start: impl FnOnce(&Path, &[&str], &[(&str, &str)]) -> Handler,
) -> (Handler, impl Fn(&str) -> String) {
    let port = free_port().to_string();
    let settings = [
        ("FUNCTIONS_CUSTOMHANDLER_PORT", port.as_str()),
        ("RUST_LOG", "info"),
    ];
    let handler = start(repository(), &[], &settings);
    (handler, move |path| {
        format!("http://127.0.0.1:{port}{path}")
    })
}

async fn warn(at: impl Fn(&str) -> String) {
    let client = client();
    for _ in 0..REQUESTS {
        let answer = client.get(at("/api/secrets/ExternalApiKey")).send().await;
        assert_eq!(answer.expect("an answer").status().as_u16(), 503);
    }
    let ready = client.get(at("/")).send().await.expect("an answer");
    assert_eq!(ready.status().as_u16(), 200);
}

#[tokio::test]
async fn a_stderr_that_nobody_reads_holds_up_nothing() {
    let (mut handler, at) = start(Handler::start_with_unread_stderr);
    handler.wrote("listening").await;
    warn(at).await;
    handler.terminate();
    assert_eq!(handler.ended().await.code(), Some(200));
    assert!(
        handler.output().contains("stopping"),
        "{}",
        handler.output()
    );
}

#[tokio::test]
async fn no_warning_is_lost_at_a_clean_end() {
    let (mut handler, at) = start(Handler::start);
    handler.wrote("listening").await;
    warn(at).await;
    handler.terminate();
    assert_eq!(handler.ended().await.code(), Some(200));
    let warnings = handler.lines(Stream::Stderr);
    let warnings = warnings.iter().filter(|line| line.contains("WARN"));
    assert_eq!(
        warnings.filter(|line| line.contains("finished")).count(),
        REQUESTS
    );
}
