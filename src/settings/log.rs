//! Which log lines are written, and how they look.

use tracing_subscriber::filter::Targets;

use super::{environment::Environment, names, reader::Reader, warnings::SettingWarning};
use crate::telemetry::{self, LineStyle};

/// What is logged, and how.
#[derive(Debug)]
pub struct LogSettings {
    /// Which lines are written.
    pub filter: Targets,
    /// How they look.
    pub style: LineStyle,
}

impl LogSettings {
    /// For a command that no Functions host starts, with the text of `RUST_LOG`. A text that is
    /// no filter counts as none, and a warning says so.
    #[must_use]
    pub fn of(environment: &Environment, filter: Option<&str>) -> (Self, Option<SettingWarning>) {
        let parsed = filter.map(telemetry::parse_filter);
        let warning = (parsed == Some(None)).then_some(SettingWarning::LogFilter);
        // In colours at a terminal, for who has not said no.
        let is_plain = environment.get(names::NO_COLOR).is_some()
            || environment.get(names::TERM) == Some("dumb");
        let settings = Self {
            filter: parsed.flatten().unwrap_or_else(telemetry::default_filter),
            style: if is_plain {
                LineStyle::Plain
            } else {
                LineStyle::Coloured
            },
        };
        (settings, warning)
    }
}

impl Reader<'_> {
    pub(super) fn log(&mut self) -> LogSettings {
        let filter = self.text(names::RUST_LOG);
        let (mut settings, warning) = LogSettings::of(self.environment, filter);
        self.warnings.extend(warning);
        if self.is_under_host() {
            settings.style = LineStyle::Host;
        }
        settings
    }
}
