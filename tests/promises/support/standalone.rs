//! The handler as `cargo run` starts it, on a free port.

use std::path::Path;

use super::{Answer, Handler, client};

pub(crate) struct Standalone {
    pub(crate) handler: Handler,
    client: reqwest::Client,
    /// The curl lines that were printed: key, if there is one, and URL.
    pub(crate) lines: Vec<(Option<String>, String)>,
}

impl Standalone {
    pub(crate) async fn start(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let handler = Handler::start(folder, &["--port", "0"], environment);
        handler.wrote("Ctrl+C stops.").await;
        let output = handler.output();
        let lines = output.lines().filter(|line| line.contains("curl "));
        let lines = lines.map(parse).collect();
        Self {
            handler,
            client: client(),
            lines,
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        let (_, first) = &self.lines[0];
        let base = first.split("/api/").next().expect("a base");
        format!("{base}{path}")
    }

    pub(crate) async fn get(&self, url: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = self.client.get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send().await.expect("an answer")).await
    }
}

/// `curl -i -H "x-functions-key: KEY" URL`
fn parse(line: &str) -> (Option<String>, String) {
    let key = line
        .split_once("x-functions-key: ")
        .and_then(|(_, rest)| Some(rest.split_once('"')?.0.to_owned()));
    let url = line.rsplit(' ').next().expect("a URL").to_owned();
    (key, url)
}
