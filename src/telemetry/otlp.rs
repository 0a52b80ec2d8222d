//! Export to an OpenTelemetry receiver: OTLP over HTTP, in protobuf.
//!
//! Requests only put what they have into bounded queues; threads of the OpenTelemetry SDK send
//! it. A receiver that is not there costs lines, not requests, and holds up the end of the
//! process for `FLUSH_LIMIT` at most. The SDK reads the standard `OTEL_*` variables itself.

use std::{
    env,
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use async_trait::async_trait;
use opentelemetry::{
    Context, KeyValue,
    metrics::MeterProvider,
    trace::{
        SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider,
    },
};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithHttpConfig};
use opentelemetry_sdk::{
    Resource,
    metrics::{PeriodicReader, SdkMeterProvider},
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use tracing::{Span, Subscriber, level_filters::LevelFilter};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

use super::{
    Export,
    counters::{COUNTERS, Lookup},
    trace::{self, TraceParent},
};

/// What the end of the process waits for the receiver.
const FLUSH_LIMIT: Duration = Duration::from_secs(2);
/// Time to open a connection to the receiver.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// Time for one request to the receiver.
const SEND_LIMIT: Duration = Duration::from_secs(5);
/// How often spans are sent. The Functions host ends the handler without warning, so what is
/// not sent soon is lost.
const SPANS_EVERY: Duration = Duration::from_secs(1);
/// How often numbers are sent, for the same reason.
const NUMBERS_EVERY: Duration = Duration::from_secs(10);

/// The variables that the SDK reads for the two above, and the one for its sampler.
const SPANS_EVERY_VARIABLE: &str = "OTEL_BSP_SCHEDULE_DELAY";
const NUMBERS_EVERY_VARIABLE: &str = "OTEL_METRIC_EXPORT_INTERVAL";
const SAMPLER_VARIABLE: &str = "OTEL_TRACES_SAMPLER";

const NAME: &str = env!("CARGO_PKG_NAME");

/// A variable that the SDK reads, or the machine's certificate authorities, cannot be used. The
/// SDK's own error is dropped: it can quote what it read.
pub(super) struct Unusable;

/// What is sent, and by whom.
pub(super) struct Exporter {
    traces: Option<SdkTracerProvider>,
    metrics: Option<SdkMeterProvider>,
}

impl Exporter {
    /// Starts the threads that send what `export` asks for.
    pub(super) fn start(export: &Export) -> Result<Self, Unusable> {
        let resource = resource(export);
        let traces = export.traces.then(|| traces(resource.clone()));
        let metrics = export.metrics.then(|| metrics(resource));
        Ok(Self {
            traces: traces.transpose()?,
            metrics: metrics.transpose()?,
        })
    }

    /// Turns the spans that are meant for it into OpenTelemetry's.
    pub(super) fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let tracer = self.traces.as_ref()?.tracer(NAME);
        let layer = tracing_opentelemetry::layer()
            .with_tracer(tracer)
            .with_context_activation(false)
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false);
        Some(layer.with_filter(Targets::new().with_target(trace::TARGET, LevelFilter::INFO)))
    }

    /// Sends what is left, within [`FLUSH_LIMIT`].
    pub(super) fn flush(self) {
        let (done, waiting) = mpsc::channel::<()>();
        // Not all of the SDK keeps to a limit that it is given.
        let apart = |shut_down: Box<dyn FnOnce() + Send>| {
            let done = done.clone();
            let begun = thread::Builder::new().spawn(move || {
                shut_down();
                drop(done);
            });
            drop(begun);
        };
        if let Some(traces) = self.traces {
            apart(Box::new(move || {
                drop(traces.shutdown_with_timeout(FLUSH_LIMIT));
            }));
        }
        if let Some(metrics) = self.metrics {
            apart(Box::new(move || {
                drop(metrics.shutdown_with_timeout(FLUSH_LIMIT));
            }));
        }
        drop(done);
        // Nothing is ever sent: when both are done, the channel is closed.
        if waiting.recv_timeout(FLUSH_LIMIT) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("the OTLP receiver did not take what was left in time");
        }
    }
}

fn traces(resource: Resource) -> Result<SdkTracerProvider, Unusable> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Sender::new("traces")?)
        .build()
        .map_err(|_| Unusable)?;
    let batches = BatchConfigBuilder::default();
    let batches = match env::var_os(SPANS_EVERY_VARIABLE) {
        Some(_) => batches,
        None => batches.with_scheduled_delay(SPANS_EVERY),
    };
    let processor = BatchSpanProcessor::builder(exporter)
        .with_batch_config(batches.build())
        .build();
    let provider = SdkTracerProvider::builder()
        .with_resource(resource)
        .with_span_processor(processor);
    Ok(match env::var_os(SAMPLER_VARIABLE) {
        Some(_) => provider.build(),
        // The host marks its traces as not sampled, and would switch everything off.
        None => provider.with_sampler(Sampler::AlwaysOn).build(),
    })
}

fn metrics(resource: Resource) -> Result<SdkMeterProvider, Unusable> {
    let exporter = MetricExporter::builder()
        .with_http()
        .with_http_client(Sender::new("metrics")?)
        .build()
        .map_err(|_| Unusable)?;
    let reader = PeriodicReader::builder(exporter);
    let reader = match env::var_os(NUMBERS_EVERY_VARIABLE) {
        Some(_) => reader,
        None => reader.with_interval(NUMBERS_EVERY),
    };
    let provider = SdkMeterProvider::builder()
        .with_resource(resource)
        .with_reader(reader.build())
        .build();
    let meter = provider.meter(NAME);
    meter
        .u64_observable_counter("keyvault.cache.lookups")
        .with_description("Requests of secrets-metadata, by how they found their answer")
        .with_callback(|counter| {
            for lookup in Lookup::COUNTED {
                let outcome = [KeyValue::new("outcome", lookup.as_str())];
                counter.observe(COUNTERS.lookups(lookup), &outcome);
            }
        })
        .build();
    Ok(provider)
}

/// Who sends: what the variables say, and else the Function App and this process.
fn resource(export: &Export) -> Resource {
    let given = Resource::builder().build();
    let is_given = |key: &'static str| given.get(&key.into()).map(|value| value.to_string());
    let mut known = vec![KeyValue::new("service.version", env!("CARGO_PKG_VERSION"))];
    if is_given("service.name").is_none_or(|name| name.starts_with("unknown_service")) {
        let name = export.service.clone().unwrap_or_else(|| NAME.to_owned());
        known.push(KeyValue::new("service.name", name));
    }
    if is_given("service.instance.id").is_none()
        && let Ok(random) = getrandom::u64()
    {
        // Without it, the numbers of two instances would be taken for one's.
        known.push(KeyValue::new(
            "service.instance.id",
            format!("{random:016x}"),
        ));
    }
    Resource::builder().with_attributes(known).build()
}

/// The span that this task is in, as a vault is told it.
pub(super) fn current() -> Option<TraceParent> {
    let context = Span::current().context();
    let span = context.span();
    let span = span.span_context();
    if !span.is_valid() {
        return None;
    }
    let flags = span.trace_flags().to_u8();
    let text = format!("00-{}-{}-{flags:02x}", span.trace_id(), span.span_id());
    TraceParent::parse(text.as_bytes())
}

/// Makes `span` a part of the caller's trace.
pub(super) fn set_parent(span: &Span, trace: TraceParent) {
    let (Ok(trace_id), Ok(span_id)) = (
        TraceId::from_hex(trace.trace_id()),
        SpanId::from_hex(trace.span_id()),
    ) else {
        return;
    };
    let flags = TraceFlags::new(trace.flags());
    let parent = SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE);
    // An error says that nothing is exported.
    drop(span.set_parent(Context::new().with_remote_span_context(parent)));
}

/// Sends, follows nothing, and tells once when the receiver stops taking and when it takes again.
#[derive(Debug)]
struct Sender {
    client: reqwest::blocking::Client,
    what: &'static str,
    is_failing: AtomicBool,
}

impl Sender {
    fn new(what: &'static str) -> Result<Self, Unusable> {
        let client = reqwest::blocking::Client::builder()
            // The headers may hold a key, which is for nobody else.
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .timeout(SEND_LIMIT)
            .build()
            .map_err(|_| Unusable)?;
        Ok(Self {
            client,
            what,
            is_failing: AtomicBool::new(false),
        })
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.client.send_bytes(request).await;
        let status = answer.as_ref().ok().map(Response::status);
        let is_failing = status.is_none_or(|status| !status.is_success());
        if self.is_failing.swap(is_failing, Ordering::Relaxed) != is_failing {
            let (what, status) = (self.what, status.map(|status| status.as_u16()));
            if is_failing {
                tracing::warn!(what, status, "the OTLP receiver does not take what is sent");
            } else {
                tracing::info!(what, "the OTLP receiver takes what is sent again");
            }
        }
        answer
    }
}
