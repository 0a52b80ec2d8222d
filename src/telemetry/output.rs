//! Lines on their way out.
//!
//! Each stream has a thread of its own that writes it, so a reader that stops reading holds up
//! no request. What was put while it wrote is written together.

use std::{
    borrow::Cow,
    io::{self, Write},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use tracing_subscriber::fmt::MakeWriter;

use super::paint::painted;

/// How long the end waits for readers that do not read.
const END_LIMIT: Duration = Duration::from_secs(1);
/// Bytes that may wait; lines beyond that are lost, and counted.
const WAITING_LIMIT: usize = 1024 * 1024;

/// Writes lines soon. Once it is dropped, all of them are out, unless nobody reads them.
#[derive(Debug)]
#[must_use]
pub struct Output {
    gathered: Arc<Gathered>,
    /// Closed by the thread at its end.
    is_written: mpsc::Receiver<()>,
}

/// Takes lines for an [`Output`].
#[derive(Debug, Clone)]
pub struct Lines {
    gathered: Arc<Gathered>,
    is_painted: bool,
}

#[derive(Debug, Default)]
struct Gathered {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    bytes: Vec<u8>,
    lost: usize,
    /// Set at the end: until when to wait for what is left.
    end_by: Option<Instant>,
}

impl Output {
    /// Writes to `to`.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
    pub fn new(to: impl Write + Send + 'static) -> io::Result<Self> {
        let gathered = Arc::<Gathered>::default();
        let taken = gathered.clone();
        let (writing, is_written) = mpsc::channel();
        thread::Builder::new().name("log".into()).spawn(move || {
            let _until_the_end: mpsc::Sender<()> = writing;
            taken.write_to(to);
        })?;
        Ok(Self {
            gathered,
            is_written,
        })
    }

    /// Where lines are put, `is_painted` with colours.
    #[must_use]
    pub fn lines(&self, is_painted: bool) -> Lines {
        Lines {
            gathered: self.gathered.clone(),
            is_painted,
        }
    }

    /// Asks for the end, without waiting for it. Returns until when it may take.
    pub(super) fn end(&self) -> Instant {
        let mut waiting = self.gathered.lock();
        let end_by = *waiting
            .end_by
            .get_or_insert_with(|| Instant::now() + END_LIMIT);
        drop(waiting);
        self.gathered.changed.notify_one();
        end_by
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        let left = self.end().saturating_duration_since(Instant::now());
        let _ = self.is_written.recv_timeout(left);
    }
}

impl Gathered {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, line: &[u8]) {
        let mut waiting = self.lock();
        if waiting.bytes.len() + line.len() > WAITING_LIMIT {
            waiting.lost += 1;
            return;
        }
        let is_first = waiting.bytes.is_empty();
        waiting.bytes.extend_from_slice(line);
        drop(waiting);
        if is_first {
            self.changed.notify_one();
        }
    }

    fn write_to(&self, mut to: impl Write) {
        let mut bytes = Vec::new();
        loop {
            let is_idle =
                |waiting: &mut Waiting| waiting.bytes.is_empty() && waiting.end_by.is_none();
            let waiting = self.changed.wait_while(self.lock(), is_idle);
            let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
            mem::swap(&mut waiting.bytes, &mut bytes);
            let (lost, is_ended) = (mem::take(&mut waiting.lost), waiting.end_by.is_some());
            drop(waiting);
            if lost > 0 {
                let _ = writeln!(
                    bytes,
                    "WARN {lost} log lines were lost: they are read too slowly"
                );
            }
            // A reader that has gone away is no reason to fail requests.
            let _ = to.write_all(&bytes).and_then(|()| to.flush());
            bytes.clear();
            if is_ended {
                return;
            }
        }
    }
}

/// An event, whatever its message holds, as one line.
pub(super) fn one_line(event: &[u8]) -> Cow<'_, [u8]> {
    let text = event.strip_suffix(b"\n").unwrap_or(event);
    // The host's reader ends a line at either.
    let ends_a_line = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if !text.iter().any(ends_a_line) {
        return event.into();
    }
    let mut line = text.to_vec();
    for byte in line.iter_mut().filter(|byte| ends_a_line(byte)) {
        *byte = b' ';
    }
    line.push(b'\n');
    line.into()
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// One call is one event.
impl Write for &Lines {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = one_line(event);
        if self.is_painted {
            self.gathered.put(&painted(&line));
        } else {
            self.gathered.put(&line);
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Says what it is given, and goes on when it is told to.
    struct Slow {
        given: mpsc::Sender<Vec<u8>>,
        go_on: mpsc::Receiver<()>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.given.send(bytes.to_vec());
            let _ = self.go_on.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn slow() -> (Output, mpsc::Receiver<Vec<u8>>, mpsc::Sender<()>) {
        let ((given, is_given), (may_go_on, go_on)) = (mpsc::channel(), mpsc::channel());
        let output = Output::new(Slow { given, go_on }).expect("a thread");
        (output, is_given, may_go_on)
    }

    #[test]
    fn lines_come_out_in_their_order_and_all_of_them() {
        let (output, given, go_on) = slow();
        drop(go_on);
        let lines = output.lines(false);
        for number in 0..1_000 {
            writeln!(&lines, "{number}").expect("taken");
        }
        drop(output);
        let written: Vec<u8> = given.iter().flatten().collect();
        let written = String::from_utf8(written).expect("text");
        let expected = (0..1_000).map(|number| number.to_string());
        assert!(written.lines().eq(expected), "{written}");
    }

    #[test]
    fn a_reader_that_does_not_read_holds_up_nobody() {
        let (output, given, go_on) = slow();
        let lines = output.lines(false);
        writeln!(&lines, "first").expect("taken");
        // The writer hangs from here on.
        given.recv().expect("a line");
        let line = [b'x'; 1024];
        for _ in 0..2 * WAITING_LIMIT / line.len() {
            (&lines).write_all(&line).expect("taken or lost");
        }
        assert_eq!(lines.gathered.lock().bytes.len(), WAITING_LIMIT);
        drop(go_on);
        drop(output);
        let written: Vec<u8> = given.iter().flatten().collect();
        let told = "WARN 1024 log lines were lost: they are read too slowly\n";
        assert!(written.ends_with(told.as_bytes()));
        assert_eq!(written.len(), WAITING_LIMIT + told.len());
    }

    #[test]
    fn a_reader_that_never_reads_again_does_not_hold_up_the_end() {
        let (output, given, go_on) = slow();
        let lines = output.lines(false);
        writeln!(&lines, "first").expect("taken");
        given.recv().expect("a line");
        // The writer hangs until `go_on` is dropped, after the end.
        drop(output);
        drop(go_on);
    }

    /// The end of a process, with both readers gone.
    #[test]
    fn two_that_hang_are_waited_for_together() {
        let hangs: Vec<_> = (0..2).map(|_| slow()).collect();
        for (output, given, _) in &hangs {
            writeln!(&output.lines(false), "first").expect("taken");
            given.recv().expect("a line");
        }
        let ends: Vec<_> = hangs.iter().map(|(output, ..)| output.end()).collect();
        let again: Vec<_> = hangs.iter().map(|(output, ..)| output.end()).collect();
        assert_eq!(ends, again, "the time runs from the first call");
    }

    #[test]
    fn an_event_is_one_line() {
        assert_eq!(*one_line(b"a\nb\n"), *b"a b\n");
        assert_eq!(*one_line(b"a\rb\r\n"), *b"a b \n");
        assert_eq!(*one_line(b"a\n"), *b"a\n");
        assert_eq!(*one_line(b"a"), *b"a");
    }
}
