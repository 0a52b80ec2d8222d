//! The host's trace reaches the vault, whichever way it came, and nothing else does.

use std::sync::Mutex;

use axum::{Router, body::Body, extract::Request, middleware};
use keyvault_functions::{dev_vault::DevVault, key_vault::MetadataSource};

use super::support::{ClientRequest, InProcess, Setup, read_envelope};

/// `traceparent` of every signed request that reached a vault, with its path.
static SEEN: Mutex<Vec<(String, Vec<String>)>> = Mutex::new(Vec::new());

fn app() -> InProcess {
    let setup = Setup {
        source: MetadataSource::Versions,
        wrap: |vault: Router| vault.layer(middleware::from_fn(watch)),
        ..Setup::default()
    };
    InProcess::on(DevVault::seeded().expect("randomness"), setup)
}

async fn watch(request: Request, next: middleware::Next) -> axum::response::Response {
    let traces = request.headers().get_all("traceparent").iter();
    let traces = traces.map(|value| value.to_str().expect("text").to_owned());
    let seen = (request.uri().path().to_owned(), traces.collect());
    SEEN.lock().expect("lock").push(seen);
    next.run(request).await
}

/// What the vault was sent while `name` was read.
fn sent_for(name: &str) -> Vec<Vec<String>> {
    let path = format!("/secrets/{name}/");
    let seen = SEEN.lock().expect("lock");
    let of_this = seen.iter().filter(|(seen, _)| seen.starts_with(&path));
    of_this.map(|(_, traces)| traces.clone()).collect()
}

fn trace(digit: char) -> String {
    let digits = |count| digit.to_string().repeat(count);
    format!("00-{}-{}-00", digits(32), digits(16))
}

async fn directly(app: &InProcess, name: &str, traces: &[&str]) {
    let mut request = Request::get(format!("/api/secrets/{name}"));
    for trace in traces {
        request = request.header("traceparent", *trace);
    }
    let answer = app
        .send(request.body(Body::empty()).expect("a request"))
        .await;
    assert_eq!(answer.status, 404, "nobody has it: {answer:?}");
}

#[tokio::test]
async fn a_clients_trace_reaches_the_vault_once_for_all_who_wait() {
    let (app, one) = (app(), trace('1'));
    directly(&app, "direct", &[&one]).await;
    // The challenge was met by the first request; one more is signed.
    let sent = sent_for("direct");
    assert!(!sent.is_empty());
    assert!(
        sent.iter().all(|traces| *traces == [one.clone()]),
        "{sent:?}"
    );
}

#[tokio::test]
async fn in_an_envelope_the_hosts_own_trace_comes_first() {
    let app = app();
    let (hosts, clients) = (trace('2'), trace('3'));
    for (name, outer, inner, expected) in [
        ("outer", Some(&hosts), None, &hosts),
        ("inner", None, Some(&clients), &clients),
        ("both", Some(&hosts), Some(&clients), &hosts),
    ] {
        let mut envelope = ClientRequest::secret(name).envelope();
        if let Some(inner) = inner {
            envelope["Data"]["req"]["Headers"]["traceparent"] = serde_json::json!([inner]);
        }
        let mut request = Request::post("/secrets-metadata");
        if let Some(outer) = outer {
            request = request.header("traceparent", outer);
        }
        let request = request.body(Body::from(envelope.to_string()));
        let answer = app.send(request.expect("a request")).await;
        assert_eq!(read_envelope(&answer).0.status, 404);
        let sent = sent_for(name);
        assert!(!sent.is_empty(), "{name}");
        assert!(
            sent.iter().all(|traces| *traces == [expected.clone()]),
            "{name}: {sent:?}"
        );
    }
}

#[tokio::test]
async fn what_is_not_a_trace_is_not_sent_on() {
    let (app, one, two) = (app(), trace('4'), trace('5'));
    for (name, traces) in [
        ("none", &[][..]),
        ("text", &["canary"]),
        ("upper", &[one.replace('4', "A").as_str()]),
        ("zero", &[trace('0').as_str()]),
        ("two", &[one.as_str(), two.as_str()]),
    ] {
        directly(&app, name, traces).await;
        let sent = sent_for(name);
        assert!(!sent.is_empty(), "{name}");
        assert!(sent.iter().all(Vec::is_empty), "{name}: {sent:?}");
    }
}
