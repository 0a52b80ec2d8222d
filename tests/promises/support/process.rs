//! The real binary as a child process, with everything it writes.

#[cfg(unix)]
use std::fs::File;
use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use super::leaks;

/// How long the tests wait for something that happens at once unless it is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running handler. When it goes, it is killed as the Functions host would, and what it
/// wrote is searched for secrets.
pub(crate) struct Handler {
    child: Child,
    readers: Vec<JoinHandle<()>>,
    output: Arc<Mutex<Vec<(Stream, String)>>>,
    more_secrets: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Handler {
    /// Starts the binary in `folder` with nothing in its environment but `environment`.
    pub(crate) fn start(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let binary = Path::new(env!("CARGO_BIN_EXE_handler"));
        Self::start_binary(binary, folder, arguments, environment)
    }

    /// Like [`Handler::start`], for a handler that was built otherwise.
    pub(crate) fn start_binary(
        binary: &Path,
        folder: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let mut child = spawn(binary, folder, arguments, environment);
        let output = Arc::default();
        let stdout = child.stdout.take().expect("piped");
        let stderr = child.stderr.take().expect("piped");
        let readers = vec![
            collect(Stream::Stdout, stdout, &output),
            collect(Stream::Stderr, stderr, &output),
        ];
        Self {
            child,
            readers,
            output,
            more_secrets: Vec::new(),
        }
    }

    /// Like [`Handler::start`], but nobody reads what goes to stderr.
    pub(crate) fn start_with_unread_stderr(
        folder: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let binary = Path::new(env!("CARGO_BIN_EXE_handler"));
        let mut child = spawn(binary, folder, arguments, environment);
        let output = Arc::default();
        let stdout = child.stdout.take().expect("piped");
        Self {
            readers: vec![collect(Stream::Stdout, stdout, &output)],
            child,
            output,
            more_secrets: Vec::new(),
        }
    }

    /// Starts the binary in `folder` as a person does who sits at a terminal of 80 columns:
    /// with the default log, and what is in `environment`.
    #[cfg(unix)]
    pub(crate) fn start_in_terminal(
        folder: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        let (person, terminal) = open_terminal();
        let stdio = || Stdio::from(terminal.try_clone().expect("a descriptor"));
        let child = Command::new(env!("CARGO_BIN_EXE_handler"))
            .args(arguments)
            .current_dir(folder)
            .env_clear()
            .env("TERM", "xterm-256color")
            .envs(environment.iter().copied())
            .stdin(stdio())
            .stdout(stdio())
            .stderr(stdio())
            .spawn()
            .expect("the handler starts");
        let output = Arc::default();
        Self {
            child,
            // What a person sees is one stream.
            readers: vec![collect(Stream::Stdout, person, &output)],
            output,
            more_secrets: Vec::new(),
        }
    }

    /// Adds a secret that was not known when the test was written.
    pub(crate) fn forbid(&mut self, secret: String) {
        self.more_secrets.push(secret);
    }

    /// What the process wrote so far.
    pub(crate) fn output(&self) -> String {
        let lines = self.output.lock().expect("lock");
        lines.iter().map(|(_, line)| line.as_str()).collect()
    }

    /// What the process wrote to one stream so far.
    pub(crate) fn lines(&self, stream: Stream) -> Vec<String> {
        let lines = self.output.lock().expect("lock");
        let of_stream = lines.iter().filter(|(from, _)| *from == stream);
        of_stream
            .map(|(_, line)| line.trim_end().to_owned())
            .collect()
    }

    /// Waits until the process has written `text`.
    pub(crate) async fn wrote(&self, text: &str) {
        self.wrote_after(0, text).await;
    }

    /// Like [`Handler::wrote`], without the first `before` bytes.
    pub(crate) async fn wrote_after(&self, before: usize, text: &str) {
        let started = Instant::now();
        while !self.output()[before..].contains(text) {
            let output = self.output();
            assert!(
                started.elapsed() < PATIENCE,
                "{text:?} is not in:\n{output}"
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory in KiB, where the system tells.
    pub(crate) fn memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a state").is_none()
    }

    /// Asks the process to end, as a container platform does.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Asks the process to end, as Ctrl+C in its terminal does.
    pub(crate) fn interrupt(&self) {
        self.signal("INT");
    }

    fn signal(&self, name: &str) {
        let (name, id) = (format!("-{name}"), self.child.id().to_string());
        let kill = Command::new("kill").args([name, id]).status();
        assert!(kill.expect("kill").success());
    }

    /// Ends the process as nothing can prevent.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("killed");
    }

    /// Waits for the process to end by itself; all it wrote is there then.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a state") {
                self.readers
                    .drain(..)
                    .for_each(|reader| reader.join().expect("read"));
                return status;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "still running:\n{}",
                self.output()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.readers
            .drain(..)
            .for_each(|reader| drop(reader.join()));
        if !std::thread::panicking() {
            leaks::assert_none("what the process wrote", &self.output(), &self.more_secrets);
        }
    }
}

fn spawn(binary: &Path, folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Child {
    Command::new(binary)
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("RUST_LOG", "trace")
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the handler starts")
}

/// A pseudo-terminal of 80 by 24: the person's end and the program's.
#[cfg(unix)]
fn open_terminal() -> (File, File) {
    use rustix::{
        fs::{Mode, OFlags, open},
        pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
        termios::{Winsize, tcsetwinsize},
    };
    let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&person).expect("granted");
    unlockpt(&person).expect("unlocked");
    let size = Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&person, size).expect("a size");
    let name = ptsname(&person, Vec::new()).expect("a name");
    // The tests' own process must not get it as its terminal, nor another child a copy.
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let terminal = open(name, flags, Mode::empty()).expect("opened");
    (person.into(), terminal.into())
}

fn collect(
    stream: Stream,
    from: impl Read + Send + 'static,
    output: &Arc<Mutex<Vec<(Stream, String)>>>,
) -> JoinHandle<()> {
    let output = output.clone();
    std::thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            output.lock().expect("lock").push((stream, text));
            line.clear();
        }
    })
}
