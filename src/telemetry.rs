//! Log lines that the Functions host understands.
//!
//! The host reads one log entry a line and grades it by stream: stdout is
//! Information, stderr is Error unless the line contains "warn". So INFO and below go
//! to stdout, WARN and ERROR to stderr with the level's name in the line, and there are
//! no colours under the host ([`LineStyle`]).
//!
//! Lines written inside an invocation are also kept for that invocation
//! ([`InvocationLog`]), because an envelope's answer carries them back to the host.
//!
//! | question | file |
//! | --- | --- |
//! | which trace does a request belong to? | [`trace`] |
//! | how often did what happen? | [`counters`] |
//! | where are traces and numbers sent? | `otlp` |

use std::{
    cell::RefCell,
    fmt::{self, Write as _},
    io::{self, IsTerminal},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tracing::{
    Event, Level, Metadata, Span, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    Layer, Registry,
    filter::{FilterExt, Targets, filter_fn},
    fmt::writer::{MakeWriter, MakeWriterExt},
    layer::{Context, SubscriberExt},
    registry::LookupSpan,
    util::SubscriberInitExt,
};

pub mod counters;
mod otlp;
mod output;
mod paint;
pub mod trace;

pub use counters::{COUNTERS, Lookup};
use output::GATHERED_FOR;
pub use output::Output;
pub use trace::TraceParent;

/// Lines kept for one invocation; more are dropped, since the host's answer must stay small.
const LINES_KEPT: usize = 100;

/// Crates whose finer log lines quote what a server answered, at INFO already. They say only
/// what is a warning, whatever `RUST_LOG` says.
const CAPPED: [&str; 5] = [
    "azure_core",
    "azure_identity",
    "azure_security_keyvault_secrets",
    "typespec",
    "typespec_client_core",
];

/// What the `OTEL_*` variables ask to be exported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Export {
    /// Spans.
    pub traces: bool,
    /// Numbers.
    pub metrics: bool,
    /// The sender's name, unless the variables give one.
    pub service: Option<String>,
    /// A variable that cannot be used; then nothing is exported.
    pub unusable: Option<&'static str>,
}

/// Who reads the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineStyle {
    /// The Functions host, which notes the time itself.
    Host,
    /// A file, another program or a person: with the time.
    Plain,
    /// The same, and in colours on each stream that is a terminal.
    Coloured,
}

impl LineStyle {
    fn paints(self, stream: &impl IsTerminal) -> bool {
        self == Self::Coloured && stream.is_terminal()
    }
}

/// What has to be written and sent before the process ends.
pub struct Telemetry {
    exporter: Option<otlp::Exporter>,
    /// stdout and stderr.
    outputs: [Output; 2],
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

impl Telemetry {
    /// Sends what is left, within two seconds, and writes it, within one.
    pub fn flush(self) {
        if let Some(exporter) = self.exporter {
            exporter.flush();
        }
        // Both are waited for at the same time, each when it is dropped.
        for output in &self.outputs {
            output.end();
        }
    }
}

/// Starts logging and what `export` asks for. `filter` is the operator's `RUST_LOG`.
///
/// # Errors
///
/// The system has no thread to give.
pub fn start(filter: &Targets, style: LineStyle, export: &Export) -> io::Result<Telemetry> {
    let stdout = Output::new(io::stdout(), GATHERED_FOR)?;
    let stderr = Output::new(io::stderr(), Duration::ZERO)?;
    let subscriber = subscriber(
        filter,
        style,
        stdout.lines(style.paints(&io::stdout())),
        stderr.lines(style.paints(&io::stderr())),
    );
    let outputs = [stdout, stderr];
    let is_wanted = export.traces || export.metrics;
    let (telemetry, is_unusable) = {
        let exporter = is_wanted.then(|| otlp::Exporter::start(export));
        let exporter = exporter.transpose();
        let is_unusable = exporter.is_err();
        let exporter = exporter.ok().flatten();
        let layer = exporter.as_ref().and_then(otlp::Exporter::layer);
        subscriber.with(layer).init();
        let telemetry = Telemetry { exporter, outputs };
        (telemetry, is_unusable)
    };
    std::panic::set_hook(Box::new(|panic| {
        // The payload may quote data; the place is enough to find the defect.
        let location = panic.location().map(ToString::to_string);
        tracing::error!(location, "a handler panicked");
    }));
    // The Functions host may be meant by these variables, so they do not stop the handler.
    if let Some(setting) = export.unusable {
        tracing::warn!(setting, "telemetry is not exported: this cannot be used");
    } else if is_unusable {
        tracing::warn!(
            "telemetry is not exported: an OTEL_* setting or the certificate authorities cannot be used"
        );
    }
    Ok(telemetry)
}

/// Makes lines of events: WARN and ERROR go to `stderr`, the others to `stdout`.
pub fn subscriber<W, V>(
    filter: &Targets,
    style: LineStyle,
    stdout: W,
    stderr: V,
) -> impl Subscriber + for<'a> LookupSpan<'a> + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    V: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let writer = stderr
        .with_max_level(Level::WARN)
        .or_else(stdout.with_max_level(Level::TRACE));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(writer);
    let lines = match style {
        LineStyle::Host => lines.without_time().boxed(),
        LineStyle::Plain | LineStyle::Coloured => lines.boxed(),
    };
    let filter = filter.clone().and(filter_fn(is_for_lines));
    Registry::default().with(lines.and_then(KeepForInvocation).with_filter(filter))
}

/// The default when `RUST_LOG` is not set.
#[must_use]
pub fn default_filter() -> Targets {
    Targets::new()
        .with_default(LevelFilter::INFO)
        .with_targets(CAPPED.map(|target| (target, LevelFilter::WARN)))
}

/// The crates whose lines can be asked for by name alone, at every level.
const TARGETS: [&str; 14] = [
    "axum",
    "azure_core",
    "azure_identity",
    "azure_security_keyvault_secrets",
    "handler",
    "hyper",
    "hyper_util",
    "keyvault_functions",
    "reqwest",
    "rustls",
    "tower",
    "tower_http",
    "typespec",
    "typespec_client_core",
];

/// An operator's filter; nothing if it is none. A word that is neither a level nor a crate would
/// be taken for a target and switch off all other lines: `verbose`, or a misspelt level.
#[must_use]
pub fn parse_filter(text: &str) -> Option<Targets> {
    let directives = text.split(',').map(str::trim).filter(|one| !one.is_empty());
    let directives: Vec<_> = directives.collect();
    let is_known = |directive: &&str| {
        let krate = directive.split("::").next().unwrap_or_default();
        directive.contains('=')
            || directive.parse::<LevelFilter>().is_ok()
            || TARGETS.contains(&krate)
    };
    if !directives.iter().all(is_known) {
        return None;
    }
    directives.join(",").parse().ok()
}

/// Whether `metadata` may become a line, whatever the operator's filter says.
fn is_for_lines(metadata: &Metadata<'_>) -> bool {
    metadata.target() != trace::TARGET && !is_too_fine(metadata)
}

/// Whether `metadata` belongs to the SDK and is finer than [`CAPPED`] allows.
fn is_too_fine(metadata: &Metadata<'_>) -> bool {
    let krate = metadata.target().split("::").next().unwrap_or_default();
    *metadata.level() > Level::WARN && CAPPED.contains(&krate)
}

/// The lines that one invocation wrote.
#[derive(Debug, Clone, Default)]
pub struct InvocationLog(Arc<Mutex<Vec<String>>>);

thread_local! {
    /// Handed from [`InvocationLog::span`] to the layer while the span is created.
    static NEW_SPAN_LOG: RefCell<Option<InvocationLog>> = const { RefCell::new(None) };
}

impl InvocationLog {
    /// Makes a span with `make` whose lines, and those of its children, are kept here.
    pub fn span(&self, make: impl FnOnce() -> Span) -> Span {
        NEW_SPAN_LOG.set(Some(self.clone()));
        let span = make();
        NEW_SPAN_LOG.set(None);
        span
    }

    /// The lines so far, oldest first.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < LINES_KEPT {
            lines.push(line);
        }
    }
}

struct KeepForInvocation;

impl<S> Layer<S> for KeepForInvocation
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(
        &self,
        _: &tracing::span::Attributes<'_>,
        id: &tracing::Id,
        context: Context<'_, S>,
    ) {
        if let Some(log) = NEW_SPAN_LOG.take()
            && let Some(span) = context.span(id)
        {
            span.extensions_mut().insert(log);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(scope) = context.event_scope(event) else {
            return;
        };
        for span in scope {
            if let Some(log) = span.extensions().get::<InvocationLog>() {
                log.push(line_of(event));
                return;
            }
        }
    }
}

fn line_of(event: &Event<'_>) -> String {
    struct Line(String);
    impl Visit for Line {
        fn record_str(&mut self, field: &Field, value: &str) {
            if field.name() == "message" {
                let _ = write!(self.0, " {value}");
            } else {
                let _ = write!(self.0, " {}={value:?}", field.name());
            }
        }
        fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
            if field.name() == "message" {
                let _ = write!(self.0, " {value:?}");
            } else {
                let _ = write!(self.0, " {}={value:?}", field.name());
            }
        }
    }
    let metadata: &Metadata<'_> = event.metadata();
    let mut line = Line(metadata.level().to_string());
    event.record(&mut line);
    line.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_for_the_invocation_that_wrote_them() {
        let subscriber = Registry::default().with(KeepForInvocation);
        tracing::subscriber::with_default(subscriber, || {
            let (one, two) = (InvocationLog::default(), InvocationLog::default());
            let first = one.span(|| tracing::error_span!("invocation"));
            let second = two.span(|| tracing::error_span!("invocation"));
            first.in_scope(|| {
                tracing::info_span!("child").in_scope(|| tracing::info!(status = 200, "done"));
            });
            second.in_scope(|| tracing::warn!("slow"));
            tracing::info!("outside");
            assert_eq!(one.take(), ["INFO done status=200"]);
            assert_eq!(two.take(), ["WARN slow"]);
        });
    }

    #[test]
    fn an_invocation_keeps_a_bounded_number_of_lines() {
        let log = InvocationLog::default();
        (0..LINES_KEPT + 5).for_each(|n| log.push(n.to_string()));
        assert_eq!(log.take().len(), LINES_KEPT);
    }

    struct Seen(Arc<Mutex<Vec<String>>>);

    impl<S: Subscriber> Layer<S> for Seen {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            self.0.lock().expect("lock").push(line_of(event));
        }
    }

    #[test]
    fn the_sdk_never_logs_below_warn() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let subscriber =
            Registry::default().with(Seen(seen.clone()).with_filter(filter_fn(is_for_lines)));
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(target: "typespec_client_core::http::policies", "the body");
            tracing::info!(target: "typespec_client_core::http", "the address");
            tracing::warn!(target: "azure_identity", "which source");
            tracing::trace!(target: "keyvault_functions", "ours");
        });
        let seen = seen.lock().expect("lock");
        assert_eq!(*seen, ["WARN which source", "TRACE ours"]);
    }
}
