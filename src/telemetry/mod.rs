//! Log lines that the Functions host understands.
//!
//! The host reads one log entry a line and grades it by stream: stdout is
//! Information, stderr is Error unless the line contains "warn". So INFO and below go
//! to stdout, WARN and ERROR to stderr with the level's name in the line, and there are
//! no colours under the host ([`LineStyle`]).
//!
//! Lines written inside an invocation name it ([`Invocation`]), and are kept for it if its
//! answer, an envelope, carries them back to the host ([`InvocationLines`]).
//!
//! | question | file |
//! | --- | --- |
//! | what does a line look like? | `lines` |
//! | which lines are written? | `filter` |
//! | which invocation wrote a line, and which trace does it continue? | [`invocation`] |
//! | where are spans and numbers sent? | `spans`, `otlp` |

use std::{
    fmt,
    io::{self, IsTerminal},
};

use tracing::{Level, Subscriber};
use tracing_subscriber::{
    Layer, Registry,
    filter::{FilterExt, Targets, filter_fn},
    fmt::writer::{MakeWriter, MakeWriterExt},
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

mod filter;
pub mod invocation;
mod lines;
mod otlp;
mod output;
mod paint;
pub(crate) mod spans;
pub mod trace_parent;

pub use filter::{default_filter, parse_filter};
pub use invocation::{Invocation, InvocationId, InvocationLines};
pub use output::Output;
pub use trace_parent::TraceParent;

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
    let stdout = Output::new(io::stdout())?;
    let stderr = Output::new(io::stderr())?;
    let subscriber = subscriber(
        filter,
        style,
        stdout.lines(style.paints(&io::stdout())),
        stderr.lines(style.paints(&io::stderr())),
    );
    let outputs = [stdout, stderr];
    let is_wanted = export.traces || export.metrics;
    let exporter = is_wanted.then(|| otlp::Exporter::start(export)).transpose();
    let is_unusable = exporter.is_err();
    let exporter = exporter.ok().flatten();
    let layer = exporter.as_ref().map(otlp::Exporter::layer);
    subscriber.with(layer).init();
    let telemetry = Telemetry { exporter, outputs };
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
        .event_format(lines::Format {
            has_time: style != LineStyle::Host,
        })
        .with_ansi(false)
        .with_writer(writer);
    let filter = filter.clone().and(filter_fn(filter::is_for_lines));
    Registry::default().with(lines.and_then(lines::Keep).with_filter(filter))
}
