//! From an event to a line: the level, the invocation that wrote it, the place, the text.

use std::fmt::{self, Write as _};

use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    layer::Context,
    registry::LookupSpan,
};

use super::invocation::with_current;

/// Writes one line for each event.
pub(super) struct Format {
    /// The Functions host notes the time itself.
    pub(super) has_time: bool,
}

impl<S, N> FormatEvent<S, N> for Format
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut line: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        if self.has_time {
            SystemTime.format_time(&mut line)?;
            line.write_char(' ')?;
        }
        write!(line, "{:>5} ", metadata.level())?;
        with_current(|invocation| write!(line, "{invocation}: ")).unwrap_or(Ok(()))?;
        write!(line, "{}: ", metadata.target())?;
        context.field_format().format_fields(line.by_ref(), event)?;
        writeln!(line)
    }
}

/// Keeps each line for the invocation that wrote it, if that wants them.
pub(super) struct Keep;

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        with_current(|invocation| {
            if let Some(lines) = &invocation.lines {
                lines.push(text_of(event));
            }
        });
    }
}

fn text_of(event: &Event<'_>) -> String {
    struct Text(String);
    impl Visit for Text {
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
    let mut text = Text(event.metadata().level().to_string());
    event.record(&mut text);
    text.0
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::{Registry, layer::SubscriberExt};

    use super::*;
    use crate::telemetry::{Invocation, InvocationLines};

    #[test]
    fn lines_are_kept_for_the_invocation_that_wrote_them() {
        let subscriber = Registry::default().with(Keep);
        tracing::subscriber::with_default(subscriber, || {
            let run = || {
                let lines = InvocationLines::default();
                let invocation = Invocation {
                    function: "config-check".into(),
                    id: None,
                    parent: None,
                    lines: Some(lines.clone()),
                };
                (invocation, lines)
            };
            let ((one, first), (two, second)) = (run(), run());
            one.name_in(|| {
                tracing::info_span!("child").in_scope(|| tracing::info!(status = 200, "done"));
            });
            two.name_in(|| tracing::warn!("slow"));
            tracing::info!("outside");
            assert_eq!(first.take(), ["INFO done status=200"]);
            assert_eq!(second.take(), ["WARN slow"]);
        });
    }
}
