//! What this thread writes, as the Functions host would get it.

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use keyvault_functions::telemetry::{self, LineStyle};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::{filter::Targets, fmt::MakeWriter};

#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    /// Takes what this thread writes and `filter` lets through, until the guard goes.
    pub(crate) fn of_this_thread(filter: &Targets) -> (Self, DefaultGuard) {
        let lines = Self::default();
        let (stdout, stderr) = (lines.clone(), lines.clone());
        let subscriber = telemetry::subscriber(filter, LineStyle::Host, stdout, stderr);
        (lines, tracing::subscriber::set_default(subscriber))
    }

    /// All lines so far.
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("lock").clone()).expect("text")
    }

    /// Takes the lines so far.
    pub(crate) fn take(&self) -> String {
        let written = std::mem::take(&mut *self.0.lock().expect("lock"));
        String::from_utf8(written).expect("text")
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("lock").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
