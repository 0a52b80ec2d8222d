//! A JSON body ends with a newline, and `?pretty=true` indents it, refusals too.

use super::support::{
    ClientRequest, FunctionsHost, InProcess, MODES, Setup, Standalone, repository,
};

const PATHS: [&str; 6] = [
    "/api/config-check",
    "/api/secrets/ExternalApiKey",
    "/api/secrets/Missing",
    "/api/secrets/a_b",
    "/api/secrets/ExternalApiKey?refresh=x",
    "/api/nothing",
];

fn pretty(path: &str) -> String {
    let sign = if path.contains('?') { '&' } else { '?' };
    format!("{path}{sign}pretty=true")
}

#[tokio::test]
async fn every_json_body_is_one_line_and_ends_it() {
    let app = InProcess::with(Setup::default());
    // The second answer of config-check is a kept one.
    for path in PATHS.into_iter().chain(["/api/config-check"]) {
        let answer = app.get(path).await;
        assert_eq!(
            answer.body.find('\n'),
            Some(answer.body.len() - 1),
            "{path}"
        );
        let compact = answer.json().to_string();
        assert_eq!(answer.body.trim_end(), compact, "{path}");
    }
}

#[tokio::test]
async fn pretty_indents_the_same_json() {
    let app = InProcess::with(Setup::default());
    for path in PATHS {
        let usual = app.get(path).await;
        let indented = app.get(&pretty(path)).await;
        assert_eq!(indented.status, usual.status, "{path}");
        let expected = format!("{:#}\n", usual.json());
        assert_eq!(indented.body, expected, "{path}");
    }
    let refused = app.get("/api/config-check?pretty=x").await;
    assert_eq!(refused.status, 400, "{refused:?}");
    let refused = app.get("/api/secrets/ExternalApiKey?pretty=x").await;
    assert_eq!(refused.status, 400, "{refused:?}");
    let off = app.get("/api/config-check?pretty=false").await;
    assert_eq!(off.body.matches('\n').count(), 1, "{off:?}");
}

#[tokio::test]
async fn pretty_indents_in_every_protocol_mode() {
    let host = FunctionsHost::start(&[]).await;
    for mode in MODES {
        for request in [
            ClientRequest::config_check(),
            ClientRequest::secret("Missing"),
        ] {
            let answer = host.call(mode, &request.with_query("pretty", "true")).await;
            let expected = format!("{:#}\n", answer.json());
            assert_eq!(answer.body, expected, "{mode:?}");
        }
    }
}

#[tokio::test]
async fn pretty_leaves_a_page_and_an_empty_answer_as_they_are() {
    let standalone = Standalone::start(repository(), &[]).await;
    let url = standalone.url("/api/config-check?pretty=true");
    let refused = standalone.get(&url, &[]).await;
    assert_eq!((refused.status, refused.body.as_str()), (401, ""));
    let app = InProcess::with(Setup::default());
    let usual = app.get_as("/api/config-check", "text/html").await;
    let asked = app.get_as(&pretty("/api/config-check"), "text/html").await;
    assert_eq!(asked.body, usual.body);
}
