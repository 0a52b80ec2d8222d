//! The handler as `cargo run` starts it, on a free port.

use std::path::Path;

use super::{Answer, Handler, client};

pub(crate) struct Standalone {
    pub(crate) handler: Handler,
    client: reqwest::Client,
    /// The commands that were printed: key, if there is one, and URL without its query.
    pub(crate) lines: Vec<(Option<String>, String)>,
}

impl Standalone {
    pub(crate) async fn start(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let handler = Handler::start(folder, &["--port", "0"], environment);
        handler.wrote("Ctrl+C stops.").await;
        let commands = commands(&handler.output());
        let lines = commands.iter().map(|command| parse(command)).collect();
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

/// The commands to paste, each as the shell reads it: over one line or several.
pub(crate) fn commands(output: &str) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    for line in output.lines() {
        let (line, goes_on) = match line.strip_suffix('\\') {
            Some(line) => (line, true),
            None => (line, false),
        };
        let is_going_on = commands.last().is_some_and(|last| last.ends_with('\n'));
        if is_going_on {
            let command = commands.last_mut().expect("one is going on");
            command.pop();
            command.push_str(line.trim_start());
        } else if line.starts_with("  curl ") {
            commands.push(line.trim_start().to_owned());
        } else {
            continue;
        }
        if goes_on {
            commands.last_mut().expect("one is there").push('\n');
        }
    }
    commands
}

/// `curl -i -H "x-functions-key: KEY" "URL?pretty=true"`, and the URL without its query.
fn parse(command: &str) -> (Option<String>, String) {
    let key = command
        .split_once("x-functions-key: ")
        .and_then(|(_, rest)| Some(rest.split_once('"')?.0.to_owned()));
    let url = command.rsplit(' ').next().expect("a URL").trim_matches('"');
    let url = url.strip_suffix("?pretty=true").expect("the pretty form");
    (key, url.to_owned())
}
