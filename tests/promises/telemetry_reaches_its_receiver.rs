//! Spans and counters reach an OpenTelemetry receiver, decoded here with the protocol's own
//! definitions; and a receiver that is not there harms nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use opentelemetry_proto::tonic::{
    collector::{metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{KeyValue, any_value::Value},
    metrics::v1::{AggregationTemporality, Metric, metric::Data, number_data_point},
    resource::v1::Resource,
    trace::v1::{Span, span::SpanKind, status::StatusCode as SpanStatus},
};
use prost::Message;
use tokio::{net::TcpListener, task::JoinHandle};

use super::support::{
    ClientRequest, Fault, FunctionsHost, INVOCATION_ID, Protocol, Stream, TlsVault, free_port,
};

/// Not sampled, as the host's are.
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
const RECEIVER_KEY: &str = "canary-receiver-key";

#[derive(Default)]
struct Taken {
    spans: Vec<Span>,
    metrics: Vec<Metric>,
    resources: Vec<Resource>,
    refused: usize,
}

/// An OTLP receiver on loopback.
struct Receiver {
    taken: Arc<Mutex<Taken>>,
    endpoint: String,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    async fn start() -> Self {
        let taken = Arc::<Mutex<Taken>>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new()
            .route("/v1/traces", post(take_spans))
            .route("/v1/metrics", post(take_metrics))
            .with_state(taken.clone());
        let task = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("served");
        });
        Self {
            taken,
            endpoint,
            task,
        }
    }
}

type Shared = State<Arc<Mutex<Taken>>>;

fn is_from_us(headers: &HeaderMap) -> bool {
    let is = |name, value| headers.get(name).is_some_and(|given| given == value);
    is("api-key", RECEIVER_KEY) && is("content-type", "application/x-protobuf")
}

async fn take_spans(State(taken): Shared, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut taken = taken.lock().expect("lock");
    if !is_from_us(&headers) {
        taken.refused += 1;
        return StatusCode::UNAUTHORIZED;
    }
    let request = ExportTraceServiceRequest::decode(body).expect("spans");
    for from_one in request.resource_spans {
        taken.resources.extend(from_one.resource);
        let scopes = from_one.scope_spans.into_iter();
        taken.spans.extend(scopes.flat_map(|scope| scope.spans));
    }
    StatusCode::OK
}

async fn take_metrics(State(taken): Shared, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut taken = taken.lock().expect("lock");
    if !is_from_us(&headers) {
        taken.refused += 1;
        return StatusCode::UNAUTHORIZED;
    }
    let request = ExportMetricsServiceRequest::decode(body).expect("metrics");
    for from_one in request.resource_metrics {
        taken.resources.extend(from_one.resource);
        let scopes = from_one.scope_metrics.into_iter();
        // Numbers are totals: the last ones count.
        taken.metrics = scopes.flat_map(|scope| scope.metrics).collect();
    }
    StatusCode::OK
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.clone()?.value? {
        Value::StringValue(text) => Some(text),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{key}: {other:?}"),
    }
}

fn hex(id: &[u8]) -> String {
    use std::fmt::Write as _;
    id.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("written");
        hex
    })
}

/// The points of a counter, by the value of the attribute `by`.
fn points(metrics: &[Metric], name: &str, by: &str) -> BTreeMap<String, i64> {
    let metric = metrics.iter().find(|metric| metric.name == name);
    let Some(Data::Sum(sum)) = metric.and_then(|metric| metric.data.clone()) else {
        panic!("no counter {name}: {metrics:?}");
    };
    assert!(sum.is_monotonic, "{name}");
    assert_eq!(
        sum.aggregation_temporality(),
        AggregationTemporality::Cumulative
    );
    let points = sum.data_points.into_iter().map(|point| {
        let number = match point.value {
            Some(number_data_point::Value::AsInt(number)) => number,
            other => panic!("{name}: {other:?}"),
        };
        (text(&point.attributes, by).unwrap_or_default(), number)
    });
    // Another attribute can tell points apart too.
    points.fold(BTreeMap::new(), |mut all, (value, number)| {
        *all.entry(value).or_default() += number;
        all
    })
}

fn numbers<const N: usize>(of: [(&str, i64); N]) -> BTreeMap<String, i64> {
    let owned = |(name, number): (&str, i64)| (name.to_owned(), number);
    of.into_iter().map(owned).collect()
}

/// Stops the handler as a container platform does, and waits for it.
async fn stop(host: &mut FunctionsHost) {
    host.handler.terminate();
    assert_eq!(host.handler.ended().await.code(), Some(200));
}

#[tokio::test]
async fn spans_continue_the_hosts_trace_and_counters_count() {
    let (vault, receiver) = (TlsVault::start().await, Receiver::start().await);
    let headers = format!("api-key={RECEIVER_KEY}");
    let mut host = vault
        .host(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &receiver.endpoint),
            ("OTEL_EXPORTER_OTLP_HEADERS", &headers),
            ("OTEL_SERVICE_NAME", "your-func"),
            (
                "OTEL_RESOURCE_ATTRIBUTES",
                "deployment.environment.name=test",
            ),
        ])
        .await;
    let call = async |request: ClientRequest| host.call(Protocol::Proxying, &request).await.status;
    let secret = ClientRequest::secret;
    let traced = secret("ExternalApiKey").with_header("traceparent", TRACE);
    assert_eq!(call(traced).await, 200);
    assert_eq!(call(secret("ExternalApiKey")).await, 200);
    assert_eq!(call(secret("ExternalApiKey")).await, 200);
    let anew = secret("ExternalApiKey").with_query("refresh", "true");
    assert_eq!(call(anew).await, 200);
    assert_eq!(call(secret("Missing")).await, 404);
    assert_eq!(call(secret("Missing")).await, 404);
    vault.fail_with(Fault::Deny("ForbiddenByRbac"));
    assert_eq!(call(secret("DatabasePassword")).await, 502);
    assert_eq!(call(ClientRequest::config_check()).await, 200);
    stop(&mut host).await;

    let taken = receiver.taken.lock().expect("lock");
    assert_eq!(taken.refused, 0);
    check_spans(&taken.spans, &vault);
    check_counters(&taken.metrics);
    check_sender(&taken.resources);
}

fn check_spans(spans: &[Span], vault: &TlsVault) {
    let named = |name: &str, parent: &[u8]| {
        let of_name = spans.iter().filter(|span| span.name == name);
        let found: Vec<_> = of_name
            .filter(|span| span.parent_span_id == parent)
            .collect();
        assert_eq!(found.len(), 1, "{name}: {spans:#?}");
        found[0]
    };
    let is = |span: &Span, key: &str, value: &str| {
        assert_eq!(text(&span.attributes, key).as_deref(), Some(value), "{key}");
    };
    let of_host = [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7];
    let invocation = named("secrets-metadata", &of_host);
    assert_eq!(invocation.kind(), SpanKind::Server);
    is(invocation, "faas.invocation_id", INVOCATION_ID);
    is(invocation, "http.response.status_code", "200");
    is(invocation, "keyvault.cache", "miss");
    // Not the request's own, which ends with its answer.
    let background = named("background", &invocation.span_id);
    let read = named("Key Vault read", &background.span_id);
    is(read, "operation", "metadata");
    let request = named("GET", &read.span_id);
    assert_eq!(request.kind(), SpanKind::Client);
    is(request, "server.address", "localhost");
    is(request, "http.response.status_code", "200");
    for span in [invocation, read, request] {
        assert_eq!(hex(&span.trace_id), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
    }
    // The vault was told the span that the receiver has, and that it is sampled.
    let (trace_id, span_id) = (hex(&request.trace_id), hex(&request.span_id));
    let sent = format!("00-{trace_id}-{span_id}-01");
    let told = vault.traces();
    assert!(told.contains(&sent), "{sent}: {told:?}");

    let is_failed = |span: &&Span| {
        let status = span.status.as_ref();
        status.is_some_and(|status| status.code() == SpanStatus::Error)
    };
    let of_function = spans.iter().filter(|span| span.name == "secrets-metadata");
    let failed: Vec<_> = of_function.filter(is_failed).collect();
    assert_eq!(failed.len(), 1, "{failed:#?}");
    is(failed[0], "error.type", "AccessToKeyVaultDenied");
}

fn check_counters(metrics: &[Metric]) {
    let lookups = [("hit", 2), ("miss", 4), ("negative", 1), ("stale", 0)];
    let counted = points(metrics, "keyvault.cache.lookups", "outcome");
    assert_eq!(counted, numbers(lookups));
    let answers = [("2xx", 5), ("3xx", 0), ("4xx", 2), ("5xx", 1)];
    assert_eq!(
        points(metrics, "keyvault.answers", "class"),
        numbers(answers)
    );
    // Probes, like the warm-up, are not counted.
    let reads = [
        ("AccessToKeyVaultDenied", 1),
        ("SecretNotFound", 1),
        ("ok", 2),
    ];
    assert_eq!(points(metrics, "keyvault.reads", "outcome"), numbers(reads));
    let operations = numbers([("metadata", 4)]);
    assert_eq!(points(metrics, "keyvault.reads", "operation"), operations);
}

fn check_sender(resources: &[Resource]) {
    assert!(!resources.is_empty());
    for resource in resources {
        let known = |key: &str| text(&resource.attributes, key);
        assert_eq!(known("service.name").as_deref(), Some("your-func"));
        let environment = known("deployment.environment.name");
        assert_eq!(environment.as_deref(), Some("test"));
        let version = known("service.version");
        assert_eq!(version.as_deref(), Some(env!("CARGO_PKG_VERSION")));
        assert!(known("service.instance.id").is_some());
    }
}

/// Lines on stderr of a handler that answered a hundred requests and was stopped.
async fn warnings_with(settings: &[(&str, &str)]) -> Vec<String> {
    let mut host = FunctionsHost::start(settings).await;
    let secret = ClientRequest::secret("ExternalApiKey");
    for _ in 0..100 {
        assert_eq!(host.call(Protocol::Proxying, &secret).await.status, 200);
    }
    stop(&mut host).await;
    let lines = host.handler.lines(Stream::Stderr);
    let panic = lines.iter().find(|line| line.contains("panicked"));
    assert_eq!(panic, None);
    lines
}

#[tokio::test]
async fn a_receiver_that_takes_connections_and_never_answers_does_not_hang_the_stop() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let warnings = warnings_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]).await;
    let expected = "the OTLP receiver did not take what was left in time";
    let said = warnings.iter().any(|line| line.contains(expected));
    assert!(said, "{warnings:?}");
}

#[tokio::test]
async fn a_receiver_that_is_not_there_is_said_once() {
    let endpoint = format!("http://127.0.0.1:{}", free_port());
    let warnings = warnings_with(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &endpoint)]).await;
    let expected = "the OTLP receiver does not take what is sent";
    let said = warnings.iter().filter(|line| line.contains(expected));
    assert_eq!(said.count(), 1, "{warnings:?}");
}

#[tokio::test]
async fn nothing_is_sent_when_it_is_switched_off_or_cannot_be_used() {
    let receiver = Receiver::start().await;
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint.as_str());
    let no_authorities = ("SSL_CERT_DIR", "/dev/null");
    let protocol = "OTEL_EXPORTER_OTLP_PROTOCOL";
    for (more, warning) in [
        (("OTEL_SDK_DISABLED", "true"), None),
        ((protocol, "grpc"), Some(protocol)),
        (
            ("SSL_CERT_FILE", "/dev/null"),
            Some("certificate authorities"),
        ),
    ] {
        let warnings = warnings_with(&[endpoint, no_authorities, more]).await;
        let of_this = |line: &&String| line.contains("telemetry is not exported");
        let said: Vec<_> = warnings.iter().filter(of_this).collect();
        assert_eq!(said.len(), warning.iter().len(), "{more:?}: {warnings:?}");
        if let (Some(said), Some(warning)) = (said.first(), warning) {
            assert!(said.contains(warning), "{said}");
        }
    }
    let taken = receiver.taken.lock().expect("lock");
    let sent = taken.spans.len() + taken.resources.len() + taken.refused;
    assert_eq!(sent, 0);
}
