//! How a command ends that has failed: an exit code, and the reasons for whoever reads them.

use std::{fmt::Write as _, io, process::ExitCode, thread, time::Duration};

use keyvault_functions::{host::grading::without_warn, settings::Environment, system};

/// Exit codes, from `sysexits.h`. Never 0 on failure: the Functions host would take it for
/// an intended end and not restart the handler.
pub(crate) mod exit {
    /// An input of `check`.
    pub(crate) const NOT_UNDERSTOOD: u8 = 2;
    pub(crate) const USAGE: u8 = 64;
    #[cfg(feature = "dev-vault")]
    pub(crate) const NO_INPUT: u8 = 66;
    pub(crate) const PORT: u8 = 69;
    pub(crate) const INTERNAL: u8 = 70;
    #[cfg(feature = "dev-vault")]
    pub(crate) const CANNOT_CREATE: u8 = 73;
    pub(crate) const CONFIGURATION: u8 = 78;
    pub(crate) const OUTPUT: u8 = 74;
    /// Not an error: the Functions host starts the handler again, at once and without counting.
    pub(crate) const RESTART: u8 = 200;
}

/// Why the process ends, one line for each reason.
pub(crate) struct Failure {
    code: u8,
    lines: Vec<String>,
}

impl Failure {
    pub(crate) fn new(code: u8, line: impl ToString) -> Self {
        Self::of_all(code, [line])
    }

    pub(crate) fn of_all(code: u8, lines: impl IntoIterator<Item = impl ToString>) -> Self {
        let lines = lines.into_iter().map(|line| line.to_string()).collect();
        Self { code, lines }
    }

    /// `what` as the beginning of a sentence, `error` as its end.
    pub(super) fn of_system(code: u8, what: &str, error: &io::Error) -> Self {
        Self::new(code, format!("{what}: {}", system::reason(error.kind())))
    }

    pub(super) fn no_port(port: u16, error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::AddrInUse {
            let line = "is already in use; stop the other process or give --port";
            return Self::new(exit::PORT, format!("port {port} {line}"));
        }
        Self::of_system(exit::PORT, &format!("port {port} cannot be opened"), error)
    }

    pub(super) fn no_randomness() -> Self {
        Self::new(exit::INTERNAL, "the system has no randomness to give")
    }

    pub(super) fn of_server(error: &io::Error) -> Self {
        Self::of_system(exit::INTERNAL, "the server failed", error)
    }

    /// Writes the reasons to stderr, each prefixed so that a log full of other lines shows
    /// whose they are.
    pub(crate) fn report(self) -> ExitCode {
        let reader = match Environment::of_process().host_port() {
            Some(_) => Reader::Host,
            None => Reader::Person,
        };
        write_errors(&self.lines, reader, &mut io::stderr(), thread::sleep);
        ExitCode::from(self.code)
    }
}

/// Who reads the reason for the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Person,
    /// The Functions host, which closes its end as soon as the process has ended, and grades
    /// lines by what is in them.
    Host,
}

/// How long the host gets to read the reason before the process ends.
const HOST_READS: Duration = Duration::from_millis(200);

/// In one write, since the host may read no second one.
fn write_errors(
    lines: &[String],
    reader: Reader,
    to: &mut impl io::Write,
    wait: impl FnOnce(Duration),
) {
    let mut text = String::new();
    for line in lines {
        let line = match reader {
            Reader::Host => without_warn(line),
            Reader::Person => line.into(),
        };
        let _ = writeln!(text, "keyvault-functions: {line}");
    }
    let _ = to.write_all(text.as_bytes());
    if reader == Reader::Host {
        wait(HOST_READS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_gets_one_write_and_the_time_to_read_it() {
        use std::cell::RefCell;

        struct Writes<'a>(&'a RefCell<Vec<String>>);
        impl io::Write for Writes<'_> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                let text = String::from_utf8_lossy(bytes).into_owned();
                self.0.borrow_mut().push(text);
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let written = |reader| {
            let done = RefCell::new(Vec::new());
            let wait = |time| done.borrow_mut().push(format!("{time:?}"));
            let lines = ["one".to_owned(), "Warned".to_owned()];
            write_errors(&lines, reader, &mut Writes(&done), wait);
            done.into_inner()
        };
        let one = "keyvault-functions: one\nkeyvault-functions: ";
        let host = [format!("{one}W*rned\n"), "200ms".to_owned()];
        assert_eq!(written(Reader::Host), host);
        assert_eq!(written(Reader::Person), [format!("{one}Warned\n")]);
    }
}
